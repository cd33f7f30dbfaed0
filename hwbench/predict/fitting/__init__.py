"""Fit parameters of the time model to measured times."""

__all__ = ["cases", "fit", "host", "priors", "problem"]
