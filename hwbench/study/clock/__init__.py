"""Does clock speed predict performance? Suites of scores, the catalog's peaks, and forecasts of one model."""

__all__ = ["columns", "elasticity", "pairs", "peaks", "results", "scores", "study", "verdict"]
