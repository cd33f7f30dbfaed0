"""Calibrations as text: fitted parameters, what is kept of a device, and the origin of parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from hwbench.machine.parts import DeviceCalibration
from hwbench.predict.fitting.fit import Fit
from hwbench.predict.model.parameters import ParameterFile
from hwbench.report.text.format import percent
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.units import si

_SPLITS = "Mean absolute error of families that were fitted (fit), that set intervals (tune), and of neither (test)."


def lines(fits: Sequence[Fit], differences: Mapping[str, float], style: Style = PLAIN) -> list[str]:
    """Return the mean errors of each runtime and device, and how much parameters differ from the shipped ones."""
    rows = []
    for fit in fits:
        spread = f"-{percent(fit.runtime.spread.low)} +{percent(fit.runtime.spread.high)}"
        for device, errors in sorted(fit.errors.items()):
            means = (percent(errors.get(split)) for split in ("fit", "tune", "test"))
            rows.append((fit.name, device, str(fit.cases), *means, spread))
    header = ("runtime", "device", "cases", "fit", "tune", "test", "80 % of log errors")
    result = [*table(header, rows, "llrrrrl", style, spare=("cases",)), "", *sentences(_SPLITS, style)]
    for name, largest in sorted(differences.items()):
        text = f"{name}: the largest difference of a parameter from the shipped one is {percent(largest)}."
        result += sentences(text, style)
    return result


def saved(known: DeviceCalibration, timed: Sequence[Mapping[str, Any]], style: Style = PLAIN) -> list[str]:
    """Return the networks that were timed just now, and the factors that are kept."""
    rows = [(row["model"], str(row["batch"]), si(row["time_s"], "s")) for row in timed]
    lines = [*table(("model", "batch", "time"), rows, "lrr", style), ""] if rows else []
    with_ceilings = f", with the ceilings of {known.ceilings}" if known.ceilings else ""
    text = (
        f"Calibrated at {known.created[:16].replace('T', ' ')} UTC by {known.source}{with_ceilings}. Relative to the "
        f"time model, compute takes {known.compute:.3g}, memory {known.memory:.3g} and overhead {known.overhead:.3g} "
        f"times as long; 80 % of errors are within {percent(known.spread)}."
    )
    return [*lines, *sentences(text, style)]


def provenance(parameters: ParameterFile, style: Style = PLAIN) -> list[str]:
    """Return the origin of the parameters of each runtime, and their interval."""
    result = []
    for name, runtime in parameters.runtimes.items():
        spread = runtime.spread
        where = f" on {', '.join(spread.devices)}" if spread.devices else ", by judgment"
        within = f"{percent(spread.level)} of log errors{where}: -{percent(spread.low)} to +{percent(spread.high)}"
        result += [*heading(name, style), *sentences(runtime.how, style, "  "), *sentences(within, style, "  "), ""]
    return [*result, *sentences(parameters.how, style)]
