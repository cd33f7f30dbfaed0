"""The sections of a report: estimates, a comparison, runs, a clock study, predictions and measurements."""

from collections.abc import Sequence

from hwbench.machine.device import Device
from hwbench.measure.analysis.results import Results
from hwbench.measure.record import Record
from hwbench.predict.estimate import Estimate
from hwbench.predict.replay.summary import Validation
from hwbench.report.html import measured as measured_estimates
from hwbench.report.html.figures import common, study
from hwbench.report.html.figures import run as figures_run
from hwbench.report.html.measured import MeasuredEstimate
from hwbench.report.html.page import Figure, HtmlTable, Section, label
from hwbench.report.text.format import RATED, ceil_digits, floor_digits, number, percent, rate
from hwbench.study.clock.results import ClockStudy, Suite
from hwbench.study.clock.scores import ScoreRow
from hwbench.study.clock.verdict import predictor
from hwbench.study.explain import Explanation
from hwbench.units import operations_unit, si

MAX_RUNS = 6
"""Runs with figures of their own; more are listed in a table."""


def answer(e: Estimate, runs: Sequence[MeasuredEstimate] = ()) -> str:
    """Return the answer in a sentence or two: what was measured, where a run did, and the forecast."""
    head = f"{e.title or e.model} at {e.dtype}, batch {e.batch}, on {e.device_title}"
    if measured_time := measured_estimates.best(runs):
        result = measured_time.result
        ends = f"{si(result.interval[0], 's', 3)} to {si(result.interval[1], 's', 3)}"
        expected = f"; {_forecast(e, result.value)}" if e.forecast and e.forecast.time_s else ""
        return f"{head} took {si(result.value, 's')} ({ends}) in {measured_time.name}{expected}."
    if e.forecast and e.forecast.time_s:
        low, high = e.forecast.interval_s
        time = f"{head} takes about {si(e.forecast.time_s, 's')} ({si(low, 's')} to {si(high, 's')})"
    elif e.roofline_time_s is not None:
        time = f"{head} takes at least {si(floor_digits(e.roofline_time_s), 's')}"
    else:
        return f"{head} takes at least {si(floor_digits(e.ideal_time_s), 's')}, its operations at the peak."
    bound = f", limited by {_bound(e)}" if _bound(e) else ""
    ideal = f" Its operations alone would take {si(floor_digits(e.ideal_time_s), 's')} at the peak." if e.flops else ""
    return f"{time}{bound}.{ideal}"


def _forecast(e: Estimate, time_s: float) -> str:
    """Return what was forecast of a measured time, and how far off it is."""
    assert e.forecast is not None
    low, high = e.forecast.interval_s
    inside = "inside" if low <= time_s <= high else "outside"
    times = f"{si(e.forecast.time_s, 's')} ({si(low, 's', 3)} to {si(high, 's', 3)})"
    return f"the forecast for {e.forecast.runtime} was {times}, and the measured time is {inside} that interval"


def summary(rows: Sequence[tuple[Estimate, Device]]) -> HtmlTable:
    """Return models on devices, each relative to the first device of its model."""
    base: dict[str, float] = {}
    header = (
        "model", "device", "expected", "80 % interval", "rate", "relative", "roofline", "limited by", "of the peak",
        "fits", "samples/s/W",
    )  # fmt: skip
    table = []
    for e, device in rows:
        if e.expected_time_s:
            base.setdefault(e.model, e.expected_time_s)
        table.append(_summary_row(e, base.get(e.model), device.power))
    return HtmlTable("Models on devices", header, tuple(table), right=(2, 3, 4, 5, 6, 8, 10))


def _summary_row(e: Estimate, base: float | None, watts: float | None) -> tuple[str | float | None, ...]:
    time, ends, speed = e.expected_time_s, e.interval_s, e.throughput_per_s
    return (
        e.title or e.model,
        e.device_title,
        si(time, "s") if time else None,
        f"{si(ends[0], 's', 3)} to {si(ends[1], 's', 3)}" if ends else None,
        rate(speed) if speed else None,
        base / time if base and time else None,
        si(e.roofline_time_s, "s") if e.roofline_time_s else None,
        e.bound,
        percent(e.utilization) if e.utilization is not None else None,
        {True: "yes", False: "no", None: None}[e.fits],
        speed / watts if speed and watts else None,
    )


