"""Fit parameters of the time model to measured times."""

__all__ = ["cases", "device_factors", "fit", "priors", "problem", "training"]
