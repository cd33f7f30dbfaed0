"""Fit parameters of the time model to measured times."""

__all__ = ["backward", "cases", "device_factors", "fit", "priors", "problem"]
