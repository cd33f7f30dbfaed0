"""From samples to results: which samples count, the median with its interval, and a grade of how far to trust it."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from hwbench.measure.record import MIN_ACCEPTED, Measurement, Result, Sample, Timer
from hwbench.stats.comparison import Interval, median_interval, median_interval_over_processes

PREEMPTED = 1.05
"""Wall over CPU time above which one thread was not running all the time."""
CROWDED = 0.93
"""Share of the best CPU time per wall time seen, below which several threads were held up."""
Grade = Literal["A", "B", "C", "D"]
_WIDTHS: tuple[tuple[Grade, float], ...] = (("A", 0.01), ("B", 0.02), ("C", 0.05))
_QUICK_RESAMPLES = 200


def judged(samples: Sequence[Sample], threads: int, timer: Timer = "cpu") -> tuple[Sample, ...]:
    """The samples, with those marked that other work disturbed.

    One thread: its wall time is more than 5 % above its CPU time. Several: the process had much less CPU time for its
    wall time than in its best sample (threads that wait for one another are no reason by themselves).
    """
    if timer == "device":
        return tuple(samples)
    shares = [sample.cpu_s / (sample.wall_s * threads) if sample.cpu_s else 1.0 for sample in samples]
    least = 1 / PREEMPTED if threads == 1 else CROWDED * max(shares, default=0.0)
    return tuple(
        msgspec.structs.replace(sample, rejected=None if share >= least else _reason(share, threads))
        for sample, share in zip(samples, shares, strict=True)
    )


def _reason(share: float, threads: int) -> str:
    if threads == 1:
        return f"preempted: wall time {1 / share:.2f} × CPU time"
    return f"preempted: its threads ran {100 * share:.0f} % of the time"


def spread(measurement: Measurement, fewest: int = 2) -> float:
    """Half-width of the median's interval as a share of the median; infinite below `fewest` accepted samples."""
    values = [measurement.value(s) for s in measurement.samples if s.rejected is None]
    if len(values) < max(fewest, 2):
        return float("inf")
    return median_interval(values, resamples=_QUICK_RESAMPLES).half_width


def interval(measurement: Measurement, value: Callable[[Sample], float] | None = None) -> Interval:
    """The median of the accepted samples, of `value` of each if given, with its interval, over processes if several."""
    value = value or measurement.value
    processes: dict[int, list[float]] = {}
    for sample in measurement.accepted:
        processes.setdefault(sample.process, []).append(value(sample))
    return median_interval_over_processes(list(processes.values()))


def summarize(measurement: Measurement, peak: float | None = None, measured_peak: float | None = None) -> Result:
    """A measurement as one value, held against peaks in its unit: at the stated clock and at the measured one."""
    found = interval(measurement)
    accepted = measurement.accepted
    values = [measurement.value(sample) for sample in accepted]
    grade, reasons = graded(measurement, found)
    return Result(
        kernel=measurement.kernel,
        variant=measurement.variant,
        dtype=measurement.dtype,
        isa=measurement.isa,
        threads=measurement.threads,
        size=measurement.size,
        value=found.value,
        unit=measurement.unit,
        interval=(found.low, found.high),
        ratio_to_peak=found.value / peak if peak else None,
        grade=grade,
        reasons=reasons,
        where=measurement.where,
        core_class=measurement.core_class,
        samples=len(values),
        rejected=sum(sample.rejected is not None for sample in measurement.samples),
        best=min(values) if measurement.unit == "s" else max(values),
        ratio_to_measured_peak=found.value / measured_peak if measured_peak else None,
    )


def per_cycle(measurement: Measurement, flops_per_cycle: float | None = None) -> Result | None:
    """The twin in cycles of one core: FLOP/cycle of a rate, cycles of a time. None where no cycles were counted."""
    counted = [sample for sample in measurement.accepted if sample.cycles]
    unit = {"FLOP/s": "FLOP/cycle", "op/s": "op/cycle", "s": "cycle"}.get(measurement.unit)
    if unit is None or len(counted) < len(measurement.accepted):
        return None

    def value(sample: Sample) -> float:
        amount = measurement.work * sample.repetitions
        cycles = sample.cycles or 1.0
        return cycles / amount if unit == "cycle" else amount / cycles

    found = interval(measurement, value)
    values = [value(sample) for sample in counted]
    return msgspec.structs.replace(
        summarize(measurement),
        value=found.value,
        unit=unit,
        interval=(found.low, found.high),
        ratio_to_measured_peak=found.value / flops_per_cycle if flops_per_cycle and unit != "cycle" else None,
        best=min(values) if unit == "cycle" else max(values),
    )


def graded(measurement: Measurement, found: Interval) -> tuple[Grade, tuple[str, ...]]:
    """A to D by the width of the interval (1, 2, 5 %), lowered for what makes the interval itself doubtful."""
    count, kept = len(measurement.samples), sum(sample.rejected is None for sample in measurement.samples)
    reasons = []
    grade: Grade = next((letter for letter, width in _WIDTHS if found.half_width <= width), "D")
    if grade != "A":
        reasons.append(f"the interval is ± {100 * found.half_width:.1f} %")
    if count < MIN_ACCEPTED:
        grade = max(grade, "C" if count > 1 else "D")
        clean = f", {count - kept} preempted" if kept < count else ""
        ended = " before the budget ended" if measurement.stopped == "budget" else ""
        reasons.append(f"{count} sample{'' if count == 1 else 's'}{ended}{clean}")
    elif kept < MIN_ACCEPTED:
        grade = max(grade, "C" if measurement.timer == "cpu" else "D")  # CPU time hardly notices
        reasons.append(f"{count - kept} of {count} samples were preempted: those disturbed least count")
    elif kept < 0.8 * count:
        grade = max(grade, "B" if kept > 0.5 * count else "C")
        reasons.append(f"{count - kept} of {count} samples were preempted")
    if measurement.stopped == "interrupted":
        grade = max(grade, "C")
        reasons.append("interrupted")
    if measurement.checked is False:
        grade = "D"
        reasons.append("the answer is wrong")
    return grade, tuple(reasons)
