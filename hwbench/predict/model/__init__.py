"""The time model: launches of a network on hardware, as formulas for numbers and arrays."""

__all__ = ["bounds", "cpu", "gpu", "grid", "hardware", "interval", "launch", "parameters", "runtimes", "scalar", "time"]
