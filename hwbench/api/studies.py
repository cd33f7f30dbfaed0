"""Studies: does clock speed predict performance?"""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from hwbench.api.catalogs import devices as catalog_devices
from hwbench.api.checks import check_dtype
from hwbench.api.lookup import Model, locate
from hwbench.errors import InputError, shown
from hwbench.notices import Notice
from hwbench.study.clock import elasticity, peaks, scores
from hwbench.study.clock import study as clock_study
from hwbench.study.clock.results import ClockStudy, PeakView


def study_clock(
    data: str | None = None,
    *,
    columns: str | None = None,
    suites: Sequence[str] = (),
    pairs: Sequence[tuple[str, str]] = (),
    window: float | str = 1.0,
    clock: Literal["base", "boost"] = "base",
    model: str | None = None,
    device: str | None = None,
    dtype: str = "fp32",
    batch: int | None = None,
) -> ClockStudy:
    """Study whether clock speed predicts scores: of the catalog's CPUs, or of a CSV file `data`.

    `columns` maps the columns of other tables, `pairs` are classes to compare, `window` is in years. With `model` and
    `device` the answer is how much a faster clock would speed up that model there.
    """
    if model is not None or device is not None:
        if data is not None or suites or pairs:
            message = "A model is predicted, not scored: it cannot be combined with data, suites or pairs."
            raise InputError("exclusive", message, field="model")
        if model is None or device is None:
            message = "A model and a device are needed together."
            raise InputError("missing", message, field="device" if device is None else "model")
        located, name = locate(device), check_dtype(dtype)
        source = Model(model, None, {})
        size = source.batch(batch, name)
        answer = elasticity.elasticity(source.workload(name, size), located.device, name, size)
        return ClockStudy(model=answer, notices=located.notices)
    if columns is not None and data is None:
        raise InputError("missing", "A map of columns needs the file that they are of.", field="columns")
    years = _years(window)
    views: tuple[PeakView, ...] = ()
    notices: tuple[Notice, ...] = ()
    if data is not None:
        table = scores.read(data, columns, clock)
        table = table if clock == "boost" else scores.against_catalog(table)
    else:
        catalog = catalog_devices()
        notices = catalog.notices
        table, views = scores.of_catalog(catalog.values(), clock), peaks.peak_views(catalog.values())
    study = clock_study.study(table, tuple(suites), tuple(pairs), years)
    return replace(study, clock=clock, catalog=views, notices=(*notices, *study.notices))


def _years(value: float | str) -> float:
    try:
        years = float(value)
    except (ValueError, TypeError, OverflowError):
        years = -1.0
    if not 0 <= years <= 1000:
        raise InputError("bad-years", f"'{shown(value, 40)}' is not a number of years from 0 to 1000.", field="window")
    return years
