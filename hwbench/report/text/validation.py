"""A replay of measurements as text: errors by group, the worst rows with reasons, and what was left out."""

from collections.abc import Iterable, Sequence

from hwbench.predict.data.tables import Skipped
from hwbench.predict.replay.metrics import Metrics
from hwbench.predict.replay.summary import Family, Group, ReplayRow, Validation
from hwbench.report.text.format import cut, percent
from hwbench.report.text.layout import Style, field, heading, table
from hwbench.units import si

MOST_FAMILIES = 15
MOST_SKIPPED = 10
_SPARE = ("rank", "≤30 %", "high/low", "median", "≤10 %")
"""Columns that a narrow terminal does without, the first of them first."""
_METRICS = ("n", "MAPE", "median", "≤10 %", "≤20 %", "≤30 %", "rank", "bias")
_HELD = ("held", "high/low")
"""Of intervals: the share that holds the measured value, and the median of high / low."""


def summary(found: Validation, style: Style, rows: bool = False) -> list[str]:
    """All of a replay; with `rows` every row instead of the worst."""
    devices = {row.device for row in found.rows}
    models = {row.model for row in found.rows}
    title = (
        f"{_number(found.all.n, 'measurement')} of {_number(len(models), 'model')} on {_number(len(devices), 'device')}"
    )
    lines = [*heading(title, style), "", *_overall(found, style), ""]
    lines += _groups("by device, all models", [(group, group.all) for group in found.groups], style)
    unseen = [(group, group.unseen) for group in found.groups if group.unseen.n]
    if unseen:
        told = "by device, models of families that no parameter was fitted on and no interval set on"
        lines += ["", *_groups(told, unseen, style)]
    families = [family for family in found.families if family.all.n > 2][:MOST_FAMILIES]
    if len(found.families) > 1 and families:
        lines += ["", *_families(families, len(found.families), style)]
    if rows:
        lines += ["", *every(found.rows, style)]
    else:
        lines += ["", *_worst(found.worst, style)]
    return [*lines, "", *_skipped(found.skipped, style)]


def _number(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _overall(found: Validation, style: Style) -> list[str]:
    named = [("expected", found.all), ("… unseen families", found.unseen)]
    named += [("roofline", found.roofline), ("ideal", found.ideal)]
    body = [(name, *_cells(one), *_held(one)) for name, one in named if one.n]
    return table(("predictor", *_METRICS, *_HELD), body, "l" + "r" * (len(_METRICS) + len(_HELD)), style, spare=_SPARE)


def _groups(title: str, groups: Iterable[tuple[Group, Metrics]], style: Style) -> list[str]:
    body = []
    for group, one in groups:
        n, mape, median, ten, *_, rank, bias = _cells(one)
        run = " ".join(filter(None, (group.dtype, group.layout)))
        cells = (n, mape, median, ten, rank, bias, _held(one)[0])
        body.append((_device(group.device, 21), run, _short(group.runtime or "-", 17), *cells))
    header = ("device", "run", "runtime", "n", "MAPE", "median", "≤10 %", "rank", "bias", "held")
    return [*heading(title, style, "dim"), *table(header, body, "lllrrrrrrr", style, spare=_SPARE)]


def _families(families: Sequence[Family], of: int, style: Style) -> list[str]:
    body = [(_short(one.family, 30), one.part, *_cells(one.all), _held(one.all)[0]) for one in families]
    title = f"families with the largest errors ({len(families)} of {of})"
    return [
        *heading(title, style, "dim"),
        *table(("family", "part", *_METRICS, _HELD[0]), body, "llrrrrrrrrr", style, spare=_SPARE),
    ]


def _worst(rows: Sequence[ReplayRow], style: Style) -> list[str]:
    lines = [style.paint(f"the worst {len(rows)}", "dim")]
    for row in rows:
        size = f"@{row.image_size}" if row.image_size else ""
        what = f"{row.model}{size} on {row.device}, {row.dtype}, batch {row.batch}"
        lines += field(_signed(row.error), f"{what}: {_times(row)}", style)
        lines += field("", "; ".join(row.reasons) or "nothing about the row explains it", style)
    return lines


def every(rows: Sequence[ReplayRow], style: Style) -> list[str]:
    """A line a row, measured beside expected, under a line for each device and runtime."""
    groups: dict[str, list[ReplayRow]] = {}
    for row in rows:
        how = ", ".join(filter(None, (row.dtype, row.layout, row.runtime)))
        groups.setdefault(f"{row.device}, {how}, as {row.assumed_runtime}", []).append(row)
    body = [
        (
            _short(row.model, 36),
            str(row.image_size or "-"),
            str(row.batch),
            *(si(time, "s", 3) for time in (row.measured_s, row.expected_s, *row.interval_s)),
            _signed(row.error),
        )
        for some in groups.values()
        for row in some
    ]
    header = ("model", "image", "batch", "measured", "expected", "low", "high", "error")
    first, *lines = table(header, body, "lrrrrrrr", style, spare=("image",))
    told = [first]
    for title, some in groups.items():
        told += [*heading(title, style), *lines[: len(some)]]
        lines = lines[len(some) :]
    return [*told, *lines]


def _skipped(skipped: Sequence[Skipped], style: Style) -> list[str]:
    if not skipped:
        return ["no row was left out"]
    reasons: dict[str, list[Skipped]] = {}
    for one in skipped:
        reasons.setdefault(one.reason, []).append(one)
    lines = heading(f"{_number(len(skipped), 'row')} left out (all of them with --json)", style, "dim")
    for reason, some in sorted(reasons.items(), key=lambda item: -len(item[1]))[:MOST_SKIPPED]:
        lines += field(f"{len(some)} ×", f"{some[0].model} ({some[0].place}): {reason}", style)
    hidden = len(reasons) - MOST_SKIPPED
    return lines + ([f"... and for {hidden} more reasons"] if hidden > 0 else [])


def _cells(one: Metrics) -> tuple[str, ...]:
    rank = "-" if one.spearman is None else f"{one.spearman:.4f}"
    shares = tuple(percent(one.within.get(limit)) for limit in ("10", "20", "30"))
    bias = "-" if one.bias is None else _signed(one.bias)
    return (str(one.n), percent(one.mape), percent(one.median_ape), *shares, rank, bias)


def _held(one: Metrics) -> tuple[str, str]:
    ratio = "-" if one.interval_ratio is None else f"{one.interval_ratio:.2f}"
    return (percent(one.interval_coverage), ratio)


def _times(row: ReplayRow) -> str:
    low, high = row.interval_s
    interval = f"{si(low, 's', 3)} to {si(high, 's', 3)}"
    return f"measured {si(row.measured_s, 's', 3)}, expected {si(row.expected_s, 's', 3)} ({interval})"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %" if abs(share) < 0.1 else f"{100 * share:+.0f} %"


def _device(name: str, longest: int) -> str:
    """A device with the first of its settings: what sets it apart from its like."""
    base, _, settings = name.partition(" ")
    first = settings.partition(" ")[0]
    return f"{cut(base, longest - len(first) - 1)} {first}" if first else _short(name, longest)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
