"""What the flags of a CPU say about its rates: which are within reach, and an upper bound where nothing else is known.

Flags have Linux's names (arch/x86/include/asm/cpufeatures.h; Documentation/arch/arm64/elf_hwcaps).
"""

from collections.abc import Iterable

from msgspec import Struct

from hwbench.dtypes import DtypeName
from hwbench.machine.parts import Accumulator, Engine, Rate

Flags = frozenset[str]

NEEDED: dict[str, tuple[str, ...]] = {
    "avx512": ("avx512f",), "avx2": ("avx2", "fma"), "fma3": ("fma",), "fma": ("fma",), "fma4": ("fma4",),
    "avx": ("avx",), "sse": ("sse",), "sse2": ("sse2",), "x87": ("fpu",), "amx": ("amx_tile",), "sve": ("sve",),
    "sve2": ("sve2",), "sme": ("sme",), "sme2": ("sme2",), "lasx": ("lasx",), "lsx": ("lsx",),
    "neon": ("asimd|neon",), "neon-bf16": ("bf16",), "neon-i8mm": ("i8mm",), "sve-bf16": ("svebf16",),
    "sve-i8mm": ("svei8mm",),
}  # fmt: skip
"""Flags that an ISA needs, by its name in architecture files; `a|b` is either. `x-y` also needs x's and x_y."""

NEEDED_BY_DTYPE: dict[tuple[str, str], str] = {
    ("amx", "bf16"): "amx_bf16", ("amx", "fp16"): "amx_fp16", ("amx", "int8"): "amx_int8",
    ("neon", "fp64"): "asimd", ("neon", "fp16"): "asimdhp", ("neon", "int8"): "asimddp",
}  # fmt: skip
"""One more flag that a dtype needs on an ISA."""


class Assumption(Struct, frozen=True):
    """Rates in FLOP per cycle of the widest cores known that have some flags."""

    needs: tuple[str, ...]
    isa: str
    how: str
    rates: tuple[tuple[DtypeName, float], ...]
    engine: Engine = "vector"
    unless: tuple[str, ...] = ()


def _fp(fp32: float) -> tuple[tuple[DtypeName, float], ...]:
    return (("fp32", fp32), ("fp64", fp32 / 2))


ASSUMPTIONS = (
    Assumption(("avx512f",), "avx512", "2 × 512-bit FMA", _fp(64)),
    Assumption(("avx512f", "avx512_fp16"), "avx512-fp16", "2 × 512-bit FMA", (("fp16", 128),)),
    Assumption(("avx512f", "avx512_bf16"), "avx512-bf16", "2 × 512-bit dot products of pairs", (("bf16", 128),)),
    Assumption(("avx2", "fma"), "avx2", "2 × 256-bit FMA", _fp(32)),
    Assumption(("avx",), "avx", "a 256-bit addition and a 256-bit multiplication", _fp(16), unless=("avx2",)),
    Assumption(("sse2",), "sse2", "a 128-bit addition and a 128-bit multiplication", _fp(8), unless=("avx",)),
    Assumption(("sse",), "sse", "a 128-bit addition and a 128-bit multiplication", (("fp32", 8),), unless=("sse2",)),
    Assumption(("amx_bf16",), "amx", "a 16×16×32 tile product in 16 cycles", (("bf16", 1024),), "matrix"),
    Assumption(("amx_fp16",), "amx", "a 16×16×32 tile product in 16 cycles", (("fp16", 1024),), "matrix"),
    Assumption(("amx_int8",), "amx", "a 16×16×64 tile product in 16 cycles", (("int8", 2048),), "matrix"),
    Assumption(("asimd",), "neon", "2 × 128-bit FMA", _fp(16), unless=("wide",)),
    Assumption(("asimd", "asimdhp"), "neon", "2 × 128-bit FMA", (("fp16", 32),), unless=("wide",)),
    Assumption(("asimd", "wide"), "neon", "4 × 128-bit FMA", _fp(32)),
    Assumption(("asimd", "asimdhp", "wide"), "neon", "4 × 128-bit FMA", (("fp16", 64),)),
    Assumption(("neon",), "neon", "2 × 128-bit FMA", (("fp32", 16),), unless=("asimd",)),
    Assumption(("lasx",), "lasx", "2 × 256-bit FMA", _fp(32)),
    Assumption(("lsx",), "lsx", "2 × 128-bit FMA", _fp(16), unless=("lasx",)),
)
"""`wide` stands for Apple's and Qualcomm's cores and for those with SVE, the widest of which have four pipes."""

WIDE_IMPLEMENTERS = ("0x61", "0x51")


def within_reach(rates: Iterable[Rate], flags: Iterable[str]) -> tuple[Rate, ...]:
    """Return the rates whose ISA the flags have: a hypervisor may hide what the silicon has. No flags hide nothing."""
    known = frozenset(flags)
    return tuple(rate for rate in rates if not known or _has(rate, known))


def _has(rate: Rate, flags: Flags) -> bool:
    isa = rate.isa.lower()
    family, _, extension = isa.partition("-")
    needed = [*NEEDED.get(family, ())]
    if isa != family:
        needed += NEEDED.get(isa, (f"{family}_{extension}",) if needed else ())
    if (isa, rate.dtype) in NEEDED_BY_DTYPE:
        needed.append(NEEDED_BY_DTYPE[isa, rate.dtype])
    return all(any(flag in flags for flag in either.split("|")) for either in needed)


def contradicted(rates: Iterable[Rate], flags: Iterable[str]) -> str | None:
    """Return the flag of an ISA level that a CPU with these rates lacks: then its name is wrong."""
    families = {rate.isa.lower().partition("-")[0] for rate in rates}
    for family, flag in (("avx512", "avx512f"), ("amx", "amx_tile")):
        if flag in flags and family not in families:
            return flag
    return None


def assumed_rates(flags: Iterable[str], vendor: str = "") -> tuple[Rate, ...]:
    """Return rates of a CPU known by its flags alone, as high as any core with those flags: peaks stay upper bounds."""
    known = set(flags) | ({"wide"} if vendor in WIDE_IMPLEMENTERS or "sve" in flags else set())
    rates = []
    for assumption in ASSUMPTIONS:
        if not known.issuperset(assumption.needs) or known.intersection(assumption.unless):
            continue
        named = " and ".join(flag for flag in assumption.needs if flag != "wide")
        how = f"assumed from the flag {named}: {assumption.how}"
        for dtype, flops in assumption.rates:
            sums: Accumulator | None = "int32" if dtype == "int8" else "fp32"
            accumulate = None if assumption.engine == "vector" else sums
            rates.append(Rate(assumption.engine, assumption.isa, dtype, flops, accumulate, how=how))
    return tuple(rates) if any(rate.engine == "vector" for rate in rates) else (*rates, *_scalar())


def _scalar() -> tuple[Rate, ...]:
    how = "assumed, with no flag to go by: an addition and a multiplication"
    dtypes: tuple[DtypeName, ...] = ("fp32", "fp64")
    return tuple(Rate(engine="vector", isa="scalar", dtype=dtype, flops_per_cycle=2, how=how) for dtype in dtypes)
