"""Devices and saved runs side by side, and devices that reach a target."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from msgspec.structs import replace

from hwbench.api.catalogs import Filter
from hwbench.api.catalogs import devices as catalog_devices
from hwbench.api.checks import MAX_ROWS, check_batches, check_clock, check_dtype, check_math, check_quantity
from hwbench.api.lookup import Model, ModelOptions, check_options, locate
from hwbench.errors import InputError, shown
from hwbench.machine.device import Device
from hwbench.notices import Notice, unique
from hwbench.study import requirement
from hwbench.study.compare import devices as comparison
from hwbench.study.compare.devices import Comparison
from hwbench.study.requirement import Requirement
from hwbench.units import PerSecond, Seconds
from hwbench.workload.ops import Workload

if TYPE_CHECKING:
    import torch

    from hwbench.api.measurements import Progress
    from hwbench.api.runs import RunComparisons

_RUN = re.compile(r"latest$|\d{8}-\d{0,6}", re.IGNORECASE)
MARGIN, LEVEL = 0.03, 0.95


def compare(
    *names: str | Device | Sequence[str | Device],
    model: "str | Workload | torch.nn.Module | None" = None,
    dtype: str = "fp32",
    batches: Sequence[int] | None = None,
    clock: str | None = None,
    runtime: str | None = None,
    math: str = "default",
    sort: str | None = None,
    baseline: str | None = None,
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    margin: float = MARGIN,
    level: float = LEVEL,
    inputs: Any = None,
    live: bool = False,
    kernels: Sequence[str] = (),
    fresh_processes: int = 5,
    budget: float | str = 60.0,
    save: str | bool = False,
    progress: "Progress | None" = None,
    command: Sequence[str] = ("hwbench.compare",),
    **options: Unpack[ModelOptions],
) -> "Comparison | RunComparisons":
    """Return devices side by side, each ratio to the first as a product of factors, or saved runs with verdicts.

    With a `model`, devices have its time in s too. `kind`, `vendor`, `architecture` and `year` add devices of the
    catalog. Saved runs are given by file, id, name or as `latest`; differences below `margin` count as none, intervals
    and verdicts have the confidence `level`.

    With `live`, names are settings (`here`, `threads=2`, `python=PATH`, `VARIABLE=value`): `kernels` or the `model` are
    measured under each in turns, in fresh processes, and the runs are compared.
    """
    every = [name for group in names for name in (group if isinstance(group, list | tuple) else (group,))]
    wanted = Filter(kind, vendor, architecture, year)
    check_options(options)
    _check_shares(margin, level)
    if live:
        from hwbench.api.runs import compare_live, live_request  # needs what measures, which devices do without

        if not isinstance(model, str | None) or not all(isinstance(name, str) for name in every):
            raise InputError("live-names", "Settings and models are measured by their names.", field="names")
        request = live_request(kernels, model, dtype, batches, budget, command)
        return compare_live([str(name) for name in every], request, fresh_processes, save, margin, level, progress)
    runs, located = _runs_or_devices(every, wanted)
    if runs:
        for parameter, value in (
            ("model", model), ("clock", clock), ("runtime", runtime), ("sort", sort), ("baseline", baseline),
        ):  # fmt: skip
            if value is not None:
                raise InputError("not-for-runs", "This is for devices, and these are saved runs.", field=parameter)
        from hwbench.api.runs import compare_runs  # needs numpy, which devices do without

        return compare_runs(runs, margin, level)
    batches = check_batches(batches)
    if len(located) * len(batches or ()) > MAX_ROWS:
        raise InputError("too-many", f"There are more than {MAX_ROWS} rows.", field="batch")
    source, name = Model(model, inputs, options) if model is not None else None, check_dtype(dtype)
    sizes = tuple(batches or (source.batch(None, name) if source else 1,))
    workload = source.workload(name, sizes[0]) if source else None
    answer = comparison.compare(
        [device for device, _ in located.values()], name, workload, sizes, sort=sort,
        baseline=_baseline(baseline, located), clock=check_clock(clock), runtime=runtime, math=check_math(math),
    )  # fmt: skip
    return replace(answer, notices=_notices(located, answer.notices))


def _runs_or_devices(names: list[str | Device], wanted: Filter) -> "tuple[list[str], Located]":
    """Return the saved runs, or else the devices, that names and a filter mean. Raises InputError for both at once."""
    if not names and wanted == Filter():
        message = "Name devices or saved runs, or choose devices by kind, vendor, architecture or year."
        raise InputError("missing", message, field="names")
    runs = [name for name in names if isinstance(name, str) and _is_run(name)]
    located: Located = {}
    try:
        located = {} if runs else _devices(names, wanted)
    except InputError:
        if not _are_runs(names):
            raise
    if not located and _are_runs(names):
        runs = [str(name) for name in names]
    if runs and (len(runs) < len(names) or wanted != Filter()):
        message = "Devices and saved runs cannot be compared with each other; run:FILE is the machine of a run."
        raise InputError("mixed-kinds", message, field="names")
    return runs, located


def _check_shares(margin: float, level: float) -> None:
    if not 0 < margin < 1:
        raise InputError("bad-share", f"{shown(margin, 40)} is not a share above 0 and below 1.", field="margin")
    if not 0.5 <= level < 1:
        raise InputError(
            "bad-level", f"{shown(level, 40)} is not a confidence level from 0.5 to below 1.", field="level"
        )


def _is_run(name: str) -> bool:
    """Return whether a name is that of a saved run: a JSON file, the beginning of an id, or the latest."""
    return (name.endswith(".json") and not name.startswith("run:")) or _RUN.match(name) is not None


def _are_runs(names: Sequence[str | Device]) -> bool:
    """Return whether there are names and all are those of saved runs, which somebody may have given them."""
    if not names:
        return False
    from hwbench.measure import store  # which devices do without

    return all(isinstance(name, str) and (_is_run(name) or store.path_of(name)) for name in names)


Located = dict[str, tuple[Device, tuple[Notice, ...]]]
"""Devices with their notices by the names that they have in a comparison."""


def _devices(names: Sequence[str | Device], wanted: Filter) -> Located:
    """Return the devices of names, then those of a filter that are not among them."""
    devices: Located = {}
    for name in names:
        located = locate(name)
        device = located.device
        known = devices.get(device.label)
        if known is not None and known[0] != device:  # two files of one name: each keeps what the user called it
            device = replace(device, name=name if isinstance(name, str) else device.title)
        devices[device.label] = device, located.notices
    if wanted != Filter() or not names:
        catalog = catalog_devices(**wanted.named())
        for device in catalog.values():
            devices.setdefault(device.name, (device, catalog.notices))
    if not devices:
        raise InputError("no-device", "No catalogued device is left by the filters; see `hwbench devices list`.")
    return devices


def _notices(devices: Located, others: tuple[Notice, ...]) -> tuple[Notice, ...]:
    return unique((*(notice for _, own in devices.values() for notice in own), *others))


def _baseline(name: str | None, devices: Located) -> str | None:
    """Return the device that a spelling of its name means, by the name that it has in the comparison."""
    if name is None or name in devices:
        return name
    return locate(name).device.label


def require(
    model: "str | Workload | torch.nn.Module",
    *names: str | Device | Sequence[str | Device],
    rate: float | str | None = None,
    latency: float | str | None = None,
    utilization: float | None = None,
    dtype: str = "fp32",
    batch: int | None = None,
    runtime: str | None = None,
    math: str = "default",
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    inputs: Any = None,
    **options: Unpack[ModelOptions],
) -> Requirement:
    """Return the FLOP/s and B/s that a target needs, and the devices that reach it by forecast, fewest watts first.

    `rate` is in inferences/s or text such as `30/s`, `latency` of a batch in s or text such as `5ms`. Devices are those
    named and those of the filters, without either all of the catalog. With a `utilization` they are judged by that
    share of the roofline instead.
    """
    if rate is None and latency is None:
        raise InputError("missing", "A target is needed: a rate such as 30/s or a latency such as 5ms.", field="rate")
    target = {
        "rate": check_quantity(PerSecond, rate, "rate") if rate is not None else None,
        "latency": check_quantity(Seconds, latency, "latency") if latency is not None else None,
    }
    every = [name for group in names for name in ((group,) if isinstance(group, str | Device) else group)]
    located = _devices(every, Filter(kind, vendor, architecture, year))
    source, name = Model(model, inputs, options), check_dtype(dtype)
    size = source.batch(batch, name)
    answer = requirement.require(
        source.workload(name, size), [device for device, _ in located.values()], **target,
        utilization=utilization, dtype=name, batch=size, runtime=runtime, precision=check_math(math),
    )  # fmt: skip
    return replace(answer, notices=_notices(located, answer.notices))
