"""How much of a faster clock one model would see on one device, from the prediction of its time."""

import math

from msgspec import Struct, structs

from hwbench.errors import InputError
from hwbench.machine.device import Clock, Device
from hwbench.predict.estimate import estimate
from hwbench.units import Hertz
from hwbench.workload.ops import Workload

STEP = 1.1
"""Ratio of the two clocks, around the device's own, that elasticities are taken between."""


class ModelClock(Struct, frozen=True):
    """Elasticity of a model's throughput to the clock: percent of speed for a percent of clock, memory as it is.

    1 is a model that clock alone would predict, 0 one that it says nothing of. By the roofline, and by the expected
    time where there is one; None where the bandwidth is unknown.
    """

    model: str
    device: str
    dtype: str
    batch: int
    clock_hz: float
    roofline_time_s: float | None
    expected_time_s: float | None
    elasticity_roofline: float | None
    elasticity_expected: float | None
    verdict: str


def elasticity(workload: Workload, device: Device, dtype: str = "fp32", batch: int = 1) -> ModelClock:
    """What a clock a little higher and lower makes of the roofline, and a tenth more of the expected time.

    Raises InputError as `estimate` does, and where the bandwidth is unknown and no time is expected.
    """
    own = estimate(workload, device, dtype, batch)
    slower, faster = (
        estimate(workload, at_clock(device, factor), dtype, batch, bounds_only=True)
        for factor in (STEP**-0.5, STEP**0.5)
    )
    roofline = _elasticity(slower.roofline_time_s, faster.roofline_time_s)
    forecast = own.forecast
    expected = -math.log1p(-forecast.elasticities.clock) / math.log(STEP) if forecast else None
    if roofline is None and expected is None:
        raise InputError(f"the memory bandwidth of {device.name or device.title} is unknown: nothing can be predicted")
    term = max(own.terms, key=lambda term: term.flops_per_second)
    found = ModelClock(
        model=workload.name,
        device=own.device,
        dtype=dtype,
        batch=batch,
        clock_hz=term.clock_hz,
        roofline_time_s=own.roofline_time_s,
        expected_time_s=forecast.time_s if forecast else None,
        elasticity_roofline=roofline,
        elasticity_expected=expected,
        verdict="",
    )
    return structs.replace(found, verdict=_verdict(found))


def at_clock(device: Device, factor: float) -> Device:
    """The device with every clock times a factor; memory stays."""
    units = tuple(structs.replace(one, clock=_scaled(one.clock, factor)) for one in device.units)
    return structs.replace(device, units=units)


def _scaled(clock: Clock, factor: float) -> Clock:
    return Clock(
        base=Hertz(clock.base * factor) if clock.base else None,
        boost=Hertz(clock.boost * factor) if clock.boost else None,
        all_core={isa: Hertz(value * factor) for isa, value in clock.all_core.items()},
        fixed=Hertz(clock.fixed * factor) if clock.fixed else None,
    )


def _elasticity(slower: float | None, faster: float | None) -> float | None:
    if not slower or not faster:
        return None
    return math.log(slower / faster) / math.log(STEP) + 0.0


def _verdict(found: ModelClock) -> str:
    by_expected = found.elasticity_expected is not None
    value = found.elasticity_expected if by_expected else found.elasticity_roofline
    assert value is not None
    change = 100 * (STEP**value - 1)
    what = "the expected time" if by_expected else "the roofline, which is a bound"
    text = f"By {what}, a clock higher by 10 % makes {found.model} faster by {change:.1f} % on {found.device}"
    if value > 0.9:
        return f"{text}: clock alone would predict its speed there, were units and width the same."
    if value > 0.5:
        return f"{text}: clock tells most of its speed there, and the rest is memory and overhead."
    if value > 0.1:
        return f"{text}: clock tells the smaller part of its speed there; memory and overhead tell the rest."
    return f"{text}: clock says nothing of its speed there, which memory or overhead holds."
