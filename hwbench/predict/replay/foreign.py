"""Factors of engines that have no parameters: how many times as long they take as the runtime that is nearest."""

from collections.abc import Iterable
from math import exp, log
from statistics import median, quantiles

from hwbench.machine import catalog
from hwbench.predict.model.parameters import EngineFactor
from hwbench.predict.model.runtimes import engine_of, is_foreign
from hwbench.predict.replay.summary import ReplayRow

MIN_DEVICES = 3
PRIOR_DEVICES = 0.5
"""Devices that count for a factor of 1 next to those that were timed."""


def factors(rows: Iterable[ReplayRow]) -> dict[str, EngineFactor]:
    """Return the factors of engines that were timed on three devices or more, from rows that were forecast without.

    Every device weighs the same: a factor is the mean of their median logarithmic errors, drawn towards 1.
    """
    engines: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if is_foreign(row.runtime, row.assumed_runtime):
            device = row.device.partition(" ")[0]
            name = engine_of(row.runtime or "", catalog.device(device).kind)
            error = log(row.measured_s / row.forecast_s)
            engines.setdefault(name, {}).setdefault(device, []).append(error)
    return {name: _engine(devices) for name, devices in sorted(engines.items()) if len(devices) >= MIN_DEVICES}


def _engine(errors: dict[str, list[float]]) -> EngineFactor:
    medians = {device: median(some) for device, some in errors.items()}
    without = {each: _mean(own for device, own in medians.items() if device != each) for each in medians}
    left = [abs(error - without[device]) for device, some in errors.items() for error in some]
    rounded = {device: _rounded(exp(each)) for device, each in sorted(without.items())}
    spread = quantiles(left, n=10, method="inclusive")[7]  # that holds 80 %
    return EngineFactor(_rounded(exp(_mean(medians.values()))), _rounded(spread), rounded)


def _mean(medians: Iterable[float]) -> float:
    known = list(medians)
    return sum(known) / (len(known) + PRIOR_DEVICES)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
