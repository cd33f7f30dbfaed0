"""Measured times of networks: tables, the workloads that they are of, and splits by family."""

__all__ = ["rows", "splits", "tables", "timm", "workloads"]
