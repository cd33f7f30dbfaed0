"""The conditions in which two runs differ, those that make a comparison doubtful first."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from hwbench.measure.record import Record

_CONDITIONS = {
    "versions.blas": "another BLAS",
    "variables.OPENBLAS_": "another BLAS",
    "governor": "another frequency governor",
    "turbo": "another turbo setting",
    "hypervisor": "another virtualization",
    "hwbench_version": "kernels of another version of hwbench",
}
"""Conditions that change results without being the machine's own speed, by the beginning of their path."""


class Difference(Struct, frozen=True):
    """A condition in which two runs differ, by its path; `warning` names one that makes the comparison doubtful."""

    field: str
    a: Any
    b: Any
    warning: str | None = None


def differences(a: Record, b: Record) -> tuple[Difference, ...]:
    """Return the conditions in which two environments differ, those that make the comparison doubtful first."""
    first, second = _flat(a.conditions), _flat(b.conditions)
    every = []
    for path in dict.fromkeys([*first, *second]):
        if first.get(path) != second.get(path):
            warning = next((text for begin, text in _CONDITIONS.items() if path.startswith(begin)), None)
            every.append(Difference(path, *_without_common(first.get(path), second.get(path)), warning))
    return tuple(sorted(every, key=lambda difference: difference.warning is None))


def _without_common(a: Any, b: Any) -> tuple[Any, Any]:
    """Return what only one of two lists has, such as flags of a CPU; other values unchanged."""
    if isinstance(a, list) and isinstance(b, list):
        return [item for item in a if item not in b], [item for item in b if item not in a]
    return a, b


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return a nested mapping by dotted paths; lists are values."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{above}.{name}" if above else str(name)
        flat.update(_flat(value, path) if isinstance(value, Mapping) else {path: value})
    return flat
