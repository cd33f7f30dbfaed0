"""Measurements as cases to fit: each row with its device and its traced workload."""

from collections.abc import Callable
from functools import lru_cache
from random import Random

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.predict.data.rows import MeasuredTime, Skipped
from hwbench.predict.data.splits import member
from hwbench.predict.data.tables import MeasuredTable
from hwbench.predict.data.workloads import Workloads, by_trace, measured_workload
from hwbench.predict.fitting.problem import Case
from hwbench.predict.model.parameters import parameters_name
from hwbench.predict.model.runtimes import is_foreign, runtime_of, version_of
from hwbench.workload import cached

MAX_TIMINGS = 1000
"""Timings of a device that its factors are fitted to, drawn from more: a dozen are enough."""
Finder = Callable[[str], Device]


def cases(table: MeasuredTable) -> tuple[dict[str, list[Case]], tuple[Skipped, ...]]:
    """Return cases by kind of runtime, and the rows that cannot be fitted with the reason."""
    usable: dict[str, list[Case]] = {}
    skipped = list(table.skipped)
    count = lru_cache(maxsize=8)(cached.workload)
    for row in sorted(table.rows, key=by_trace):
        try:
            case = _case(row, catalog.device(row.device), count)
        except InputError as error:
            skipped.append(Skipped(row.model, error.message, row.place, row.device))
        else:
            usable.setdefault(_parameters_of(row, case.device), []).append(case)
    return usable, tuple(skipped)


def timings(table: MeasuredTable, device: Device, finder: Finder) -> tuple[dict[str, list[Case]], tuple[Skipped, ...]]:
    """Return the cases of one device by kind of runtime, and the other rows with the reason.

    `finder` finds the devices that rows name.
    """
    usable: dict[str, list[Case]] = {}
    skipped = list(table.skipped)
    count, find = lru_cache(maxsize=8)(cached.workload), lru_cache(finder)
    own = []
    for row in table.rows:
        try:
            if find(row.device).label != device.label:
                raise InputError("other-device", f"The row is of the device {row.device}.")
            own.append(row)
        except InputError as error:
            skipped.append(Skipped(row.model, error.message, row.place, row.device))
    Random(0).shuffle(own)
    for row in own[MAX_TIMINGS:]:
        skipped.append(Skipped(row.model, f"{MAX_TIMINGS} other timings were drawn.", row.place, row.device))
    for row in sorted(own[:MAX_TIMINGS], key=by_trace):
        try:
            usable.setdefault(_parameters_of(row, device), []).append(_case(row, device, count))
        except InputError as error:
            skipped.append(Skipped(row.model, error.message, row.place, row.device))
    return usable, tuple(skipped)


def _parameters_of(row: MeasuredTime, device: Device) -> str:
    """Return the name of the parameters that a row is fitted to."""
    return parameters_name(runtime_of(row.runtime, device.kind), version_of(row.runtime))


def _refuse_foreign(row: MeasuredTime, device: Device) -> None:
    if is_foreign(row.runtime, runtime_of(row.runtime, device.kind)):
        raise InputError("foreign-runtime", f"The runtime {row.runtime} has no parameters, so it is not fitted.")


def _case(row: MeasuredTime, device: Device, count: Workloads) -> Case:
    _refuse_foreign(row, device)
    workload = measured_workload(row, count)
    return Case(
        workload,
        device,
        row.dtype,
        row.batch,
        row.time_s,
        member(row.model),
        version_of(row.runtime),
        row.layout,
    )
