"""Multiply-adds of vectors: FLOP/s and FLOP per cycle by ISA and dtype, and the latency of one that waits for the last.

Cycles are those of the clock under the same load, read right after each sample (clock.py): so FLOP per cycle, and the
number of pipes that follows from it, need no clock that somebody states. Where the CPU has no fused multiply-add, a
multiply and an add are measured, two instructions for the same two FLOP, and the parameters say so.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import Target
from hwbench.measure.harness import Task
from hwbench.measure.kernels.clock import kernel as clock
from hwbench.measure.kernels.fma import amx
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.team import Team
from hwbench.measure.settings import Settings

DTYPES: tuple[vectors.Dtype, ...] = ("fp32", "fp64")
FUSED, SEPARATE = "multiply-add", "multiply and add"
_CHECKED_ROUNDS = 3
_TOLERANCE = {"fp32": 1e-5, "fp64": 1e-13}


def tasks(settings: Settings) -> Sequence[Task]:
    """Throughput by width and dtype of one core of each class and of all cores, tiles where there are any, and latency.

    Where quick, latency and all cores are measured with the widest vectors alone.
    """
    target = vectors.target()
    dtypes = [dtype for dtype in DTYPES if settings.dtypes is None or dtype in settings.dtypes]
    tiles = [dtype for dtype in amx.dtypes(target) if settings.dtypes is None or dtype in settings.dtypes]
    found = []
    for core_class in settings.classes:
        name, cpus = clock.named(settings, core_class), core_class.cpus[:1]
        for bits in target.widths:
            found += [throughput(target, bits, dtype, cpus, name) for dtype in dtypes]
        found += [amx.task(dtype, cpus, name) for dtype in tiles]
        found += [latency(target, bits, dtype, cpus, name)
                  for bits in target.widths[-1 if settings.quick else 0 :] for dtype in dtypes]  # fmt: skip
    for threads in settings.threads:
        if threads > 1:
            team = Team(settings.cpus[:threads])
            for bits in target.widths[-1 if settings.quick else 0 :]:
                found += [throughput(target, bits, dtype, settings.cpus[:threads], None, team) for dtype in dtypes]
            found += [amx.task(dtype, settings.cpus[:threads], None, team) for dtype in tiles]
    return found


def isa(target: Target, bits: int) -> str:
    """What the instructions are called: with 128 bits `fma3` where x86 fuses them and `sse2` where not."""
    if target.x86 and bits == vectors.SMALLEST_BITS:
        return "fma3" if target.fused else "sse2"
    return target.isa(bits)


class FmaLoop:
    """One loop at one width and dtype: runs it, checks it, and counts the cycles of its last run."""

    def __init__(
        self, loop: Any, bits: int, dtype: vectors.Dtype, cpus: tuple[int, ...] = (), team: Team | None = None
    ) -> None:
        self.loop = loop
        self.dtype = dtype
        self.lanes = vectors.lanes(dtype, bits)
        self.operands = fma_loops.operands(dtype, vectors.target().fused)
        self.clocks = clock.LoadedClock.each(bits, dtype, cpus, team)
        self.elapsed = [0.0] * len(self.clocks)
        self.counted = [0.0] * len(self.clocks)

    def prepare(self, position: int = 0) -> None:
        """Compile, and find the load to read the clock under, which depends on the core."""
        self.loop(1, *self.operands)
        self.clocks[position].prepare()

    def run(self, rounds: int, position: int = 0) -> None:
        """So many rounds on this thread, whose CPU time is kept."""
        before = time.thread_time()
        self.loop(rounds, *self.operands)
        self.elapsed[position] = time.thread_time() - before

    def count(self, position: int = 0) -> None:
        """The clock cycles of the last run, by the clock that this core has now, under load."""
        self.counted[position] = self.elapsed[position] * self.clocks[position].read()

    def right(self, accumulators: int, steps: int) -> bool:
        """Whether three rounds give what numpy computes; `steps`: multiply-adds of one accumulator in a round."""
        answer = float(self.loop(_CHECKED_ROUNDS, *self.operands))
        pairs, fused = _CHECKED_ROUNDS * steps // 2, vectors.target().fused
        known = fma_loops.iterated(self.dtype, pairs, accumulators, self.lanes, fused)
        return math.isclose(answer, known, rel_tol=_TOLERANCE[self.dtype])


def throughput(
    target: Target,
    bits: int,
    dtype: vectors.Dtype,
    cpus: tuple[int, ...],
    core_class: str | None,
    team: Team | None = None,
) -> Task:
    """FLOP/s of independent multiply-adds on one core, or on all that a team has."""
    members = len(team) if team else 1
    kernel = FmaLoop(fma_loops.THROUGHPUT[bits], bits, dtype, cpus, team)
    accumulators = fma_loops.accumulators(target.registers)

    def together(job: Callable[[int], None]) -> None:
        if team is None:
            job(0)
        else:
            team.run(job)

    def cycles() -> float:
        together(kernel.count)
        return sum(kernel.counted)

    return Task(
        kernel="fma",
        variant="throughput",
        unit="FLOP/s",
        work=2 * kernel.lanes * accumulators * fma_loops.STEPS * members,
        call=lambda rounds: together(functools.partial(kernel.run, rounds)),
        dtype=dtype,
        isa=isa(target, bits),
        threads=members,
        clock="wall" if team else "cpu",
        cpus=cpus,
        core_class=core_class,
        parameters={"bits": bits, "instructions": _instructions(target), "accumulators": accumulators},
        prepare=lambda: together(kernel.prepare),
        check=lambda: kernel.right(accumulators, fma_loops.STEPS),
        cycles=cycles,
        close=team.close if team else None,
    )


def latency(target: Target, bits: int, dtype: vectors.Dtype, cpus: tuple[int, ...], core_class: str | None) -> Task:
    """Seconds that one multiply-add takes of which each needs the last one's answer; cycles are counted beside."""
    kernel = FmaLoop(fma_loops.LATENCY[bits], bits, dtype, cpus)

    def cycles() -> float:
        kernel.count()
        return kernel.counted[0]

    return Task(
        kernel="fma",
        variant="latency",
        unit="s",
        work=fma_loops.DEPENDENT,
        call=kernel.run,
        dtype=dtype,
        isa=isa(target, bits),
        cpus=cpus,
        core_class=core_class,
        parameters={"bits": bits, "instructions": _instructions(target)},
        prepare=kernel.prepare,
        check=lambda: kernel.right(1, fma_loops.DEPENDENT),
        cycles=cycles,
    )


def _instructions(target: Target) -> str:
    return FUSED if target.fused else SEPARATE


def pipes(flops_per_cycle: float, bits: int, dtype: str) -> float:
    """How many vectors of this width a core multiplies and adds in one cycle: 2 pipes of 256 bits are 1 of 512."""
    return flops_per_cycle / (2 * vectors.lanes(dtype, bits))
