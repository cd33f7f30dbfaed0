"""Matrix products by hwbench, plain loops, numpy and torch."""

__all__ = ["kernel", "loops"]
