"""Times of many models on many devices at many dtypes and batches, and the Pareto front of time and power."""

__all__ = ["front", "panel", "sweep"]
