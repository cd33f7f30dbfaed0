"""A measured inference or training step beside its predictions: utilization, and the ratio of its time to each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.dtypes import dtype as known_dtype
from hwbench.measure.engines.base import EngineLayer
from hwbench.notices import Notice, notice
from hwbench.predict.estimate import Estimate
from hwbench.stats.intervals import Interval, median_interval
from hwbench.workload.ops import MemoryUse

WHOLE = "(the model itself)"
"""Name of a layer whose ops belong to no module within the model."""


class LayerRun(Struct, frozen=True):
    """One module in a pass: measured seconds with their interval, and the estimate of its ops.

    `share` is of the whole pass; `utilization` is flops / time / peak.
    """

    name: str
    kind: str
    flops: int
    traffic_bytes: int
    time_s: float
    interval_s: tuple[float, float]
    share: float
    roofline_time_s: float | None
    expected_time_s: float | None
    utilization: float | None


class StepPart(Struct, frozen=True):
    """A part of a training step: median seconds with their interval, its share of the parts together."""

    name: str
    time_s: float
    interval_s: tuple[float, float]
    share: float


class TrainingMemory(MemoryUse, Struct, frozen=True):
    """Bytes that a training step holds, and those that were free on the device before it; None where unknown."""

    free_bytes: int | None


class Inference(Answer, Struct, frozen=True):
    """One measured model at one dtype and batch. Predictions are None where the device's peak or bandwidth is unknown.

    In `training`, time and operations are those of one step with the update of its `optimizer`, timed apart in `parts`.

    `software` is the runtime with its version, `precision` the dtype that it computed in, `default_precision` the one
    that it computes fp32 networks in by itself; `profile` are the layers of an engine that has its own.
    `utilization` is achieved / peak (the MFU of the run); `roofline_ratio` and `expected_ratio` are run / prediction.
    `between_s` is the time outside the modules of `layers`; hooks can make it negative.
    """

    SCHEMA: ClassVar[str] = "inference"
    MAIN: ClassVar[tuple[str, ...]] = (
        "model", "device", "runtime", "dtype", "batch", "time_s", "throughput_per_s", "utilization", "grade",
    )  # fmt: skip
    ROWS: ClassVar[str] = "layers"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title", "notices")

    model: str
    device: str
    runtime: str
    software: str
    dtype: str
    precision: str
    default_precision: str
    batch: int
    threads: int
    time_s: float
    interval_s: tuple[float, float]
    interval_level: float
    throughput_per_s: float
    flops: int
    traffic_bytes: int
    achieved_flops_per_second: float
    peak_flops_per_second: float | None
    peak: str | None
    bandwidth_bytes_per_second: float | None
    utilization: float | None
    ideal_time_s: float | None
    roofline_time_s: float | None
    roofline_ratio: float | None
    expected_time_s: float | None
    expected_interval_s: tuple[float, float] | None
    expected_ratio: float | None
    grade: str
    reasons: tuple[str, ...]
    samples: int
    checked: bool | None
    layers: tuple[LayerRun, ...] = ()
    between_s: float | None = None
    profile: tuple[EngineLayer, ...] = ()
    notices: tuple[Notice, ...] = ()
    title: str = ""
    mode: Literal["inference", "training"] = "inference"
    optimizer: str | None = None
    parts: tuple[StepPart, ...] = ()
    memory: TrainingMemory | None = None


BOUNDS = ("peak", "peak_flops_per_second", "bandwidth_bytes_per_second", "ideal_time_s", "roofline_time_s")
"""What an estimate and an inference have both."""


class TimedRun(Struct, frozen=True):
    """A measured run: seconds a pass, what an `Inference` states of it too, and `layers` by name of the module."""

    time: Interval
    runtime: str
    software: str
    dtype: str
    precision: str
    default_precision: str
    batch: int
    threads: int
    grade: str
    reasons: tuple[str, ...]
    samples: int
    checked: bool | None
    profile: tuple[EngineLayer, ...] = ()
    mode: Literal["inference", "training"] = "inference"
    optimizer: str | None = None
    parts: tuple[StepPart, ...] = ()
    memory: TrainingMemory | None = None
    layers: Mapping[str, Interval] = {}


def inference(
    timed: TimedRun, model: str, device: str, work: tuple[int, int], estimate: Estimate | None, traced: bool = False,
    title: str = "",
) -> Inference:  # fmt: skip
    """Return the run with all that follows from it. `work` is flops and traffic in bytes of one pass.

    Ops of a `traced` model begin with the name of their module: `features.0:convolution` is of `features.0`.
    """
    flops, traffic = work
    time, achieved = timed.time, flops / timed.time.value
    bounds: dict[str, Any] = {name: getattr(estimate, name, None) for name in BOUNDS}
    peak, roofline = bounds["peak_flops_per_second"], bounds["roofline_time_s"]
    forecast = estimate.forecast if estimate else None
    layers = tuple(_layers(timed, estimate, peak, traced)) if estimate else ()
    utilization = achieved / peak if peak else None
    setting: dict[str, Any] = {name: getattr(timed, name) for name in TimedRun.__struct_fields__[1:-1]}
    run = {"model": model, "runtime": timed.runtime, "dtype": timed.dtype, "batch": timed.batch}
    notices = []
    if timed.precision not in (timed.dtype, known_dtype(timed.dtype).computes_in):
        notices.append(notice("engine-precision", runtime=timed.runtime, dtype=timed.dtype, precision=timed.precision))
    if timed.dtype == "fp32" != timed.default_precision:
        notices.append(notice("engine-default", runtime=timed.runtime, precision=timed.default_precision))
    if utilization is not None and utilization > 1:
        notices.append(notice("run-above-peak", utilization=utilization, **run))
    if timed.checked is False:
        notices.append(notice("run-output-wrong" if timed.mode == "inference" else "step-not-finite", **run))
    return Inference(
        model=model,
        device=device,
        time_s=time.value,
        interval_s=(time.low, time.high),
        interval_level=time.level,
        throughput_per_s=timed.batch / time.value,
        flops=flops,
        traffic_bytes=traffic,
        achieved_flops_per_second=achieved,
        utilization=utilization,
        roofline_ratio=time.value / roofline if roofline else None,
        expected_time_s=forecast.time_s if forecast else None,
        expected_interval_s=forecast.interval_s if forecast else None,
        expected_ratio=time.value / forecast.time_s if forecast and forecast.time_s else None,
        layers=layers,
        between_s=time.value - sum(layer.time_s for layer in layers) if layers else None,
        notices=tuple(notices),
        title=title,
        **bounds,
        **setting,
    )


def step_parts(seconds: Mapping[str, Sequence[float]]) -> tuple[StepPart, ...]:
    """Return the parts of a training step from their seconds in each step."""
    times = {name: median_interval(values) for name, values in seconds.items()}
    total = sum(time.value for time in times.values()) or 1.0
    return tuple(StepPart(name, time.value, (time.low, time.high), time.value / total) for name, time in times.items())


def _layers(timed: TimedRun, estimate: Estimate, peak: float | None, traced: bool) -> Iterator[LayerRun]:
    """Yield each timed module that runs ops, with the sums over them."""
    for name, time in timed.layers.items():
        ops = [op for op in estimate.layers if (op.name.rpartition(":")[0] if traced else op.name) == name]
        if not ops:
            continue
        flops = sum(op.flops for op in ops)
        yield LayerRun(
            name=name or WHOLE,
            kind=max(ops, key=lambda op: (op.flops, op.traffic_bytes)).kind,
            flops=flops,
            traffic_bytes=sum(op.traffic_bytes for op in ops),
            time_s=time.value,
            interval_s=(time.low, time.high),
            share=time.value / timed.time.value,
            roofline_time_s=_sum(op.roofline_time_s for op in ops),
            expected_time_s=_sum(op.expected_time_s for op in ops),
            utilization=flops / time.value / peak if peak and flops else None,
        )


def _sum(times: Iterable[float | None]) -> float | None:
    known = list(times)
    return None if None in known else sum(time or 0.0 for time in known)
