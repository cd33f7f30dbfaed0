"""Figures of answers for notebooks: those of reports, by name."""

from collections.abc import Callable

from hwbench import answers
from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.predict.estimate import Estimate
from hwbench.report.html.figures import common, roofline, study
from hwbench.report.html.page import Figure
from hwbench.study.compare.devices import Comparison

Figures = dict[str, Callable[[], Figure]]


@answers.figures.register
def _of_estimate(e: Estimate) -> Figures:
    return {
        "layers": lambda: common.layer_times(e, "layers"),
        **({"helps": lambda: common.helps(e, "helps")} if e.improvements else {}),
        "limits": lambda: common.limits(e, "limits"),
        "roofline": lambda: roofline.roofline(e, "roofline", _device(e)),
    }


def _device(e: Estimate) -> Device:
    """Return the device of an estimate, whose other ceilings a roofline shows. Raises InputError for a measured one."""
    if e.device == "host":
        message = "The roofline of this machine is drawn by `hwbench report` and `hwbench explore`."
        raise InputError("no-figure", message, field="name")
    return catalog.device(e.device)


@answers.figures.register
def _of_comparison(comparison: Comparison) -> Figures:
    figure = study.decomposition(comparison, "factors")
    return {"factors": lambda: figure} if figure else {}
