"""What saved runs measured of just what an estimate predicts: the whole, and its layers where they were timed.

Two machines are never mixed: a run counts where its model, dtype and batch are the estimate's and its machine is. Nor
are inputs: of one model with a longer context or smaller images it counts other operations.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from msgspec import Struct

from hwbench.files import folders
from hwbench.machine.device import Device
from hwbench.measure.record import Measurement, Record, Result
from hwbench.measure.subject import ForwardPass
from hwbench.measure.summary import summarize
from hwbench.predict.estimate import Estimate
from hwbench.report.text.format import layer_name
from hwbench.units import si

MOST_NAMES = 5


class Beside(Struct, frozen=True):
    """One measured inference: its result in s, and the seconds of layers by their position in the estimate.

    `missing` are layers of the estimate that have no measured time of their own, `folded` those that stand for several
    alike, of which no time is taken; `others` are modules that were timed and are no layer of it.
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
        """What ran: `torch eager, 2 threads`."""
        threads = self.result.threads
        return f"torch {self.result.variant}, {threads} thread{'s' if threads > 1 else ''}"


class Elsewhere(Struct, frozen=True):
    """The same model at the same dtype and batch, measured in `run` on another machine, called `machine`."""

    run: str
    machine: str
    time_s: float


def measured(
    runs: Sequence[Record], e: Estimate, device: Device, machine: str | None
) -> tuple[list[Beside], list[Elsewhere]]:
    """What runs measured of an estimate on its device, and what they measured elsewhere.

    `machine` is the key of the machine that the device is, None for one of a data sheet: of such a device counts what
    was measured on one of the same title.
    """
    here: list[Beside] = []
    elsewhere: list[Elsewhere] = []
    for run in runs:
        for one in run.measurements:
            ran = one.subject
            if not isinstance(ran, ForwardPass) or (ran.model, ran.batch, one.dtype) != (e.model, e.batch, e.dtype):
                continue
            if ran.flops not in (None, e.flops):
                continue
            if _same(run, ran, device, machine):
                here.append(_beside(run, one, ran, e, device))
            else:
                elsewhere.append(Elsewhere(run.id, _where(run, ran), summarize(one).value))
    return here, elsewhere


def _same(run: Record, ran: ForwardPass, device: Device, machine: str | None) -> bool:
    """Whether it ran on this very device: a machine has a CPU and may have several GPUs."""
    on_cpu = ran.device == "cpu"
    if on_cpu != (device.kind == "cpu") or (machine is not None and run.environment.get("machine") != machine):
        return False
    if on_cpu:
        return machine is not None or (run.device is not None and run.device.title == device.title)
    title = folders.key(str(ran.title).removeprefix("NVIDIA ").removeprefix("AMD "))
    known = (device.name, device.title.removeprefix("NVIDIA ").removeprefix("AMD "), *device.aliases)
    return title in map(folders.key, known)


def _where(run: Record, ran: ForwardPass) -> str:
    title = run.device.title if run.device else "an unknown machine"
    brand = str(run.environment.get("brand") or title)
    return brand if ran.device == "cpu" else f"{ran.title or ran.device} beside {brand}"


def _beside(run: Record, one: Measurement, ran: ForwardPass, e: Estimate, device: Device) -> Beside:
    """A measurement with its layers' medians, each matched by name to a layer of the estimate."""
    seconds = {layer.name: median(layer.seconds) for layer in ran.layers if layer.seconds}
    used: dict[str, list[int]] = {}
    for index, op in enumerate(e.layers):  # an op of a traced module is named `module:op`
        name = op.name if op.name in seconds else op.name.rpartition(":")[0]
        if name in seconds:
            used.setdefault(name, []).append(index)
    alone = {name: places[0] for name, places in used.items() if len(places) == 1 and e.layers[places[0]].count == 1}
    found = {index: seconds[name] for name, index in alone.items() if seconds[name] > 0}
    result = summarize(one)
    if not found:
        return Beside(run.id, result, device.count)
    missing = tuple(op.name for index, op in enumerate(e.layers) if index not in found and op.count == 1)
    folded = sum(op.count > 1 for op in e.layers)
    others = tuple(name for name in seconds if name not in used)
    return Beside(run.id, result, device.count, found, missing, folded, others)


def best(found: Sequence[Beside]) -> Beside | None:
    """The one to draw: with layers before without, on as many threads as there are units before fewer, the last."""
    return max(reversed(found), key=lambda one: (bool(one.layers), one.result.threads == one.units), default=None)


def sentences(found: Sequence[Beside], elsewhere: Sequence[Elsewhere], e: Estimate) -> list[str]:
    """What is drawn beside the prediction, what of it has no counterpart, and what was measured on other machines."""
    told = []
    if one := best(found):
        told.append(_drawn(one, e))
    for other in elsewhere:
        told.append(
            f"Run {other.run} measured the same model in {si(other.time_s, 's')}, but on {other.machine}, which is not "
            f"{e.device}: it is not drawn here."
        )
    return told


def _drawn(one: Beside, e: Estimate) -> str:
    apart = f" Its threads are fewer than the {one.units} units predicted for." if _fewer(one) else ""
    if e.forecast and str(one.result.variant) not in e.forecast.runtime.split("-"):
        apart += f" The forecast is for {e.forecast.runtime}."
    head = f"Measured beside predicted (run {one.run}, {one.name}): {si(one.result.value, 's')} in all"
    if not one.layers:
        return f"{head}; its layers were not timed (hwbench run --layers does), so one point stands for all.{apart}"
    total = sum(one.layers.values())
    text = f"{head}, and {len(one.layers)} of {len(e.layers)} layers by hooks, {si(total, 's')} together."
    if one.missing:
        text += f" Without a measured time of their own: {_names(one.missing)}."
    if one.folded:
        text += f" {one.folded} layers stand for several that are alike: none of their times is drawn."
    if one.others:
        text += f" Timed, but no layer of the estimate: {_names(one.others)}."
    return text + apart


def _fewer(one: Beside) -> bool:
    return one.result.where == "cpu" and one.result.threads < one.units


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(layer_name(name) or "(the model itself)" for name in names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
