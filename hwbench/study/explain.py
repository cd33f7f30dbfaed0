"""Where performance is lost between the theoretical peak and a running model: a ratio and a reason at each step."""

from collections.abc import Sequence
from math import exp, hypot, log
from typing import ClassVar, Literal

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.measure.analysis.ladder import Ladder
from hwbench.notices import Notice
from hwbench.stats.intervals import LEVEL, Interval
from hwbench.units import Hertz
from hwbench.workload.ops import Work

Loss = Literal["clock", "ports", "load", "memory", "code", "overhead"]
Name = Literal["spec", "clock", "fma", "load", "blas", "numba", "roofline", "run"]

CAUSES: dict[str, tuple[Loss, str, str]] = {
    "clock": (
        "clock",
        "the clock under this load is below the stated one", "the clock under this load is above the stated one",
    ),
    "fma": (
        "ports",
        "not every cycle starts as many multiply-adds as the ports could, or two of these CPUs are one core",
        "the core starts more multiply-adds a cycle than its architecture's file says",
    ),
    "load": (
        "load",
        "other processes and the hypervisor took the CPUs from these threads for that share of the time",
        "these threads had more CPU time than the clock on the wall",
    ),
    "blas": (
        "memory",
        "a matrix product also loads, stores and packs its operands",
        "the product passes the multiply-add loop: the clock rose between, or it has instructions of its own",
    ),
    "numba": (
        "code", "our matrix product is slower than the library's", "our matrix product is faster than the library's",
    ),
    "roofline": (
        "memory", "layers that read more bytes than the caches hold wait for memory", "no layer waits for memory",
    ),
    "run": (
        "overhead",
        "layers do not reach a large product's speed, and calls, copies and threads cost time between them",
        "caches keep what the roofline reads from memory, or convolutions take fewer operations than counted",
    ),
}  # fmt: skip
"""The cause of the loss or gain at a rung, and its reasons where the rung is below and above the one before it."""


MIN_LOAD = 0.01
"""Share of their time that others take from threads from which it is a step of its own."""


class Rung(Struct, frozen=True):
    """A rate in FLOP/s with its interval; `how` tells how it was computed or measured."""

    name: Name
    title: str
    rate: Interval
    how: str


class Step(Struct, frozen=True):
    """One rung: its rate in FLOP/s and the ratio to the rung before it, each with its interval at `level`.

    `share` is of the first rung. `lost` names the cause of the ratio and `reason` describes it; None at the first.
    """

    name: Name
    title: str
    how: str
    flops_per_second: float
    interval: tuple[float, float]
    level: float
    share: float
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    lost: Loss | None = None
    reason: str | None = None


class Explanation(Answer, Struct, frozen=True):
    """The steps from the peak to the run of a model, if there is one; `missing` are titles of unknown rungs."""

    SCHEMA: ClassVar[str] = "explain"
    MAIN: ClassVar[tuple[str, ...]] = ("device", "model", "dtype", "threads", "batch", "source")
    ROWS: ClassVar[str] = "steps"
    CONTEXT: ClassVar[tuple[str, ...]] = ("notices",)

    device: str
    model: str | None
    dtype: str
    threads: int
    batch: int | None
    source: str
    steps: tuple[Step, ...]
    missing: tuple[str, ...]
    summary: str
    notices: tuple[Notice, ...] = ()


def exact(value: float) -> Interval:
    """Return a value that was not measured as an interval without width."""
    return Interval(value, value, value, LEVEL)


def scaled(interval: Interval, factor: float) -> Interval:
    """Return an interval times a positive constant."""
    return Interval(interval.value * factor, interval.low * factor, interval.high * factor, interval.level)


def ratio(a: Interval, b: Interval) -> Interval:
    """Return a / b of independent positive values: half-widths of the logarithms add in quadrature."""
    value = a.value / b.value
    half = hypot(log(a.high / a.low) / 2, log(b.high / b.low) / 2)
    return Interval(value, value * exp(-half), value * exp(half), min(a.level, b.level))


def attainable(works: Sequence[Work], rate: Interval, bandwidth: Interval) -> Interval:
    """Return FLOP/s of a model whose every op runs at a matrix product's `rate` or the memory's `bandwidth` (B/s).

    This is the roofline of each op (Williams et al., CACM 52(4), 2009) at measured ceilings. It rises with both, so
    their ends give its ends. Raises ValueError for works without FLOP.
    """
    flops = sum(work.flops for work in works)
    if not flops:
        raise ValueError("no multiply-adds")

    def at(peak: float, memory: float) -> float:
        return flops / sum(max(work.flops / peak, work.traffic / memory) for work in works)

    level = min(rate.level, bandwidth.level)
    return Interval(at(rate.value, bandwidth.value), at(rate.low, bandwidth.low), at(rate.high, bandwidth.high), level)


