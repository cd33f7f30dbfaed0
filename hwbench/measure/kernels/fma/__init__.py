"""Multiply-add throughput of vector units and of AMX."""
