"""Matrix products of numba, numpy and torch, timed."""