def _bound(e: Estimate) -> str | None:
    return e.bound or e.roofline.bound


def work(e: Estimate) -> str:
    """Return what is to be done, and what the device can do."""
    unit = operations_unit(e.dtype)
    memory = f" and {si(e.bandwidth_bytes_per_second, 'B/s')}" if e.bandwidth_bytes_per_second else ""
    return (
        f"{si(e.flops, unit)} and {si(e.traffic_bytes, 'B')} of traffic; the device has "
        f"{si(e.peak_flops_per_second, unit)}/s ({e.peak}){memory}."
    )


def answers_table(e: Estimate, runs: Sequence[MeasuredEstimate] = ()) -> HtmlTable:
    """Return ideal, roofline and expected time, and measured ones."""
    rows: list[tuple[str | float | None, ...]] = [
        ("ideal", si(floor_digits(e.ideal_time_s), "s"), None, None, "total operations / peak: a lower bound")
    ]
    if e.roofline_time_s is not None:
        what = "each layer at its ceiling, compute or memory: a lower bound"
        most = (
            f"at most {rate(ceil_digits(e.roofline.throughput_per_s))}",
            f"at most {percent(ceil_digits(e.roofline.utilization, 2))}",
        )
        rows.append(("roofline", si(floor_digits(e.roofline_time_s), "s"), *most, what))
    if e.forecast:
        forecast, (low, high) = e.forecast, e.forecast.interval_s
        level = percent(forecast.interval_level)
        what = f"a forecast for {forecast.runtime}: {si(low, 's')} to {si(high, 's')} in {level} of cases"
        speed, share = rate(forecast.throughput_per_s), percent(e.utilization)
        rows.append(("expected", si(forecast.time_s, "s"), speed, share, what))
    rows += [_measured(run, e) for run in runs]
    header = ("answer", "time", RATED[e.rated], "share of the peak", "what it is")
    return HtmlTable(f"Three answers for {common.titled(e)}", header, tuple(rows), right=(1,))


def _measured(run: MeasuredEstimate, e: Estimate) -> tuple[str | float | None, ...]:
    """Return a row of the answers for a measured run."""
    result = run.result
    ends = f"{si(result.interval[0], 's')} to {si(result.interval[1], 's')} at 95 %"
    share = percent(e.flops / result.value / e.peak_flops_per_second)
    what = f"run {run.run}, {run.name}: {ends}, grade {result.grade}"
    return ("measured", si(result.value, "s"), rate(e.batch / result.value), share, what)


def measured(runs: Sequence[tuple[Record, Results]]) -> list[Section]:
    """Return the results of saved runs: figures of the newest, and a table of all."""
    sections = []
    for index, (run, results) in enumerate(runs[-MAX_RUNS:]):
        figures = (
            figures_run.ladder(run, results.results, f"ladder-{index}"),
            figures_run.working_sets(run, results.results, f"working-sets-{index}"),
        )
        tables = (figures_run.result_table(run, results.results), figures_run.conditions(run))
        origin = f"Run {run.id}, by hwbench {run.hwbench_version}: {' '.join(run.command)}".rstrip(": ") + "."
        sentences = (origin, *map(str, (*results.findings, *run.notices)))
        parts: tuple[Figure | HtmlTable, ...] = (*(figure for figure in figures if figure), *tables)
        sections.append(Section(f"run-{index}", figures_run.titled(run), sentences, parts))
    if len(runs) > MAX_RUNS:
        rows = tuple((run.id, run.created, " ".join(run.command), len(results.results)) for run, results in runs)
        table = HtmlTable("All runs", ("run", "created", "command", "results"), rows, right=(3,))
        sections.append(Section("runs", f"{len(runs)} runs", (), (table,)))
    return sections


