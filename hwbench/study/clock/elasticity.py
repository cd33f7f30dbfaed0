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
MEANINGS = (
    (0.9, "clock speed alone predicts its speed there, at equal units and width."),
    (0.5, "its speed there depends mostly on the clock, the rest on memory and overhead."),
    (0.1, "its speed there depends more on memory and overhead than on the clock."),
    (-math.inf, "its speed there depends on memory or overhead, not on the clock."),
)
"""What an elasticity above each of these means."""


def elasticity(workload: Workload, device: Device, dtype: str = "fp32", batch: int = 1) -> ModelClock:
    """Return the elasticity of the roofline between two clocks, and that of the forecast.

    Raises InputError as `estimate` does, and where the bandwidth is unknown, so that neither is known.
    """
    own = estimate(workload, device, dtype, batch)
    slower, faster = (
        estimate(workload, at_clock(device, factor), dtype, batch, bounds_only=True)
        for factor in (STEP**-0.5, STEP**0.5)
    )
    if not own.terms:
        raise InputError("unknown-clock", f"The clock of {device.label} is unknown.", field="device")
    roofline = None
    if slower.roofline_time_s and faster.roofline_time_s:
        roofline = math.log(slower.roofline_time_s / faster.roofline_time_s) / math.log(STEP) + 0.0
    forecast = own.forecast
    expected = forecast.elasticities.clock if forecast else None
    if roofline is None and expected is None:
        message = f"No time can be predicted: the memory bandwidth of {device.label} is unknown."
        raise InputError("bandwidth-unknown", message, field="device")
    term = max(own.terms, key=lambda term: term.flops_per_second)
    source = "the roofline, which is a bound" if expected is None else "the forecast"
    value = expected if expected is not None else roofline or 0.0
    change = f"a 10 % higher clock makes {workload.name} {100 * (STEP**value - 1):.1f} % faster on {own.device}"
    meaning = next(meaning for least, meaning in MEANINGS if value > least)
    return ModelClock(
        model=workload.name,
        device=own.device,
        dtype=dtype,
        batch=batch,
        clock_hz=term.clock_hz,
        roofline_time_s=own.roofline_time_s,
        expected_time_s=forecast.time_s if forecast else None,
        elasticity_roofline=roofline,
        elasticity_expected=expected,
        verdict=f"By {source}, {change}: {meaning}",
    )


def at_clock(device: Device, factor: float) -> Device:
    """Return the device with every clock times a factor and the same memory."""

    def scaled(value: float | None) -> Hertz | None:
        return Hertz(value * factor) if value else None

    def faster(clock: Clock) -> Clock:
        all_core = {isa: Hertz(value * factor) for isa, value in clock.all_core.items()}
        return Clock(base=scaled(clock.base), boost=scaled(clock.boost), all_core=all_core, fixed=scaled(clock.fixed))

    every = tuple(structs.replace(units, clock=faster(units.clock)) for units in device.units)
    return structs.replace(device, units=every)
