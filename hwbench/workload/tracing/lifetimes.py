"""Memory of a run of torch, by the lifetimes of its storages: which exist at once, those of weights apart.

A storage is freed when nothing refers to it: no variable of the module, no tensor that autograd keeps for a backward
pass. Views share one, and operators in place make none. What a kernel needs while it runs is not seen.
"""

import weakref
from collections.abc import Collection, Iterable
from typing import Any

import torch

from hwbench.workload.formulas.tally import Amount
from hwbench.workload.tracing.twins import address


class _Reference(weakref.ref):  # type: ignore[type-arg]
    """A reference to a storage that knows its address afterwards."""

    __slots__ = ("key",)
    key: int


class Lifetimes:
    """When storages are made and freed."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # of storages that exist, by address
        self._references: dict[int, _Reference] = {}
        self._sizes: list[tuple[int, int]] = []  # by number: elements that follow the run's dtype, and other bytes
        self._changes: list[int] = []  # the number of what is made, its complement where that is freed
        self._taken: tuple[int, int] | None = None  # what is freed next, and what takes its memory

    def leave_out(self, key: int) -> None:
        """Do not count the storage of an address, such as a weight, that outlives the run."""
        self._numbers[key] = -1

    def see(
        self, tensors: Iterable[torch.Tensor], run_dtype: torch.dtype | None, over: torch.Tensor | None = None
    ) -> None:
        """Count storages that are new; those of `run_dtype` by elements, others by bytes.

        Where `over` is freed at once, they take its memory: autograd adds up gradients in place, but not below a mode.
        """
        if self._taken:  # by what did not free it
            self._make(self._taken[1], self._sizes[self._numbers[self._taken[1]]])
            self._taken = None
        for tensor in tensors:
            if tensor.layout is not torch.strided:
                continue
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key in self._numbers:
                continue
            size = storage.nbytes()
            amount = (size // tensor.itemsize, 0) if tensor.dtype is run_dtype else (0, size)
            number = -1 if over is None else self._numbers.get(address(over), -1)
            if over is not None and number >= 0 and self._sizes[number] == amount:
                self._numbers[key], self._taken = number, (address(over), key)
            else:
                self._make(key, amount)
            reference = self._references[key] = _Reference(storage, self._free)
            reference.key = key

    def _make(self, key: int, amount: tuple[int, int]) -> None:
        self._numbers[key] = len(self._sizes)
        self._changes.append(len(self._sizes))
        self._sizes.append(amount)

    def _free(self, reference: Any) -> None:
        key = reference.key
        del self._references[key]
        number = self._numbers.pop(key)
        if self._taken and self._taken[0] == key:
            self._taken = None
        else:
            self._changes.append(~number)

    def peak(self, without: Iterable[torch.Tensor] = ()) -> Amount:
        """Return the most that existed at once, without the storages of some tensors that exist still."""
        apart: Collection[int] = {self._numbers.get(address(tensor), -1) for tensor in without}
        elements = other = most = 0
        highest = (0, 0)
        for change in self._changes:
            number = max(change, ~change)
            if number in apart:
                continue
            sign = 1 if change >= 0 else -1
            elements, other = elements + sign * self._sizes[number][0], other + sign * self._sizes[number][1]
            if 4 * elements + other > most:
                most, highest = 4 * elements + other, (elements, other)
        return Amount(*highest)

    def close(self) -> None:
        """Follow no storage any longer."""
        self._references.clear()
