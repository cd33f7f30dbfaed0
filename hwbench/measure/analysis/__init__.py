"""The meaning of measurements: rates compared with peaks, sustained ceilings, and where performance is lost."""

__all__ = ["evidence", "ladder", "peaks", "results", "sustained"]
