"""Calibrations as text: fitted parameters, factors of this machine, and the origin of parameters."""

from collections.abc import Mapping, Sequence

from hwbench.predict.fitting.fit import Fit
from hwbench.predict.fitting.host import Factors, TimedNetwork
from hwbench.predict.model.parameters import ParameterFile
from hwbench.report.text.format import percent
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.units import si

_SPLITS = (
    "Mean absolute error of families that were fitted (fit), that set the intervals (tune), and of neither (test)."
)


def lines(fits: Sequence[Fit], differences: Mapping[str, float], style: Style = PLAIN) -> list[str]:
    """Return the mean errors of each runtime and device, and how much parameters differ from the shipped ones."""
    rows = [
        (
            fit.name,
            device,
            str(fit.cases),
            *(percent(errors.get(split)) for split in ("fit", "tune", "test")),
            f"-{percent(fit.runtime.spread.low)} +{percent(fit.runtime.spread.high)}",
        )
        for fit in fits
        for device, errors in sorted(fit.errors.items())
    ]
    header = ("runtime", "device", "cases", "fit", "tune", "test", "80 % of log errors")
    result = [*table(header, rows, "llrrrrl", style, spare=("cases",)), "", *sentences(_SPLITS, style)]
    for name, largest in sorted(differences.items()):
        text = f"{name}: the largest difference of a parameter from the shipped one is {percent(largest)}."
        result += sentences(text, style)
    return result


def host(factors: Factors, networks: Sequence[TimedNetwork], path: str, style: Style = PLAIN) -> list[str]:
    """Return the networks that were timed, and the factors that follow."""
    rows = [(timed.workload.name, str(timed.batch), si(timed.time_s, "s")) for timed in networks]
    text = (
        f"Relative to the time model, compute takes {factors.compute:.2f}, memory {factors.memory:.2f} and overhead "
        f"{factors.overhead:.2f} times as long here; 80 % of errors are within {percent(factors.spread)}."
    )
    return [*table(("model", "batch", "time"), rows, "lrr", style), "", *sentences(text, style), f"saved: {path}"]


def provenance(parameters: ParameterFile, style: Style = PLAIN) -> list[str]:
    """Return the origin of the parameters of each runtime, and their interval."""
    result = []
    for name, runtime in parameters.runtimes.items():
        spread = runtime.spread
        where = f" on {', '.join(spread.devices)}" if spread.devices else ", by judgment"
        within = f"{percent(spread.level)} of log errors{where}: -{percent(spread.low)} to +{percent(spread.high)}"
        result += [*heading(name, style), *sentences(runtime.how, style, "  "), *sentences(within, style, "  "), ""]
    return [*result, *sentences(parameters.how, style)]
