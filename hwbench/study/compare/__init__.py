"""Devices compared by peak and forecast, and saved runs compared with a statistical verdict for each kernel."""

__all__ = ["conditions", "decomposition", "devices", "runs", "self_check", "simulation"]
