"""How long a workload takes: bounds and a calibrated forecast, the measurements behind it, and its errors."""

__all__ = ["data", "estimate", "fitting", "forecast", "improvements", "model", "replay"]
