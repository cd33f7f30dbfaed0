"""What a machine can do: devices, microarchitectures and their theoretical peaks."""

__all__ = ["calibrations", "catalog", "description", "device", "host", "lint", "parts"]
