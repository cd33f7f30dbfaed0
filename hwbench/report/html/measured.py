"""Measured times of what an estimate predicts: of the whole model, and of its layers where they were timed.

A run counts only where its model, dtype, batch and machine are those of the estimate. Its operations must be the same
too: a longer context or smaller images are another input.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from msgspec import Struct

from hwbench.files import names
from hwbench.machine.device import Device
from hwbench.measure.analysis.evidence import machine_of
from hwbench.measure.record import Measurement, Record, Result
from hwbench.measure.subject import ForwardPass
from hwbench.measure.summary import summarize
from hwbench.predict.estimate import Estimate
from hwbench.report.text.format import layer_name, number
from hwbench.units import si

MAX_NAMES = 5


class MeasuredEstimate(Struct, frozen=True):
    """One measured inference: its result in s, and the seconds of layers by their position in the estimate.

    `missing` are layers of the estimate without a measured time, `folded` the number of those that represent several
    alike, whose times are not used; `others` are timed modules that are not layers of the estimate.
    """

    run: str
    result: Result
    units: int
    layers: Mapping[int, float] = {}
    missing: tuple[str, ...] = ()
    folded: int = 0
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The software: `torch eager, 2 threads`."""
        return f"torch {self.result.variant}, {number(self.result.threads, 'thread')}"


class OtherMachineRun(Struct, frozen=True):
    """The same model at the same dtype and batch, measured in `run` on another machine, called `machine`."""

    run: str
    machine: str
    time_s: float


def measured(
    runs: Sequence[Record], e: Estimate, device: Device, machine: str | None
) -> tuple[list[MeasuredEstimate], list[OtherMachineRun]]:
    """Return what runs measured of an estimate on its device, and on other machines.

    `machine` is the key of the machine that has the device, None for a device of the catalog, which is any machine with
    a device of that title.
    """
    here: list[MeasuredEstimate] = []
    elsewhere: list[OtherMachineRun] = []
    for run in runs:
        for measurement in run.measurements:
            ran = measurement.subject
            if not isinstance(ran, ForwardPass):
                continue
            same = (ran.model, ran.batch, measurement.dtype) == (e.model, e.batch, e.dtype)
            if not same or ran.flops not in (None, e.flops):
                continue
            if _same_device(run, ran, device, machine):
                here.append(_measured(run, measurement, ran, e, device))
            else:
                elsewhere.append(OtherMachineRun(run.id, _machine_name(run, ran), summarize(measurement).value))
    return here, elsewhere


def _same_device(run: Record, ran: ForwardPass, device: Device, machine: str | None) -> bool:
    """Return whether a pass ran on this device: a machine has a CPU and may have several GPUs."""
    on_cpu = ran.device == "cpu"
    if on_cpu != (device.kind == "cpu") or (machine is not None and machine_of(run) != machine):
        return False
    if on_cpu:
        return machine is not None or (run.device is not None and run.device.title == device.title)
    title = names.key(str(ran.title).removeprefix("NVIDIA ").removeprefix("AMD "))
    known = (device.name, device.title.removeprefix("NVIDIA ").removeprefix("AMD "), *device.aliases)
    return title in map(names.key, known)


def _machine_name(run: Record, ran: ForwardPass) -> str:
    title = run.device.title if run.device else "an unknown machine"
    brand = str(run.environment.get("brand") or title)
    return brand if ran.device == "cpu" else f"{ran.title or ran.device} with {brand}"


def _measured(run: Record, measurement: Measurement, ran: ForwardPass, e: Estimate, device: Device) -> MeasuredEstimate:
    """Return a measurement with the medians of its layers, matched by name to layers of the estimate."""
    seconds = {layer.name: median(layer.seconds) for layer in ran.layers if layer.seconds}
    used: dict[str, list[int]] = {}
    for index, op in enumerate(e.layers):  # an op of a traced module is named `module:op`
        name = op.name if op.name in seconds else op.name.rpartition(":")[0]
        if name in seconds:
            used.setdefault(name, []).append(index)
    single = {name: places[0] for name, places in used.items() if len(places) == 1 and e.layers[places[0]].count == 1}
    times = {index: seconds[name] for name, index in single.items() if seconds[name] > 0}
    result = summarize(measurement)
    if not times:
        return MeasuredEstimate(run.id, result, device.count)
    missing = tuple(op.name for index, op in enumerate(e.layers) if index not in times and op.count == 1)
    folded = sum(op.count > 1 for op in e.layers)
    others = tuple(name for name in seconds if name not in used)
    return MeasuredEstimate(run.id, result, device.count, times, missing, folded, others)


def best(runs: Sequence[MeasuredEstimate]) -> MeasuredEstimate | None:
    """Return the run to draw: preferably with layers, then with as many threads as units, then the last."""
    return max(reversed(runs), key=lambda run: (bool(run.layers), run.result.threads == run.units), default=None)


def sentences(runs: Sequence[MeasuredEstimate], elsewhere: Sequence[OtherMachineRun], e: Estimate) -> list[str]:
    """Return what is drawn next to the prediction, what has no counterpart, and what other machines measured."""
    drawn = best(runs)
    others = (
        f"Run {other.run} measured the same model in {si(other.time_s, 's')} on another machine, {other.machine}. "
        f"It is not {e.device_title} and is not drawn here."
        for other in elsewhere
    )
    return [*([_sentence(drawn, e)] if drawn else []), *others]


def _sentence(run: MeasuredEstimate, e: Estimate) -> str:
    fewer = run.result.where == "cpu" and run.result.threads < run.units
    remarks = f" It had fewer threads than the {run.units} predicted cores." if fewer else ""
    if e.forecast and str(run.result.variant) not in e.forecast.runtime.split("-"):
        remarks += f" The forecast is for {e.forecast.runtime}."
    text = f"Measured in run {run.run} ({run.name}): {si(run.result.value, 's')} in all"
    if not run.layers:
        return f"{text}, drawn as one point: its layers were not timed (`hwbench run --layers` times them).{remarks}"
    total = sum(run.layers.values())
    text += f", and {len(run.layers)} of {len(e.layers)} layers by hooks, {si(total, 's')} together."
    text += f" Layers without a measured time: {_names(run.missing)}." if run.missing else ""
    text += f" {run.folded} layers represent several alike; their times are not drawn." if run.folded else ""
    text += f" Timed modules that are not layers of the estimate: {_names(run.others)}." if run.others else ""
    return text + remarks


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(layer_name(name) or "(the model itself)" for name in names[:MAX_NAMES])
    return shown if len(names) <= MAX_NAMES else f"{shown} and {len(names) - MAX_NAMES} more"
