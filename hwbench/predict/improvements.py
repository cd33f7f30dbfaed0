"""What would raise the throughput of a network: changes to how it runs and to the device, tried by the time model."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes
from hwbench.machine.device import Device, highest
from hwbench.predict.forecast import hardware_for, timed
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import Hardware, known_peaks
from hwbench.predict.model.launch import CONVOLUTIONS, family_of
from hwbench.predict.model.parameters import Runtime
from hwbench.predict.model.runtimes import runtime_for, runtimes_on
from hwbench.predict.model.time import LaunchTime, device_and_host_time, scaled, total_time
from hwbench.workload.ops import Workload

MIN_GAIN = 1.05
"""Gain from which a change is worth a word."""
LARGER = 8


class Improvement(Struct, frozen=True):
    """A change (`batch`, `dtype`, `runtime`, `graphs`, `layout`, `bandwidth`, `compute`) to a `value`.

    The last two are of the device: so many times as fast. `gain` is the throughput with it over the one without.
    """

    change: str
    value: str
    gain: float


def improvements(
    workload: Workload, device: Device, dtype: str, batch: int, runtime: str | None = None, *, least: float = MIN_GAIN,
    **how: Any,
) -> tuple[Improvement, ...]:  # fmt: skip
    """Return changes that gain so much at `least`, the largest gain first; `how` is what `forecast` takes else.

    Empty where nothing is forecast.
    """
    name = runtime_for(device.kind, runtime, workload.phase)
    hardware = hardware_for(workload, device, dtype, **how, runtime=name)
    if hardware is None:
        return ()
    now = timed(workload, hardware, dtype, batch, name)
    if not (before := _seconds(*now)):
        return ()
    tried = [*_of_times(*now), *_of_runs(workload, device, hardware, dtype, batch, name, how)]
    gains = [Improvement(change, value, before * more / after) for change, value, more, after in tried if after]
    return tuple(sorted((each for each in gains if each.gain >= least), key=lambda each: -each.gain))


def _seconds(times: list[LaunchTime], runtime: Runtime) -> float:
    """Return the seconds of a run."""
    return float(total_time(scalar, *device_and_host_time(scalar, times, runtime)))


def _of_times(times: list[LaunchTime], runtime: Runtime) -> Iterator[tuple[str, str, float, float]]:
    """Yield what changes the times of the same launches: each change, the samples relative to now, and the seconds."""
    for change, factors in (("compute", (0.5, 1.0, 1.0)), ("bandwidth", (1.0, 0.5, 1.0))):
        yield change, "2", 1.0, _seconds([scaled(time, factors) for time in times], runtime)
    if runtime.gpu is not None:
        yield "graphs", "CUDA graphs", 1.0, _seconds([replace(time, host=0.0) for time in times], runtime)


def _of_runs(
    workload: Workload, device: Device, hardware: Hardware, dtype: str, batch: int, runtime: str, how: dict[str, Any]
) -> Iterator[tuple[str, str, float, float]]:
    """Yield what makes other launches, in the same form."""
    larger, bits = batch * LARGER, dtypes.dtype(dtype).bits
    training = workload.fixed == "training"
    scaling = replace(workload, fixed="") if training else workload  # a step's work grows with its batch, near enough
    if not scaling.fixed and (not device.memory.size or scaling.capacity(bits, larger) <= device.memory.size):
        yield "batch", str(larger), LARGER, _seconds(*timed(scaling, hardware, dtype, larger, runtime))
    narrower = _narrower(device, dtype)
    if narrower and (narrow := hardware_for(workload, device, narrower, **how, runtime=runtime)):
        yield "dtype", narrower, 1.0, _seconds(*timed(workload, narrow, narrower, batch, runtime))
    for other in runtimes_on(device.kind):
        if other != runtime and (other.startswith("torch") or not training):
            calibrated = hardware_for(workload, device, dtype, **how, runtime=other) or hardware
            yield "runtime", other, 1.0, _seconds(*timed(workload, calibrated, dtype, batch, other))
    # On GPUs, the model knows channels-last for narrower formats alone.
    turned = _channels_last(workload) if device.kind == "cpu" or bits < 32 else workload
    if turned != workload:
        yield "layout", "channels-last", 1.0, _seconds(*timed(turned, hardware, dtype, batch, runtime))


def _narrower(device: Device, dtype: str) -> str | None:
    """Return a format of 16 bits that the device multiplies faster than fp32, None where there is none."""
    every = known_peaks(device, None)
    single = highest(every, "fp32")
    if single is None or dtypes.BITS[dtypes.dtype(dtype).computes_in] < 32:
        return None
    peaks_of = ((name, highest(every, name)) for name in (("fp16", "bf16") if device.kind == "gpu" else ("bf16",)))
    return next((name for name, peak in peaks_of if peak and peak.flops_per_second > single.flops_per_second), None)


def _channels_last(workload: Workload) -> Workload:
    """Return the network with its images in channels-last format."""
    turned = tuple(
        replace(op, channels_last=True, strided=False) if family_of(op) in CONVOLUTIONS else op for op in workload.ops
    )
    return replace(workload, ops=turned)
