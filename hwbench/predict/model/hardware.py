"""A device as the time model sees it: rates by dtype, bandwidth, caches, and which of them are guesses."""

from collections.abc import Iterable, Iterator
from math import exp, inf

from msgspec import Struct

from hwbench.machine.device import Device, Peak, fastest, peaks
from hwbench.machine.parts import BOOST, Cache, ClockKind, DeviceCalibration, Sustained
from hwbench.predict.model.latest import latest
from hwbench.predict.model.parameters import PartFactors
from hwbench.predict.model.runtimes import Math

ALL_CORE_SHARE = 0.35
"""Where all cores settle between base and boost under vector code, if no all-core clock is published."""
CACHE_PER_UNIT = {"gpu": 64 << 10, "cpu": 2 << 20, "accelerator": 256 << 20}
"""Bytes of last-level cache a unit, a guess for devices whose file states no cache; of accelerators a chip's."""
MATMUL_SHARE = 0.93
"""Share that a large matrix product reaches of the rate that the same clock allows."""
MAX_ISSUED = 256.0
"""FLOP a cycle that a GPU's unit issues without pairing instructions; Kepler's 192 lanes need more."""
STREAM_SHARE = 0.92
"""Share of its printed bandwidth that a benchmark reads from a GPU's memory."""
OTHER_ISAS = ("neon", "sve", "sve2", "vsx", "rvv", "lasx", "lsx", "altivec")
"""Vectors of CPUs that are not x86."""
STATIC_TEAM = 0.5
"""Power of the slowest cores' share: teams of threads divide work evenly, so that fast cores wait for slow ones."""
WATTS, USUAL_RATE, RATE_POWER, CAP_POWER = 1.44, 1024.0, 0.25, 0.8
"""Watts that a unit with 1,024 FLOP a cycle needs for each GHz in the process of 2023 (and the power of other rates);
below them the rate falls with that power of the ratio. From prompts of llama.cpp on cards of one chip or two."""
GDDR_JOULES, STACKED_JOULES, MEMORY_PART = 60e-12, 30e-12, 0.5
"""Joules that a byte from GDDR memory takes, and from all others: watts that units do not get, at most this part of
all. Micron states 7.5 and 7.25 pJ a bit for GDDR6 and GDDR6X (micron.com/products/ultra-bandwidth-solutions). That of
the others is assumed: the same page has 6.0 for HBM2E, 48 pJ a byte. Neither was measured here."""
FITTED_STEP = 1.6e-12
"""Seconds a byte that the last level takes longer than the one before it on the core that was fitted, whose rates were
not measured: an assumption, of 27 and 32 bytes a cycle at 3.7 GHz."""
LAST_PROCESS, SAVED_A_YEAR = 2022.8, 0.1
"""Year from which the process is the same, and the logarithm of watts by which each year before it needed more."""


class Rates(Struct, frozen=True):
    """One engine at one dtype: FLOP/s of all units, FLOP a cycle of one unit, and FLOP/s that it never exceeds."""

    flops_per_second: float
    flops_per_cycle: float
    matrix: bool
    ceiling: float = inf


class Hardware(Struct, frozen=True):
    """A device in SI units.

    `units` compute side by side for `cycles` a second in all, `cache` is the size of the last level in bytes, `lanes`
    the fp32 values of a vector, `headroom` the clock relative to consumer cards', `boost` relative to the data sheet's.
    `rates` holds the engine that each dtype of a run computes on, `vector` the fp32 lanes; nothing moves faster than
    `memory_ceiling` in B/s. `tf32` says that fp32 convolutions compute in it. `measured` names values that were
    measured instead of taken from the data sheet, `assumed` those that had to be guessed. `factors` correct the
    compute, memory and overhead of a machine on which networks were timed, `spread` is the error that remains. `power`
    is the share of the rates that the device's power sustains. `expected` are the factors of its runtime, if known.
    `other_isa` says that it is a CPU of an instruction set that no runtime was measured on: all but x86. Where the
    caches of a CPU were measured, bytes beyond `inner`, the size of the level before the last, take `step` seconds more
    each than parameters say. `choices` are the lowest and the highest clock that a laptop's maker may choose, relative
    to the printed one.
    """

    kind: str
    units: float
    rates: dict[str, Rates]
    vector: Rates
    bandwidth: float
    cache: float
    lanes: float
    headroom: float
    cycles: float
    measured: frozenset[str]
    assumed: tuple[str, ...]
    op_overhead: float | None = None
    factors: tuple[float, float, float] | None = None
    spread: float | None = None
    boost: float = 1.0
    memory_ceiling: float = inf
    tf32: bool = False
    power: float = 1.0
    label: str = ""
    architecture: str = ""
    expected: PartFactors | None = None
    other_isa: bool = False
    inner: float = inf
    step: float = 0.0
    choices: tuple[float, float] = (1.0, 1.0)


known_peaks = latest(64)(peaks)


def _factors(device: Device, known: DeviceCalibration | None) -> tuple[float, float, float] | None:
    """Return what multiplies compute, memory and overhead: the calibration, and the overhead that is assumed."""
    if known is None and not device.overhead:
        return None
    compute, memory, overhead = (known.compute, known.memory, known.overhead) if known else (1.0, 1.0, 1.0)
    return compute, memory, overhead * (device.overhead or 1.0)


