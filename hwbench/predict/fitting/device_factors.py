"""Correct the time model for one device: a factor each for compute, memory and overhead, from a dozen timings."""

from collections.abc import Sequence
from math import log, sqrt

from msgspec import Struct

from hwbench.machine.device import Device
from hwbench.predict.fitting.problem import Case, Free, fitted, predicted, problem
from hwbench.predict.model.parameters import PartFactors, Runtime, Spread, few_launches

DEVIATIONS = {"gpu": (0.15, 0.15, 0.3), "cpu": (0.3, 0.7, 0.5)}
"""Standard deviations of the logarithms of compute, memory and overhead between devices, before any timing."""
PRIOR_TIMINGS = 12
"""Timings that the runtime's own interval counts for next to the errors seen."""
NORMAL_80 = 1.2816


class Factors(Struct, frozen=True):
    """Measured over forecast time of each part; 80 % of the remaining logarithmic errors are within ±`spread`."""

    compute: float
    memory: float
    overhead: float
    spread: float


def free_factors(device: str, runtime: Runtime, architecture: str = "", kind: str = "") -> tuple[Free, ...]:
    """Return the factors of a device as parameters to fit, from what is expected of it."""
    expected = runtime.factors(device, architecture)
    names = PartFactors.__struct_fields__
    deviations = DEVIATIONS[kind or ("gpu" if runtime.gpu else "cpu")]
    return tuple(
        Free(f"devices.{device}.{name}", getattr(expected, name), deviation)
        for name, deviation in zip(names, deviations, strict=True)
    )


def factors(timed: Sequence[Case], device: Device, runtime: Runtime) -> Factors:
    """Return what the timings of a device in one runtime tell beyond what is expected of it.

    Factors are drawn towards 1 as far as timings are few. Raises ValueError if the bandwidth is unknown.
    """
    cases = problem(timed, device)
    hardware = cases.hardware
    expected = runtime.factors(hardware.label, hardware.architecture)
    corrected = fitted(runtime, free_factors(hardware.label, runtime, hardware.architecture), [cases])
    own = corrected.devices[hardware.label]
    errors = [
        log(a / b) / few_launches(launches, runtime.spread.few)
        for a, b, launches in zip(predicted(cases, corrected), cases.times, cases.launches, strict=True)
    ]
    spread = spread_after(errors, runtime.spread)
    ratios = (getattr(own, name) / getattr(expected, name) for name in PartFactors.__struct_fields__)
    return Factors(*(float(f"{value:.4g}") for value in (*ratios, spread)))


def spread_after(errors: Sequence[float], usual: Spread) -> float:
    """Return the spread that remains after timings with these errors, where `usual` is the runtime's.

    Errors are logarithms, each over how much wider those of so few launches are.
    """
    squares = PRIOR_TIMINGS * (usual.high**2 + usual.timed**2) + sum((NORMAL_80 * error) ** 2 for error in errors)
    return sqrt(squares / (PRIOR_TIMINGS + len(errors)) * (1 + 3 / len(errors)))
