"""Functions of the array API for single numbers: with this module as `xp` one estimate needs no numpy."""

from math import ceil, sqrt
from typing import Any

__all__ = ["ceil", "maximum", "minimum", "sqrt", "where"]

maximum = max
minimum = min


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """Return `x1` if the condition holds, else `x2`."""
    return x1 if condition else x2
