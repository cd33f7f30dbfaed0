"""The parts of a machine: architectures and their rates, units, clocks, memory, caches; figures published of it."""

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from hwbench.dtypes import DtypeName
from hwbench.units import Bits, Bytes, BytesPerSecond, FlopsPerSecond, Hertz, Seconds, TransfersPerSecond, Watts

Kind = Literal["cpu", "gpu", "accelerator"]
"""An accelerator is a chip of which no clocks and rates a cycle are published, but peaks: TPU, Gaudi, Trainium."""
KINDS: tuple[Kind, ...] = get_args(Kind)
Engine = Literal["vector", "matrix"]
Sparsity = Literal["dense", "2:4"]
Accumulator = Literal[DtypeName, "int32"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Released = Annotated[str, Meta(min_length=4, max_length=7)]
"""A year, or a year and a month: `2024-05`. The catalog refuses others: a pattern here costs every start."""
Provenance = Literal["spec", "derived", "os", "measured", "set", "assumed"]
Segment = Literal["consumer", "workstation", "datacenter", "embedded"]
"""Market that a GPU was made for: consumer cards run above their printed boost clock unless power limits them."""
BOOST = 1.12
"""Clock of a consumer card over its printed boost, by which a forecast may undercut the bounds at the printed clock."""
ClockKind = Literal["base", "boost", "all_core", "fixed"]
Count = Annotated[int, Meta(gt=0, le=10_000_000)]
Factor = Annotated[float, Meta(gt=1e-3, lt=1e3)]


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where numbers came from, and which: `gives` holds paths of fields, each covering all below it."""

    title: Name
    gives: tuple[Name, ...]
    url: str | None = None


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """FLOP (or integer operations) that one unit completes each cycle; a fused multiply-add is two.

    `accumulate` is the type that a matrix engine sums in; `sparsity` is `2:4` only for structured-sparse rates,
    which are never compared with dense ones; `how` shows the arithmetic behind the number.
    """

    engine: Engine
    isa: Name
    dtype: DtypeName
    flops_per_cycle: Annotated[float, Meta(gt=0, le=1e7)]
    accumulate: Accumulator | None = None
    sparsity: Sparsity = "dense"
    how: str | None = None


class Cpuid(Struct, frozen=True, forbid_unknown_fields=True):
    """What an x86 or Arm core of this microarchitecture calls itself."""

    vendor: Name
    models: tuple[int, ...]
    family: int | None = None
    steppings: tuple[int, ...] | None = None


class Architecture(Struct, frozen=True, forbid_unknown_fields=True):
    """A microarchitecture. `unit` is the vendor's word for what devices count: core, SM, CU ..."""

    title: Name
    vendor: Name
    kind: Kind
    unit: Name
    released: Released
    rates: Annotated[tuple[Rate, ...], Meta(min_length=1)]
    sources: tuple[Source, ...]
    aliases: tuple[Name, ...] = ()
    cpuid: tuple[Cpuid, ...] = ()
    notes: str | None = None


class Clock(Struct, frozen=True, forbid_unknown_fields=True):
    """Clocks in Hz, each its own thing and never mixed.

    `base` is guaranteed, `boost` the highest (of one unit, on a CPU), `all_core` what all units hold together while
    they run an ISA, by ISA name, where it is published, and `fixed` a clock that somebody set.
    """

    base: Hertz | None = None
    boost: Hertz | None = None
    all_core: dict[Name, Hertz] = {}
    fixed: Hertz | None = None

    def __post_init__(self) -> None:
        if not (self.base or self.boost or self.fixed):
            raise ValueError("a clock needs a base, a boost or a fixed value")
        if self.base and self.boost and self.base > self.boost:
            raise ValueError(f"the base clock ({self.base}) is above the boost clock ({self.boost})")


class Units(Struct, frozen=True, forbid_unknown_fields=True):
    """One class of identical units: all SMs of a GPU, all P-cores of a hybrid CPU.

    `rates` come from the architecture's file unless the device gives its own.
    """

    architecture: Name
    count: Count
    clock: Clock
    name: Name = "units"
    threads: Count | None = None
    rates: tuple[Rate, ...] = ()


class Laptop(Struct, frozen=True, forbid_unknown_fields=True):
    """What the maker of a laptop chooses of its card, from the least to the most; None where that is not published.

    Clocks and power of such a device are those of one choice. `power` is without what the CPU may lend.
    """

    power: tuple[Watts, Watts] | None = None
    boost: tuple[Hertz, Hertz] | None = None

    def __post_init__(self) -> None:
        for low, high in filter(None, (self.power, self.boost)):
            if low >= high:
                raise ValueError(f"the least ({low}) is not below the most ({high})")


class Memory(Struct, frozen=True, forbid_unknown_fields=True):
    """Main memory: `bandwidth` is the theoretical one, bus × rate / 8 where both are known.

    `size` is the capacity of a card, or the most that a CPU supports.
    """

    type: Name | None = None
    size: Bytes | None = None
    bandwidth: BytesPerSecond | None = None
    bus: Bits | None = None
    rate: TransfersPerSecond | None = None


class Cache(Struct, frozen=True, forbid_unknown_fields=True):
    """One level of data cache: the size of one instance and how many units share it (absent: all of them)."""

    name: Name
    size: Bytes
    shared_by: Count | None = None


class PublishedPeak(Struct, frozen=True, forbid_unknown_fields=True):
    """A peak as the vendor prints it: that of an accelerator; of CPUs and GPUs held against the computed one alone."""

    engine: Engine
    dtype: DtypeName
    flops_per_second: FlopsPerSecond
    accumulate: Accumulator | None = None
    sparsity: Sparsity = "dense"
    isa: Name | None = None
    clock: ClockKind | None = None


class DisputedPeak(PublishedPeak, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A printed peak that does not follow from units × clock × flops_per_cycle, and why: shown, not held."""

    reason: Annotated[str, Meta(min_length=10, max_length=300)]


class SustainedRate(Struct, frozen=True, forbid_unknown_fields=True):
    """FLOP/s that a microbenchmark reached on `units` units together: independent FMAs (`fma`), or a matrix product."""

    kernel: Literal["fma", "matmul"]
    engine: Engine
    dtype: DtypeName
    flops_per_second: FlopsPerSecond
    units: Count
    isa: Name | None = None


class Sustained(Struct, frozen=True, forbid_unknown_fields=True):
    """Ceilings that were measured on one machine of this kind; `source` says which run, by its id or document.

    `bandwidth` is main memory's with all units reading, `unit_bandwidth` with one; `caches` holds what all units read
    from a level, by its name; `clock` what an ISA runs at under its own load; `op_overhead` is what a framework adds to
    each op.
    """

    source: Name
    rates: tuple[SustainedRate, ...] = ()
    bandwidth: BytesPerSecond | None = None
    unit_bandwidth: BytesPerSecond | None = None
    caches: dict[Name, BytesPerSecond] = {}
    clock: dict[Name, Hertz] = {}
    op_overhead: Seconds | None = None

    def rate(
        self, kernel: str, dtype: str, *, isa: str | None = None, engine: str | None = None, units: int = 1
    ) -> SustainedRate | None:
        """Return a kernel's best rate at a dtype on the most units together, at least `units`; None if there is none.

        `isa` and `engine` limit the choice where they are given.
        """
        alike = (rate for rate in self.rates if (rate.kernel, rate.dtype) == (kernel, dtype) and rate.units >= units)
        fitting = (rate for rate in alike if isa in (None, rate.isa) and engine in (None, rate.engine))
        return max(fitting, key=lambda rate: (rate.units, rate.flops_per_second), default=None)


class DeviceCalibration(Struct, frozen=True, forbid_unknown_fields=True):
    """What one device does in a runtime differently from the time model: measured over expected time of each part.

    80 % of the logarithmic errors that are left are within ±`spread`. `source` says what `timings` networks were timed
    by, `created` when (UTC), and `ceilings` which runs had measured the device then. The `runtime` has no kind of
    device in its name; files of the first version, which have none, were of torch's eager mode.
    """

    device: Name
    created: Name
    source: Name
    timings: Count
    compute: Factor
    memory: Factor
    overhead: Factor
    spread: Factor
    ceilings: Name | None = None
    runtime: Name = "torch-eager"
    schema: Literal["hwbench.calibration/1", "hwbench.calibration/2"] = "hwbench.calibration/2"


class Score(Struct, frozen=True, forbid_unknown_fields=True):
    """A published benchmark score of a CPU, as its page states it; larger is faster.

    `available` is when the system tested was for sale, `system` its name. The CPU ran at its base clock, or above it
    where it has a boost clock.
    """

    suite: Name
    score: Annotated[float, Meta(gt=0, le=1e9)]
    url: str
    available: Released | None = None
    system: Name | None = None
