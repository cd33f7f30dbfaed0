"""Answers that combine predictions and measurements: comparisons, sweeps, clock studies, requirements, explanations."""

__all__ = ["achieved", "clock", "compare", "explain", "inference", "requirement", "sweep"]
