"""The figures of the tutorials, drawn from hwbench's own answers: `python docs/figures.py` writes them anew.

A figure is one SVG in the colors of the reader's light or dark mode, wide enough for a phone. Numbers have one decimal,
so that every machine writes the same bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from math import log10
from pathlib import Path
from statistics import median

import hwbench
from hwbench.api.language.estimates import estimate_language
from hwbench.api.language.points import compare_language
from hwbench.measure.store import load

FOLDER = Path(__file__).parent / "figures"
WIDTH = 420
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.a { fill: #0a66c2 } .b { fill: #c2570a } .c { fill: #8c959f } .grid { stroke: #d0d7de }
.line { fill: none; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round } .dots { stroke-width: 5 }
.line.a { stroke: #0a66c2; fill: none } .line.b { stroke: #c2570a; fill: none } .line.c { stroke: #8c959f; fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .a { fill: #6cb2ff } .b { fill: #ffa657 } .grid { stroke: #3d444d }
.line.a { stroke: #6cb2ff } .line.b { stroke: #ffa657 } }
</style>"""

Points = Iterable[tuple[float, float]]
Scale = Callable[[float], float]


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Return the scale that maps low to the pixel `start` and high to `end`."""
    return lambda value: start + (value - low) / (high - low) * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """Return the same of logarithms."""
    scale = linear(log10(low), log10(high), start, end)
    return lambda value: scale(log10(value))


def number(value: float) -> str:
    """Return a coordinate as it is written."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """Return words at a place."""
    return f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}" class="{kind}">{words}</text>'


def bar(x: float, y: float, width: float, kind: str, height: float = 10) -> str:
    """Return a bar that is at least visible."""
    return f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(width, 1))}" height="{height}" class="{kind}"/>'


def line(points: Points, kind: str) -> str:
    """Return straight lines from point to point."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f'<path class="line {kind}" d="M{steps}"/>'


def dots(points: Points, kind: str) -> str:
    """Return round dots: strokes of no length with round ends."""
    steps = "".join(f"M{number(x)} {number(y)}h0" for x, y in points)
    return f'<path class="line dots {kind}" d="{steps}"/>'


def axes(x: Scale, y: Scale, xs: dict[float, str], ys: dict[float, str]) -> list[str]:
    """Return grid lines with their labels, below and on the left."""
    left, right, bottom, top = x(min(xs)), x(max(xs)), y(min(ys)), y(max(ys))
    rows = [f'<path class="grid" d="M{number(left)} {number(y(v))}H{number(right)}"/>' for v in ys]
    columns = [f'<path class="grid" d="M{number(x(v))} {number(bottom)}V{number(top)}"/>' for v in xs]
    below = [text(x(v), bottom + 18, label, "middle") for v, label in xs.items()]
    beside = [text(left - 6, y(v) + 4, label, "end") for v, label in ys.items()]
    return [*rows, *columns, *below, *beside]


