"""Functions of the array API for single numbers: with this module as `xp` one estimate needs no numpy."""

from math import ceil, sqrt
from typing import Any

__all__ = ["ceil", "maximum", "minimum", "sqrt", "where"]


def maximum(x1: Any, x2: Any) -> Any:
    """Return the larger of two numbers: in a quarter of the instructions that `max` takes."""
    return x2 if x2 > x1 else x1


def minimum(x1: Any, x2: Any) -> Any:
    """Return the smaller of two numbers."""
    return x2 if x2 < x1 else x1


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """Return `x1` if the condition holds, else `x2`."""
    return x1 if condition else x2
