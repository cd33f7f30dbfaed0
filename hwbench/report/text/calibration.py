"""What a calibration found, as text."""

from collections.abc import Mapping, Sequence

from hwbench.predict.fitting.fit import Fit
from hwbench.predict.fitting.host import Factors, TimedNetwork
from hwbench.predict.model.parameters import ParameterFile
from hwbench.report.text.format import percent
from hwbench.report.text.layout import Style, heading, sentences, table
from hwbench.units import si

_PARTS = (
    "Mean absolute error of families that were fitted (fit), that set the intervals (tune), and of neither (report)."
)


def lines(fits: Sequence[Fit], against: Mapping[str, float], style: Style) -> list[str]:
    """A row a device of each runtime: the mean errors of each part, and how far parameters are from the shipped."""
    rows = [
        (
            fit.name,
            device,
            str(fit.cases),
            *(percent(parts.get(part)) for part in ("fit", "tune", "report")),
            f"-{percent(fit.runtime.spread.low)} +{percent(fit.runtime.spread.high)}",
        )
        for fit in fits
        for device, parts in sorted(fit.errors.items())
    ]
    header = ("runtime", "device", "cases", "fit", "tune", "report", "80 % of log errors")
    found = [*table(header, rows, "llrrrrl", style, spare=("cases",)), ""]
    found += sentences(
        _PARTS,
        style,
    )
    for name, largest in sorted(against.items()):
        found += sentences(
            f"{name}: the largest difference of a parameter from the shipped one is {percent(largest)}.", style
        )
    return found


def host(kept: Factors, timed: Sequence[TimedNetwork], path: str, style: Style) -> list[str]:
    """The networks that were timed, and the factors that follow."""
    rows = [(one.workload.name, str(one.batch), si(one.time_s, "s")) for one in timed]
    text = (
        f"Against the time model, compute takes {kept.compute:.2f}, memory {kept.memory:.2f} and overhead "
        f"{kept.overhead:.2f} times as long here; 80 % of errors stay within {percent(kept.spread)}."
    )
    return [*table(("model", "batch", "time"), rows, "lrr", style), "", *sentences(text, style), f"kept in {path}"]


def story(known: ParameterFile, style: Style) -> list[str]:
    """What the parameters of each runtime came of, and their interval."""
    found = []
    for name, runtime in known.runtimes.items():
        spread = runtime.spread
        where = f" on {', '.join(spread.devices)}" if spread.devices else ", by judgment"
        within = f"{percent(spread.level)} of log errors{where}: -{percent(spread.low)} to +{percent(spread.high)}"
        found += [*heading(name, style), *sentences(runtime.how, style, "  "), *sentences(within, style, "  "), ""]
    return [*found, *sentences(known.how, style)]
