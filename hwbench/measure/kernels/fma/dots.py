"""Dot products of bf16 and int8, multiply-adds of fp16: ceilings of narrow dtypes on vectors, in the kernel `fma`."""

from collections.abc import Callable, Sequence
from typing import Any

from hwbench.measure.codegen.dots import Dot, dots, widths
from hwbench.measure.codegen.vectors import Target
from hwbench.measure.harness import Task
from hwbench.measure.kernels.fma import dot_loops
from hwbench.measure.kernels.fma.loops import accumulators
from hwbench.measure.kernels.fma.timed import TimedLoop
from hwbench.measure.kernels.team import Placement
from hwbench.measure.record import Unit
from hwbench.measure.subject import MultiplyAdds

CHECKED_ROUNDS = 3


def tasks(target: Target, cores: Placement, dtypes: Sequence[str] | None, latencies: bool) -> list[Task]:
    """Return the tasks of each instruction of the CPU: throughput at every width, the widest alone on a team.

    `dtypes` limits them where given; `latencies` asks for those of the widest vectors, too.
    """
    result = []
    for number, dot in enumerate(dots(target)):
        every = widths(dot, target)
        if (dtypes is not None and dot.dtype not in dtypes) or not every:
            continue
        chosen = every[-1:] if cores.team or not latencies else every
        result += [_throughput(target, number, dot, bits, bits == every[-1], cores) for bits in chosen]
        result += [_latency(number, dot, every[-1], cores)] if latencies and not cores.team else []
    return result


def _throughput(target: Target, number: int, dot: Dot, bits: int, widest: bool, cores: Placement) -> Task:
    """Return the task that measures independent instructions, 2 operations a product."""
    count = accumulators(target.registers)
    loop = _loop(dot_loops.throughput, number, dot, bits, cores)
    work = 2 * dot.products * bits // 128 * count * dot_loops.STEPS * len(cores)
    variant, unit = "throughput" if widest else f"throughput {bits}-bit", _unit(dot)
    return _task(loop, dot, variant, unit, work, count, dot_loops.STEPS)


def _latency(number: int, dot: Dot, bits: int, core: Placement) -> Task:
    """Return the task that measures an instruction that needs the sum of the one before."""
    loop = _loop(dot_loops.latency, number, dot, bits, core)
    return _task(loop, dot, "latency", "s", dot_loops.DEPENDENT, 1, dot_loops.DEPENDENT)


def _unit(dot: Dot) -> Unit:
    return "op/s" if dot.dtype == "int8" else "FLOP/s"


def _loop(function: Callable[..., Any], number: int, dot: Dot, bits: int, cores: Placement) -> TimedLoop:
    operands = dot_loops.operands(dot.dtype)
    return TimedLoop(lambda rounds: function(number, bits, rounds, *operands), bits, cores=cores)


def _task(loop: TimedLoop, dot: Dot, variant: str, unit: Unit, work: int, count: int, steps: int) -> Task:
    def check() -> bool:
        pairs = CHECKED_ROUNDS * steps // 2
        return bool(loop.loop(CHECKED_ROUNDS) == dot_loops.answer(dot, loop.bits, count, pairs))

    subject = MultiplyAdds(dot.name, loop.bits, count)
    return loop.task(variant=variant, unit=unit, work=work, dtype=dot.dtype, isa=dot.isa, subject=subject, check=check)
