"""Multiply-adds of vectors: FLOP/s and FLOP per cycle by ISA and dtype, and the latency of dependent ones.

Cycles are those of the clock under the same load, read right after each sample (clock/kernel.py), so that FLOP per
cycle, and the number of pipes that follows from it, depend on no stated clock. Where the CPU has no fused multiply-add,
a multiply and an add are measured, two instructions for the same two FLOP; the record states which (`instructions`).
"""

import math
from collections.abc import Sequence
from typing import Any

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.tiles import dtypes as tile_dtypes
from hwbench.measure.codegen.vectors import Target
from hwbench.measure.harness import Task
from hwbench.measure.kernels.fma import amx, dots
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.fma.timed import ONE, TimedLoop
from hwbench.measure.kernels.team import Placement, one_of_each, teams
from hwbench.measure.record import Unit
from hwbench.measure.settings import Settings
from hwbench.measure.subject import MultiplyAdds

DTYPES: tuple[vectors.FloatDtype, ...] = ("fp32", "fp64")
FUSED, SEPARATE = "multiply-add", "multiply and add"
_CHECKED_ROUNDS = 3
_TOLERANCE = {"fp32": 1e-5, "fp64": 1e-13}


def tasks(settings: Settings) -> Sequence[Task]:
    """Return the tasks: throughput of one core of each class and of all cores by width and dtype, latency.

    Tiles and dot products are those of narrow dtypes. Where quick, the throughput of the widest vectors alone, without
    dot products unless their dtypes are asked for.
    """
    target = vectors.target()
    dtypes = [dtype for dtype in DTYPES if settings.dtypes is None or dtype in settings.dtypes]
    tiles = [dtype for dtype in tile_dtypes(target) if settings.dtypes is None or dtype in settings.dtypes]
    widths = target.widths[-1 if settings.quick else 0 :]
    narrow = () if settings.quick and settings.dtypes is None else settings.dtypes
    result = []
    for core in one_of_each(settings):
        result += [throughput(target, bits, dtype, core) for bits in widths for dtype in dtypes]
        result += [amx.task(dtype, core) for dtype in tiles]
        result += dots.tasks(target, core, narrow, latencies=not settings.quick)
        if not settings.quick:
            result += [latency(target, bits, dtype, core) for bits in widths for dtype in dtypes]
    for cores in teams(settings):
        result += [throughput(target, bits, dtype, cores) for bits in widths for dtype in dtypes]
        result += [amx.task(dtype, cores) for dtype in tiles]
        result += dots.tasks(target, cores, narrow, latencies=not settings.quick)
    return result


def isa(target: Target, bits: int) -> str:
    """Return the name of the instructions: with 128 bits `fma3` where x86 fuses them and `sse2` where not."""
    if target.x86 and bits == vectors.MIN_BITS:
        return "fma3" if target.fused else "sse2"
    return target.isa(bits)


class FmaLoop(TimedLoop):
    """One loop of multiply-adds at one width and dtype."""

    def __init__(self, loop: Any, bits: int, dtype: vectors.FloatDtype, cores: Placement = ONE) -> None:
        operands = fma_loops.operands(dtype, vectors.target().fused)
        super().__init__(lambda rounds: loop(bits, rounds, *operands), bits, dtype, cores)
        self.dtype, self.lanes = dtype, vectors.lanes(dtype, bits)

    def right(self, accumulators: int, steps: int) -> bool:
        """Return whether three rounds give numpy's answer; `steps`: multiply-adds of one accumulator in a round."""
        answer = float(self.loop(_CHECKED_ROUNDS))
        pairs, fused = _CHECKED_ROUNDS * steps // 2, vectors.target().fused
        expected = fma_loops.iterated(self.dtype, pairs, accumulators, self.lanes, fused)
        return math.isclose(answer, expected, rel_tol=_TOLERANCE[self.dtype])


def throughput(target: Target, bits: int, dtype: vectors.FloatDtype, cores: Placement) -> Task:
    """Return the task that measures FLOP/s of independent multiply-adds on one core, or on all cores of a team."""
    loop = FmaLoop(fma_loops.throughput, bits, dtype, cores)
    accumulators = fma_loops.accumulators(target.registers)
    flop = 2 * loop.lanes * accumulators * fma_loops.STEPS * len(cores)
    return _task(target, loop, "throughput", "FLOP/s", flop, accumulators, fma_loops.STEPS)


def latency(target: Target, bits: int, dtype: vectors.FloatDtype, core: Placement) -> Task:
    """Return the task that measures seconds (and cycles) of a multiply-add that needs the answer of the one before."""
    loop = FmaLoop(fma_loops.latency, bits, dtype, core)
    return _task(target, loop, "latency", "s", fma_loops.DEPENDENT, None, fma_loops.DEPENDENT)


def _task(
    target: Target, loop: FmaLoop, variant: str, unit: Unit, work: int, accumulators: int | None, steps: int
) -> Task:
    return loop.task(
        variant=variant,
        unit=unit,
        work=work,
        dtype=loop.dtype,
        isa=isa(target, loop.bits),
        subject=MultiplyAdds(FUSED if target.fused else SEPARATE, loop.bits, accumulators),
        check=lambda: loop.right(accumulators or 1, steps),
    )
