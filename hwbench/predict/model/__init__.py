"""The time model: launches of a network on hardware, as formulas for numbers and arrays."""

__all__ = ["cpu", "gpu", "grid", "hardware", "launch", "parameters", "runtimes", "scalar", "time"]
