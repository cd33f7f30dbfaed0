"""Run models in torch beside what was predicted of them."""

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from msgspec import Struct
from msgspec.structs import replace

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import check_batch, check_dtype, check_duration
from hwbench.api.lookup import Model, ModelOptions
from hwbench.api.machines import host_device
from hwbench.api.measurements import Progress, refuse_training, staged
from hwbench.api.records import not_saved, prepare, saved_lines
from hwbench.api.records import save as save_record
from hwbench.dtypes import dtype as known_dtype
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.machine.host.describe import Host, host
from hwbench.measure import harness, session
from hwbench.measure import settings as cpus
from hwbench.measure.record import Measurement, Record
from hwbench.measure.summary import interval, summarize
from hwbench.measure.torch.device import TorchDevice, find_device, free_memory, torch_module
from hwbench.measure.torch.gpu import describe
from hwbench.notices import Notice, notice, unique
from hwbench.predict.estimate import Estimate, estimate
from hwbench.report.text import inference as text
from hwbench.report.text.layout import PLAIN, Style
from hwbench.study import inference as study
from hwbench.study.inference import Inference
from hwbench.workload.ops import Workload

MAX_RUNS = 64
LAYERS_S = 3.0
"""Seconds that are spent on the times of layers."""


class InferenceRuns(Answer, Struct, frozen=True):
    """Measured inferences of one model beside their predictions, and the record of all of them.

    `trouble` says why the record could not be saved, `several` whether more than one dtype and batch was asked for.
    """

    SCHEMA: ClassVar[str] = "inferences"
    ROWS: ClassVar[str] = "runs"
    CONTEXT: ClassVar[tuple[str, ...]] = ("several", "trouble")

    runs: tuple[Inference, ...]
    path: str | None
    run: Record
    several: bool
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
    return [*lines, *saved_lines(answer.path)]


def run(
    model: str,
    *,
    dtypes: Sequence[str] = ("fp32",),
    batches: Sequence[int] | None = None,
    on: str = "cpu",
    threads: int | None = None,
    compiled: bool = False,
    layers: bool = False,
    budget: float | str = 10.0,
    save: str | bool = False,
    inputs: str | None = None,
    progress: Progress | None = None,
    command: Sequence[str] = ("hwbench.run",),
    **options: Unpack[ModelOptions],
) -> InferenceRuns:
    """Time forward passes of a named model in torch, with random weights, beside what is predicted of them.

    `on` is where torch runs: `cpu`, `cuda` or `mps`; `layers` times every layer too. Raises InputError without torch.
    """
    formats, sizes = [check_dtype(name) for name in dtypes], [check_batch(batch) for batch in batches or ()]
    seconds = check_duration(budget, "budget")
    count = len(formats) * max(len(sizes), 1)
    several = count > 1
    if count > MAX_RUNS:
        raise InputError("too-many", f"There are more than {MAX_RUNS} runs.", field="batch")
    if layers and (several or compiled):
        message = "Layers are timed at a single dtype and batch size of a model that is not compiled."
        raise InputError("single-value", message, field="layers")
    refuse_training(options)
    place = find_device(on)
    torch_module("A run")
    from hwbench.measure.torch.inference import RunSetting, check_setting  # which import torch

    for name in formats:  # before the model is built
        check_setting(RunSetting(place, name))
    runner = _Runner(Model(model, inputs, options), place, threads, compiled)
    sizes = sizes or [runner.built(formats[0]).workload.batch]
    prepare(save)
    runs, record = runner.runs(formats, sizes, seconds, layers, progress, command)
    record, path, trouble = save_record(record, save)
    notices = [*runner.notices, *(own for row in runs for own in row.notices), *record.notices]
    notices += not_saved(trouble)
    return InferenceRuns(tuple(runs), path, record, several, unique(notices), trouble)


