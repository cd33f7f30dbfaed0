"""The forecast of a network's time: one launch after another, what the host adds, and how far off it may be."""

from collections.abc import Iterator
from math import exp, sqrt
from typing import Literal

from msgspec import Struct

from hwbench.dtypes import BITS, MIXED
from hwbench.machine.device import ClockKind, Device
from hwbench.notices import Notice, notice
from hwbench.predict.model.hardware import Hardware, hardware
from hwbench.predict.model.launch import UNKNOWN, family
from hwbench.predict.model.parameters import ParameterFile, Runtime, Spread, parameters
from hwbench.predict.model.runtimes import checked
from hwbench.predict.model.scalar import SINGLE
from hwbench.predict.model.time import LaunchTime, combine, launches, run, seconds
from hwbench.workload.ops import Workload

Limit = Literal["compute", "memory", "overhead"]
LIMITS: tuple[Limit, ...] = ("compute", "memory", "overhead")
CHANGE = 1.1
"""The factor by which one property of the device grows where elasticities are asked for."""


class OpTime(Struct, frozen=True):
    """Seconds of one op, all its repetitions together; `time_s` adds up to the whole. The parts may overlap."""

    time_s: float
    compute_s: float
    memory_s: float
    overhead_s: float
    limited_by: Limit


class Elasticities(Struct, frozen=True):
    """The share by which the time shrinks when one property grows by a tenth: 0.091 where nothing else counts.

    `clock` speeds up what computes, of a CPU also what the framework does between ops (its caches are left out).
    `units` as if work divided evenly among any number of them, `overhead` for launches and host a tenth faster.
    """

    clock: float
    bandwidth: float
    units: float
    overhead: float


class Forecast(Struct, frozen=True):
    """How long one batch takes in a runtime: seconds, an interval that holds it at `interval_level`, and why.

    `throughput_per_s` counts samples, None for a network that takes no time. `limited_by` is what most of the time is
    spent on, `host_s` the seconds that the framework needs to launch everything.
    """

    runtime: str
    time_s: float
    interval_s: tuple[float, float]
    interval_level: float
    throughput_per_s: float | None
    ops: tuple[OpTime, ...]
    host_s: float
    limited_by: Limit
    elasticities: Elasticities
    notices: tuple[Notice, ...] = ()


def forecast(
    workload: Workload,
    device: Device,
    dtype: str = "fp32",
    batch: int = 1,
    runtime: str | None = None,
    *,
    clock: ClockKind | None = None,
    foreign: bool = False,
    known: ParameterFile | None = None,
) -> Forecast | None:
    """Return the forecast for a batch, None where the device's bandwidth or rates are unknown.

    `foreign` says that a runtime other than those fitted is meant: the interval is then wider. Raises InputError for an
    unknown runtime.
    """
    name = checked(runtime, device.kind)
    chosen = (known or parameters()).runtimes[name]
    computed = "fp16" if dtype == MIXED else dtype
    m = hardware(device, {computed, "tf32", *(op.dtype for op in workload.ops if op.dtype)}, clock)
    if m is None:
        return None
    bits = BITS["fp32"] if dtype == MIXED else BITS[dtype]
    parts = launches(SINGLE, workload, m, computed, bits, workload.repeats(batch), chosen)
    device_s, host_s = run(SINGLE, parts, chosen)
    total = combine(SINGLE, device_s, host_s)
    ops = _op_times(parts, chosen, total, host_s)
    waits = sum(op.time_s for op in ops if op.limited_by == "overhead") / total if total else 0.0
    low, high = interval(chosen.spread, device, m, dtype, workload, [op.time_s for op in ops], waits, foreign)
    return Forecast(
        runtime=name,
        time_s=total,
        interval_s=(total * exp(low), total * exp(high)),
        interval_level=chosen.spread.level,
        throughput_per_s=batch / total if total else None,
        ops=ops,
        host_s=host_s,
        limited_by=max(LIMITS, key=lambda limit: sum(op.time_s for op in ops if op.limited_by == limit)),
        elasticities=_elasticities(parts, chosen, total),
        notices=tuple(_notices(m, dtype, computed)),
    )


def _op_times(parts: list[LaunchTime], runtime: Runtime, total: float, host: float) -> tuple[OpTime, ...]:
    """Each op's share of the whole, in proportion to its time on the device or, where that waits, on the host."""
    device = [seconds(SINGLE, part, runtime) * part.count for part in parts]
    busy = sum(device)
    waiting = max(total - busy, 0.0)
    found = []
    for part, time in zip(parts, device, strict=True):
        share = part.host * part.count / host if host else 0.0
        overhead = part.overhead * part.count + waiting * share
        compute, memory = part.compute * part.count, part.memory * part.count
        bound = max(zip((compute, memory, overhead), LIMITS, strict=True))[1]
        found.append(
            OpTime(time * min(1.0, total / busy if busy else 1.0) + waiting * share, compute, memory, overhead, bound)
        )
    return tuple(found)


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


def _elasticities(parts: list[LaunchTime], runtime: Runtime, total: float) -> Elasticities:
    """How much less time each property takes off when it grows by CHANGE."""

    def shrinks(compute: float = 1.0, memory: float = 1.0, overhead: float = 1.0) -> float:
        device = host = 0.0
        for part in parts:
            changed = LaunchTime(
                part.compute / compute, part.memory / memory, part.overhead / overhead, 0.0, part.count
            )
            device += seconds(SINGLE, changed, runtime) * part.count
            host += part.host * part.count / overhead
        return 1.0 - combine(SINGLE, device, host) / total if total else 0.0

    return Elasticities(
        clock=shrinks(compute=CHANGE, overhead=1.0 if runtime.gpu else CHANGE),
        bandwidth=shrinks(memory=CHANGE),
        units=shrinks(compute=CHANGE),
        overhead=shrinks(overhead=CHANGE),
    )


def _notices(m: Hardware, dtype: str, computed: str) -> Iterator[Notice]:
    faster = m.rates["tf32"].flops_per_second > 1.01 * m.rates["fp32"].flops_per_second
    if m.kind == "gpu" and computed == dtype == "fp32" and faster:
        yield notice("convolutions-as-tf32")
    if "cache" in m.assumed:
        yield notice("cache-assumed")
