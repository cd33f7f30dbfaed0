"""Calibrations as text: fitted parameters, what is kept of a device, and the origin of parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from hwbench.machine.language_calibration import LanguageCalibration
from hwbench.machine.parts import DeviceCalibration
from hwbench.predict.model.parameters import ParameterFile
from hwbench.report.text.format import percent
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.units import si

_WAYS = {
    "device": "Away from home: all tables of the device were held out of the fit; by its data sheet.",
    "device, 12 timings": "The same after 12 random timings of the device, mean and worst of 20 draws.",
    "software": "Under a version of torch whose tables were all held out; the device was fitted under another.",
    "families": "At home: each family of networks was held out in turn, the device was fitted.",
    "sizes of layers": "At home, small networks of one kind of layer: each was held out, others of its kind fitted.",
    "kinds of layers": "At home, small networks of one kind of layer: each kind was held out as a whole.",
}
"""What was held out, in the order of the tables."""


def lines(parameters: ParameterFile, differences: Mapping[str, float], style: Style = PLAIN) -> list[str]:
    """Return the errors of what was held out, and how much parameters differ from the shipped ones."""
    result = held_out(parameters, style)
    for name, largest in sorted(differences.items()):
        text = f"{name}: the largest difference of a parameter from the shipped one is {percent(largest)}."
        result += sentences(text, style)
    return result


def held_out(parameters: ParameterFile, style: Style = PLAIN) -> list[str]:
    """Return tables of the errors of devices, of devices after a few timings, and of families that were held out."""
    result = []
    for way, title in _WAYS.items():
        rows = [
            (name, row.of, str(row.n), percent(row.mape), _signed(row.bias), percent(row.worst), percent(row.inside))
            for name, runtime in parameters.runtimes.items()
            for row in runtime.held_out
            if row.without == way
        ]
        if rows:
            header = ("runtime", "held out", "n", "MAPE", "bias", "worst draw", "inside 80 %")
            result += [*sentences(title, style), *table(header, rows, "llrrrrr", style, spare=("n",)), ""]
    return result


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %"


def saved(known: Sequence[DeviceCalibration], timed: Sequence[Mapping[str, Any]], style: Style = PLAIN) -> list[str]:
    """Return the networks that were timed just now, and the factors that are kept of each runtime."""
    header = ("runtime", "model", "batch", "time")
    rows = [(row["runtime"], row["model"], str(row["batch"]), si(row["time_s"], "s")) for row in timed]
    lines = [*table(header, rows, "llrr", style), ""] if rows else []
    for own in known:
        with_ceilings = f", with the ceilings of {own.ceilings}" if own.ceilings else ""
        text = (
            f"{own.runtime}: calibrated at {own.created[:16].replace('T', ' ')} UTC by {own.source}{with_ceilings}. "
            f"Relative to the time model, compute takes {own.compute:.3g}, memory {own.memory:.3g} and overhead "
            f"{own.overhead:.3g} times as long; 80 % of errors are within {percent(own.spread)}."
        )
        lines += sentences(text, style)
    return lines


def language(known: LanguageCalibration, style: Style = PLAIN) -> list[str]:
    """Return the factors of a device for language models."""
    rows = [
        (kind, str(own.timings), f"{own.factor:.3g}", percent(own.spread))
        for kind, own in sorted(known.factors.items())
    ]
    text = f"Calibrated for language models at {known.created[:16].replace('T', ' ')} UTC by {known.source}."
    return [*sentences(text, style), *table(("time, coding", "rows", "times as long", "left"), rows, "lrrr", style)]


def provenance(parameters: ParameterFile, style: Style = PLAIN) -> list[str]:
    """Return the origin of the parameters of each runtime with its interval, and the errors of what was held out."""
    result = []
    for name, runtime in parameters.runtimes.items():
        spread = runtime.spread
        where = f" on {', '.join(spread.devices)}" if spread.devices else ", by judgment"
        within = f"{percent(spread.level)} of log errors{where}: -{percent(spread.low)} to +{percent(spread.high)}"
        within += f", wider by the root of 1 + {spread.few:.0f} / operators" if spread.few else ""
        result += [*heading(name, style), *sentences(runtime.how, style, "  "), *sentences(within, style, "  "), ""]
    return [*result, *held_out(parameters, style), *sentences(parameters.how, style)]
