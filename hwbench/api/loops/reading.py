"""The steps that a meter has counted and timed, read as an answer."""

from collections import Counter
from statistics import median
from typing import Any

from hwbench.errors import InputError
from hwbench.machine.device import Peak, fastest, peaks
from hwbench.measure.steps import MIN_STEPS, TimedStep, rate
from hwbench.notices import Notice, notice
from hwbench.predict.estimate import Estimate, estimate
from hwbench.predict.improvements import improvements
from hwbench.predict.model.runtimes import of_calibrations
from hwbench.stats.intervals import LEVEL
from hwbench.study.step import MeasuredStep, StepExplanation, explained_step
from hwbench.study.utilization import Utilization
from hwbench.workload.ops import Workload


class Reading:
    """The steps of a meter as an answer."""

    def __init__(self, meter: Any, steps: list[TimedStep], timed: list[TimedStep], regular: list[TimedStep]) -> None:
        self.meter, self.steps, self.timed, self.regular = meter, steps, timed, regular
        self.usual = Counter(step.key for step in regular).most_common(1)[0][0]
        self.notices: list[Notice] = list(meter.notices)

    def answer(self) -> Utilization:
        """Return the answer."""
        meter, regular = self.meter, self.regular
        usual = [step for step in regular if step.key == self.usual]
        flops, hardware = zip(*map(self._flops, regular), strict=True)
        speed = rate(regular, [float(each) for each in flops])
        dtype, peak = self._peak()
        forecast = self._forecast(usual[0], dtype)
        total = sum(step.time_s for step in self.timed[meter.warm_up :])
        time = sum(step.time_s for step in regular)
        self._say_left_out()
        ceiling = peak.flops_per_second if peak else None
        waits = sorted(step.wait_s for step in regular if step.wait_s is not None)
        return Utilization(
            device=meter.device.label if meter.device else meter.torch_device.title,
            dtype=dtype,
            steps=len(regular),
            left_out=len(self.steps) - len(regular) + sum(meter.left_out.values()),
            share_left_out=1 - time / total,
            time_s=_median([step.time_s for step in usual]),
            wait_s=_median(waits),
            model_flops=self._flops(usual[0])[0],
            hardware_flops=self._flops(usual[0])[1],
            flops_per_second=sum(flops) / time,
            flops_per_second_interval=(speed.low, speed.high) if speed else None,
            interval_level=LEVEL,
            peak_flops_per_second=ceiling,
            peak=peak.label if peak else None,
            mfu=sum(flops) / time / ceiling if ceiling else None,
            mfu_interval=(speed.low / ceiling, speed.high / ceiling) if speed and ceiling else None,
            hfu=sum(hardware) / time / ceiling if ceiling else None,
            samples_per_s=_per_second(regular, "samples", time),
            tokens_per_s=_per_second(regular, "tokens", time),
            bound=forecast.bound if forecast else None,
            ideal_time_s=forecast.ideal_time_s if forecast else None,
            roofline_time_s=forecast.roofline_time_s if forecast else None,
            expected_time_s=forecast.expected_time_s if forecast else None,
            expected_interval_s=forecast.interval_s if forecast else None,
            notices=tuple(self.notices),
        )

    def explanation(self) -> StepExplanation:
        """Return where the time of the step that most are alike goes."""
        answer, step = self.answer(), next(step for step in self.regular if step.key == self.usual)
        workload, samples = self._workload(step), step.samples or 1
        dtype = "fp32" if answer.dtype in (None, "tf32") else str(answer.dtype)
        predicted = estimate(workload, self.meter.device, dtype, samples)
        helping = improvements(workload, self.meter.device, dtype, samples)
        measured = MeasuredStep(answer.time_s or step.time_s, answer.mfu, answer.wait_s)
        return explained_step(measured, predicted, helping, answer.notices)

    def _workload(self, step: TimedStep) -> Workload:
        source = self.meter.source
        workload: Workload = (
            self.meter.counted[step.key].workload
            if source is None
            else source.workload(self.meter.dtype or "fp32", step.samples or 1)
        )
        return workload

    def _flops(self, step: TimedStep) -> tuple[int, int]:
        if self.meter.source is not None:
            flops = self._workload(step).operations("flop", step.samples or 1)
            return flops, flops
        work = self.meter.counted[step.key]
        return work.model_flops, work.hardware_flops

    def _peak(self) -> tuple[str | None, Peak | None]:
        """Return the dtype of most FLOP, as the device computes it, and its dense peak where its rate is known."""
        meter = self.meter
        dtypes = {} if meter.source is not None else meter.counted[self.usual].dtypes
        dtype = meter.dtype or max(dtypes, key=lambda name: dtypes[name], default="fp32")
        if meter.dtype is None and dtypes and dtypes[dtype] < 0.99 * sum(dtypes.values()):
            self.notices.append(notice("mixed-dtypes", dtype=dtype, share=dtypes[dtype] / sum(dtypes.values())))
        peak = fastest(peaks(meter.device), dtype)
        if peak is None and dtype == "tf32" and meter.dtype is None:  # allowed, but this GPU has none
            dtype, peak = "fp32", fastest(peaks(meter.device), "fp32")
        return dtype, peak

    def _forecast(self, step: TimedStep, dtype: str | None) -> Estimate | None:
        """Return the three answers for a step, None for those that cannot be forecast."""
        try:
            name = "fp32" if dtype in (None, "tf32") else str(dtype)
            answer = estimate(self._workload(step), self.meter.device, name, step.samples or 1)
        except InputError as error:
            self.notices.append(notice("no-prediction", dtype=dtype, reason=error.message))
            return None
        self.notices += of_calibrations(answer.notices)
        return answer

    def _say_left_out(self) -> None:
        """Add a notice of each reason for which steps are left out."""
        slow = len(self.timed[self.meter.warm_up :]) - len(self.regular)
        reasons = self.meter.left_out + Counter(uncounted=len(self.steps) - len(self.timed), slow=slow)
        self.notices += [notice("steps-left-out", steps=n, reason=reason) for reason, n in sorted(reasons.items()) if n]
        if len(self.regular) < MIN_STEPS:
            self.notices.append(notice("few-steps", steps=len(self.regular)))
        if self.meter.source is None and (names := self.meter.counted[self.usual].workload.uncounted):
            self.notices.append(notice("operators-uncounted", names=names))


def _median(values: list[float]) -> float | None:
    return median(values) if values else None


def _per_second(steps: list[TimedStep], name: str, time: float) -> float | None:
    amounts = [getattr(step, name) for step in steps]
    return None if None in amounts else sum(amounts) / time
