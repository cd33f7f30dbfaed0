"""How far off a forecast may be: the interval that contains the measured time, as logarithms of their ratio.

The formula takes floats with `scalar` as `xp`, or arrays with numpy.
"""

from types import ModuleType

from hwbench.machine.device import Device
from hwbench.predict.model.hardware import Hardware
from hwbench.predict.model.launch import Number
from hwbench.predict.model.parameters import Spread


def log_interval(
    xp: ModuleType,
    spread: Spread,
    device: Device,
    hardware: Hardware,
    dtype: str,
    shares: tuple[Number, Number],
    foreign: bool = False,
) -> tuple[Number, Number]:
    """Return the lowest and highest logarithm of measured over forecast time at the spread's level.

    They begin as the errors on families that were not fitted; whatever was not measured or is guessed widens them, as
    do the `shares` of the time in ops of no known family and in overhead. A measured device counts as one that was
    fitted.
    """
    if hardware.spread is not None and not foreign:  # networks were timed on this very machine
        return -hardware.spread, hardware.spread
    unknown, overhead = shares
    fitted = device.label in spread.devices or {"bandwidth", dtype} <= hardware.measured
    wider = 0.0 if fitted else spread.device**2
    wider += ((dtype not in spread.dtypes) + (device.vendor not in spread.vendors)) * spread.unmeasured**2
    if foreign:
        wider += spread.foreign**2
    wider += len(hardware.assumed) * spread.assumed**2
    squares = wider + (spread.unknown * unknown) ** 2
    if hardware.op_overhead is None:
        squares = squares + (spread.overhead * overhead) ** 2
    shift = 0.0 if fitted else spread.device_shift
    return shift - xp.sqrt(spread.low**2 + squares), shift + xp.sqrt(spread.high**2 + squares)
