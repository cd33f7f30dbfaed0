"""The clock at which a core really runs, in Hz: idle beside the chain, and under the vector load that it is used for.

Operating systems and hypervisors state clocks that no core has. Counting the cycles of a dependent chain needs neither
a counter nor a privilege. Under load the chain runs among multiply-adds (see fma_loops.py): as many as leave the chain
the slower of the two, which depends on the number of pipes and is found out before sampling.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from hwbench.measure.codegen import vectors
from hwbench.measure.harness import Task, pinned
from hwbench.measure.kernels.clock import loops as clock_loops
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.team import Team
from hwbench.measure.settings import CpuClass, Settings

LOAD = "fp32"
"""The dtype of the load; fp64 uses the same pipes."""

READING_S = 0.002
"""How long one reading of the clock lasts in s, where it is taken beside something else."""

CHAIN_BOUND = 0.8
"""A load is believed from this share of the next thinner one's clock: held up by its multiply-adds it reads 0.67."""

_TRIES = 3


class LoadedClock:
    """Reads the clock of the core it is called on while vectors of one width are multiplied and added.

    `cpu` is that core, where it is known, and `others` how many work beside it: clocks of the same load on the same
    core then look for its density once.
    """

    def __init__(self, bits: int, dtype: str = LOAD, cpu: int | None = None, others: int = 0) -> None:
        self.kernel = fma_loops.LOADED[bits]
        self.operands = fma_loops.operands(dtype, vectors.target().fused)
        self.key = (bits, dtype, cpu, others)
        self.density = 0
        self._rounds = 1000

    @classmethod
    def each(cls, bits: int, dtype: str, cpus: Sequence[int], team: Team | None) -> "list[LoadedClock]":
        """One for every member of a team, or for the first of the CPUs where there is none."""
        places = team.cpus if team else (cpus[0] if cpus else None,)
        return [cls(bits, dtype, place, len(places) - 1) for place in places]

    def prepare(self) -> None:
        """Compile, and find the densest load beside which the chain still takes its own time."""
        if self.density:
            return
        self.run(1, fma_loops.DENSITIES[0])
        _, _, cpu, _ = self.key
        with pinned(cpu):
            self.density, self._rounds = self.search() if cpu is None else _searched(*self.key)

    def search(self) -> tuple[int, int]:
        """The densest load for the core that this runs on, and the rounds that make a reading."""
        self._rounds = calibrated(lambda rounds: self.run(rounds, fma_loops.DENSITIES[0]))
        best = dict.fromkeys(fma_loops.DENSITIES, 0.0)
        for _ in range(_TRIES):  # in turns, so that a change of the clock falls on all
            for density in fma_loops.DENSITIES:
                best[density] = max(best[density], self._reading(density))
        return densest(best), self._rounds

    def run(self, rounds: int, density: int | None = None) -> None:
        """Run so many rounds of `fma_loops.LOADED_CYCLES` cycles."""
        self.kernel(density or self.density, rounds, 1, *self.operands)

    def read(self) -> float:
        """The clock in Hz of this thread's core: the highest of three readings, for whatever disturbs one lowers it."""
        return max(self._reading(self.density) for _ in range(3))

    def _reading(self, density: int) -> float:
        before = time.thread_time()
        self.run(self._rounds, density)
        return fma_loops.LOADED_CYCLES * self._rounds / max(time.thread_time() - before, 1e-9)


@functools.cache
def _searched(bits: int, dtype: str, cpu: int, others: int) -> tuple[int, int]:
    """What `search` finds on this core, looked for once in a process."""
    return LoadedClock(bits, dtype, cpu, others).search()


def densest(clocks: dict[int, float]) -> int:
    """The densest load that does not hold the chain up: going up, until the reading falls by more than a clock would.

    `clocks`: what each density reads, in Hz. A denser load may lower the clock itself, but not by a third in one step.
    """
    densities = sorted(clocks)
    found = densities[0]
    for thinner, denser in pairwise(densities):
        if clocks[denser] < CHAIN_BOUND * clocks[thinner]:
            break
        found = denser
    return found


def calibrated(run: Any, seconds: float = READING_S) -> int:
    """Repetitions that take at least so long, by the CPU time of this thread."""
    repetitions = 1
    while True:
        before = time.thread_time()
        run(repetitions)
        elapsed = time.thread_time() - before
        if elapsed >= seconds:
            return repetitions
        repetitions = math.ceil(repetitions * min(50.0, 1.2 * seconds / max(elapsed, 1e-9)))


def tasks(settings: Settings) -> Sequence[Task]:
    """One core of each class: idle, and under load by vector width; all cores: under load (the widest where quick)."""
    target = vectors.target()
    found = []
    for core_class in settings.classes:
        found.append(scalar(core_class, named(settings, core_class)))
        found += [loaded(bits, target.isa(bits), core_class.cpus[:1], named(settings, core_class))
                  for bits in target.widths]  # fmt: skip
    for threads in settings.threads:
        if threads > 1:
            team = Team(settings.cpus[:threads])
            widths = target.widths[-1:] if settings.quick else target.widths
            found += [loaded(bits, target.isa(bits), settings.cpus[:threads], None, team) for bits in widths]
    return found


def named(settings: Settings, core_class: CpuClass) -> str | None:
    """The name of a class of cores, None where there is only one."""
    return core_class.name if len(settings.classes) > 1 else None


def scalar(core_class: CpuClass, name: str | None) -> Task:
    """The clock of one core with nothing but the chain to do."""
    return Task(
        kernel="clock",
        variant="scalar",
        unit="Hz",
        work=clock_loops.CYCLES,
        call=lambda repetitions: clock_loops.chain(repetitions, 1, clock_loops.STEP, clock_loops.MASK),
        cpus=core_class.cpus[:1],
        core_class=name,
        check=clock_loops.check,
    )


def loaded(bits: int, isa: str, cpus: tuple[int, ...], core_class: str | None, team: Team | None = None) -> Task:
    """The clock under multiply-adds of one width, of one core, or the mean of all that a team has, at once.

    Several are timed by CPU time as one is: each core's clock counts while it works, whoever else it works for.
    """
    clocks = LoadedClock.each(bits, LOAD, cpus, team)
    parameters: dict[str, Any] = {"bits": bits, "load": LOAD}

    def together(job: Callable[[LoadedClock], None]) -> None:
        if team is None:
            job(clocks[0])
        else:
            team.run(lambda position: job(clocks[position]))

    def prepare() -> None:
        together(LoadedClock.prepare)
        parameters["multiply_adds_in_8_cycles"] = min(clock.density for clock in clocks)

    return Task(
        kernel="clock",
        variant=isa,
        unit="Hz",
        work=fma_loops.LOADED_CYCLES * (len(team) if team else 1),
        call=lambda rounds: together(lambda clock: clock.run(rounds)),
        isa=isa,
        threads=len(team) if team else 1,
        cpus=cpus,
        core_class=core_class,
        parameters=parameters,
        prepare=prepare,
        close=team.close if team else None,
    )
