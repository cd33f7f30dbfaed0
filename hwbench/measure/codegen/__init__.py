"""Machine code through numba: vectors as LLVM instructions, compilation cached on disk, a gate for threads."""

__all__ = ["compile", "dots", "gate", "tiles", "vectors"]
