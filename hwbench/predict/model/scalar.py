"""The few functions by which one formula serves single numbers and arrays: builtins here, numpy's in arrays.py."""

import math
from typing import Any, Protocol


class Numbers(Protocol):
    """What the formulas of kernel times need beyond operators. Arguments broadcast where they are arrays."""

    def ceil(self, value: Any) -> Any:
        """The next whole number."""

    def least(self, first: Any, second: Any) -> Any:
        """The smaller one."""

    def most(self, first: Any, second: Any) -> Any:
        """The larger one."""

    def root(self, value: Any) -> Any:
        """The square root."""

    def choose(self, condition: Any, first: Any, second: Any) -> Any:
        """`first` where the condition holds, else `second`."""


class Single:
    """Plain Python numbers: no numpy on the way to one estimate."""

    ceil = staticmethod(math.ceil)
    least = staticmethod(min)
    most = staticmethod(max)
    root = staticmethod(math.sqrt)

    @staticmethod
    def choose(condition: Any, first: Any, second: Any) -> Any:
        """`first` where the condition holds, else `second`."""
        return first if condition else second


SINGLE = Single()
