"""Where the time of a training step goes, measured here, and what would make it faster, tried where it can be."""

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from msgspec import Struct
from msgspec.structs import replace

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import check_dtype, check_duration
from hwbench.api.inference import Runner
from hwbench.api.lookup import Model, ModelOptions
from hwbench.api.measurements import Progress
from hwbench.api.records import not_saved, prepare, saved_lines
from hwbench.api.records import save as save_record
from hwbench.api.training import COMPILED, EAGER, optimizer_of
from hwbench.errors import InputError
from hwbench.measure import session
from hwbench.measure.record import Record
from hwbench.measure.torch.device import find_device, torch_module
from hwbench.notices import Notice, notice, unique
from hwbench.predict.estimate import estimate
from hwbench.predict.improvements import LARGER, MIN_GAIN, improvements
from hwbench.predict.model.runtimes import of_calibrations
from hwbench.report.text import step as step_text
from hwbench.report.text.layout import PLAIN, Style
from hwbench.stats.intervals import Interval
from hwbench.study.inference import Inference
from hwbench.study.step import Advice, MeasuredStep, StepExplanation, explained_step, gain

TRIED = ("batch", "dtype", "runtime", "layout")
"""Advice that can be tried here."""


class TrainingExplanation(Answer, Struct, frozen=True):
    """Where the time of a training step goes, and the record of the runs that tell."""

    SCHEMA: ClassVar[str] = "step"
    CONTEXT: ClassVar[tuple[str, ...]] = ("trouble",)

    explanation: StepExplanation
    path: str | None
    run: Record
    trouble: InputError | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of the run."""
        return unique((*self.run.notices, *self.explanation.notices, *not_saved(self.trouble)))

    @property
    def interrupted(self) -> bool:
        """True where somebody stopped the measurement."""
        return session.interrupted(self.run.measurements)

    def body(self) -> dict[str, Any]:
        """Return the answer's own part of its JSON."""
        return {**answers.plain(self.explanation), "path": self.path, "run": answers.plain(self.run)}


@answers.lines.register
def _lines(answer: TrainingExplanation, style: Style = PLAIN) -> list[str]:
    return [*step_text.step(answer.explanation, style), *saved_lines(answer.path)]


def explain_training(
    model: str,
    *,
    dtype: str = "fp32",
    batch: int | None = None,
    threads: int | None = None,
    budget: float | str = 20.0,
    save: str | bool = False,
    inputs: str | None = None,
    optimizer: str | None = None,
    tried: bool = False,
    on: str = "cpu",
    progress: Progress | None = None,
    command: Sequence[str] = ("hwbench.explain",),
    **options: Unpack[ModelOptions],
) -> TrainingExplanation:
    """Measure steps of training and say where their time goes; `tried` measures changes too, advised or not."""
    name, seconds = check_dtype(dtype), check_duration(budget, "budget")
    optimizer = optimizer_of(optimizer, options, (EAGER,), layers=False)
    torch_module("A run")
    runner = Runner(Model(model, inputs, options, optimizer=optimizer), find_device(on), threads)
    (setting,) = runner.settings((EAGER,), (name,))
    setting = replace(setting, batch=batch or runner.built(name).workload.batch)
    prepare(save)
    from hwbench.measure.inference.model import unfolded  # torch is known to be installed by now

    request = runner.model.request(name, setting.batch)
    workload = unfolded(runner.built(name, setting.batch), request, setting.batch)
    if runner.device is None:
        raise InputError("unknown-device", "The rates of this device are not known.", field="on")
    device, size = runner.device, setting.batch
    predicted = estimate(workload, device, name, size, math="strict")
    every = improvements(workload, device, name, size, least=0.0, math="strict")
    helping = tuple(each for each in every if each.gain >= MIN_GAIN or (tried and each.change in TRIED))
    variants = _variants(setting, [(each.change, each.value) for each in helping], runner) if tried else {}
    runs, record = runner.runs([setting, *variants.values()], seconds, False, progress, command)
    record, path, trouble = save_record(record, save)
    base = runs[0]
    update = next((part.share for part in base.parts if part.name == "optimizer"), None)
    step = MeasuredStep(base.time_s, base.utilization, optimizer=update)
    notices = [*runner.notices, *base.notices, *of_calibrations(predicted.notices)]
    if predicted.forecast is None:
        notices.append(notice("step-unforecast"))
    explanation = explained_step(step, predicted, helping, notices)
    advice = tuple(_with_measured(explanation.advice, variants, list(zip(runner.ran, runs, strict=True))))
    return TrainingExplanation(replace(explanation, advice=advice), path, record, trouble)


def _variants(setting: Any, changes: Sequence[tuple[str, str]], runner: Runner) -> dict[tuple[str, str], Any]:
    """Return the settings of changes that can be tried; of the usual ones where nothing is forecast."""
    from hwbench.measure.inference.tasks import check_setting

    usual = [
        ("batch", str(LARGER * setting.batch)), ("dtype", "bf16"), ("runtime", COMPILED), ("layout", "channels-last"),
    ]  # fmt: skip
    result = {}
    for change, value in changes or usual:
        fields: dict[str, dict[str, Any]] = {
            "batch": {"batch": int(value) if change == "batch" else 0},
            "dtype": {"dtype": value},
            "runtime": {"runtime": COMPILED},
            "layout": {"channels_last": True},
        }
        if change in TRIED:
            variant = replace(setting, **fields[change])
            try:
                check_setting(variant)
                result[change, value] = variant
            except InputError as error:
                runner.leave_out(variant, error)
    return result


def _with_measured(
    advice: Sequence[Advice], variants: dict[tuple[str, str], Any], runs: Sequence[tuple[Any, Inference]]
) -> list[Advice]:
    """Return the advice with the gains that were measured, the largest first."""
    known = {(each.change, each.value): each for each in advice}
    base, rows = runs[0][1], dict(known)
    for (change, value), setting in variants.items():
        run = next((run for ran, run in runs[1:] if ran == setting), None)
        if run is not None:
            times = [Interval(each.time_s, *each.interval_s) for each in (base, run)]
            measured, ends = gain(times[0], times[1], run.batch / base.batch)
            before = known.get((change, value)) or Advice(change, value, None, None)
            rows[change, value] = replace(before, measured_gain=measured, measured_interval=ends)
    return sorted(rows.values(), key=lambda each: -(each.gain or each.measured_gain or 0.0))
