"""The elasticity of one model's speed to the clock of one device, from the prediction of its time."""

import math

from msgspec import structs

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.machine.parts import Clock
from hwbench.predict.estimate import estimate
from hwbench.study.clock.results import ModelClock
from hwbench.units import Hertz
from hwbench.workload.ops import Workload

STEP = 1.1
"""Ratio of the two clocks, around the device's own, between which elasticities are computed."""


def elasticity(workload: Workload, device: Device, dtype: str = "fp32", batch: int = 1) -> ModelClock:
    """Return the elasticity of the roofline between two clocks, and that of the forecast.

    Raises InputError as `estimate` does, and where the bandwidth is unknown, so that neither is known.
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
        message = f"No time can be predicted: the memory bandwidth of {device.label} is unknown."
        raise InputError("bandwidth-unknown", message, field="device")
    term = max(own.terms, key=lambda term: term.flops_per_second)
    result = ModelClock(
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
    return structs.replace(result, verdict=_verdict(result))


def at_clock(device: Device, factor: float) -> Device:
    """Return the device with every clock times a factor and the same memory."""
    every = tuple(structs.replace(units, clock=_scaled(units.clock, factor)) for units in device.units)
    return structs.replace(device, units=every)


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


def _verdict(model: ModelClock) -> str:
    by_forecast = model.elasticity_expected is not None
    value = model.elasticity_expected if by_forecast else model.elasticity_roofline
    assert value is not None
    change = 100 * (STEP**value - 1)
    source = "the forecast" if by_forecast else "the roofline, which is a bound"
    text = f"By {source}, a 10 % higher clock makes {model.model} {change:.1f} % faster on {model.device}"
    if value > 0.9:
        return f"{text}: clock speed alone predicts its speed there, at equal units and width."
    if value > 0.5:
        return f"{text}: its speed there depends mostly on the clock, the rest on memory and overhead."
    if value > 0.1:
        return f"{text}: its speed there depends more on memory and overhead than on the clock."
    return f"{text}: its speed there depends on memory or overhead, not on the clock."