def hardware_of(
    device: Device,
    dtypes: Iterable[str],
    clock: ClockKind | None = None,
    math: Math = "default",
    known: DeviceCalibration | None = None,
) -> Hardware | None:
    """Return the hardware for runs that compute in `dtypes`, None if the bandwidth, rates or units are unknown.

    `known` is the device's calibration in the runtime.
    """
    every = known_peaks(device, clock)
    vector = _vector(every)
    sustained = device.sustained or Sustained("data sheet")
    stream = STREAM_SHARE if device.kind == "gpu" else 1.0  # a CPU's share is a parameter of the runtime
    bandwidth = sustained.bandwidth / stream if sustained.bandwidth else device.memory.bandwidth
    if not bandwidth or vector is None or not device.units:
        return None
    flops_per_cycle = vector.terms[0].flops_per_cycle
    if device.kind == "cpu":
        share = _clock_share(device, vector, clock) * _balance(vector)
    else:
        share = min(1.0, MAX_ISSUED / flops_per_cycle) * power_share(device, flops_per_cycle)
    tf32 = computes_tf32(device, every, math)
    needed = {"fp32", *dtypes, *(("tf32",) if tf32 else ())}
    headroom = _headroom(device)
    true = headroom * BOOST if device.kind == "gpu" else 1.0  # clock of a measurement relative to the printed one
    reached = {dtype: rate / true for dtype in needed if (rate := _reached(sustained, dtype, device.count))}
    rates = {dtype: _rates(every, dtype, vector, share, reached.get(dtype), device) for dtype in needed}
    lanes = rates["fp32"] if "fp32" in reached else Rates(vector.flops_per_second * share, flops_per_cycle, False)
    cache = cache_size(device)
    inner, step = _step(device, sustained) if device.kind == "cpu" and sustained.caches else (inf, 0.0)
    return Hardware(
        kind=device.kind,
        units=float(device.count),
        rates=rates,
        vector=lanes,
        bandwidth=float(bandwidth),
        cache=assumed_cache(device) if cache is None else cache,
        lanes=max(flops_per_cycle / 4, 1.0),
        headroom=headroom,
        cycles=lanes.flops_per_second / flops_per_cycle,
        measured=frozenset(reached) | ({"bandwidth"} if sustained.bandwidth else set()),
        assumed=tuple(_assumed(device, vector, cache)),
        op_overhead=float(sustained.op_overhead) if sustained.op_overhead else None,
        factors=_factors(device, known),
        spread=known.spread if known else None,
        boost=boost(device),
        memory_ceiling=max(float(bandwidth), float(device.memory.bandwidth or 0.0)),
        tf32=tf32,
        power=power_share(device, max(rate.flops_per_cycle for rate in rates.values())),
        label=device.label,
        architecture=device.architectures.removesuffix("-pro"),
        other_isa=device.kind == "cpu" and vector.isa in OTHER_ISAS,
        inner=inner,
        step=step,
        choices=_choices(device, clock) if device.laptop else (1.0, 1.0),
    )


def _choices(device: Device, clock: ClockKind | None) -> tuple[float, float]:
    """Return the range of clocks over the printed one; none where it is not published or somebody chose a clock."""
    printed, chosen = device.units[0].clock.boost, device.units[0].clock.fixed or clock
    if chosen or not printed or not device.laptop or not device.laptop.boost:
        return 1.0, 1.0
    low, high = device.laptop.boost
    return low / printed, high / printed


def _step(device: Device, sustained: Sustained) -> tuple[float, float]:
    """Return `inner` and `step` of a CPU: none where its last two levels of cache were not measured."""
    lower = [cache for cache in device.caches if cache.name in sustained.caches and not cache.name.startswith("L1")]
    if len(lower) < 2:
        return inf, 0.0
    inner, last = lower[-2:]
    longer = 1.0 / sustained.caches[last.name] - 1.0 / sustained.caches[inner.name]
    return _total(inner, device), max(longer - FITTED_STEP / device.count, 0.0)


def boost(device: Device) -> float:
    """Return the clock that a device reaches over the boost clock of its data sheet: 1 but for consumer cards."""
    return BOOST if device.kind == "gpu" and device.segment == "consumer" else 1.0


def computes_tf32(device: Device, every: tuple[Peak, ...], math: Math) -> bool:
    """Return whether fp32 convolutions compute as tf32: torch's default where NVIDIA's matrix engines have it."""
    return math == "default" and device.vendor == "NVIDIA" and fastest(every, "tf32") is not None


def _assumed(device: Device, vector: Peak, cache: float | None) -> Iterator[str]:
    """Yield what has to be guessed of a device."""
    if device.provenance_of("memory.bandwidth") == "assumed":
        yield "memory.bandwidth"
    if any(term.provenance in ("assumed", "os") for term in vector.terms) and device.kind == "cpu":
        yield "clock"
    if cache is None:
        yield "cache"


