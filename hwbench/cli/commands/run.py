"""`hwbench run`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hwbench.api import lookup
from hwbench.cli import options, output
from hwbench.cli.commands.bench import kept, seconds
from hwbench.errors import InputError
from hwbench.notices import Notice

if TYPE_CHECKING:
    from hwbench.machine.device import Device
    from hwbench.machine.host.describe import Host
    from hwbench.measure.record import Measurement
    from hwbench.measure.torch.device import TorchDevice
    from hwbench.measure.torch.inference import RunnableModel, Setting
    from hwbench.measure.torch.layer_times import PartTime
    from hwbench.predict.estimate import Estimate
    from hwbench.study.inference import Inference

BUDGET = "10s"
LAYERS_S = 3.0
MOST_RUNS = 64


@click.command(short_help="Run a model in torch: its measured time beside the three answers.")
@options.model_option
@click.option("--dtype", default="fp32", show_default=True, help="Number format, or several: fp32,bf16.")
@click.option("--batch", default="1", show_default=True, help="Batch size, or several: 1,8.")
@click.option("--device", "-d", "where", default="cpu", show_default=True, help="Where torch runs: cpu, cuda, mps.")
@click.option("--threads", type=click.IntRange(1, 4096), metavar="N", help="Threads of a CPU [default: all cores].")
@click.option("--compile", "compiled", is_flag=True, help="Compile the module by torch.compile.")
@click.option("--layers", is_flag=True, help="Time every layer too, by hooks.")
@click.option("--budget", default=BUDGET, show_default=True, metavar="T", help="Time to measure for.")
@click.option("--save", is_flag=False, flag_value="", metavar="[DIR]", help="Keep the record, in the folder of runs.")
@options.tracing_options
@options.json_option
def run(
    model: str,
    dtype: str,
    batch: str,
    where: str,
    threads: int | None,
    compiled: bool,
    layers: bool,
    budget: str,
    save: str | None,
    as_json: bool,
    **tracing: Any,
) -> None:
    """Time real forward passes in torch, with random weights on random inputs, and hold them against the predictions.

    The module is built from the catalog's layers, or by the package that the name means; its parameters must be those
    that are counted, its output finite and of the right shape. Needs the extra hwbench[torch].

    \b
    Examples:
      hwbench run --model alexnet --threads 1 --budget 2s
      hwbench run --model lenet5 --batch 1,8 --dtype fp32,bf16 --threads 1 --budget 1s
      hwbench run --model squeezenet1.0 --layers --threads 1 --budget 1s --json
    """
    from hwbench.measure.torch.device import find_device, torch_module

    formats, sizes, limit = options.dtypes(dtype), options.batches(batch), seconds(budget)
    if len(formats) * len(sizes) > MOST_RUNS:
        raise InputError(f"more than {MOST_RUNS} runs", field="--batch")
    if layers and (len(formats) * len(sizes) > 1 or compiled):
        raise InputError("times the layers of one dtype and one batch, without --compile", field="--layers")
    if tracing["mode"] == "training":
        raise InputError("only inference is run", field="--mode")
    torch_module("A run")
    session = _Session(model, find_device(where), threads, compiled, tracing)
    found, record = session.runs(formats, sizes, limit, layers)
    _finish(found, record, session, save, as_json, several=len(formats) * len(sizes) > 1)


class _Session:
    """One model on one place: what is built for it, and what is predicted."""

    def __init__(
        self, model: str, place: "TorchDevice", threads: int | None, compiled: bool, tracing: dict[str, Any]
    ) -> None:
        from hwbench.machine.host.describe import host
        from hwbench.measure import settings as cpus

        self.name, self.place, self.compiled, self.tracing = model, place, compiled, tracing
        self.machine: Host = host()
        self.settings = cpus.settings(self.machine)
        most = max(self.settings.threads)
        if threads is not None and threads > len(self.settings.cpus):
            raise InputError(f"this process may use {len(self.settings.cpus)} cores", field="--threads")
        self.threads = (threads or most) if place.kind == "cpu" else 1
        self.device, self.warnings = self._device()
        self.models: dict[Any, RunnableModel] = {}
        self.timed: Sequence[PartTime] = ()

    def _device(self) -> "tuple[Device | None, tuple[str | Notice, ...]]":
        """What predictions are made for: this machine with as many cores as threads, or the GPU."""
        from hwbench.measure.torch.gpu import describe

        if self.place.kind != "cpu":
            found = describe(self.place)
            told = () if found else (f"nothing is known of {self.place.title}: there are no predictions",)
            return found, told
        chosen, warnings = lookup.at_measured(self.machine.device, self.machine.notices, lookup.saved(self.machine))
        chosen = lookup.calibrated(self.machine, chosen)
        left, units = self.threads, []
        for one in chosen.units:
            if left > 0:
                units.append(msgspec.structs.replace(one, count=min(left, one.count)))
            left -= one.count
        return msgspec.structs.replace(chosen, units=tuple(units)), warnings

    @property
    def runtime(self) -> str:
        """What forecasts call the software that runs the model."""
        return f"torch-{'compile' if self.compiled else 'eager'}-{'cpu' if self.place.kind == 'cpu' else 'cuda'}"

    def setting(self, dtype: str, batch: int) -> "Setting":
        """How one run is made."""
        from hwbench.measure.torch.inference import Setting

        last = self.tracing["channels_last"]
        return Setting(self.place, dtype, batch, self.threads, self.compiled, last)

    def built(self, dtype: str) -> "RunnableModel":
        """The module and its counts, which differ under autocast alone."""
        from hwbench.measure.torch import inference

        request = options.request(self.name, dtype, 1, self.tracing)
        if request not in self.models:
            self.models[request] = inference.build(request)
        return self.models[request]

    def runs(
        self, formats: Sequence[str], sizes: Sequence[int], budget_s: float, layers: bool
    ) -> "tuple[list[Inference], Any]":
        """Measure every dtype and batch in turns, and hold each against its prediction; the record of all of them."""
        from hwbench.cli.progress import line
        from hwbench.measure import harness, session
        from hwbench.measure.torch import inference, layer_times
        from hwbench.measure.torch.device import free_memory

        settings = [self.setting(dtype, batch) for dtype in formats for batch in sizes]
        free = free_memory(self.place)
        for one in settings:
            inference.check_setting(one)
        for one in settings:
            inference.check_memory(one, self.built(one.dtype).workload, free)
        tasks = [inference.task(self.built(one.dtype), one, self.settings.cpus[: self.threads]) for one in settings]

        def measure() -> "Sequence[Measurement]":
            with line() as show:
                return harness.measure(tasks, budget_s, progress=lambda at: show(at.share, f"{at.stage}: {at.label}"))

        record = session.record(measure, self.machine, self.settings.classes, ("hwbench", *sys.argv[1:]))
        found = [self._held(*pair, layers) for pair in inference.paired(settings, record.measurements)]
        return found, layer_times.recorded(record, self.timed) if self.timed else record

    def _held(self, setting: "Setting", measurement: "Measurement", layers: bool) -> "Inference":
        """One measurement with everything that is known beside it."""
        from hwbench.dtypes import BITS
        from hwbench.measure.summary import interval, summarize
        from hwbench.study import inference as study

        model, result = self.built(setting.dtype), summarize(measurement)
        workload, parts = model.workload, {}
        if layers:
            workload, parts = self._parts(model, setting)
        estimate = self._estimate(workload, setting)
        work = workload.work(BITS.get(setting.dtype, BITS["fp32"]), setting.batch)
        timed = study.TimedRun(
            time=interval(measurement),
            runtime=setting.runtime,
            dtype=setting.dtype,
            batch=setting.batch,
            threads=setting.threads if self.place.kind == "cpu" else 0,
            grade=result.grade,
            reasons=result.reasons,
            samples=result.samples,
            checked=measurement.checked,
            layers=parts,
        )
        name = "host" if self.place.kind == "cpu" else self.place.title
        return study.inference(
            timed, self.name, name, (work.flops, work.traffic), estimate, model.traced, workload.title
        )

    def _parts(self, model: "RunnableModel", setting: "Setting") -> Any:
        from hwbench.measure.torch import inference, layer_times

        request = options.request(self.name, setting.dtype, 1, self.tracing)
        timed = layer_times.parts(inference.Prepared(model, setting), LAYERS_S)
        self.timed = timed
        return inference.unfolded(model, request), {part.name: part.time for part in timed}

    def _estimate(self, workload: Any, setting: "Setting") -> "Estimate | None":
        """The three answers; None where the device's peak for the dtype is not known."""
        from hwbench.predict.estimate import estimate

        if self.device is None:
            return None
        try:
            return estimate(workload, self.device, setting.dtype, setting.batch, runtime=self.runtime)
        except InputError as error:
            self.warnings = (*self.warnings, f"no prediction at {setting.dtype}: {error.message}")
            return None


