"""How far off an expected time may be: errors on families that were not fitted, wider for what is new or guessed."""

from math import sqrt

from hwbench.machine.device import Device
from hwbench.predict.model.hardware import Hardware
from hwbench.predict.model.launch import UNKNOWN, family
from hwbench.predict.model.parameters import Spread
from hwbench.workload.ops import Workload


def interval(
    spread: Spread,
    device: Device,
    m: Hardware,
    dtype: str,
    workload: Workload,
    times: list[float],
    waits: float,
    foreign: bool = False,
) -> tuple[float, float]:
    """The lowest and highest logarithm of measured over expected time that the spread's level allows.

    `waits` is the share of the time that passes in overhead. A measured device counts as one that was fitted.
    """
    if m.spread is not None and not foreign:  # networks were timed on this very machine
        return -m.spread, m.spread
    wider = 0.0
    known = (device.name or device.title) in spread.devices or {"bandwidth", dtype} <= m.measured
    if not known:
        wider += spread.device**2
    wider += ((dtype not in spread.dtypes) + (device.vendor not in spread.vendors)) * spread.unmeasured**2
    if foreign:
        wider += spread.foreign**2
    wider += len(m.assumed) * spread.assumed**2
    total = sum(times) or 1.0
    new = sum(time for op, time in zip(workload.ops, times, strict=True) if family(op) == UNKNOWN) / total
    wider += (spread.unknown * new) ** 2
    if m.op_overhead is None:
        wider += (spread.overhead * waits) ** 2
    shift = 0.0 if known else spread.device_shift
    return shift - sqrt(spread.low**2 + wider), shift + sqrt(spread.high**2 + wider)
