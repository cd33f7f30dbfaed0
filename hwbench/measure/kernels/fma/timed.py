"""A loop of vector instructions, timed on each core of a placement, with its cycles."""

from collections.abc import Callable
from functools import partial
from typing import Any

from hwbench.measure.harness import Task
from hwbench.measure.kernels.clock import kernel as clock
from hwbench.measure.kernels.team import Placement

ONE = Placement()


class TimedLoop:
    """One loop on vectors of `bits` bits: runs it, and counts the cycles of its last run.

    They are those of the clock under a load of `load` on vectors of the same width, read right after the run.
    """

    def __init__(self, loop: Callable[[int], Any], bits: int, load: str = clock.LOAD, cores: Placement = ONE) -> None:
        self.loop, self.bits, self.cores = loop, bits, cores
        self.clocks = clock.LoadedClock.each(bits, load, cores)
        self.elapsed = [0.0] * len(self.clocks)
        self.counted = [0.0] * len(self.clocks)

    def prepare(self, position: int = 0) -> None:
        """Compile, and find the load under which the clock of this core is read."""
        self.loop(1)
        self.clocks[position].prepare()

    def run(self, rounds: int, position: int = 0) -> None:
        """Run so many rounds on this thread, and keep its CPU time."""
        self.elapsed[position] = clock.cpu_seconds(self.loop, rounds)

    def count(self, position: int = 0) -> None:
        """Count the cycles of the last run by the clock that this core has now, under load."""
        self.counted[position] = self.elapsed[position] * self.clocks[position].read()

    def cycles(self) -> float:
        """Return the cycles of the last run of all cores."""
        self.cores.run(self.count)
        return sum(self.counted)

    def task(self, **fields: Any) -> Task:
        """Return the task of the kernel `fma` that runs the loop on all cores; `fields` are its others."""
        return Task(
            kernel="fma",
            call=lambda rounds: self.cores.run(partial(self.run, rounds)),
            prepare=lambda: self.cores.run(self.prepare),
            cycles=self.cycles,
            **self.cores.fields,
            **fields,
        )
