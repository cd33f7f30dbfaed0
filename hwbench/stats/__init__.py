"""Statistics that several packages share: intervals, comparisons, ranks and regression."""
