"""Multiply-adds of vector units and of AMX: throughput and latency."""

__all__ = ["amx", "amx_loops", "kernel", "loops"]
