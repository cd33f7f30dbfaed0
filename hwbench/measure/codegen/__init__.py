"""LLVM IR for numba: vectors, compilation, caching."""
