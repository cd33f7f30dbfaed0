"""Load latency in s by working set: a chase of pointers, in which each load needs the value of the one before it.

Every cache line of the working set holds the address of another, in one random cycle through all of them, so that no
prefetcher can guess the next. Beyond the reach of the TLB a load includes a walk of the page tables; pages are as large
as the system makes them (`huge_pages` in the record).
"""

from typing import Any

import numpy as np

from hwbench.machine.host.files import Files
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import aligned, natural
from hwbench.measure.kernels.memory.loops import STEPS, chase, read
from hwbench.measure.kernels.team import Placement
from hwbench.measure.subject import PointerChase

LINE = 64
"""Bytes from one pointer to the next: a cache line, or half of one on some Arm cores (128 bytes)."""

HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"


class Ring:
    """Pointers in one random cycle over a working set, one a cache line; each run continues where the last ended."""

    def __init__(self, size: int) -> None:
        self.lines = max(STEPS, size // LINE // STEPS * STEPS)
        self.bytes: Any = None
        self.start = self.place = 0

    def allocate(self) -> None:
        """Allocate the memory and lay out the cycle, the same one in every run."""
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
        """Return whether the cycle closes after all lines, and not after half of them."""
        rounds = self.lines // STEPS
        half = chase(self.start, max(1, rounds // 2))
        return bool(chase(self.start, rounds) == self.start and (half != self.start or rounds == 1))

    def warm(self) -> None:
        """Read the whole working set twice in order: at the pace of a chase, filling the caches would be the sample."""
        read(self.start, self.lines * LINE, 2)

    def free(self) -> None:
        """Free the memory."""
        self.bytes = None


def task(size: int, core: Placement) -> Task:
    """Return the task that measures the latency of one working set on one core."""
    ring = Ring(size)
    return Task(
        kernel="latency",
        variant="chase",
        unit="s",
        work=STEPS,
        call=ring.run,
        size=str(size),
        subject=PointerChase(ring.lines * LINE, LINE, huge_pages(Files())),
        prepare=ring.allocate,
        check=ring.right,
        warm=ring.warm,
        **{**core.fields, "close": ring.free},
    )


def huge_pages(files: Files) -> str | None:
    """Return the system's rule for transparent huge pages: `always`, `madvise` or `never`; None where it has none."""
    text = files.text(HUGE_PAGES) or ""
    return next((word.strip("[]") for word in text.split() if word.startswith("[")), None)
