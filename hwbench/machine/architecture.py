"""What one unit (a CPU core, an SM, a compute unit) of a microarchitecture does in one clock cycle."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hwbench.dtypes import DtypeName

Kind = Literal["cpu", "gpu"]
Engine = Literal["vector", "matrix"]
Sparsity = Literal["dense", "2:4"]
Accumulator = DtypeName | Literal["int32"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Released = Annotated[str, Meta(pattern=r"^(19|20)[0-9]{2}(-(0[1-9]|1[0-2]))?$")]


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
