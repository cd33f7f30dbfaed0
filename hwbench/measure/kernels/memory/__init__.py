"""Bandwidth and latency of caches and memory."""

__all__ = ["kernel", "latency", "levels", "loops", "results", "stream", "working_set"]
