"""Predictions compared with measurements, as text: errors by group, the worst rows, and rows left out."""

from collections.abc import Iterable, Sequence

from hwbench import answers
from hwbench.predict.data.rows import Skipped
from hwbench.predict.model.runtimes import is_foreign
from hwbench.predict.replay.metrics import Metrics
from hwbench.predict.replay.summary import Family, ReplayGroup, ReplayRow, Validation
from hwbench.report.text.format import cut, number, percent
from hwbench.report.text.layout import PLAIN, Style, field, heading, name_width, sentences, table
from hwbench.units import si

MAX_FAMILIES = 15
MAX_SKIPPED = 10
_SPARE = ("rank", "≤30 %", "high/low", "median", "≤10 %", "≤20 %", "run", "n")
"""Columns that a narrow terminal leaves out, in this order."""
_METRICS = ("n", "MAPE", "median", "≤10 %", "≤20 %", "≤30 %", "rank", "bias")
_INTERVALS = ("cover", "high/low")
"""Of intervals: the share that contains the measured value, and the median of high / low."""


@answers.lines.register
def summary(validation: Validation, style: Style = PLAIN, rows: bool = False) -> list[str]:
    """Return the errors of predictions; with `rows` every row instead of the worst."""
    v = validation
    models, devices = {row.model for row in v.rows}, {row.device for row in v.rows}
    title = f"{number(v.all.n, 'measurement')} of {number(len(models), 'model')} on {number(len(devices), 'device')}"
    lines = [*heading(title, style), "", *_overall(v, style), "", *sentences(_meaning(v), style), ""]
    lines += _groups("by device, all models", [(group, group.all) for group in v.groups], style)
    unseen = [(group, group.unseen) for group in v.groups if group.unseen.n]
    if unseen:
        title = "by device, models of families that no parameter was fitted to"
        lines += ["", *_groups(title, unseen, style)]
    families = [family for family in v.families if family.all.n > 2][:MAX_FAMILIES]
    if len(v.families) > 1 and families:
        lines += ["", *_families(families, len(v.families), style)]
    listed = every(v.rows, style) if rows else _worst(v.worst, style)
    return [*lines, "", *listed, "", *left_out(v.skipped, style)]


def _meaning(v: Validation) -> str:
    """Return what the figures are, and of which rows."""
    text = (
        "MAPE is the mean of |predicted / measured - 1| over all rows, rank is Spearman's correlation, cover is the "
        "share of measured times in the 80 % interval."
    )
    foreign = sum(is_foreign(row.runtime, row.assumed_runtime) for row in v.rows)
    if foreign:
        text += (
            f" {number(foreign, 'row')} ran in other engines, which have no parameters but at most one factor each, "
            "from other devices than the row's."
        )
    return text + (f" Left out, and listed at the end: {number(len(v.skipped), 'row')}." if v.skipped else "")


def _overall(v: Validation, style: Style) -> list[str]:
    predictors = {"expected": v.all, "… unseen families": v.unseen, "roofline": v.roofline, "ideal": v.ideal}
    body = [(name, *_cells(metrics), *_intervals(metrics)) for name, metrics in predictors.items() if metrics.n]
    header = ("predictor", *_METRICS, *_INTERVALS)
    return table(header, body, "l" + "r" * (len(header) - 1), style, spare=_SPARE)


def _groups(title: str, groups: Iterable[tuple[ReplayGroup, Metrics]], style: Style) -> list[str]:
    body, device, runtime = [], name_width(21, style), name_width(17, style)
    for group, metrics in groups:
        n, mape, median, ten, *_, rank, bias = _cells(metrics)
        run = " ".join(filter(None, (group.dtype, group.layout)))
        cells = (n, mape, median, ten, rank, bias, _intervals(metrics)[0])
        body.append((_device(group.device, device), run, cut(group.runtime or "-", runtime), *cells))
    header = ("device", "run", "runtime", "n", "MAPE", "median", "≤10 %", "rank", "bias", "cover")
    return [*heading(title, style, "dim"), *table(header, body, "lllrrrrrrr", style, spare=_SPARE)]


