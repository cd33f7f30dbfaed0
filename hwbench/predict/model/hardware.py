"""What the time model knows of a device: rates by dtype, bandwidth, caches, and where these are guesses."""

from collections.abc import Iterable

from msgspec import Struct

from hwbench.machine.device import Cache, ClockKind, Device
from hwbench.machine.peak import Peak, highest, peaks

CONSUMER = ("GeForce", "TITAN", "Radeon RX")
"""Titles of cards that run above their printed boost clock unless power holds them back."""
ALL_CORE_SHARE = 0.35
"""Where all cores settle between base and boost under vector code, where no all-core clock is published."""
CACHE_PER_UNIT = {"gpu": 64 << 10, "cpu": 2 << 20}
"""Bytes of last-level cache a unit, where a device's file names none: a guess."""
MATMUL_SHARE = 0.93
"""What a large matrix product reaches of the rate that the same clock allows."""
ISSUED = 256.0
"""FLOP a cycle that a GPU's unit issues without pairing instructions: Kepler's 192 lanes ask for more."""
CAUTION = 1 / 1.12
"""Clock of a card for data centers or workstations against a consumer card's, each as a share of its printed boost:
the consumer cards that parameters were fitted on run about 12 % above theirs."""


class Rates(Struct):
    """One engine at one dtype: FLOP/s of all units, and FLOP that a unit completes each cycle."""

    flops_per_second: float
    flops_per_cycle: float
    matrix: bool


class Hardware(Struct):
    """A device in SI units. `units` compute side by side for `cycles` a second in all, `cache` is the last level's size
    in bytes, `lanes` the fp32 values of a vector, `headroom` the clock against consumer cards'.

    `rates` holds the engine that each dtype of a run computes on, `vector` the fp32 lanes. `measured` says that
    sustained values took the place of the data sheet's, `assumed` names what had to be guessed. `factors` correct the
    compute, memory and overhead of a machine on which networks were timed, `spread` is the error that this leaves.
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


def hardware(device: Device, dtypes: Iterable[str], clock: ClockKind | None = None) -> Hardware | None:
    """The device as the time model sees it for runs that compute in `dtypes`; None where its bandwidth is unknown."""
    sustained = device.sustained
    bandwidth = (sustained and sustained.bandwidth) or device.memory.bandwidth
    if not bandwidth:
        return None
    every = peaks(device, clock)
    vector = _vector(every)
    if vector is None:
        return None
    measured = {"bandwidth"} if sustained and sustained.bandwidth else set()
    assumed = [field for field in ("memory.bandwidth",) if device.provenance_of(field) == "assumed"]
    if any(term.provenance in ("assumed", "os") for term in vector.terms) and device.kind == "cpu":
        assumed.append("clock")
    cycle = vector.terms[0].flops_per_cycle
    scale = _clock_share(device, vector, clock) if device.kind == "cpu" else min(1.0, ISSUED / cycle)
    rates = {dtype: _rates(every, dtype, vector, scale) for dtype in {"fp32", *dtypes}}
    for dtype, found in rates.items():
        reached = _sustained(device, dtype)
        if reached:
            measured.add(dtype)
            found.flops_per_second = reached
    cache = _cache(device)
    if cache is None:
        assumed.append("cache")
        cache = float(CACHE_PER_UNIT[device.kind] * device.count)
    lanes = rates["fp32"] if "fp32" in measured else Rates(vector.flops_per_second * scale, cycle, False)
    return Hardware(
        kind=device.kind,
        units=float(device.count),
        rates=rates,
        vector=lanes,
        bandwidth=float(bandwidth),
        cache=cache,
        lanes=max(cycle / 4, 1.0),
        headroom=1.0
        if device.kind == "cpu" or measured & set(rates) or any(word in device.title for word in CONSUMER)
        else CAUTION,
        cycles=lanes.flops_per_second / cycle,
        measured=frozenset(measured),
        assumed=tuple(assumed),
        op_overhead=float(sustained.op_overhead) if sustained and sustained.op_overhead else None,
        factors=_factors(sustained.factors) if sustained and sustained.factors else None,
        spread=sustained.factors.get("spread") if sustained else None,
    )


def _factors(found: dict[str, float]) -> tuple[float, float, float]:
    return found.get("compute", 1.0), found.get("memory", 1.0), found.get("overhead", 1.0)


def _vector(every: tuple[Peak, ...]) -> Peak | None:
    """The highest peak of vector lanes: fp32, or what comes nearest."""
    fitting = [p for p in every if p.engine == "vector" and p.sparsity == "dense"]
    single = [p for p in fitting if p.dtype == "fp32"] or fitting or [p for p in every if p.dtype == "fp32"]
    return max(single, key=lambda p: p.flops_per_second, default=None)


def _rates(every: tuple[Peak, ...], dtype: str, vector: Peak, scale: float) -> Rates:
    """The engine that data of a dtype run on: its own highest peak, or the fp32 lanes where those are faster."""
    own = highest(every, dtype)
    if own is None or own.flops_per_second < vector.flops_per_second:
        own = vector
    cycle = max(term.flops_per_cycle for term in own.terms)
    return Rates(own.flops_per_second * (1.0 if own.engine == "matrix" else scale), cycle, own.engine == "matrix")


def _clock_share(device: Device, vector: Peak, clock: ClockKind | None) -> float:
    """What all cores together keep of the clock that the peak multiplies by."""
    if clock or not vector.terms or vector.terms[0].clock != "boost":
        return 1.0
    shares = []
    for units in device.units:
        base, boost = units.clock.base, units.clock.boost
        if base and boost and units.count > 1:
            shares.append((base + ALL_CORE_SHARE * (boost - base)) / boost)
    return sum(shares) / len(shares) if shares else 1.0


def _sustained(device: Device, dtype: str) -> float | None:
    """The rate that was measured on all units, as a peak: of independent FMAs, else of the best matrix product."""
    if device.sustained is None:
        return None
    found = [rate for rate in device.sustained.rates if rate.dtype == dtype and rate.units >= device.count]
    for kernel, share in (("fma", 1.0), ("matmul", MATMUL_SHARE)):
        rates = [float(rate.flops_per_second) / share for rate in found if rate.kernel == kernel]
        if rates:
            return max(rates)
    return None


def _cache(device: Device) -> float | None:
    """Bytes of the levels below the first, all instances together; on a GPU of the largest."""
    sizes = [_total(cache, device.count) for cache in device.caches if not cache.name.startswith(("L1", "L0"))]
    if not sizes:
        return None
    return max(sizes) if device.kind == "gpu" else sum(sizes)


def _total(cache: Cache, units: int) -> float:
    return float(cache.size) * (units / cache.shared_by if cache.shared_by else 1.0)
