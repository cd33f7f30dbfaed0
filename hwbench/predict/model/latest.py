"""A memory of latest results, for functions of values that take as long to hash as to compute with."""

from collections.abc import Callable, Hashable
from typing import Any, Concatenate, ParamSpec, TypeVar

A = TypeVar("A")
R = TypeVar("R")
P = ParamSpec("P")


def latest(size: int) -> Callable[[Callable[Concatenate[A, P], R]], Callable[Concatenate[A, P], R]]:
    """Return a decorator that keeps the latest `size` results by arguments, the first of which counts by identity."""

    def decorated(function: Callable[Concatenate[A, P], R]) -> Callable[Concatenate[A, P], R]:
        known: dict[Hashable, tuple[A, R]] = {}  # holding the argument keeps its identity

        def remembered(first: A, /, *rest: P.args, **more: P.kwargs) -> R:
            key: tuple[Any, ...] = (id(first), *rest, *more.items())
            pair = known.get(key)
            if pair is None:
                pair = first, function(first, *rest, **more)
                if len(known) >= size:
                    known.clear()
                known[key] = pair
            return pair[1]

        return remembered

    return decorated
