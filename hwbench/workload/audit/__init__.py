"""Other counters run on the same model, and the causes of their differences. Needs torch."""

__all__ = ["audit", "causes", "counters"]
