"""How long one load takes that needs the last one's answer, in s, by working set: a chase of pointers.

Every cache line of the working set holds the address of another, in one random cycle through all of them, so that no
prefetcher knows the next. Beyond what the TLB covers, a load takes a walk of the page tables too: pages are as large
as the system makes them (`huge_pages` in the parameters), and nothing is done about it.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hwbench.machine.host.facts import Files
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import aligned, natural
from hwbench.measure.kernels.memory.working_set import read

LINE = 64
"""Bytes from one pointer to the next: a cache line, or half of one on some Arm cores (128 bytes)."""

STEPS = 64
"""Loads in one round of the loop, and the number that one repetition makes."""

HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"


def chase_ir(builder: ir.IRBuilder, address: ir.Value, rounds: ir.Value) -> ir.Value:
    """Follow pointers, `STEPS` a round; gives the last."""

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        place = values[0]
        for _ in range(STEPS):
            place = vectors.load(builder, place, vectors.I64, 8)
        return [place]

    return vectors.loop(builder, rounds, [address], body)[0]


@intrinsic
def _chase(_context: Any, _address: Any, _rounds: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
        return chase_ir(builder, *arguments)

    return types.int64(types.int64, types.int64), generate


@compiled
def chase(address: int, rounds: int) -> Any:
    """Follow the pointers from an address, `STEPS` a round; gives the address that the last one holds."""
    return _chase(address, rounds)


class Ring:
    """Pointers in one random cycle over a working set, one a cache line; it goes on where the last call ended."""

    def __init__(self, size: int) -> None:
        self.lines = max(STEPS, size // LINE // STEPS * STEPS)
        self.bytes: Any = None
        self.start = self.place = 0

    def allocate(self) -> None:
        """Take the memory and lay out the cycle, the same one in every run."""
        if self.bytes is not None:
            return
        self.bytes = aligned(self.lines * LINE, natural(self.lines * LINE))
        self.start = self.place = self.bytes.ctypes.data
        order = np.random.default_rng(0).permutation(self.lines) * LINE
        words = self.bytes.view(np.int64)
        words[order // 8] = np.roll(order, -1) + self.start

    def run(self, rounds: int) -> None:
        """Follow `STEPS` pointers so many times."""
        self.place = int(chase(self.place, rounds))

    def right(self) -> bool:
        """Whether the cycle closes after all lines, and not after half of them."""
        rounds = self.lines // STEPS
        half = chase(self.start, max(1, rounds // 2))
        return bool(chase(self.start, rounds) == self.start and (half != self.start or rounds == 1))

    def warm(self) -> None:
        """Read the whole working set in order, twice: at the pace of a chase a sample would only fill the caches."""
        read(self.start, self.lines * LINE, 2)

    def free(self) -> None:
        """Give the memory back."""
        self.bytes = None


def task(size: int, cpus: tuple[int, ...], core_class: str | None) -> Task:
    """The latency of one working set on one core."""
    ring = Ring(size)
    return Task(
        kernel="latency",
        variant="chase",
        unit="s",
        work=STEPS,
        call=ring.run,
        size=str(size),
        cpus=cpus,
        core_class=core_class,
        parameters={"bytes": ring.lines * LINE, "line": LINE, "huge_pages": huge_pages(Files())},
        prepare=ring.allocate,
        check=ring.right,
        close=ring.free,
        warm=ring.warm,
    )


def huge_pages(files: Files) -> str | None:
    """The system's rule for transparent huge pages, `always`, `madvise` or `never`; None where it has none."""
    text = files.text(HUGE_PAGES) or ""
    return next((word.strip("[]") for word in text.split() if word.startswith("[")), None)