def _headroom(device: Device) -> float:
    """Return the clock of a device relative to consumer cards', which run BOOST times the printed one."""
    return 1.0 if device.kind == "cpu" or device.segment in ("consumer", "workstation") else 1 / BOOST


def power_share(device: Device, flops_per_cycle: float) -> float:
    """Return the share of a rate that the power of a GPU sustains: 1 unless capped below what its units need.

    A clock that somebody fixed is taken to be sustained.
    """
    clock = max(units.clock.boost or units.clock.base or 0.0 for units in device.units)
    clock_fixed = any(units.clock.fixed for units in device.units)
    if device.kind != "gpu" or device.vendor != "NVIDIA" or not device.power or not clock or clock_fixed:
        return 1.0
    year = 0.0 if device.released is None else float(device.released[:4]) + float(device.released[5:] or 6) / 12
    older = max(LAST_PROCESS - year, 0.0) if year else 0.0
    needed = WATTS * exp(SAVED_A_YEAR * older) * (flops_per_cycle / USUAL_RATE) ** RATE_POWER
    watts = device.power - min(memory_watts(device), MEMORY_PART * device.power)
    return float(min(1.0, (watts / (device.count * clock / 1e9) / needed) ** CAP_POWER))


def memory_watts(device: Device) -> float:
    """Return the watts that the memory of a GPU takes at its full bandwidth, 0 if that is unknown.

    A bandwidth that somebody set is asked of a memory at no more watts, so that a faster one is never slower.
    """
    memory = device.memory
    joules = GDDR_JOULES if (memory.type or "").startswith("GDDR") else STACKED_JOULES
    printed = memory.bus * memory.rate / 8 if memory.bus and memory.rate else memory.bandwidth or 0.0
    return joules * float(printed)


def _balance(vector: Peak) -> float:
    """Return the share of the rate of all cores that teams of threads reach where some cores are slower than others."""
    rates = [term.flops_per_second / term.units for term in vector.terms]
    return float((sum(term.units for term in vector.terms) * min(rates) / vector.flops_per_second) ** STATIC_TEAM)


def _vector(every: tuple[Peak, ...]) -> Peak | None:
    """Return the highest peak of vector lanes: fp32, or the nearest dtype."""
    fitting = [p for p in every if p.engine == "vector" and p.sparsity == "dense"]
    single = [p for p in fitting if p.dtype == "fp32"] or fitting or [p for p in every if p.dtype == "fp32"]
    return max(single, key=lambda p: p.flops_per_second, default=None)


def _rates(
    every: tuple[Peak, ...], dtype: str, vector: Peak, share: float, reached: float | None, device: Device
) -> Rates:
    """Return the engine that data of a dtype run on: its fastest, or the fp32 lanes if it has none.

    `share` is what vector lanes keep of their peak, `reached` the measured FLOP/s.
    """
    own = fastest(every, dtype) or vector
    matrix = own.engine == "matrix"
    flops_per_cycle = max(term.flops_per_cycle for term in own.terms)
    flops_per_second = reached or own.flops_per_second * (power_share(device, flops_per_cycle) if matrix else share)
    ceiling = inf if own.provenance == "os" else max(flops_per_second, own.flops_per_second)  # systems state low clocks
    return Rates(flops_per_second, flops_per_cycle, matrix, ceiling)


def _clock_share(device: Device, vector: Peak, clock: ClockKind | None) -> float:
    """Return the share of the clock in the peak that all cores together keep."""
    if clock or not vector.terms or vector.terms[0].clock != "boost":
        return 1.0
    shares = []
    for units in device.units:
        base, boost = units.clock.base, units.clock.boost
        if base and boost and units.count > 1:
            shares.append((base + ALL_CORE_SHARE * (boost - base)) / boost)
    return sum(shares) / len(shares) if shares else 1.0


def _reached(sustained: Sustained, dtype: str, units: int) -> float | None:
    """Return the FLOP/s measured on all units, of independent FMAs, else of the best matrix product over its share."""
    for kernel, share in (("fma", 1.0), ("matmul", MATMUL_SHARE)):
        if rate := sustained.rate(kernel, dtype, units=units):
            return float(rate.flops_per_second) / share
    return None


def assumed_cache(device: Device) -> float:
    """Return the bytes of a last-level cache for a device whose file states none: a guess."""
    return float(CACHE_PER_UNIT[device.kind] * max(device.count, 1))


def cache_size(device: Device) -> float | None:
    """Return the bytes of the levels below the first, all instances together; on a GPU of the largest."""
    sizes = [
        _total(cache, device) for cache in device.caches if not cache.name.rpartition(" ")[2].startswith(("L1", "L0"))
    ]
    if not sizes:
        return None
    return max(sizes) if device.kind == "gpu" else sum(sizes)


def _total(cache: Cache, device: Device) -> float:
    """Return the bytes of a cache's instances; `P-core L2` is of the units of that name alone."""
    if not cache.shared_by:
        return float(cache.size)
    owner = cache.name.rpartition(" ")[0]
    units = next((units.count for units in device.units if units.name == owner), device.count)
    return float(cache.size) * units / cache.shared_by
