"""Measurements as cases to fit: each row with its device and its traced workload."""

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.predict.data import workloads
from hwbench.predict.data.splits import family
from hwbench.predict.data.tables import MeasuredTable, MeasuredTime, Skipped
from hwbench.predict.fitting.problem import Case
from hwbench.predict.model.runtimes import is_foreign, runtime_of
from hwbench.workload import cached


def cases(table: MeasuredTable) -> tuple[dict[str, list[Case]], tuple[Skipped, ...]]:
    """Cases by kind of runtime, and the rows that cannot be fitted with the reason."""
    found: dict[str, list[Case]] = {}
    skipped = list(table.skipped)
    for row in table.rows:
        try:
            if is_foreign(row.runtime):
                raise InputError(f"{row.runtime} is none of the runtimes that are fitted")
            case = _case(row)
        except InputError as error:
            skipped.append(Skipped(row.model, error.message, row.place, row.device))
            continue
        found.setdefault(runtime_of(row.runtime, case.device.kind), []).append(case)
    return found, tuple(skipped)


def _case(row: MeasuredTime) -> Case:
    workload = workloads.workload(row, cached.workload)
    return Case(workload, catalog.device(row.device), row.dtype, row.batch, row.time_s, family(row.model))
