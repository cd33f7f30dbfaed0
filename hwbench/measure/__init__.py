"""Measurements with every sample, their conditions, their records, and their meaning."""

__all__ = [
    "analysis", "cluster", "codegen", "environment", "gemm", "harness", "host_calibration", "kernels", "processes",
    "record", "session", "settings", "store", "subject", "summary", "torch", "upgrades",
]  # fmt: skip
