"""Statistics that several packages share: intervals, comparisons, ranks and regression."""

__all__ = ["comparison", "intervals", "ranks", "regression"]
