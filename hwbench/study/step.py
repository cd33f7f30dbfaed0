"""Why a step of training takes its time: by block of the model, by what limits it, and what would make it faster."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.notices import Notice
from hwbench.predict.estimate import Estimate
from hwbench.predict.forecast import LIMITS
from hwbench.predict.improvements import Improvement
from hwbench.stats.intervals import Interval

MAX_BLOCKS, MAX_DEPTH = 14, 3
"""Blocks up to which modules are divided more finely, and the finest: `layer1.0.conv1`."""
ABOUT_RUNS = ("batch", "dtype", "runtime", "layout", "graphs")
"""Improvements that somebody can make without another device."""
LOADING = 0.05
"""Share of the time between steps from which loading data is worth a word."""


class StepBlock(Struct, frozen=True):
    """A module with all its operators in both passes: FLOP, forecast seconds and their parts, None without forecast."""

    name: str
    flops: int
    time_s: float | None
    compute_s: float | None
    memory_s: float | None
    overhead_s: float | None
    share: float


class Advice(Struct, frozen=True):
    """A change with the throughput after over that before: forecast with its interval, and measured where tried."""

    change: str
    value: str
    gain: float | None
    gain_interval: tuple[float, float] | None
    measured_gain: float | None = None
    measured_interval: tuple[float, float] | None = None

    @property
    def is_inside(self) -> bool | None:
        """True where the measured gain lies in the forecast's interval; None where either is unknown."""
        if self.measured_gain is None or self.gain_interval is None:
            return None
        return self.gain_interval[0] <= self.measured_gain <= self.gain_interval[1]


class StepExplanation(Answer, Struct, frozen=True):
    """Where the time of a step goes. Shares are of the time from one step to the next: they add up to 1 with waiting.

    `compute`, `memory` and `overhead` are the forecast's shares of the measured step, None without a forecast.
    `optimizer` is the update where that was timed apart, which the three are without, and `waiting` the time between
    steps, for data.
    """

    SCHEMA: ClassVar[str] = "step"
    MAIN: ClassVar[tuple[str, ...]] = ("model", "device", "dtype", "batch", "time_s", "utilization")
    ROWS: ClassVar[str] = "blocks"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title",)

    model: str
    device: str
    dtype: str
    batch: int
    time_s: float
    wait_s: float | None
    utilization: float | None
    expected_time_s: float | None
    compute: float | None
    memory: float | None
    overhead: float | None
    optimizer: float | None
    waiting: float
    blocks: tuple[StepBlock, ...]
    advice: tuple[Advice, ...]
    notices: tuple[Notice, ...] = ()
    title: str = ""


class MeasuredStep(Struct, frozen=True):
    """What was measured of a step: seconds, those between two steps, and the share of the optimizer if it was timed."""

    time_s: float
    utilization: float | None
    wait_s: float | None = None
    optimizer: float | None = None


def explained_step(
    measured: MeasuredStep, estimate: Estimate, improvements: Sequence[Improvement], notices: Sequence[Notice] = ()
) -> StepExplanation:
    """Return where the time of a measured step goes, by the estimate of its operators."""
    period = measured.time_s + (measured.wait_s or 0.0)
    waiting, update = (measured.wait_s or 0.0) / period, measured.optimizer or 0.0
    shares = _shares(estimate, without=() if measured.optimizer is None else ("optimizer",))
    parts = {limit: shares[limit] * (1 - waiting) * (1 - update) if shares else None for limit in LIMITS}
    return StepExplanation(
        model=estimate.model,
        device=estimate.device,
        dtype=estimate.dtype,
        batch=estimate.batch,
        time_s=measured.time_s,
        wait_s=measured.wait_s,
        utilization=measured.utilization,
        expected_time_s=estimate.expected_time_s,
        optimizer=update * (1 - waiting) if measured.optimizer is not None else None,
        waiting=waiting,
        blocks=blocks(estimate),
        advice=tuple(_advice(estimate, improvements, waiting)),
        notices=tuple(notices),
        title=estimate.title,
        **parts,
    )


def _shares(estimate: Estimate, without: Collection[str]) -> dict[str, float] | None:
    """Return the forecast's shares of the operators but those of some kinds; None without forecast."""
    if estimate.forecast is None:
        return None
    times = zip(estimate.layers, estimate.forecast.ops, strict=True)
    known = [time.shares for layer, time in times if layer.kind not in without]
    sums = {limit: sum(getattr(each, limit) for each in known) for limit in LIMITS}
    return {limit: value / (sum(sums.values()) or 1.0) for limit, value in sums.items()}


def blocks(estimate: Estimate) -> tuple[StepBlock, ...]:
    """Return the modules of a model, as finely as few of them tell, with the sums over their operators."""
    names = [layer.name.rpartition(":")[0] for layer in estimate.layers]
    depths = (depth for depth in range(MAX_DEPTH, 0, -1) if len({_at(name, depth) for name in names}) <= MAX_BLOCKS)
    depth = next(depths, 1)
    sums: dict[str, dict[str, Any]] = {}
    times = estimate.forecast.ops if estimate.forecast else (None,) * len(estimate.layers)
    for name, layer, time in zip(names, estimate.layers, times, strict=True):
        block = sums.setdefault(_at(name, depth), dict.fromkeys(("flops", "time_s", *LIMITS), 0))
        block["flops"] += layer.flops
        if time and estimate.forecast:
            block["time_s"] += time.time_s
            for limit in LIMITS:
                block[limit] += getattr(time.shares, limit) * estimate.forecast.time_s
    known = estimate.forecast is not None
    key = "time_s" if known else "flops"
    whole = sum(block[key] for block in sums.values()) or 1
    rows = [
        StepBlock(
            name=name,
            flops=block["flops"],
            time_s=block["time_s"] if known else None,
            compute_s=block["compute"] if known else None,
            memory_s=block["memory"] if known else None,
            overhead_s=block["overhead"] if known else None,
            share=block[key] / whole,
        )
        for name, block in sums.items()
    ]
    return tuple(sorted(rows, key=lambda block: -block.share))


def _at(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def _advice(estimate: Estimate, improvements: Sequence[Improvement], waiting: float) -> Iterator[Advice]:
    """Yield what would help, the largest gain first: changes of the run, and loading data while the device works."""
    forecast = estimate.forecast
    if waiting > LOADING:
        yield Advice("loading", "data", 1 / (1 - waiting), None)
    for each in improvements:
        if each.change in ABOUT_RUNS and forecast:
            low, high = (each.gain * forecast.time_s / end for end in reversed(forecast.interval_s))
            yield Advice(each.change, each.value, each.gain, (low, high))


def gain(before: Interval, after: Interval, samples: float) -> tuple[float, tuple[float, float]]:
    """Return the throughput after a change over that before, and the interval of that ratio.

    `samples` is how many times as many the step after the change has.
    """
    value = samples * before.value / after.value
    errors = [((each.high - each.low) / 2 / each.value) ** 2 for each in (before, after)]
    half = sum(errors) ** 0.5
    return value, (value * (1 - half), value * (1 + half))
