"""The result of a replay: errors of all rows, by group and family, and the worst rows.

`unseen` metrics are of model families that no parameter was fitted to.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from msgspec import Struct, field

from hwbench.answers import Answer
from hwbench.notices import Notice, unique
from hwbench.predict.data.rows import Skipped
from hwbench.predict.replay.metrics import Metrics, metrics

MAX_WORST = 20


class ReplayRow(Struct, frozen=True):
    """One measurement and its prediction in seconds a batch; `error` is (forecast - measured) / measured.

    `fitted` says that parameters were fitted to networks of the family, `assumed_runtime` is the kind of runtime that
    the prediction is for. `reasons` may explain an error.
    """

    device: str
    model: str
    family: str
    fitted: bool
    image_size: int | None
    batch: int
    dtype: str
    layout: str | None
    runtime: str | None
    assumed_runtime: str
    measured_s: float
    forecast_s: float = field(name="expected_s")
    interval_s: tuple[float, float]
    ideal_s: float
    roofline_s: float | None
    error: float
    reasons: tuple[str, ...]
    place: str
    source: str


class ReplayGroup(Struct, frozen=True):
    """Rows with the same device, runtime, dtype and layout; `unseen` are those of families that were not fitted."""

    device: str
    runtime: str | None
    dtype: str
    layout: str | None
    all: Metrics
    unseen: Metrics
    ideal: Metrics
    roofline: Metrics


class Family(Struct, frozen=True):
    """Rows of one family of models."""

    family: str
    fitted: bool
    all: Metrics


class Validation(Answer, Struct, frozen=True):
    """Errors of all measurements together, by group and by family of models, with those left out and why."""

    SCHEMA: ClassVar[str] = "validate"
    MAIN: ClassVar[tuple[str, ...]] = ("all.n", "all.mape", "all.median_ape", "all.bias", "all.spearman", "unseen.mape")
    ROWS: ClassVar[str] = "groups"

    rows: tuple[ReplayRow, ...]
    skipped: tuple[Skipped, ...]
    all: Metrics
    unseen: Metrics
    ideal: Metrics
    roofline: Metrics
    groups: tuple[ReplayGroup, ...]
    families: tuple[Family, ...]
    worst: tuple[ReplayRow, ...]
    notices: tuple[Notice, ...]

    def body(self, rows: bool = False) -> dict[str, Any]:
        """Return the JSON keys: metrics of all rows first, then of groups; with `rows` every row too."""
        body = super().body()
        every = body.pop("rows")
        baselines = {name: body.pop(name) for name in ("ideal", "roofline")}
        groups = [
            {**{k: v for k, v in group.items() if k not in ("all", "ideal", "roofline")}, **group["all"],
             "baselines": {"ideal": group["ideal"], "roofline": group["roofline"]}}
            for group in body.pop("groups")
        ]  # fmt: skip
        families = [{"family": row["family"], "fitted": row["fitted"], **row["all"]} for row in body.pop("families")]
        head = {**body.pop("all"), "baselines": baselines, "groups": groups, "families": families}
        return {**head, **body, **({"rows": every} if rows else {})}


def summary(rows: list[ReplayRow], skipped: Iterable[Skipped] = (), notices: Iterable[Notice] = ()) -> Validation:
    """Return the metrics of rows, over all of them and by group."""
    groups: dict[tuple[str, str | None, str, str | None], list[ReplayRow]] = {}
    families: dict[str, list[ReplayRow]] = {}
    for row in rows:
        groups.setdefault((row.device, row.runtime, row.dtype, row.layout), []).append(row)
        families.setdefault(row.family, []).append(row)
    by_family = [Family(name, some[0].fitted, _of_forecasts(some)) for name, some in families.items()]
    return Validation(
        rows=tuple(rows),
        skipped=tuple(skipped),
        all=_of_forecasts(rows),
        unseen=_of_forecasts(_unseen(rows)),
        ideal=_of_ideals(rows),
        roofline=_of_rooflines(rows),
        groups=tuple(
            ReplayGroup(*key, _of_forecasts(some), _of_forecasts(_unseen(some)), _of_ideals(some), _of_rooflines(some))
            for key, some in sorted(groups.items(), key=lambda item: str(item[0]))
        ),
        families=tuple(sorted(by_family, key=lambda family: -(family.all.mape or 0.0))),
        worst=tuple(sorted(rows, key=lambda row: -_distance(row))[:MAX_WORST]),
        notices=unique(notices),
    )


def _unseen(rows: list[ReplayRow]) -> list[ReplayRow]:
    return [row for row in rows if not row.fitted]


def _of_forecasts(rows: list[ReplayRow]) -> Metrics:
    return metrics([row.forecast_s for row in rows], [row.measured_s for row in rows], [row.interval_s for row in rows])


def _of_ideals(rows: list[ReplayRow]) -> Metrics:
    return metrics([row.ideal_s for row in rows], [row.measured_s for row in rows])


def _of_rooflines(rows: list[ReplayRow]) -> Metrics:
    known = [(row.roofline_s, row.measured_s) for row in rows if row.roofline_s is not None]
    return metrics([time for time, _ in known], [time for _, time in known])


def _distance(row: ReplayRow) -> float:
    """Return by which factor a prediction is off, 2 for half as for double."""
    return max(row.forecast_s / row.measured_s, row.measured_s / row.forecast_s)
