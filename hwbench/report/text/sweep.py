"""The Pareto front of a sweep as text."""

from collections.abc import Iterator

from hwbench import answers
from hwbench.report.text.format import interval, number, rate
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.study.sweep.front import FrontRow, Sweep
from hwbench.units import si

MAX_ROWS = 20


@answers.lines.register
def sweep(answer: Sweep, style: Style = PLAIN) -> list[str]:
    """Return how many points there are, and the devices on the front of time and power."""
    sizes = " × ".join(map(number, answer.sizes, ("model", "dtype", "device", "batch size")))
    lines = heading(f"{number(answer.count, 'point')}: {sizes}", style)
    groups: dict[tuple[str, str, int], list[FrontRow]] = {}
    for row in answer.front:
        groups.setdefault((row.model, row.dtype, row.batch), []).append(row)
    header = ("rank", "device", "power", "expected", "80 % interval", "rate", "bound")
    for (model, dtype, batch), rows in groups.items():
        title = f"{model} at {dtype}, batch {batch:,}: Pareto front (time against power)"
        lines += ["", *sentences(title, style), ""]
        lines += table(header, _cells(rows[:MAX_ROWS]), "llrrrrl", style, spare=("rate", "bound"))
        if len(rows) > MAX_ROWS:
            lines.append(style.paint(f"... and {len(rows) - MAX_ROWS} more (--json)", "dim"))
    note = (
        "Devices of one rank cannot be told apart: their intervals overlap with that of the lowest power. Times and "
        "rates are forecasts; power is the vendor's rating. Devices of unknown power or bandwidth, or without enough "
        "memory, are left out of the front. All points: -o points.csv, or --format csv."
    )
    return [*lines, "", *sentences(note, style)]


def _cells(rows: list[FrontRow]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table, each rank named once."""
    last = 0
    for row in rows:
        rank = str(row.rank) if row.rank != last else ""
        yield (rank, row.device, f"{row.power_w:g} W", si(row.time_s, "s"), interval(*row.interval_s),
               rate(row.throughput_per_s), row.bound)  # fmt: skip
        last = row.rank
