"""The real clock of a core in Hz: with only the chain to run, and under a load of vector instructions.

Operating systems and hypervisors state clocks that no core has. Counting the cycles of a dependent chain needs neither
a counter nor a privilege. Under load the chain runs among multiply-adds (see fma/loops.py): as many as still leave the
chain the slower of the two, which depends on the number of pipes and is measured before sampling.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from hwbench.measure.codegen import vectors
from hwbench.measure.harness import Task, pinned
from hwbench.measure.kernels.clock import loops as clock_loops
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.team import Placement, one_of_each, teams
from hwbench.measure.settings import Settings
from hwbench.measure.subject import ClockLoad

LOAD = "fp32"
"""The dtype of the load; fp64 uses the same pipes."""

READING_S = 0.002
"""Duration in s of one reading of the clock that accompanies another measurement."""

CHAIN_BOUND = 0.8
"""A load is accepted above this share of the next thinner one's clock: multiply-adds that limit the chain read 0.67."""

_TRIES = 3


class LoadedClock:
    """Reads the clock of the current core while vectors of one width are multiplied and added.

    `cpu` is that core, where it is known, and `others` how many cores work at the same time: the density of a load is
    then searched once for each core.
    """

    def __init__(self, bits: int, dtype: str = LOAD, cpu: int | None = None, others: int = 0) -> None:
        self.operands = fma_loops.operands(dtype, vectors.target().fused)
        self.key = (bits, dtype, cpu, others)
        self.density = 0
        self._rounds = 1000

    @classmethod
    def each(cls, bits: int, dtype: str, cores: Placement) -> "list[LoadedClock]":
        """Return a clock for every member of a team, or for the first of the CPUs where there is no team."""
        cpus = cores.team.cpus if cores.team else cores.cpus[:1] or (None,)
        return [cls(bits, dtype, cpu, len(cpus) - 1) for cpu in cpus]

    def prepare(self) -> None:
        """Compile, and find the densest load that does not slow the chain."""
        if self.density:
            return
        self.run(1, fma_loops.DENSITIES[0])
        cpu = self.key[2]
        with pinned(cpu):
            self.density, self._rounds = self.search() if cpu is None else _searched(*self.key)

    def search(self) -> tuple[int, int]:
        """Return the densest load for the current core, and the rounds of a reading."""
        self._rounds = calibrated(lambda rounds: self.run(rounds, fma_loops.DENSITIES[0]))
        best = dict.fromkeys(fma_loops.DENSITIES, 0.0)
        for _ in range(_TRIES):  # interleaved, so that a change of the clock affects all
            for density in fma_loops.DENSITIES:
                best[density] = max(best[density], self._reading(density))
        return densest(best), self._rounds

    def run(self, rounds: int, density: int | None = None) -> None:
        """Run so many rounds of `fma_loops.LOADED_CYCLES` cycles."""
        fma_loops.loaded(self.key[0], density or self.density, rounds, 1, *self.operands)

    def read(self) -> float:
        """Return the clock in Hz of this thread's core: the highest of three readings, as disturbances lower it."""
        return max(self._reading(self.density) for _ in range(3))

    def _reading(self, density: int) -> float:
        return fma_loops.LOADED_CYCLES * self._rounds / max(cpu_seconds(self.run, self._rounds, density), 1e-9)


@functools.cache
def _searched(bits: int, dtype: str, cpu: int, others: int) -> tuple[int, int]:
    """Return the result of `search` on this core, computed once in a process."""
    return LoadedClock(bits, dtype, cpu, others).search()


def densest(clocks: dict[int, float]) -> int:
    """Return the densest load that does not slow the chain: the last before the reading falls more than a clock would.

    `clocks`: the reading at each density in Hz. A denser load may lower the clock itself, but not by a third at once.
    """
    densities = sorted(clocks)
    result = densities[0]
    for thinner, denser in pairwise(densities):
        if clocks[denser] < CHAIN_BOUND * clocks[thinner]:
            break
        result = denser
    return result


def cpu_seconds(run: Callable[..., object], *arguments: object) -> float:
    """Return the CPU time in s that this thread takes for a call."""
    before = time.thread_time()
    run(*arguments)
    return time.thread_time() - before


def calibrated(run: Callable[[int], object], seconds: float = READING_S) -> int:
    """Return repetitions that take at least so long, by the CPU time of this thread."""
    repetitions = 1
    while True:
        elapsed = cpu_seconds(run, repetitions)
        if elapsed >= seconds:
            return repetitions
        repetitions = math.ceil(repetitions * min(50.0, 1.2 * seconds / max(elapsed, 1e-9)))


def tasks(settings: Settings) -> Sequence[Task]:
    """Return the tasks: one core of each class, idle and under load by vector width; all cores under load.

    Where quick, the widest vectors are the only load.
    """
    target = vectors.target()
    widths = target.widths[-1 if settings.quick else 0 :]
    result = []
    for core in one_of_each(settings):
        result += [scalar(core), *(loaded(bits, target.isa(bits), core) for bits in widths)]
    return [*result, *(loaded(bits, target.isa(bits), cores) for cores in teams(settings) for bits in widths)]


def scalar(core: Placement) -> Task:
    """Return the task that measures the clock of one core that only runs the chain."""
    return Task(
        kernel="clock",
        variant="scalar",
        unit="Hz",
        work=clock_loops.CYCLES,
        call=lambda repetitions: clock_loops.chain(repetitions, 1, clock_loops.STEP, clock_loops.MASK),
        check=clock_loops.check,
        **core.fields,
    )


def loaded(bits: int, isa: str, cores: Placement) -> Task:
    """Return the task that measures the clock under multiply-adds of one width, of one core or of a team (the mean).

    A team is timed by CPU time too: each core's clock counts only while the core works for us.
    """
    clocks = LoadedClock.each(bits, LOAD, cores)

    def prepare() -> ClockLoad:
        cores.each(clocks, LoadedClock.prepare)
        return ClockLoad(bits, LOAD, min(clock.density for clock in clocks))

    return Task(
        kernel="clock",
        variant=isa,
        unit="Hz",
        work=fma_loops.LOADED_CYCLES * len(cores),
        call=lambda rounds: cores.each(clocks, lambda clock: clock.run(rounds)),
        isa=isa,
        subject=ClockLoad(bits, LOAD),
        prepare=prepare,
        **{**cores.fields, "timer": "cpu"},
    )
