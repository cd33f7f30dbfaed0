"""The expected time as text: with its interval, what it is spent on, and what would shorten it."""

from hwbench.predict.estimate import Estimate
from hwbench.report.text.layout import Style, field, percent, rate, sentences
from hwbench.units import si

MOST_EXPENSIVE = 5
ALONE = 0.8
"""Share of a tenth more clock from which the clock alone is said to predict a model's time."""
_NONE = "not given: the device's bandwidth or its rates are unknown"


def lines(e: Estimate, style: Style) -> list[str]:
    """The expected time of one estimate and what would make it faster."""
    if not isinstance(e.expected_time_s, float) or not isinstance(e.interval_s, tuple):
        return field("expected", _NONE, style)
    low, high = e.interval_s
    level = e.interval_level if isinstance(e.interval_level, float) else 0.0
    within = f"{percent(level)} within {si(low, 's', 3)} to {si(high, 's', 3)}"
    reached = f"{rate(number(e.expected_throughput_per_s))}, {percent(number(e.expected_utilization))} of the peak"
    text = f"{si(e.expected_time_s, 's')} in {e.runtime}, {within}; spent mostly on {e.expected_bound}; {reached}"
    found = field("expected", text, style)
    if not hasattr(e.elasticities, "clock"):
        return found
    gains = ", ".join(f"{name} {_less(value)}" for name, value in _gains(e))
    return [*found, *field("+10 % of", f"{gains}: that much less time", style)]


def number(value: object) -> float | None:
    """A value that an estimate may leave unset."""
    return value if isinstance(value, float) else None


def _gains(e: Estimate) -> list[tuple[str, float]]:
    elasticities = e.elasticities
    names = ("clock", "bandwidth", "units", "overhead")
    labels = {"units": "units", "overhead": "speed of launches"}
    return [(labels.get(name, name), getattr(elasticities, name)) for name in names]


def _less(value: float) -> str:
    return f"-{100 * value:.1f} %" if value >= 0.0005 else "0 %"


def expensive(e: Estimate, style: Style) -> list[str]:
    """A sentence on the layers that take longest and one on what the clock alone would tell."""
    if not e.expected_time_s or not isinstance(e.expected_time_s, float):
        return []
    layers = sorted(e.layers, key=lambda layer: number(layer.expected_time_s) or 0.0, reverse=True)[:MOST_EXPENSIVE]
    named = ", ".join(f"{x.name} {percent((number(x.expected_time_s) or 0.0) / e.expected_time_s)}" for x in layers)
    return ["", *sentences(f"Most expensive as expected: {named}.", style), *sentences(clock_sentence(e), style)]


def clock_sentence(e: Estimate) -> str:
    """Whether the clock alone would predict this model's time here."""
    if not hasattr(e.elasticities, "clock"):
        return ""
    gains = dict(_gains(e))
    share = gains["clock"] / (1.0 - 1.0 / 1.1)
    most = max(("bandwidth", "speed of launches"), key=lambda name: gains[name])
    if share >= ALONE:
        return f"The clock alone would predict this model here: {percent(min(share, 1.0))} of its time scales with it."
    what = {"bandwidth": "memory bandwidth weighs", "speed of launches": "launches and the framework weigh"}[most]
    scales = f"{percent(share)} of its time scales with it"
    return f"The clock alone would not predict this model here: {scales}, and {what} in."
