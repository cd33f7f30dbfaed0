"""A measured inference beside what was predicted of it: utilization, and how far each answer is from the time taken."""

from collections.abc import Mapping

from msgspec import Struct

from hwbench.predict.estimate import Estimate
from hwbench.stats.comparison import Interval

WHOLE = "(the model itself)"
"""What a part is called whose ops belong to no module within the model."""
SURPRISE = 1.0
"""Utilization above which a run computes faster than the peak that it is held against."""


class LayerRun(Struct, frozen=True):
    """One module in a pass: measured seconds with their interval, and the estimate of the ops that it runs.

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


class Inference(Struct, frozen=True):
    """One model at one dtype and batch as it ran. Predictions are None where the device's peak or bandwidth is unknown.

    `utilization` is achieved / peak (the MFU of the run); `roofline_ratio` and `expected_ratio` are run / prediction.
    `between_s` is what the modules of `layers` do not account for; hooks can make it negative.
    """

    model: str
    device: str
    runtime: str
    dtype: str
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


class TimedRun(Struct, frozen=True):
    """What was measured: seconds a pass, the setting, and how far to trust it; `layers` by name of the module."""

    time: Interval
    runtime: str
    dtype: str
    batch: int
    threads: int
    grade: str
    reasons: tuple[str, ...]
    samples: int
    checked: bool | None
    layers: Mapping[str, Interval] = {}


def inference(
    timed: TimedRun, model: str, device: str, work: tuple[int, int], estimate: Estimate | None, traced: bool = False
) -> Inference:
    """The run with all that follows from it. `work` is flops and traffic in bytes of one pass.

    Modules of a `traced` model are those that their ops' names begin with: `features.0` of `features.0:convolution`.
    """
    flops, traffic = work
    time, peak = timed.time, estimate.peak_flops_per_second if estimate else None
    achieved = flops / time.value
    roofline = estimate.roofline_time_s if estimate else None
    forecast = estimate.forecast if estimate else None
    layers = _layers(timed, estimate, peak, traced) if estimate else ()
    return Inference(
        model=model,
        device=device,
        runtime=timed.runtime,
        dtype=timed.dtype,
        batch=timed.batch,
        threads=timed.threads,
        time_s=time.value,
        interval_s=(time.low, time.high),
        interval_level=time.level,
        throughput_per_s=timed.batch / time.value,
        flops=flops,
        traffic_bytes=traffic,
        achieved_flops_per_second=achieved,
        peak_flops_per_second=peak,
        peak=estimate.peak if estimate else None,
        bandwidth_bytes_per_second=estimate.bandwidth_bytes_per_second if estimate else None,
        utilization=achieved / peak if peak else None,
        ideal_time_s=estimate.ideal_time_s if estimate else None,
        roofline_time_s=roofline,
        roofline_ratio=time.value / roofline if roofline else None,
        expected_time_s=forecast.time_s if forecast else None,
        expected_interval_s=forecast.interval_s if forecast else None,
        expected_ratio=time.value / forecast.time_s if forecast and forecast.time_s else None,
        grade=timed.grade,
        reasons=timed.reasons,
        samples=timed.samples,
        checked=timed.checked,
        layers=layers,
        between_s=time.value - sum(layer.time_s for layer in layers) if layers else None,
    )


def _layers(timed: TimedRun, estimate: Estimate, peak: float | None, traced: bool) -> tuple[LayerRun, ...]:
    """Each timed module that runs ops, with the sums over them."""
    found = []
    for name, time in timed.layers.items():
        ops = [op for op in estimate.layers if (op.name.rpartition(":")[0] if traced else op.name) == name]
        if not ops:
            continue
        flops = sum(op.flops for op in ops)
        expected = [op.forecast_time_s for op in ops]
        bounds = [op.roofline_time_s for op in ops]
        found.append(
            LayerRun(
                name=name or WHOLE,
                kind=max(ops, key=lambda op: (op.flops, op.traffic_bytes)).kind,
                flops=flops,
                traffic_bytes=sum(op.traffic_bytes for op in ops),
                time_s=time.value,
                interval_s=(time.low, time.high),
                share=time.value / timed.time.value,
                roofline_time_s=None if None in bounds else sum(b or 0.0 for b in bounds),
                expected_time_s=None if None in expected else sum(e or 0.0 for e in expected),
                utilization=flops / time.value / peak if peak and flops else None,
            )
        )
    return tuple(found)


def findings(found: Inference) -> tuple[str, ...]:
    """What in a run asks for an explanation, a sentence each: above the peak, an output that is not finite."""
    told = []
    setting = f"{found.model} at {found.dtype}, batch {found.batch}"
    if found.utilization is not None and found.utilization > SURPRISE:
        told.append(
            f"{setting} runs at {100 * found.utilization:.0f} % of the peak: the real clock is above the stated one, "
            "or its convolutions take fewer operations than were counted (Winograd, FFT)"
        )
    if found.checked is False:
        told.append(f"{setting}: the output is not finite, or not what the eager module gives: do not rely on its time")
    return tuple(told)