def _families(families: Sequence[Family], of: int, style: Style) -> list[str]:
    body = [(cut(f.family, 30), "yes" if f.fitted else "no", *_cells(f.all), _intervals(f.all)[0]) for f in families]
    title, header = f"families with the largest errors ({len(families)} of {of})", ("family", "fitted", *_METRICS)
    lines = table((*header, _INTERVALS[0]), body, "llrrrrrrrrr", style, spare=_SPARE)
    return [*heading(title, style, "dim"), *lines]


def _worst(rows: Sequence[ReplayRow], style: Style) -> list[str]:
    lines = [style.paint(f"the worst {len(rows)}", "dim")]
    for row in rows:
        size = f"@{row.image_size}" if row.image_size else ""
        what = f"{row.model}{size} on {row.device}, {row.dtype}, batch {row.batch}"
        lines += field(_signed(row.error), f"{what}: {_times(row)}", style)
        lines += field("", "; ".join(row.reasons) or "no known reason", style)
    return lines


def every(rows: Sequence[ReplayRow], style: Style) -> list[str]:
    """Return a line for each row, measured and expected, under a heading for each device and runtime."""
    groups: dict[str, list[ReplayRow]] = {}
    for row in rows:
        how = ", ".join(filter(None, (row.dtype, row.layout, row.runtime)))
        groups.setdefault(f"{row.device}, {how}, as {row.assumed_runtime}", []).append(row)
    body = []
    for row in (row for some in groups.values() for row in some):
        times = (si(time, "s", 3) for time in (row.measured_s, row.forecast_s, *row.interval_s))
        body.append((cut(row.model, 36), str(row.image_size or "-"), str(row.batch), *times, _signed(row.error)))
    header = ("model", "image", "batch", "measured", "expected", "low", "high", "error")
    first, *lines = table(header, body, "lrrrrrrr", style, spare=("image",))
    result = [first]
    for title, some in groups.items():
        result += [*heading(title, style), *lines[: len(some)]]
        lines = lines[len(some) :]
    return [*result, *lines]


def left_out(skipped: Sequence[Skipped], style: Style) -> list[str]:
    """Return the rows that were left out, by reason."""
    if not skipped:
        return ["All rows were predicted."]
    reasons: dict[str, list[Skipped]] = {}
    for row in skipped:
        reasons.setdefault(row.reason, []).append(row)
    lines = heading(f"{number(len(skipped), 'row')} left out (all of them with --json)", style, "dim")
    for reason, some in sorted(reasons.items(), key=lambda item: -len(item[1]))[:MAX_SKIPPED]:
        lines += field(f"{len(some)} ×", f"{some[0].model} ({some[0].place.rpartition('/')[2]}): {reason}", style)
    hidden = len(reasons) - MAX_SKIPPED
    return lines + ([f"... and for {hidden} more reasons"] if hidden > 0 else [])


def _cells(metrics: Metrics) -> tuple[str, ...]:
    rank = "-" if metrics.spearman is None else f"{metrics.spearman:.4f}"
    shares = tuple(percent(metrics.within.get(limit)) for limit in ("10", "20", "30"))
    bias = "-" if metrics.bias is None else _signed(metrics.bias)
    return (str(metrics.n), percent(metrics.mape), percent(metrics.median_ape), *shares, rank, bias)


def _intervals(metrics: Metrics) -> tuple[str, str]:
    ratio = "-" if metrics.interval_ratio is None else f"{metrics.interval_ratio:.2f}"
    return (percent(metrics.interval_coverage), ratio)


def _times(row: ReplayRow) -> str:
    low, high = row.interval_s
    interval = f"{si(low, 's', 3)} to {si(high, 's', 3)}"
    return f"measured {si(row.measured_s, 's', 3)}, expected {si(row.forecast_s, 's', 3)} ({interval})"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %" if abs(share) < 0.1 else f"{100 * share:+.0f} %"


def _device(name: str, longest: int) -> str:
    """Return a device with the first of its settings, which distinguishes it from others of its name."""
    base, _, settings = name.partition(" ")
    first = settings.partition(" ")[0]
    return f"{cut(base, longest - len(first) - 1)} {first}" if first else cut(name, longest)