def _finish(
    found: "list[Inference]", record: Any, session: _Session, save: str | None, as_json: bool, several: bool
) -> None:
    """Save the record where asked, show the runs; exit with 130 where somebody stopped them, 2 if it was not saved.

    `several` runs were asked for: their schema is that of several, also where an interrupt left only one.
    """
    from hwbench.measure.session import interrupted

    path, trouble = kept(record, save or None) if save is not None else (None, None)
    told = [*session.warnings, *(text for one in found for text in one.notices), *record.notices]
    told += [f"the run was not saved: {trouble}"] if trouble else []
    told = list(dict.fromkeys(told))
    if as_json:
        if not several:
            body = found[0].body()
            output.write_json("inference", {**body, "path": path, "run": record}, told)
        else:
            output.write_json("inferences", {"runs": found, "path": path, "run": record}, told)
    else:
        from hwbench.report.text import inference as report

        style = output.style()
        lines = report.many(found, style) if several else report.one(found[0], style)
        output.write_lines([*lines, *(["", f"saved: {path}"] if path else [])], told)
    stopped = interrupted(record.measurements)
    if trouble or stopped:
        why = (
            f"the run was not saved: {trouble}"
            if trouble
            else f"interrupted: what was measured is {'saved' if path else 'shown'}"
        )
        click.echo(f"hwbench: {why}", err=True)
        click.get_current_context().exit(130 if stopped else 2)
