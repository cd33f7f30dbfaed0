"""How far off a forecast may be: errors at home, and what every step away from home adds, as logarithms of ratios.

The formula takes floats with `scalar` as `xp`, or arrays with numpy.
"""

from math import log, sqrt
from types import ModuleType

from hwbench.predict.model.hardware import Hardware
from hwbench.predict.model.launch import Number
from hwbench.predict.model.parameters import Spread, few_launches

RELATED = 0.5
"""Share of the square of `Spread.device` for a device whose architecture was fitted on another: an assumption."""
TILES = 0.9
"""What the matrix engine of a CPU adds to the highest end: forecasts take it to be kept as busy as vectors are, and
twelve networks in bf16 on one core with AMX took 2.2 times as long (`results/measured/emerald-rapids/bf16.csv`)."""


def log_interval(
    xp: ModuleType,
    spread: Spread,
    vendor: str,
    hardware: Hardware,
    dtype: str,
    shares: tuple[Number, Number],
    launches: float,
    foreign: bool = False,
) -> tuple[Number, Number]:
    """Return the lowest and highest logarithm of measured over forecast time at the spread's level.

    They begin as the errors on families that were not fitted, of so many `launches`; whatever was not measured or is
    guessed widens them, as do the `shares` of the time in ops of no known family and in overhead, and the clocks that
    a laptop's maker may have chosen, as if all of the time were compute.
    """
    few = few_launches(launches, spread.few)
    low, high = (end * few for end in spread.devices.get(hardware.label, (spread.low, spread.high)))
    tiles = hardware.kind == "cpu" and any(rates.matrix for rates in hardware.rates.values())
    late = TILES**2 if tiles else 0.0
    if hardware.spread is not None and not foreign:  # networks were timed on this very device
        more = 1.0 - 1.0 / few**2  # what few launches add, of the square of an end
        return -sqrt(hardware.spread**2 + more * low**2), sqrt(hardware.spread**2 + more * high**2 + late)
    unknown, overhead = shares
    wider = _device(spread, hardware, dtype)
    wider += ((dtype not in spread.dtypes) + (vendor not in spread.vendors)) * spread.unmeasured**2
    if foreign or hardware.other_isa:
        wider += spread.foreign**2
    wider += len(hardware.assumed) * spread.assumed**2
    squares = wider + (spread.unknown * unknown) ** 2
    if hardware.op_overhead is None:
        squares = squares + (spread.overhead * overhead) ** 2
    slowest, fastest = hardware.choices
    return -xp.sqrt(low**2 + squares + log(fastest) ** 2), xp.sqrt(high**2 + squares + late + log(slowest) ** 2)


def _device(spread: Spread, hardware: Hardware, dtype: str) -> float:
    """Return the square that a device adds which was not fitted, or whose power is capped below what it was fitted at.

    One whose rates were measured is known better.
    """
    capped = (spread.power * log(hardware.power)) ** 2
    if hardware.label in spread.devices:
        return capped
    if {"bandwidth", dtype} <= hardware.measured:
        return spread.timed**2
    return spread.device**2 * (RELATED if hardware.architecture in spread.architectures else 1.0) + capped