def figure(title: str, height: int, parts: Sequence[str]) -> str:
    """Return the SVG; its title is what screen readers say."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="600" role="img">'
    return "\n".join([head, f"<title>{title}</title>", STYLE, *parts, "</svg>\n"])


def alexnet_layers() -> str:
    """Return the shares of parameters and of operations by layer."""
    counted = hwbench.count("alexnet")
    layers = [layer for layer in counted.layers if layer.params]
    parts = [text(60, 16, "share of the parameters", kind="a"), text(235, 16, "of the operations", kind="b")]
    for row, layer in enumerate(layers):
        y = 28 + 34 * row
        parts.append(text(52, y + 16, layer.name, "end"))
        for value, whole, kind, top in (
            (layer.params, counted.params, "a", y),
            (layer.flops, counted.flops, "b", y + 12),
        ):
            width = 285 * value / whole / 0.605
            parts += [bar(60, top, width, kind), text(65 + width, top + 10, f"{100 * value / whole:.1f} %")]
    return figure("Where AlexNet's parameters and operations are", 300, parts)


def alexnet_roofline() -> str:
    """Return the roofline of an RTX 3090 with the forecast rate of each layer."""
    estimate = hwbench.estimate("alexnet", "rtx3090")
    bandwidth, peak, ridge = estimate.bandwidth_bytes_per_second, estimate.peak_flops_per_second, estimate.ridge_point
    x, y = logarithmic(0.1, 1000, 55, 400), logarithmic(1e11, 1e14, 280, 20)
    parts = axes(
        x, y, {0.1: "0.1", 1: "1", 10: "10", 100: "100", 1000: "1000"},
        {1e11: "100 G", 1e12: "1 T", 1e13: "10 T", 1e14: "100 T"},
    )  # fmt: skip
    roof = [(0.11, 0.11 * bandwidth), (ridge, peak), (1000, peak)]
    parts.append(line([(x(a), y(b)) for a, b in roof], "c"))
    parts += [text(x(2), y(1.2 * bandwidth), "936 GB/s", kind="c"), text(x(60), y(1.3 * peak), "peak", kind="c")]
    columns: dict[str, list[tuple[str, float, float]]] = {}
    for layer in estimate.layers:
        if layer.flops and layer.expected_time_s:
            place = layer.name, x(layer.intensity), y(layer.flops / layer.expected_time_s)
            columns.setdefault(f"{layer.intensity:.1g}", []).append(place)
    for near in columns.values():
        names, left, top = ", ".join(name for name, *_ in near), near[0][1], min(y for *_, y in near)
        side = (8, "start") if left < x(ridge) else (-8, "end")
        parts += [
            dots([(a, b) for _, a, b in near], "a"),
            text(left + side[0], top + (12 if len(near) > 1 else -4), names, side[1]),
        ]
    parts.append(text(410, 318, "FLOP/s over FLOP per byte of traffic", "end"))
    return figure("The layers of AlexNet below the roofline of an RTX 3090", 322, parts)


def three_answers() -> str:
    """Return the ideal inside the roofline inside the forecast."""
    estimate = hwbench.estimate("alexnet", "rtx3090")
    low, high = (1e6 * end for end in estimate.interval_s)
    x = linear(0, 800, 95, 405)
    rows = [
        ("ideal", 1e6 * estimate.ideal_time_s, "c"),
        ("roofline", 1e6 * estimate.roofline_time_s, "b"),
        ("expected", 1e6 * estimate.expected_time_s, "a"),
    ]
    parts = []
    for row, (name, micros, kind) in enumerate(rows):
        y = 12 + 34 * row
        parts += [text(88, y + 15, name, "end"), bar(95, y, x(micros) - 95, kind, 20)]
        parts.append(text(x(micros) + 6, y + 15, f"{micros:.0f} µs"))
    parts += [line([(x(low), 118), (x(high), 118)], "a"), line([(x(low), 112), (x(low), 124)], "a")]
    parts += [line([(x(high), 112), (x(high), 124)], "a"), text(88, 122, "80 % interval", "end")]
    return figure("Ideal, roofline and forecast of AlexNet on an RTX 3090", 134, parts)


def clock_by_year() -> str:
    """Return clock and peak of one core of the catalog's CPUs by year, each median over that of 1999 to 2001."""
    found = hwbench.compare(kind="cpu").to_dict()["devices"]
    by_year: dict[int, list[tuple[float, float]]] = {}
    for device in found:
        if device["released"] and device["clock_hz"] and device["flops_per_cycle"]:
            rate = device["clock_hz"] * device["flops_per_cycle"]
            by_year.setdefault(int(device["released"][:4]), []).append((device["clock_hz"], rate))
    years = sorted(by_year)
    clocks, rates = ([(year, median(pair[i] for pair in by_year[year])) for year in years] for i in (0, 1))
    x, y = linear(1999, 2026, 50, 400), logarithmic(1, 1000, 260, 20)
    parts = axes(
        x, y, {year: str(year) for year in (1999, 2005, 2010, 2015, 2020, 2026)},
        {1: "×1", 10: "×10", 100: "×100", 1000: "×1000"},
    )  # fmt: skip
    for series, kind in ((rates, "a"), (clocks, "b")):
        parts.append(line([(x(year), y(value / series[0][1])) for year, value in series], kind))
    parts += [text(60, 38, "peak of one core", kind="a"), text(60, 56, "clock", kind="b")]
    parts.append(text(400, 298, "times the value of the first year", "end"))
    return figure("Clock and peak of one core since 1999, medians of the catalog's CPUs by year", 302, parts)


def scores_by_clock() -> str:
    """Return SPECint2000 over clock: microarchitectures lie on lines of their own."""
    x, y = linear(0, 4, 55, 400), linear(0, 3200, 270, 20)
    parts = axes(x, y, {n: f"{n} GHz" for n in range(5)}, {n: f"{n:,}" for n in range(0, 3201, 800)})
    places: dict[str, list[tuple[float, float]]] = {}
    for row in hwbench.devices(kind="cpu").to_dict()["devices"]:
        device = hwbench.device(row["name"])
        for score in device.scores:
            if score.suite == "SPECint2000":
                kind = {"netburst": "b", "core2": "a"}.get(row["architecture"], "c")
                places.setdefault(kind, []).append((x(device.units[0].clock.base / 1e9), y(score.score)))
    parts += [dots(points, kind) for kind, points in places.items()]
    names = {"a": "Core 2", "b": "Pentium 4 and D", "c": "all others"}
    parts += [text(65, 38 + 18 * i, words, kind=kind) for i, (kind, words) in enumerate(names.items())]
    parts.append(text(400, 310, "SPECint2000 (base) over clock", "end"))
    return figure("SPECint2000 of the catalog's CPUs over their clock", 318, parts)


