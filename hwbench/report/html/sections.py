"""The sections of a report, each from what is known of it: estimates, a comparison, runs, a study, a ledger."""

from collections.abc import Sequence

from hwbench.machine.device import Device
from hwbench.measure.analysis.results import Results
from hwbench.measure.record import Record, Result
from hwbench.predict.estimate import Estimate
from hwbench.predict.replay.summary import Validation
from hwbench.report.html import measured as beside
from hwbench.report.html.figures import common, roofline, study
from hwbench.report.html.figures import run as figures_run
from hwbench.report.html.measured import Beside, Elsewhere
from hwbench.report.html.page import Figure, HtmlTable, Section, label
from hwbench.report.text.format import ceil_digits, floor_digits, percent, rate
from hwbench.study.clock.results import ClockStudy
from hwbench.study.clock.scores import ScoreRow
from hwbench.study.compare.devices import Comparison
from hwbench.study.explain import Explanation
from hwbench.units import operations_unit, si

MOST_RUNS = 6
"""Runs with figures of their own; of more there is a table."""
_ANSWERS = ("answer", "time", "inferences", "share of the peak", "what it is")


def answer(e: Estimate) -> str:
    """The answer in a sentence or two."""
    head = f"{e.model} at {e.dtype}, batch {e.batch}, on {e.device}"
    if e.forecast and e.forecast.time_s:
        low, high = e.forecast.interval_s
        time = f"{head} takes about {si(e.forecast.time_s, 's')} ({si(low, 's')} to {si(high, 's')})"
    elif e.roofline_time_s is not None:
        time = f"{head} takes at least {si(floor_digits(e.roofline_time_s), 's')}"
    else:
        return f"{head} takes at least {si(floor_digits(e.ideal_time_s), 's')}, its operations at the peak."
    bound = f", bound mostly by {_bound(e)}" if _bound(e) else ""
    ideal = f" Its operations alone would take {si(floor_digits(e.ideal_time_s), 's')} at the peak." if e.flops else ""
    return f"{time}{bound}.{ideal}"


def _bound(e: Estimate) -> str | None:
    return e.forecast.limited_by if e.forecast else e.bound


def estimated(
    e: Estimate,
    index: int,
    device: Device,
    reached: Sequence[Beside] = (),
    elsewhere: Sequence[Elsewhere] = (),
    results: Sequence[Result] = (),
) -> Section:
    """The three answers for one model on one device, what runs measured of it, its roofline and its layers.

    `results` are what runs of the very same machine measured; `elsewhere` is said, and drawn nowhere.
    """
    rows: list[tuple[str | float | None, ...]] = [
        ("ideal", si(floor_digits(e.ideal_time_s), "s"), None, None, "total operations / peak: a lower bound")
    ]
    if e.roofline_time_s is not None:
        what = "each layer at its ceiling, compute or memory: a lower bound"
        most = (f"at most {rate(ceil_digits(e.throughput_per_s))}", f"at most {percent(ceil_digits(e.utilization, 2))}")
        rows.append(("roofline", si(floor_digits(e.roofline_time_s), "s"), *most, what))
    if e.forecast:
        forecast, (low, high) = e.forecast, e.forecast.interval_s
        level = percent(forecast.interval_level)
        what = f"a forecast for {forecast.runtime}: {si(low, 's')} to {si(high, 's')} in {level} of cases"
        speed, share = rate(forecast.throughput_per_s), percent(e.forecast_utilization)
        rows.append(("expected", si(forecast.time_s, "s"), speed, share, what))
    rows += [_measured(one, e) for one in reached]
    unit = operations_unit(e.dtype)
    memory = f" and {si(e.bandwidth_bytes_per_second, 'B/s')}" if e.bandwidth_bytes_per_second else ""
    work = (
        f"{si(e.flops, unit)} and {si(e.traffic_bytes, 'B')} of traffic, against {si(e.peak_flops_per_second, unit)}/s "
        f"({e.peak}){memory}."
    )
    table = HtmlTable(f"Three answers for {e.model} on {e.device}", _ANSWERS, tuple(rows), right=(1,))
    drawn = beside.best(reached)
    picture = roofline.roofline(e, f"roofline-{index}", device, results, drawn)
    parts = (table, picture, common.layer_times(e, f"layers-{index}", drawn))
    head = (answer(e),) if index else ()  # the first one's stands at the head of the page
    told = (*head, work, *beside.sentences(reached, elsewhere, e), *map(str, e.notices))
    return Section(f"estimate-{index}", f"{e.model} on {e.device}", told, parts)


def _measured(one: Beside, e: Estimate) -> tuple[str | float | None, ...]:
    """A row of the answers: what a run measured."""
    found = one.result
    ends = f"{si(found.interval[0], 's')} to {si(found.interval[1], 's')} at 95 %"
    share = percent(e.flops / found.value / e.peak_flops_per_second)
    what = f"run {one.run}, {one.name}: {ends}, grade {found.grade}"
    return ("measured", si(found.value, "s"), rate(e.batch / found.value), share, what)


