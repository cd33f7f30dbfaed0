"""The meaning of measurements: rates compared with peaks, sustained ceilings, and where performance is lost."""

__all__ = ["ladder", "peaks", "results", "sustained"]
