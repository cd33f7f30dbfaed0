"""Multiply-adds of vectors: FLOP/s and FLOP per cycle by ISA and dtype, and the latency of dependent ones.

Cycles are those of the clock under the same load, read right after each sample (clock/kernel.py), so that FLOP per
cycle, and the number of pipes that follows from it, depend on no stated clock. Where the CPU has no fused multiply-add,
a multiply and an add are measured, two instructions for the same two FLOP; the record states which (`instructions`).
"""

import functools
import math
import time
from collections.abc import Sequence
from typing import Any

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import Target
from hwbench.measure.harness import Task
from hwbench.measure.kernels.clock import kernel as clock
from hwbench.measure.kernels.fma import amx
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.team import Team, run_job
from hwbench.measure.settings import Settings
from hwbench.measure.subject import MultiplyAdds

DTYPES: tuple[vectors.FloatDtype, ...] = ("fp32", "fp64")
FUSED, SEPARATE = "multiply-add", "multiply and add"
_CHECKED_ROUNDS = 3
_TOLERANCE = {"fp32": 1e-5, "fp64": 1e-13}


def tasks(settings: Settings) -> Sequence[Task]:
    """Return the tasks: throughput of one core of each class and of all cores by width and dtype, tiles, latency.

    Where quick, latency and all cores are measured with the widest vectors alone.
    """
    target = vectors.target()
    dtypes = [dtype for dtype in DTYPES if settings.dtypes is None or dtype in settings.dtypes]
    tiles = [dtype for dtype in amx.dtypes(target) if settings.dtypes is None or dtype in settings.dtypes]
    widest = target.widths[-1 if settings.quick else 0 :]
    result = []
    for core_class in settings.classes:
        name, cpus = clock.class_name(settings, core_class), core_class.cpus[:1]
        result += [throughput(target, bits, dtype, cpus, name) for bits in target.widths for dtype in dtypes]
        result += [amx.task(dtype, cpus, name) for dtype in tiles]
        result += [latency(target, bits, dtype, cpus, name) for bits in widest for dtype in dtypes]
    for threads in settings.threads:
        if threads > 1:
            cpus = settings.cpus[:threads]
            team = Team(cpus)
            result += [throughput(target, bits, dtype, cpus, None, team) for bits in widest for dtype in dtypes]
            result += [amx.task(dtype, cpus, None, team) for dtype in tiles]
    return result


def isa(target: Target, bits: int) -> str:
    """Return the name of the instructions: with 128 bits `fma3` where x86 fuses them and `sse2` where not."""
    if target.x86 and bits == vectors.SMALLEST_BITS:
        return "fma3" if target.fused else "sse2"
    return target.isa(bits)


class FmaLoop:
    """One loop at one width and dtype: runs it, checks it, and counts the cycles of its last run."""

    def __init__(
        self, loop: Any, bits: int, dtype: vectors.FloatDtype, cpus: tuple[int, ...] = (), team: Team | None = None
    ) -> None:
        self.loop = functools.partial(loop, bits)
        self.dtype = dtype
        self.lanes = vectors.lanes(dtype, bits)
        self.operands = fma_loops.operands(dtype, vectors.target().fused)
        self.clocks = clock.LoadedClock.each(bits, dtype, cpus, team)
        self.elapsed = [0.0] * len(self.clocks)
        self.counted = [0.0] * len(self.clocks)

    def prepare(self, position: int = 0) -> None:
        """Compile, and find the load under which the clock of this core is read."""
        self.loop(1, *self.operands)
        self.clocks[position].prepare()

    def run(self, rounds: int, position: int = 0) -> None:
        """Run so many rounds on this thread, and keep its CPU time."""
        before = time.thread_time()
        self.loop(rounds, *self.operands)
        self.elapsed[position] = time.thread_time() - before

    def count(self, position: int = 0) -> None:
        """Count the cycles of the last run by the clock that this core has now, under load."""
        self.counted[position] = self.elapsed[position] * self.clocks[position].read()

    def right(self, accumulators: int, steps: int) -> bool:
        """Return whether three rounds give numpy's answer; `steps`: multiply-adds of one accumulator in a round."""
        answer = float(self.loop(_CHECKED_ROUNDS, *self.operands))
        pairs, fused = _CHECKED_ROUNDS * steps // 2, vectors.target().fused
        expected = fma_loops.iterated(self.dtype, pairs, accumulators, self.lanes, fused)
        return math.isclose(answer, expected, rel_tol=_TOLERANCE[self.dtype])


def throughput(
    target: Target,
    bits: int,
    dtype: vectors.FloatDtype,
    cpus: tuple[int, ...],
    core_class: str | None,
    team: Team | None = None,
) -> Task:
    """Return the task that measures FLOP/s of independent multiply-adds on one core, or on all cores of a team."""
    members = len(team) if team else 1
    loop = FmaLoop(fma_loops.throughput, bits, dtype, cpus, team)
    accumulators = fma_loops.accumulators(target.registers)

    def cycles() -> float:
        run_job(team, loop.count)
        return sum(loop.counted)

    return Task(
        kernel="fma",
        variant="throughput",
        unit="FLOP/s",
        work=2 * loop.lanes * accumulators * fma_loops.STEPS * members,
        call=lambda rounds: run_job(team, functools.partial(loop.run, rounds)),
        dtype=dtype,
        isa=isa(target, bits),
        threads=members,
        timer="wall" if team else "cpu",
        cpus=cpus,
        core_class=core_class,
        subject=MultiplyAdds(_instructions(target), bits, accumulators),
        prepare=lambda: run_job(team, loop.prepare),
        check=lambda: loop.right(accumulators, fma_loops.STEPS),
        cycles=cycles,
        close=team.close if team else None,
    )


def latency(
    target: Target, bits: int, dtype: vectors.FloatDtype, cpus: tuple[int, ...], core_class: str | None
) -> Task:
    """Return the task that measures seconds (and cycles) of a multiply-add that needs the answer of the one before."""
    loop = FmaLoop(fma_loops.latency, bits, dtype, cpus)

    def cycles() -> float:
        loop.count()
        return loop.counted[0]

    return Task(
        kernel="fma",
        variant="latency",
        unit="s",
        work=fma_loops.DEPENDENT,
        call=loop.run,
        dtype=dtype,
        isa=isa(target, bits),
        cpus=cpus,
        core_class=core_class,
        subject=MultiplyAdds(_instructions(target), bits),
        prepare=loop.prepare,
        check=lambda: loop.right(1, fma_loops.DEPENDENT),
        cycles=cycles,
    )


def _instructions(target: Target) -> str:
    return FUSED if target.fused else SEPARATE
