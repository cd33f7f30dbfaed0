"""Run models by the engines of this machine, beside what was predicted of them."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, ClassVar, Unpack

from msgspec import Struct
from msgspec.structs import replace

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import check_batches, check_dtype, check_duration
from hwbench.api.lookup import Model, ModelOptions
from hwbench.api.machines import host_device
from hwbench.api.measurements import Progress, staged
from hwbench.api.records import not_saved, prepare, saved_lines
from hwbench.api.records import save as save_record
from hwbench.api.training import COMPILED, EAGER, optimizer_of, step_values
from hwbench.dtypes import dtype as known_dtype
from hwbench.errors import HwbenchError, InputError
from hwbench.machine.device import Device
from hwbench.machine.host.describe import Host, host
from hwbench.measure import engines, harness, session
from hwbench.measure import settings as cpus
from hwbench.measure.record import Measurement, Record
from hwbench.measure.summary import interval, summarize
from hwbench.measure.torch.device import TorchDevice, find_device, free_memory, torch_module
from hwbench.measure.torch.gpu import describe
from hwbench.notices import Notice, notice, unique
from hwbench.predict.estimate import Estimate, estimate
from hwbench.predict.model.runtimes import full_name, of_calibrations, runs_on
from hwbench.report.text import inference as text
from hwbench.report.text.layout import PLAIN, Style
from hwbench.study import inference as study
from hwbench.study import runtimes as comparison
from hwbench.study.inference import Inference
from hwbench.study.runtimes import FastestRun
from hwbench.workload.ops import Workload

MAX_RUNS = 64
LAYERS_S = 3.0
"""Seconds that are spent on the times of layers."""


class InferenceRuns(Answer, Struct, frozen=True):
    """Measured inferences of one model beside their predictions, and the record of all of them.

    `fastest` compares them by batch. `trouble` says why the record could not be saved, `several` whether more than one
    runtime, dtype and batch was asked for.
    """

    SCHEMA: ClassVar[str] = "inferences"
    ROWS: ClassVar[str] = "runs"
    CONTEXT: ClassVar[tuple[str, ...]] = ("several", "trouble")

    runs: tuple[Inference, ...]
    path: str | None
    run: Record
    several: bool
    fastest: tuple[FastestRun, ...] = ()
    notices: tuple[Notice, ...] = ()
    trouble: InputError | None = None

    @property
    def interrupted(self) -> bool:
        """True where somebody stopped the measurement."""
        return session.interrupted(self.run.measurements)

    def to_dict(self) -> dict[str, Any]:
        """Return the object that the command line writes with `--json`: that of a single run is flat."""
        if self.several:
            return answers.document("inferences", self)
        body = {**answers.plain(self.runs[0]), "path": self.path, "run": answers.plain(self.run)}
        return answers.document("inference", body, self.notices)


@answers.lines.register
def _run_lines(answer: InferenceRuns, style: Style = PLAIN) -> list[str]:
    lines = text.several(answer.runs, style) if answer.several else text.single(answer.runs[0], style)
    return [*lines, *text.reasons(answer.fastest, style), *saved_lines(answer.path)]


def run(
    model: str,
    *,
    runtimes: Sequence[str] = (EAGER,),
    dtypes: Sequence[str] = ("fp32",),
    batches: Sequence[int] | None = None,
    on: str = "cpu",
    threads: int | None = None,
    compiled: bool = False,
    layers: bool = False,
    budget: float | str = 10.0,
    save: str | bool = False,
    inputs: str | None = None,
    optimizer: str | None = None,
    progress: Progress | None = None,
    command: Sequence[str] = ("hwbench.run",),
    **options: Unpack[ModelOptions],
) -> InferenceRuns:
    """Time forward passes of a named model, with random weights, beside what is predicted of them.

    An ONNX file is run by onnxruntime and OpenVINO, in a process of its own, with random weights too.
    `runtimes` are names of `hwbench.measure.engines.ENGINES`, or `all` for those installed; `compiled` stands for
    `torch-compile`. `on` is where they run: `cpu`, `cuda` or `mps`; `layers` times every layer too. With the mode
    `training` torch runs steps: the forward pass, the backward pass of the summed outputs, the update of the
    `optimizer` (sgd by default). Raises InputError without torch, which makes the module.
    """
    chosen = _chosen(runtimes, compiled)
    formats, sizes = [check_dtype(name) for name in dtypes], list(check_batches(batches) or ())
    seconds = check_duration(budget, "budget")
    count = len(chosen) * len(formats) * max(len(sizes), 1)
    several = count > 1
    if count > MAX_RUNS:
        raise InputError("too-many", f"There are more than {MAX_RUNS} runs.", field="batch")
    if layers and (several or chosen == [COMPILED]):
        message = "Layers are timed at a single runtime, dtype and batch size of a model that torch did not compile."
        raise InputError("single-value", message, field="layers")
    optimizer = optimizer_of(optimizer, options, chosen, layers)
    torch_module("A run")
    place = find_device(on)
    runner = Runner(Model(model, inputs, options, optimizer=optimizer), place, threads)
    settings = runner.settings(chosen, formats)  # before the model is built
    sizes = sizes or [runner.built(formats[0]).workload.batch]
    prepare(save)
    settings = [replace(setting, batch=batch) for setting in settings for batch in sizes]
    runs, record = runner.runs(settings, seconds, layers, progress, command)
    record, path, trouble = save_record(record, save)
    notices = [*runner.notices, *(own for row in runs for own in row.notices), *record.notices]
    notices += not_saved(trouble)
    reasons = comparison.fastest(runs, runner.profiles(runs)) if several else ()
    return InferenceRuns(tuple(runs), path, record, several, reasons, unique(notices), trouble)


def _chosen(names: Sequence[str], compiled: bool) -> list[str]:
    """Return the engines that were asked for, each once. Raises InputError for an unknown one."""
    if not names:
        raise InputError("missing", "The list of runtimes is empty.", field="runtimes")
    if compiled:
        if tuple(names) not in ((EAGER,), (COMPILED,)):
            message = f"This is another name of the runtime {COMPILED}: add it to the list."
            raise InputError("exclusive", message, field="compiled")
        return [COMPILED]
    every = [name for each in names for name in (engines.installed() if each == "all" else [engines.named(each)])]
    return list(dict.fromkeys(every))


class Runner:
    """One model on one place: what is built for it, and what is predicted."""

    def __init__(self, model: Model, torch_device: TorchDevice, threads: int | None) -> None:
        self.model, self.torch_device, self.optimizer = model, torch_device, model.optimizer
        self.machine: Host = host()
        self.cpus = cpus.settings(self.machine)
        cpus.refuse_threads(threads, self.cpus)
        self.threads = (threads or max(self.cpus.threads)) if torch_device.kind == "cpu" else 1
        self.notices: list[Notice] = []
        self.device = self._device()
        self.models: dict[Any, Any] = {}
        self.ready: dict[Any, Callable[[], Any]] = {}
        self.timed: Sequence[Any] = ()
        self.ran: list[Any] = []
        name = model.name if isinstance(model.name, str) else ""
        self.file = name.removeprefix("onnx:") if name.endswith(".onnx") or name.startswith("onnx:") else ""
        self.torch = False

    def _device(self) -> Device | None:
        """Return what predictions are made for: this machine with as many cores as threads, or the GPU."""
        if self.torch_device.kind != "cpu":
            described = describe(self.torch_device)
            if described is None:
                self.notices.append(notice("torch-device-unknown", title=self.torch_device.title))
            return described
        located = host_device()
        self.notices += located.notices
        return located.device.with_cores(self.threads)

    def settings(self, runtimes: Sequence[str], formats: Sequence[str]) -> list[Any]:
        """Return a setting for each runtime and dtype that it runs. Raises InputError where no runtime does."""
        from hwbench.measure.inference import tasks  # torch is known to be installed by now

        self.torch = any(runtime in (EAGER, COMPILED) for runtime in runtimes)
        last, settings, errors = self.model.options.get("channels_last", False), [], []
        for runtime in runtimes:
            engines.require(runtime)
            for dtype in formats:
                setting = tasks.RunSetting(self.torch_device, dtype, 1, self.threads, runtime, last, self.optimizer)
                try:
                    tasks.check_setting(setting)
                    settings.append(setting)
                except InputError as error:
                    errors.append(error)
                    self.leave_out(setting, error)
        if not settings:
            raise errors[0]
        return settings

    def leave_out(self, setting: Any, error: HwbenchError) -> None:
        """Add a notice of a setting that is not run, and why."""
        names = {"runtime": setting.runtime, "dtype": setting.dtype}
        self.notices.append(
            notice("runtime-left-out", reason=error.message if isinstance(error, InputError) else str(error), **names)
        )

    def built(self, dtype: str, batch: int | None = None) -> Any:
        """Return the module and its counts, which differ under autocast, and of training steps by the batch."""
        from hwbench.measure.inference import model

        request = self.model.request(dtype, batch if self.optimizer else None)
        if request not in self.models:
            if self.file and not self.torch:
                workload = self.model.workload(dtype)
                self.models[request] = model.RunnableModel(workload, b"", (), {}, workload.batch, (), 2)
            else:
                self.models[request] = model.build(request)
        return self.models[request]

    def runs(
        self,
        settings: Sequence[Any],
        budget_s: float,
        layers: bool,
        progress: Progress | None,
        command: Sequence[str],
    ) -> tuple[list[Inference], Record]:
        """Measure every setting in turns, and return each beside its prediction, and the record of all."""
        from hwbench.measure.inference import layer_times, tasks

        free = free_memory(self.torch_device)
        for setting in settings:
            tasks.check_memory(setting, self.built(setting.dtype, setting.batch).workload, free)
        for setting in settings:
            self.ready[setting] = cache(partial(tasks.PreparedModel, self._built_for(setting), setting))
        cores = self.cpus.cpus[: self.threads]
        if self.file:
            return self._file_runs(settings, budget_s, layers, cores, command)
        able = self._able(settings, progress) if len(settings) > 1 else settings
        work = [tasks.task(self._built_for(each), each, cores, self.ready[each]) for each in able]

        def measure() -> Sequence[Measurement]:
            return harness.measure(work, budget_s, progress=staged(progress) if progress else None)

        record = session.record(measure, self.machine, self.cpus.classes, tuple(command))
        pairs = tasks.paired(able, record.measurements)
        self.ran = [setting for setting, _ in pairs]
        runs = [self._beside_prediction(setting, measurement, layers, free) for setting, measurement in pairs]
        record = tasks.with_parts(record, [(self.ready[setting](), measurement) for setting, measurement in pairs])
        return runs, layer_times.recorded(record, self.timed) if self.timed else record

    def _file_runs(
        self, settings: Sequence[Any], budget_s: float, layers: bool, cores: tuple[int, ...], command: Sequence[str]
    ) -> tuple[list[Inference], Record]:
        """Return what `runs` does, of an ONNX file that a process of its own runs."""
        from hwbench.measure.inference import isolated

        request = self.model.request()
        memory = int(free_memory(self.torch_device) or 0)
        work = isolated.FileRuns(
            self.file, request, self.built("fp32").workload, tuple(settings), cores, budget_s, memory
        )  # fmt: skip
        times = isolated.FileTimes()

        def measure() -> Sequence[Measurement]:
            nonlocal times
            times = isolated.measure(work)
            return times.measurements

        record = session.record(measure, self.machine, self.cpus.classes, tuple(command))
        for setting, reason in times.failed:
            self.leave_out(setting, HwbenchError(reason))
        self.ready = {each: partial(_same, facts) for each, facts in zip(times.settings, times.facts, strict=True)}
        pairs = zip(times.settings, times.measurements, strict=True)
        return [self._beside_prediction(setting, row, layers) for setting, row in pairs], record

    def _able(self, settings: Sequence[Any], progress: Progress | None) -> list[Any]:
        """Return the settings at which engines run the model; the others are notices. Raises the error of the first."""
        able, errors = [], []
        for number, setting in enumerate(settings):
            if progress:
                progress(0.3 * number / len(settings), f"preparing: {setting.runtime} {setting.dtype}")
            try:
                self.ready[setting]()
                able.append(setting)
            except HwbenchError as error:
                errors.append(error)
                self.leave_out(setting, error)
        if not able:
            raise errors[0]
        return able

    def _built_for(self, setting: Any) -> Any:
        return self.built(setting.dtype, setting.batch)

    def _beside_prediction(
        self, setting: Any, measurement: Measurement, layers: bool, free: float | None = None
    ) -> Inference:
        """Return one measurement with all that is predicted of it."""
        model, result, network = self._built_for(setting), summarize(measurement), self.ready[setting]().network
        workload, parts = model.workload, {}
        profile: tuple[Any, ...] = ()
        if layers and setting.runtime == EAGER:
            workload, parts = self._parts(model, setting)
        elif layers:
            profile = network.profile() or ()
        dtype = setting.dtype if setting.is_torch else self.ready[setting]().precision
        work = workload.work(known_dtype(dtype).bits, setting.batch)
        timed = study.TimedRun(
            time=interval(measurement),
            runtime=setting.runtime,
            software=setting.software(network.version),
            dtype=setting.dtype,
            precision=self.ready[setting]().precision,
            default_precision=network.default_precision,
            batch=setting.batch,
            threads=setting.threads if self.torch_device.kind == "cpu" else 0,
            grade=result.grade,
            reasons=result.reasons,
            samples=result.samples,
            checked=measurement.checked,
            profile=profile,
            layers=parts,
            **(step_values(network, setting, measurement.subject, workload, free) if self.optimizer else {}),
        )
        name = "host" if self.torch_device.kind == "cpu" else self.torch_device.title
        prediction = self._estimate(workload, setting, dtype)
        return study.inference(timed, self.model.request().model, name, (work.flops, work.traffic), prediction,
                               model.traced, workload.title)  # fmt: skip

    def _parts(self, model: Any, setting: Any) -> Any:
        from hwbench.measure.inference import layer_times
        from hwbench.measure.inference import model as models

        self.timed = layer_times.module_times(self.ready[setting](), LAYERS_S)
        workload = models.unfolded(model, self.model.request(setting.dtype))
        return workload, {part.name: part.time for part in self.timed}

    def profiles(self, runs: Sequence[Inference]) -> comparison.Profiles:
        """Return the engines' profiles of the runs that are compared."""
        compared = {(run.runtime, run.dtype, run.batch) for pair in comparison.contenders(runs) for run in pair}
        networks = {(each.runtime, each.dtype, each.batch): ready for each, ready in self.ready.items()}
        return {key: networks[key]().network.profile() or () for key in compared}

    def _estimate(self, workload: Workload, setting: Any, dtype: str) -> Estimate | None:
        """Return the three answers, without a forecast for a runtime that has no parameters.

        None where the device's peak for the dtype is not known.
        """
        if self.device is None:
            return None
        kind = self.device.kind
        forecast = runs_on(setting.runtime, kind)
        runtime = full_name(setting.runtime if forecast else COMPILED, kind)  # other engines fuse as well
        try:  # fp32 is measured without tf32
            answer = estimate(
                workload, self.device, dtype, setting.batch, runtime=runtime, math="strict", bounds_only=not forecast
            )
        except InputError as error:
            self.notices.append(notice("no-prediction", dtype=dtype, reason=error.message))
            return None
        self.notices += of_calibrations(answer.notices)
        return answer


def _same(facts: Any) -> Any:
    return facts
