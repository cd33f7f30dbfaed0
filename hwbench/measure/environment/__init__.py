"""The conditions of a measurement: machine and settings, software, load."""

__all__ = ["machine", "snapshot", "software"]
