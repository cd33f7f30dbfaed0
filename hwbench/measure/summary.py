"""Results of samples: which of these count, the median with its interval, and a grade of its reliability."""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec.structs import replace

from hwbench.measure.record import MIN_ACCEPTED, Measurement, Result, Sample, Timer
from hwbench.stats.comparison import median_interval_over_processes
from hwbench.stats.intervals import Interval, median_interval

PREEMPTED = 1.05
"""Wall over CPU time above which one thread was interrupted."""
MIN_CPU_SHARE = 0.93
"""Share of the best sample's CPU time per wall time, below which several threads were delayed."""
Grade = Literal["A", "B", "C", "D"]
_WIDTHS: tuple[tuple[Grade, float], ...] = (("A", 0.01), ("B", 0.02), ("C", 0.05))
_SETTING = ("kernel", "variant", "dtype", "isa", "threads", "size", "unit", "where", "core_class")


def judged(samples: Sequence[Sample], threads: int, timer: Timer = "cpu") -> tuple[Sample, ...]:
    """Return the samples, those that other work disturbed with the reason why they are rejected.

    A sample of one thread is disturbed if its wall time is more than 5 % above its CPU time; one of several threads, if
    its share of CPU time is much less than in the best sample, as threads may wait for each other in all of them.
    """
    if timer == "device":
        return tuple(samples)
    shares = [sample.cpu_s / (sample.wall_s * threads) if sample.cpu_s else 1.0 for sample in samples]
    least = 1 / PREEMPTED if threads == 1 else MIN_CPU_SHARE * max(shares, default=0.0)

    def reason(share: float) -> str | None:
        if share >= least:
            return None
        how = (
            f"wall time {1 / share:.2f} × CPU time"
            if threads == 1
            else f"its threads ran {100 * share:.0f} % of the time"
        )
        return f"preempted: {how}"

    return tuple(replace(sample, rejected=reason(share)) for sample, share in zip(samples, shares, strict=True))


def spread(measurement: Measurement, min_samples: int = 2) -> float:
    """Return the half-width of the median's interval over the median; infinite below `min_samples` accepted samples."""
    values = [measurement.value(sample) for sample in measurement.samples if sample.rejected is None]
    if len(values) < max(min_samples, 2):
        return float("inf")
    return median_interval(values).half_width


def interval(measurement: Measurement, value: Callable[[Sample], float] | None = None) -> Interval:
    """Return the median of the accepted samples, or of `value` of each, with its interval over the processes."""
    value = value or measurement.value
    processes: dict[int, list[float]] = {}
    for sample in measurement.accepted:
        processes.setdefault(sample.process, []).append(value(sample))
    return median_interval_over_processes(list(processes.values()))


def value(measurement: Measurement) -> float:
    """Return a measurement's value in its unit, without its interval."""
    return interval(measurement).value


def summarize(measurement: Measurement, peak: float | None = None, measured_peak: float | None = None) -> Result:
    """Return a measurement as one value, with its ratios to peaks in its unit at the stated and the measured clock."""
    middle = interval(measurement)
    values = [measurement.value(sample) for sample in measurement.accepted]
    grade, reasons = graded(measurement, middle)
    return Result(
        **{name: getattr(measurement, name) for name in _SETTING},
        value=middle.value,
        interval=(middle.low, middle.high),
        ratio_to_peak=middle.value / peak if peak else None,
        grade=grade,
        reasons=reasons,
        samples=len(values),
        rejected=sum(sample.rejected is not None for sample in measurement.samples),
        best=min(values) if measurement.unit == "s" else max(values),
        ratio_to_measured_peak=middle.value / measured_peak if measured_peak else None,
    )


def per_cycle(measurement: Measurement, flops_per_cycle: float | None = None) -> Result | None:
    """Return the result in a core's cycles, FLOP/cycle of a rate or cycles of a time; None where none were counted."""
    counted = [sample for sample in measurement.accepted if sample.cycles]
    unit = {"FLOP/s": "FLOP/cycle", "op/s": "op/cycle", "s": "cycle"}.get(measurement.unit)
    if unit is None or len(counted) < len(measurement.accepted):
        return None

    def value(sample: Sample) -> float:
        amount = measurement.work * sample.repetitions
        cycles = sample.cycles or 1.0
        return cycles / amount if unit == "cycle" else amount / cycles

    middle = interval(measurement, value)
    values = [value(sample) for sample in counted]
    return replace(
        summarize(measurement),
        value=middle.value,
        unit=unit,
        interval=(middle.low, middle.high),
        ratio_to_measured_peak=middle.value / flops_per_cycle if flops_per_cycle and unit != "cycle" else None,
        best=min(values) if unit == "cycle" else max(values),
    )


def graded(measurement: Measurement, middle: Interval) -> tuple[Grade, tuple[str, ...]]:
    """Return a grade A to D by the interval's half-width (1, 2, 5 %), lowered where it is doubtful, and the reasons."""
    count, accepted = len(measurement.samples), sum(sample.rejected is None for sample in measurement.samples)
    reasons = []
    grade: Grade = next((letter for letter, width in _WIDTHS if middle.half_width <= width), "D")
    if grade != "A":
        reasons.append(f"the interval is ± {100 * middle.half_width:.1f} %")
    if count < MIN_ACCEPTED:
        grade = max(grade, "C" if count > 1 else "D")
        clean = f", {count - accepted} preempted" if accepted < count else ""
        ended = " before the budget ended" if measurement.stopped == "budget" else ""
        reasons.append(f"{count} sample{'' if count == 1 else 's'}{ended}{clean}")
    elif accepted < MIN_ACCEPTED:
        grade = max(grade, "C" if measurement.timer == "cpu" else "D")  # interruptions hardly change CPU time
        reasons.append(f"{count - accepted} of {count} samples were preempted: the least disturbed count")
    elif accepted < 0.8 * count:
        grade = max(grade, "B" if accepted > 0.5 * count else "C")
        reasons.append(f"{count - accepted} of {count} samples were preempted")
    if measurement.stopped == "interrupted":
        grade = max(grade, "C")
        reasons.append("interrupted")
    if measurement.checked is False:
        grade = "D"
        reasons.append("the answer is wrong")
    return grade, tuple(reasons)
