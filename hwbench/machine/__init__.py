"""What a machine can do: devices, microarchitectures and their theoretical peaks."""

__all__ = ["architecture", "calibrations", "catalog", "description", "device", "host", "lint", "parts"]