def explained(explanation: Explanation) -> Section:
    """Return the waterfall from the stated peak down to the model's run."""
    names = [label(step.title, 40) for step in explanation.steps]
    values = [step.flops_per_second for step in explanation.steps]
    trace = {
        "type": "bar", "orientation": "h", "y": names, "x": values, "marker": {"color": common.COLORS[0]},
        "text": [si(value, "FLOP/s") for value in values], "textposition": "auto", "insidetextanchor": "start",
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 1.5, "color": common.COLORS[7],
            "array": [step.interval[1] - step.flops_per_second for step in explanation.steps],
            "arrayminus": [step.flops_per_second - step.interval[0] for step in explanation.steps],
        },
        "hovertemplate": "%{x:.4s}FLOP/s<extra></extra>",
    }  # fmt: skip
    rows = tuple((s.title, s.flops_per_second, *s.interval, s.ratio, s.lost, s.reason) for s in explanation.steps)
    header = ("step", "FLOP/s", "low", "high", "ratio to the step before", "cause", "reason")
    threads = number(explanation.threads, "thread")
    figure = Figure(
        name="waterfall",
        title=f"Where the peak is lost: {explanation.device}, {explanation.dtype}, {threads}",
        alternative=explanation.summary,
        traces=(trace,),
        layout=common.bars_layout(common.axis("FLOP/s", exponentformat="SI"), 230, showlegend=False),
        table=HtmlTable("Steps from the peak to the run", header, rows, right=(1, 2, 3, 4)),
        height=140 + 40 * len(names),
    )
    missing = (f"Not measured: {', '.join(explanation.missing)}.",) if explanation.missing else ()
    return Section("explain", "Where performance is lost", (explanation.summary, *missing), (figure,))


def studied(answer: ClockStudy, rows: Sequence[ScoreRow]) -> Section:
    """Return the verdicts of a clock study in one table, and the picture of each suite."""
    pictures = tuple(
        study.clock_scatter(suite, [row for row in rows if row.suite == suite.suite], f"clock-{index}")
        for index, suite in enumerate(answer.suites)
    )
    header = ("suite", "clock speed is", "rows", "R²", "R² unseen", "R² with microarchitecture", "inversions")
    table = HtmlTable(
        "Clock speed as a predictor of scores", header, tuple(map(_verdict, answer.suites)), (2, 3, 4, 5, 6)
    )
    sentence = (
        "R² is of the logarithm of the score; a suite is judged by that of microarchitectures that were not fitted."
    )
    sentences = (sentence, *map(str, answer.notices))
    return Section("clock", "Does clock speed predict performance?", sentences, (table, *pictures))


def _verdict(suite: Suite) -> tuple[str | float | None, ...]:
    seen, share = suite.r2_microarchitecture, suite.inversions.share
    grade = predictor(suite.grade, article=True)
    known = percent(share) if share is not None else None
    return suite.suite, grade, suite.n, suite.r2_clock, suite.r2_clock_cv, seen, known


def validated(validation: Validation) -> Section:
    """Return the errors of forecasts against measurements."""
    metrics = validation.all
    coverage = metrics.interval_coverage
    within = "" if coverage is None else f"; the 80 % interval contains {percent(coverage)}"
    sentence = (
        f"{metrics.n} measurements: the expected time is off by {percent(metrics.mape)} on average, the roofline by "
        f"{percent(validation.roofline.mape)}, total operations / peak by {percent(validation.ideal.mape)}{within}."
    )
    home = (
        "Errors of what was held out of the fits, by device and by family, are printed by `hwbench calibrate --show`."
    )
    parts: tuple[Figure | HtmlTable, ...]
    parts = (study.predicted_vs_measured(validation, "ledger"), study.errors(validation, "errors"))
    if validation.skipped:
        rows = tuple((row.device or None, row.model, row.reason) for row in validation.skipped)
        parts += (HtmlTable("Rows that could not be predicted", ("device", "model", "why"), rows),)
    return Section("accuracy", "Accuracy of the forecasts", (sentence, home, *map(str, validation.notices)), parts)
