"""Read bandwidth in B/s by working set: each cache shows as a plateau (see levels.py).

The kernel adds up vectors of integers, eight sums at once, pass after pass over the same bytes: nothing in it takes
longer than the loads.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import aligned, natural
from hwbench.measure.kernels.memory.loops import read
from hwbench.measure.kernels.team import Placement
from hwbench.measure.subject import WorkingSet

PIECE = 1 << 18
"""Words that are filled at a time, so that no second buffer is needed."""

MIN_BYTES = 4 << 10
"""The smallest working set."""


class Buffer:
    """A buffer whose first bytes are every working set; its words are numbered, so that their sum is known."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.bytes: Any = None
        self.address = 0

    def allocate(self) -> None:
        """Allocate and fill the memory, unless that is done."""
        if self.bytes is None:
            self.bytes = aligned(self.size, natural(self.size))
            words = self.bytes.view(np.int64)
            for at in range(0, len(words), PIECE):
                words[at : at + PIECE] = np.arange(at, min(at + PIECE, len(words)))
            self.address = self.bytes.ctypes.data

    def read(self, size: int, passes: int) -> int:
        """Read the first `size` bytes so many times and return their sum."""
        return int(read(self.address, size, passes))

    def right(self, size: int) -> bool:
        """Return whether two passes give twice the sum of the first `size` bytes' words."""
        words = size // 8
        total = words * (words - 1)  # twice the sum of 0 to words - 1
        return self.read(size, 2) == (total + 2**63) % 2**64 - 2**63

    def free(self) -> None:
        """Free the memory."""
        self.bytes = None


def sizes(largest: int, steps: int) -> tuple[int, ...]:
    """Return working sets in bytes from 4 KiB to `largest`: `steps` an octave (1 or 2), multiples of 2 KiB."""
    octaves = range((largest // MIN_BYTES).bit_length())
    series = (size for octave in octaves for size in (MIN_BYTES << octave, 3 * MIN_BYTES << octave >> 1)[:steps])
    return tuple(size for size in series if size <= largest)


def task(buffers: Sequence[Buffer], size: int, cores: Placement, subject: WorkingSet) -> Task:
    """Return the task that reads one working set with one core, or one of its own with each core of a team."""

    def close() -> None:
        if cores.team:
            cores.team.close()
        for buffer in buffers:
            buffer.free()

    return Task(
        kernel="working-set",
        variant="read",
        unit="B/s",
        work=size * len(cores),
        call=lambda passes: cores.each(buffers, lambda buffer: buffer.read(size, passes)),
        size=str(size),
        subject=subject,
        prepare=lambda: cores.each(buffers, Buffer.allocate),
        check=lambda: all(buffer.right(size) for buffer in buffers),
        **{**cores.fields, "close": close},
    )