def tokens_by_bandwidth() -> str:
    """Return tokens a second of Llama 3 8B over memory bandwidth, with the bound."""
    bandwidths = {each["name"]: each["bandwidth_bytes_per_second"] for each in hwbench.devices().to_dict()["devices"]}
    generation = estimate_language("llama3-8b", "rtx3090", weights="q4_k_m").to_dict()["layers"][1]
    least = generation["least_traffic_bytes"] / 128
    x, y = logarithmic(1e9, 1e13, 50, 390), logarithmic(0.1, 1000, 280, 20)
    parts = axes(
        x, y, {1e9: "1 GB/s", 1e10: "10 GB/s", 1e11: "100 GB/s", 1e12: "1 TB/s", 1e13: "10 TB/s"},
        {0.1: "0.1/s", 1: "1/s", 10: "10/s", 100: "100/s", 1000: "1000/s"},
    )  # fmt: skip
    parts.append(line([(x(1e9), y(1e9 / least)), (x(1000 * least), y(1000))], "c"))
    for row, (kind, color, words) in enumerate((("cpu", "b", "CPUs"), ("gpu", "a", "GPUs"))):
        points = compare_language("llama3-8b", kind=kind, weights="q4_k_m").to_dict()["points"]
        known = [(bandwidths[p["device"]], p["tokens_per_s"]) for p in points if p["tokens_per_s"] > 0.1]
        parts += [
            dots([(x(a), y(b)) for a, b in known if a and a >= 1e9], color),
            text(70, 40 + 18 * row, words, kind=color),
        ]
    parts.append(text(70, 76, "bandwidth / bytes of a token", kind="c"))
    parts.append(text(400, 318, "tokens a second over bandwidth", "end"))
    return figure("Tokens a second of Llama 3 8B (q4_k_m) over memory bandwidth", 322, parts)


def coverage() -> str:
    """Return published times as multiples of their forecasts, each with its interval."""
    rows = sorted(hwbench.validate().rows, key=lambda row: row.measured_s / row.forecast_s)
    x, y = linear(0, len(rows) - 1, 50, 405), logarithmic(0.2, 20, 280, 20)
    parts = axes(x, y, {0: "1", len(rows) - 1: str(len(rows))}, {0.2: "×0.2", 1: "×1", 5: "×5", 20: "×20"})
    inside: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for i, row in enumerate(rows):
        low, high = row.interval_s
        inside[low <= row.measured_s <= high].append((x(i), y(row.measured_s / row.forecast_s)))
        parts.append(line([(x(i), y(low / row.forecast_s)), (x(i), y(high / row.forecast_s))], "c"))
    parts += [dots(inside[True], "a"), dots(inside[False], "b")]
    parts += [text(60, 36, f"{len(inside[True])} measured inside", kind="a")]
    parts += [text(60, 54, f"{len(inside[False])} outside", kind="b")]
    parts.append(text(405, 318, "measured over forecast, in the order of it", "end"))
    return figure("Published times over their forecasts, with the 80 % intervals", 322, parts)


def samples() -> str:
    """Return every sample of numpy's product in five processes of two settings, by wall and by CPU time."""
    x, y = linear(0, 5, 40, 400), linear(0, 120, 270, 20)
    parts = axes(x, y, {n: f"{n}" for n in range(6)}, {n: f"{n}" for n in range(0, 121, 40)})
    for name, kind in (("default", "b"), ("haswell", "a")):
        record = load(str(FOLDER.parent / "tutorials" / "runs" / f"blas-{name}.json"))
        taken = next(each for each in record.measurements if each.variant == "numpy")
        of_process = [[s for s in taken.samples if s.process == n] for n in range(record.processes)]
        each = [(n + (i + 1) / (len(group) + 1), s) for n, group in enumerate(of_process) for i, s in enumerate(group)]
        for clock, color in (("wall_s", "c"), ("cpu_s", kind)):
            rates = [(x(at), y(taken.work * s.repetitions / getattr(s, clock) / 1e9)) for at, s in each]
            parts.append(dots(rates, color))
    parts += [text(60, 118, "Haswell's kernels by CPU time", kind="a"), text(60, 136, "default by CPU time", kind="b")]
    parts += [text(60, 154, "both by wall time", kind="c"), text(400, 310, "GFLOP/s in five processes", "end")]
    return figure("Samples of a matrix product in five processes of two settings", 318, parts)


FIGURES: dict[str, Callable[[], str]] = {
    "alexnet-layers": alexnet_layers,
    "alexnet-roofline": alexnet_roofline,
    "three-answers": three_answers,
    "clock-by-year": clock_by_year,
    "scores-by-clock": scores_by_clock,
    "tokens-by-bandwidth": tokens_by_bandwidth,
    "coverage": coverage,
    "samples": samples,
}


if __name__ == "__main__":
    for name, draw in FIGURES.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")