def rungs(ladder: Ladder, works: Sequence[Work] = ()) -> tuple[tuple[Rung, ...], tuple[str, ...]]:
    """Return the rungs of a ladder of measurements, and the titles of those that it lacks.

    `works` are the ops of the model whose time the ladder may hold.
    """
    stated, clock, isa = ladder.stated, ladder.clock, ladder.isa or "vector"
    at = f"{Hertz(ladder.stated_clock)}" if ladder.stated_clock else "the stated clock"
    under = f"{Hertz(clock.value)}" if clock else "the real clock"
    real = scaled(clock, stated / ladder.stated_clock) if stated and clock and ladder.stated_clock else None
    size = f", {ladder.size.replace('x', ' × ')}" if ladder.size else ""
    every: list[tuple[Name, str, str, Interval | None]] = [
        ("spec", f"{isa} peak at {at}", "units × stated clock × flops_per_cycle", exact(stated) if stated else None),
        ("clock", f"the peak at {under}", "the clock measured while these vectors multiply and add", real),
        *_multiply_adds(ladder, isa),
        ("blas", f"{ladder.library or 'library'} matmul", f"the library's matrix product{size}", ladder.blas),
        ("numba", "our matmul", "our matrix product in numba, of the same size", ladder.numba),
    ]
    if flops := sum(work.flops for work in works):
        product = max((r for r in (ladder.blas, ladder.numba) if r), key=lambda rate: rate.value, default=None)
        bound = attainable(works, product, ladder.bandwidth) if product and ladder.bandwidth else None
        run = ladder.run
        rate = Interval(flops / run.value, flops / run.high, flops / run.low, run.level) if run else None
        every += [
            ("roofline", "the model's roofline", "each op at the best matmul's or the memory's measured rate", bound),
            ("run", "the model", "its forward passes in torch", rate),
        ]
    known = tuple(Rung(name, title, rate, how) for name, title, how, rate in every if rate is not None)
    return known, tuple(title for _, title, _, rate in every if rate is None)


def _multiply_adds(ladder: Ladder, isa: str) -> list[tuple[Name, str, str, Interval | None]]:
    """Return the rung of the multiply-adds, in two where others took a share of their threads' time."""
    title, how = f"{isa} multiply-adds", "independent multiply-adds in registers"
    fma, running = ladder.fma, ladder.running
    if not fma or not running or fma.value / running.value > 1 - MIN_LOAD:
        return [("fma", title, how, fma)]
    return [
        ("fma", f"{isa} FMA while running", f"{how}, per CPU time", running),
        ("load", f"{isa} FMA beside load", f"{how}, by the clock on the wall", fma),
    ]


def steps(rungs: Sequence[Rung]) -> tuple[Step, ...]:
    """Return the rungs with the ratio of each to the one before it; the product of the ratios is the last share."""
    result: list[Step] = []
    for number, rung in enumerate(rungs):
        down = ratio(rung.rate, rungs[number - 1].rate) if number else None
        lost, below, above = CAUSES.get(rung.name, (None, None, None)) if down else (None, None, None)
        result.append(
            Step(
                name=rung.name,
                title=rung.title,
                how=rung.how,
                flops_per_second=rung.rate.value,
                interval=(rung.rate.low, rung.rate.high),
                level=rung.rate.level,
                share=rung.rate.value / rungs[0].rate.value,
                ratio=down.value if down else None,
                ratio_interval=(down.low, down.high) if down else None,
                lost=lost,
                reason=above if down and down.value > 1 else below,
            )
        )
    return tuple(result)


def summary(steps: Sequence[Step]) -> str:
    """Return the last rung as a share of the first, and the step with the largest loss, in a sentence or two."""
    if len(steps) < 2:
        return "Too little was measured to tell where performance is lost."
    first, last = steps[0], steps[-1]
    if steps[1].name == "clock" and steps[1] is not last and steps[1].share > 1:
        first = steps[1]  # the real clock is above the stated one, so that it sets the ceiling
    share = f"{100 * last.share / first.share:.3g} %"
    title = last.title[:1].upper() + last.title[1:]
    text = f"{title} {'is' if last.name in ('roofline', 'clock') else 'reaches'} {share} of {first.title}."
    worst = min(steps[1:], key=lambda step: step.ratio or 1.0)
    if worst.ratio is not None and worst.ratio < 1:
        loss = 100 * (1 - worst.ratio)
        text += f" The largest loss is {loss:.{2 if loss < 99 else 4}g} %, to {worst.lost}: {worst.reason}."
    if any(step.name == "load" for step in steps):
        text += " Later steps are with this load, and threads that wait for each other lose more to it."
    return text
