"""Matrix products at the speed of the machine, in numba."""