def compared(found: Comparison) -> Section:
    """Devices side by side, and which factor makes the difference."""
    figure = study.decomposition(found, "decomposition")
    sentence = (
        f"At {found.dtype}" + (f", {found.model}" if found.model else "") + ": each ratio is a product of factors."
    )
    table = study.rates(found)
    return Section(
        "compare", "Devices compared", (sentence, *map(str, found.notices)), (table, *((figure,) if figure else ()))
    )


def measured(runs: Sequence[tuple[Record, Results]]) -> list[Section]:
    """What saved runs hold: the newest with figures, all in a table."""
    sections = []
    for index, (run, results) in enumerate(runs[-MOST_RUNS:]):
        parts: list[Figure | HtmlTable] = []
        for figure in (
            figures_run.ladder(run, results.results, f"ladder-{index}"),
            figures_run.working_sets(run, results.results, f"working-sets-{index}"),
        ):
            parts += [figure] if figure else []
        parts += [figures_run.result_table(run, results.results), figures_run.conditions(run)]
        told = (
            f"Made on {run.created} by hwbench {run.hwbench_version}.",
            *map(str, (*results.findings, *run.notices)),
        )
        sections.append(Section(f"run-{index}", f"Measured: run {run.id}", told, tuple(parts)))
    if len(runs) > MOST_RUNS:
        rows = tuple((run.id, run.created, " ".join(run.command), len(found.results)) for run, found in runs)
        table = HtmlTable("All runs", ("run", "created", "command", "results"), rows, right=(3,))
        sections.append(Section("runs", f"{len(runs)} runs", (), (table,)))
    return sections


def explained(found: Explanation) -> Section:
    """The waterfall from the stated peak down to the model's run."""
    names = [label(step.title, 40) for step in found.steps]
    values = [step.flops_per_second for step in found.steps]
    trace = {
        "type": "bar", "orientation": "h", "y": names, "x": values, "marker": {"color": common.COLORS[0]},
        "text": [si(value, "FLOP/s") for value in values], "textposition": "auto", "insidetextanchor": "start",
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 1.5, "color": common.COLORS[7],
            "array": [step.interval[1] - step.flops_per_second for step in found.steps],
            "arrayminus": [step.flops_per_second - step.interval[0] for step in found.steps],
        },
        "hovertemplate": "%{x:.4s}FLOP/s<extra></extra>",
    }  # fmt: skip
    rows = tuple(
        (s.title, s.flops_per_second, s.interval[0], s.interval[1], s.ratio, s.lost, s.reason) for s in found.steps
    )
    header = ("step", "FLOP/s", "low", "high", "of the step before", "what is lost", "why")
    figure = Figure(
        name="waterfall",
        title=f"Where the peak goes: {found.device}, {found.dtype}, {found.threads} thread(s)",
        alternative=found.summary,
        traces=(trace,),
        layout={
            "xaxis": common.axis("FLOP/s", exponentformat="SI"),
            "yaxis": {"autorange": "reversed", "type": "category"},
            "margin": {"l": 230, "r": 16, "t": 34, "b": 48},
            "showlegend": False,
        },
        table=HtmlTable("Steps from the peak to the run", header, rows, right=(1, 2, 3, 4)),
        height=140 + 40 * len(names),
    )
    missing = (f"Not measured: {', '.join(found.missing)}.",) if found.missing else ()
    return Section("explain", "Where the performance goes", (found.summary, *missing), (figure,))


def studied(found: ClockStudy, rows: Sequence[ScoreRow]) -> Section:
    """Does clock speed predict performance? The verdict and the picture of each suite."""
    parts = tuple(
        study.clock_scatter(suite, [row for row in rows if row.suite == suite.suite], f"clock-{index}")
        for index, suite in enumerate(found.suites)
    )
    verdicts = tuple(f"{suite.suite}: {suite.verdict}" for suite in found.suites)
    return Section("clock", "Does clock speed predict performance?", (*verdicts, *map(str, found.notices)), parts)


def validated(found: Validation) -> Section:
    """How far forecasts are from measurements."""
    one = found.all
    held = f"; the 80 % interval held {percent(one.interval_coverage)}" if one.interval_coverage is not None else ""
    sentence = (
        f"{one.n} measurements: the expected time is off by {percent(one.mape)} on average, the roofline by "
        f"{percent(found.roofline.mape)}, total operations / peak by {percent(found.ideal.mape)}{held}."
    )
    parts: tuple[Figure | HtmlTable, ...] = (study.ledger(found, "ledger"), study.errors(found, "errors"))
    if found.skipped:
        rows = tuple((one.device or None, one.model, one.reason) for one in found.skipped)
        parts += (HtmlTable("Rows that could not be predicted", ("device", "model", "why"), rows),)
    return Section("accuracy", "How good the forecasts are", (sentence, *map(str, found.notices)), parts)