class _Runner:
    """One model on one place: what is built for it, and what is predicted."""

    def __init__(self, model: Model, torch_device: TorchDevice, threads: int | None, compiled: bool) -> None:
        self.model, self.torch_device, self.compiled = model, torch_device, compiled
        self.machine: Host = host()
        self.settings = cpus.settings(self.machine)
        cpus.refuse_threads(threads, self.settings)
        self.threads = (threads or max(self.settings.threads)) if torch_device.kind == "cpu" else 1
        self.notices: list[Notice] = []
        self.device = self._device()
        self.models: dict[Any, Any] = {}
        self.timed: Sequence[Any] = ()

    def _device(self) -> Device | None:
        """Return what predictions are made for: this machine with as many cores as threads, or the GPU."""
        if self.torch_device.kind != "cpu":
            described = describe(self.torch_device)
            if described is None:
                self.notices.append(notice("torch-device-unknown", title=self.torch_device.title))
            return described
        located = host_device()
        self.notices += located.notices
        left, units = self.threads, []
        for cores in located.device.units:
            if left > 0:
                units.append(replace(cores, count=min(left, cores.count)))
            left -= cores.count
        return replace(located.device, units=tuple(units))

    @property
    def runtime(self) -> str:
        """What forecasts call the software that runs the model."""
        return f"torch-{'compile' if self.compiled else 'eager'}-{'cpu' if self.torch_device.kind == 'cpu' else 'cuda'}"

    def built(self, dtype: str) -> Any:
        """Return the module and its counts, which differ under autocast alone."""
        from hwbench.measure.torch import inference  # torch is known to be installed by now

        request = self.model.request(dtype)
        if request not in self.models:
            self.models[request] = inference.build(request)
        return self.models[request]

    def runs(
        self,
        formats: Sequence[str],
        sizes: Sequence[int],
        budget_s: float,
        layers: bool,
        progress: Progress | None,
        command: Sequence[str],
    ) -> tuple[list[Inference], Record]:
        """Measure every dtype and batch in turns, and return each beside its prediction, and the record of all."""
        from hwbench.measure.torch import inference, layer_times

        channels_last = self.model.options.get("channels_last", False)
        settings = [
            inference.RunSetting(self.torch_device, dtype, batch, self.threads, self.compiled, channels_last)
            for dtype in formats
            for batch in sizes
        ]
        free = free_memory(self.torch_device)
        for setting in settings:
            inference.check_memory(setting, self.built(setting.dtype).workload, free)
        cores = self.settings.cpus[: self.threads]
        tasks = [inference.task(self.built(setting.dtype), setting, cores) for setting in settings]

        def measure() -> Sequence[Measurement]:
            return harness.measure(tasks, budget_s, progress=staged(progress) if progress else None)

        record = session.record(measure, self.machine, self.settings.classes, tuple(command))
        pairs = inference.paired(settings, record.measurements)
        runs = [self._beside_prediction(setting, measurement, layers) for setting, measurement in pairs]
        return runs, layer_times.recorded(record, self.timed) if self.timed else record

    def _beside_prediction(self, setting: Any, measurement: Measurement, layers: bool) -> Inference:
        """Return one measurement with all that is predicted of it."""
        model, result = self.built(setting.dtype), summarize(measurement)
        workload, parts = model.workload, {}
        if layers:
            workload, parts = self._parts(model, setting)
        work = workload.work(known_dtype(setting.dtype).bits, setting.batch)
        timed = study.TimedRun(
            time=interval(measurement),
            runtime=setting.runtime,
            dtype=setting.dtype,
            batch=setting.batch,
            threads=setting.threads if self.torch_device.kind == "cpu" else 0,
            grade=result.grade,
            reasons=result.reasons,
            samples=result.samples,
            checked=measurement.checked,
            layers=parts,
        )
        name = "host" if self.torch_device.kind == "cpu" else self.torch_device.title
        prediction = self._estimate(workload, setting)
        return study.inference(timed, self.model.request().model, name, (work.flops, work.traffic), prediction,
                               model.traced, workload.title)  # fmt: skip

    def _parts(self, model: Any, setting: Any) -> Any:
        from hwbench.measure.torch import inference, layer_times

        self.timed = layer_times.module_times(inference.PreparedModel(model, setting), LAYERS_S)
        workload = inference.unfolded(model, self.model.request(setting.dtype))
        return workload, {part.name: part.time for part in self.timed}

    def _estimate(self, workload: Workload, setting: Any) -> Estimate | None:
        """Return the three answers; None where the device's peak for the dtype is not known."""
        if self.device is None:
            return None
        try:  # fp32 is measured without tf32
            return estimate(workload, self.device, setting.dtype, setting.batch, runtime=self.runtime, math="strict")
        except InputError as error:
            self.notices.append(notice("no-prediction", dtype=setting.dtype, reason=error.message))
            return None
