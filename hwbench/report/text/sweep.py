"""The Pareto front of a sweep as text."""

from hwbench import answers
from hwbench.report.text.format import cut, number, rate
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.study.sweep.front import FrontRow, Sweep
from hwbench.units import si

MAX_ROWS = 20


@answers.lines.register
def sweep(answer: Sweep, style: Style = PLAIN) -> list[str]:
    """Return how many points there are, and the devices on the front of time and power."""
    sizes = " × ".join(map(number, answer.sizes, ("model", "dtype", "device", "batch size")))
    lines = heading(f"{number(answer.count, 'point')}: {sizes}", style)
    groups: dict[tuple[str, str], list[FrontRow]] = {}
    for row in answer.front:
        groups.setdefault((row.model, row.dtype), []).append(row)
    for (model, dtype), rows in groups.items():
        cells = [
            (row.device, si(row.power_w, "W"), cut(row.batches, 34), si(row.time_s, "s"), rate(row.throughput_per_s))
            for row in rows[:MAX_ROWS]
        ]
        header = ("device", "power", "at batch", "time", "rate")
        lines += ["", *sentences(f"{model} at {dtype}: Pareto front (time against power)", style), ""]
        lines += table(header, cells, "lrlrr", style)
        if len(rows) > MAX_ROWS:
            lines.append(style.paint(f"... and {len(rows) - MAX_ROWS} more (--json)", "dim"))
    note = (
        "Time and rate are forecasts for the first of the batches; power is the vendor's rating. Devices of unknown "
        "power or bandwidth, or without enough memory, are left out of the front. All points: -o points.csv, or "
        "--format csv."
    )
    return [*lines, "", *sentences(note, style)]
