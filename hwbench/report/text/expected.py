"""The expected time as text: with its interval, what it is spent on, and what would shorten it."""

from hwbench.predict.estimate import Estimate
from hwbench.predict.forecast import Forecast
from hwbench.report.text.format import percent, rate
from hwbench.report.text.layout import Style, field, sentences
from hwbench.units import si

MOST_EXPENSIVE = 5
ALONE = 0.8
"""Share of a tenth more clock from which the clock alone is said to predict a model's time."""
_NONE = "not given: the device's bandwidth or its rates are unknown"


def lines(e: Estimate, style: Style) -> list[str]:
    """The expected time of one estimate and what would make it faster."""
    forecast = e.forecast
    if forecast is None:
        return field("expected", _NONE, style)
    low, high = forecast.interval_s
    within = f"{percent(forecast.interval_level)} within {si(low, 's', 3)} to {si(high, 's', 3)}"
    reached = f"{rate(forecast.throughput_per_s)}, {percent(e.forecast_utilization)} of the peak"
    text = (
        f"{si(forecast.time_s, 's')} in {forecast.runtime}, {within}; spent mostly on {forecast.limited_by}; {reached}"
    )
    gains = ", ".join(f"{name} {_less(value)}" for name, value in _gains(forecast).items())
    return [*field("expected", text, style), *field("+10 % of", f"{gains}: that much less time", style)]


def _gains(forecast: Forecast) -> dict[str, float]:
    """Return the share by which the time shrinks, by what grows by a tenth."""
    gains = forecast.elasticities
    return {
        "clock": gains.clock, "bandwidth": gains.bandwidth, "units": gains.units, "speed of launches": gains.overhead,
    }  # fmt: skip


def _less(value: float) -> str:
    return f"-{100 * value:.1f} %" if value >= 0.0005 else "0 %"


def expensive(e: Estimate, style: Style) -> list[str]:
    """A sentence on the layers that take longest and one on what the clock alone would tell."""
    if e.forecast is None or not e.forecast.time_s:
        return []
    total = e.forecast.time_s
    layers = sorted(e.layers, key=lambda layer: layer.forecast_time_s or 0.0, reverse=True)[:MOST_EXPENSIVE]
    named = ", ".join(f"{x.name} {percent((x.forecast_time_s or 0.0) / total)}" for x in layers)
    return ["", *sentences(f"Most expensive as expected: {named}.", style), *sentences(clock_sentence(e), style)]


def clock_sentence(e: Estimate) -> str:
    """Whether the clock alone would predict this model's time here."""
    if e.forecast is None:
        return ""
    gains = _gains(e.forecast)
    share = gains["clock"] / (1.0 - 1.0 / 1.1)
    most = max(("bandwidth", "speed of launches"), key=lambda name: gains[name])
    if share >= ALONE:
        return f"The clock alone would predict this model here: {percent(min(share, 1.0))} of its time scales with it."
    what = {"bandwidth": "memory bandwidth weighs", "speed of launches": "launches and the framework weigh"}[most]
    scales = f"{percent(share)} of its time scales with it"
    return f"The clock alone would not predict this model here: {scales}, and {what} in."
