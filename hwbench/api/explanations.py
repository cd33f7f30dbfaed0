"""Explain where performance is lost between the theoretical peak and a running model."""

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from msgspec import Struct

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import check_batch, check_dtype, check_duration
from hwbench.api.lookup import Model, ModelOptions
from hwbench.api.machines import completed
from hwbench.api.measurements import Progress, refuse_training, staged
from hwbench.api.records import not_saved, prepare, saved_lines
from hwbench.api.records import save as save_record
from hwbench.api.steps import TrainingExplanation, explain_training
from hwbench.dtypes import dtype as known_dtype
from hwbench.errors import InputError
from hwbench.machine.host.describe import host
from hwbench.measure import harness, session, store
from hwbench.measure import settings as cpus
from hwbench.measure.analysis import ladder
from hwbench.measure.analysis.evidence import doubts, sources
from hwbench.measure.record import Measurement, Record
from hwbench.measure.torch.device import CPU, free_memory, torch_module
from hwbench.notices import Notice
from hwbench.report.text import explain as explain_text
from hwbench.report.text.layout import PLAIN, Style
from hwbench.study import explain as explanation
from hwbench.study.explain import Explanation
from hwbench.workload.ops import Workload


class ModelExplanation(Answer, Struct, frozen=True):
    """The steps from the peak down to a model's run, and the record that they were read from."""

    SCHEMA: ClassVar[str] = "explain"
    CONTEXT: ClassVar[tuple[str, ...]] = ("trouble",)

    explanation: Explanation
    path: str | None
    run: Record
    fresh: bool
    trouble: InputError | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of the run."""
        return (*self.run.notices, *self.explanation.notices, *not_saved(self.trouble))

    @property
    def interrupted(self) -> bool:
        """True where somebody stopped the measurement."""
        return self.fresh and session.interrupted(self.run.measurements)

    def body(self) -> dict[str, Any]:
        """Return the answer's own part of its JSON."""
        return {**answers.plain(self.explanation), "path": self.path, "run": answers.plain(self.run)}


@answers.lines.register
def _explanation_lines(answer: ModelExplanation, style: Style = PLAIN) -> list[str]:
    return [*explain_text.explanation(answer.explanation, style), *saved_lines(answer.path)]


def explain(
    model: str | None = None,
    *,
    dtype: str = "fp32",
    batch: int | None = None,
    threads: int | None = None,
    record: str | None = None,
    budget: float | str = 20.0,
    save: str | bool = False,
    inputs: str | None = None,
    optimizer: str | None = None,
    tried: bool = False,
    progress: Progress | None = None,
    command: Sequence[str] = ("hwbench.explain",),
    **options: Unpack[ModelOptions],
) -> ModelExplanation | TrainingExplanation:
    """Measure where performance is lost between the theoretical peak and a running model, or read it from a saved run.

    Each step is a ratio with its interval and what is lost: clock, ports, memory, code or overhead. `record` is a file,
    an id or `latest`; nothing is measured then. With the mode `training`, where the time of a step goes, by block of
    the model, and what would make it faster; `tried` measures these gains too.
    """
    name, seconds = check_dtype(dtype), check_duration(budget, "budget")
    if record is not None and save:
        message = "A saved run cannot be saved again: leave out either."
        raise InputError("exclusive", message, field="record")
    if options.get("mode") == "training" and model is not None and record is None:
        return explain_training(
            model, dtype=name, batch=batch, threads=threads, budget=seconds, save=save, inputs=inputs,
            optimizer=optimizer, tried=tried, progress=progress, command=command, **options,
        )  # fmt: skip
    refuse_training(options, optimizer, tried)
    source = Model(model, inputs, options) if model is not None else None
    size = source.batch(batch, name) if source else check_batch(batch or 1)
    workload = source.workload(name, size) if source else None
    if record is not None:
        run = store.load(record)
        steps = explained(run, workload, name, size, threads, named=record)
    else:
        prepare(save)
        run, count = _measured(source, name, size, threads, seconds, progress, command)
        steps = explained(run, workload, name, size, count)
    run, path, trouble = save_record(run, save)
    return ModelExplanation(steps, path, run, record is None, trouble)


def _recorded_threads(run: Record, wanted: int | None) -> int:
    """Return how many cores a saved run is read at: those wanted, else the most that its multiply-adds ran on.

    Raises InputError that names the counts in the run.
    """
    counts = sorted({measurement.threads for measurement in run.measurements if measurement.where == "cpu"})
    if wanted is not None and wanted not in counts:
        names = " and ".join(map(str, counts)) or "no number of cores"
        message = f"This run has no measurement on {wanted} cores, but on {names}."
        raise InputError("not-in-run", message, field="threads")
    return wanted or max((row.threads for row in run.measurements if row.kernel == "fma"), default=1)


def _measured(
    source: Model | None,
    dtype: str,
    batch: int,
    threads: int | None,
    budget_s: float,
    progress: Progress | None,
    command: Sequence[str],
) -> tuple[Record, int]:
    """Measure the kernels that the steps need, in turns; return the run and on how many cores it was."""
    machine = host()
    count = threads or max(cpus.settings(machine).threads)
    settings = cpus.settings(machine, quick=True, threads=(count,), dtypes=(dtype,), sizes=(ladder.SIZE,))
    cpus.refuse_threads(count, settings)
    tasks = ladder.tasks(settings, dtype, count, memory=source is not None)
    if source is not None:
        torch_module("The run of a model")
        from hwbench.measure.inference import model as models
        from hwbench.measure.inference import tasks as inference

        built = models.build(source.request(dtype))
        channels_last = source.options.get("channels_last", False)
        setting = inference.RunSetting(CPU, dtype, batch, count, channels_last=channels_last)
        inference.check_memory(setting, built.workload, free_memory(setting.device))
        tasks.append(inference.task(built, setting, settings.cpus[:count]))

    def measure() -> Sequence[Measurement]:
        return harness.measure(tasks, budget_s, progress=staged(progress) if progress else None)

    return session.record(measure, machine, settings.classes, tuple(command)), count


def explained(
    run: Record, workload: Workload | None, dtype: str, batch: int, threads: int | None = None, *, named: str = ""
) -> Explanation:
    """Return the steps from the peak down that a run's measurements give.

    A saved run, by the name that the user gave it, is completed by the best evidence of its machine.
    """
    whole, evidence = completed(run, named) if named else (run, ())
    count = _recorded_threads(whole, threads)
    bits = known_dtype(dtype).bits
    works = [op.work(bits, workload.repeats(batch)) for op in workload.ops] if workload else []
    rates = ladder.read(whole, dtype, count, workload.name if workload else None, batch)
    rungs, missing = explanation.rungs(rates, works)
    steps = explanation.steps(rungs)
    return Explanation(
        device=str(run.environment.get("brand") or "this machine"),
        model=workload.title if workload else None,
        dtype=dtype,
        threads=count,
        batch=batch if workload else None,
        source=", ".join(sources(evidence)) or run.id,
        steps=steps,
        missing=missing,
        summary=explanation.summary(steps),
        notices=tuple(doubts(evidence)),
    )
