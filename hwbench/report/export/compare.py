"""A comparison of devices as flat rows for CSV and data frames, in SI units."""

from collections.abc import Iterator, Sequence
from typing import Any

from hwbench import answers
from hwbench.study.compare.decomposition import Decomposition
from hwbench.study.compare.devices import Comparison, Contender, Timing

PEAK_COLUMNS = tuple(
    (engine, dtype)
    for engine in ("vector", "matrix")
    for dtype in ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8", "int4")
)
COLUMNS = (
    "device", "title", "kind", "vendor", "architecture", "released", "units", "clock_hz", "flops_per_cycle", "dtype",
    "peak_flops_per_second", "bandwidth_bytes_per_second", "ridge_point", "power_w", "peak_flops_per_second_per_w",
    "model", "batch", "ideal_time_s", "roofline_time_s", "expected_time_s", "interval_low_s", "interval_high_s",
    "throughput_per_s", "throughput_per_s_per_w", "bound", "fits",
    "baseline", "ratio", "ratio_units", "ratio_clock", "ratio_flops_per_cycle", "ratio_bandwidth", "ratio_launches",
    "ratio_efficiency",
    *(f"{engine}_{dtype}_flops_per_second" for engine, dtype in PEAK_COLUMNS), "missing",
)  # fmt: skip
"""Columns of a row, which is a device, or a device and batch; a factor is what it contributes to the ratio."""
_FACTORS = ("units", "clock", "flops_per_cycle", "bandwidth", "launches", "efficiency")


@answers.rows.register
def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the rows by column."""
    return [dict(zip(COLUMNS, record, strict=True)) for record in records(comparison)]


def records(comparison: Comparison) -> Iterator[tuple[Any, ...]]:
    """Yield the rows, None where unknown."""
    decompositions = {(each.device, each.batch): each for each in comparison.decompositions}
    for device in comparison.devices:
        for timing in device.times or (None,):
            decomposition = decompositions.get((device.name, timing.batch)) if timing else None
            decomposition = decomposition or decompositions.get((device.name, None))
            yield _record(comparison, device, timing, decomposition)


def _record(
    comparison: Comparison, device: Contender, timing: Timing | None, decomposition: Decomposition | None
) -> tuple[Any, ...]:
    low, high = (timing.interval_s if timing else None) or (None, None)
    factors: dict[str, float] = (
        {factor.name: factor.factor for factor in decomposition.factors} if decomposition else {}
    )
    peaks = {(peak.engine, peak.dtype): peak.flops_per_second for peak in device.peaks}
    times: Sequence[Any] = (None,) * 9
    if timing:
        rates = (timing.throughput_per_s, timing.throughput_per_s_per_w)
        spans = (timing.ideal_time_s, timing.roofline_time_s, timing.expected_time_s, low, high)
        times = (timing.batch, *spans, *rates, timing.bound)
    return (
        device.name, device.title, device.kind, device.vendor, device.architecture, device.released, device.units,
        device.clock_hz, device.flops_per_cycle, comparison.dtype, device.peak_flops_per_second,
        device.bandwidth_bytes_per_second, device.ridge_point, device.power_w, device.peak_flops_per_second_per_w,
        comparison.model, *times, timing.fits if timing else None,
        comparison.baseline, decomposition.ratio if decomposition else None,
        *(factors.get(name) for name in _FACTORS),
        *(peaks.get(kind) for kind in PEAK_COLUMNS), "; ".join(device.missing) or None,
    )  # fmt: skip
