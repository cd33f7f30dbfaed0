"""Answers as lines of text: one module for each subject over `layout` (tables, paragraphs) and `format` (numbers)."""

__all__ = [
    "calibration", "clock", "compare", "estimate", "explain", "format", "inference", "language",
    "layout", "machine", "requirement", "roofline", "run", "runs", "sweep", "utilization", "validation", "workload",
]  # fmt: skip
