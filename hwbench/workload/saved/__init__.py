"""Traced workloads as files, and those that come with hwbench."""

__all__ = ["file", "shipped"]
