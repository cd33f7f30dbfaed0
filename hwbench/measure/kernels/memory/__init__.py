"""Bandwidth and latency of caches and memory."""
