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
    "rvv": ("rvv",), "vsx": ("altivec",), "msa": ("ase_msa",), "vx": ("vx",),
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
    Assumption(("avx512f", "avx512_4fmaps"), "avx512-4fmaps", "2 × 2 chained 512-bit FMA", (("fp32", 128),)),
    Assumption(("avx512f", "avx512_fp16"), "avx512-fp16", "2 × 512-bit FMA", (("fp16", 128),)),
    Assumption(("avx512f", "avx512_bf16"), "avx512-bf16", "2 × 512-bit dot products of pairs", (("bf16", 128),)),
    Assumption(("avx512f", "avx512_vnni"), "avx512-vnni", "2 × 512-bit dot products of 4", (("int8", 256),)),
    Assumption(("avx2", "fma"), "avx2", "2 × 256-bit FMA", _fp(32)),
    Assumption(("avx2", "avx_vnni"), "avx-vnni", "2 × 256-bit dot products of 4", (("int8", 128),)),
    Assumption(("avx",), "avx", "2 × 256-bit FMA, or as many additions and multiplications", _fp(32), unless=("avx2",)),
    Assumption(("avx", "avx2"), "avx", "2 × 256-bit additions and multiplications", _fp(32), unless=("fma",)),
    Assumption(("sse2",), "sse2", "2 × 128-bit additions and multiplications", _fp(16), unless=("avx",)),
    Assumption(("sse",), "sse", "2 × 128-bit additions and multiplications", (("fp32", 16),), unless=("sse2",)),
    Assumption(("amx_bf16",), "amx", "a 16×16×32 tile product in 16 cycles", (("bf16", 1024),), "matrix"),
    Assumption(("amx_fp16",), "amx", "a 16×16×32 tile product in 16 cycles", (("fp16", 1024),), "matrix"),
    Assumption(("amx_int8",), "amx", "a 16×16×64 tile product in 16 cycles", (("int8", 2048),), "matrix"),
    Assumption(("sve",), "sve", "2 × 512-bit FMA, as A64FX", _fp(64), unless=("sve2",)),
    Assumption(("sve", "asimdhp"), "sve", "2 × 512-bit FMA, as A64FX", (("fp16", 128),), unless=("sve2",)),
    Assumption(("sve2",), "sve2", "6 × 128-bit FMA, as Cortex-X925", _fp(48)),
    Assumption(("sve2", "asimdhp"), "sve2", "6 × 128-bit FMA, as Cortex-X925", (("fp16", 96),)),
    Assumption(("asimd", "sve2"), "neon", "6 × 128-bit FMA, as Cortex-X925", _fp(48)),
    Assumption(("asimd", "asimdhp", "sve2"), "neon", "6 × 128-bit FMA, as Cortex-X925", (("fp16", 96),)),
    Assumption(("asimd",), "neon", "4 × 128-bit FMA, as Cortex-X1", _fp(32), unless=("sve2",)),
    Assumption(("asimd", "asimdhp"), "neon", "4 × 128-bit FMA, as Cortex-X1", (("fp16", 64),), unless=("sve2",)),
    Assumption(("neon",), "neon", "2 × 128-bit FMA", (("fp32", 16),), unless=("asimd",)),
    Assumption(("lasx",), "lasx", "2 × 256-bit FMA", _fp(32)),
    Assumption(("lsx",), "lsx", "2 × 128-bit FMA", _fp(16), unless=("lasx",)),
    Assumption(("rvv",), "rvv", "2 × 256-bit FMA", _fp(32)),
    Assumption(("rvxtheadvector",), "xtheadvector", "2 × 256-bit FMA", _fp(32)),
    Assumption(("rvv", "rvzvfh"), "rvv", "2 × 256-bit FMA", (("fp16", 64),)),
    Assumption(("altivec",), "vsx", "8 × 128-bit FMA, as a POWER10 core of eight threads", _fp(64)),
    Assumption(("vx",), "vx", "2 × 128-bit FMA", (("fp64", 8),)),
    Assumption(("vx", "vxe"), "vx", "2 × 128-bit FMA", (("fp32", 16),)),
    Assumption(("ase_msa",), "msa", "2 × 128-bit FMA", _fp(16)),
)  # fmt: skip
"""Each as the widest core known with those flags."""


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


CONTRADICTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("avx512f", ("avx512",)), ("amx_tile", ("amx",)), ("avx2", ("avx2", "avx512")), ("fma", ("avx2", "avx512", "fma3")),
    ("avx", ("avx", "avx2", "avx512", "fma3", "fma4")), ("sse2", ("sse2", "avx", "avx2", "avx512", "fma3", "fma4")),
    ("sve2", ("sve2",)), ("sve", ("sve", "sve2")), ("lasx", ("lasx",)), ("rvv", ("rvv",)), ("altivec", ("vsx",)),
)  # fmt: skip
"""Flags, and the ISAs of which an architecture with that flag has one."""


def contradicted(rates: Iterable[Rate], flags: Iterable[str]) -> str | None:
    """Return the flag of an ISA that a CPU with these rates lacks: then its name is wrong."""
    families = {rate.isa.lower().partition("-")[0] for rate in rates}
    known = frozenset(flags)
    return next((flag for flag, isas in CONTRADICTIONS if flag in known and not families & set(isas)), None)


def assumed_rates(flags: Iterable[str]) -> tuple[Rate, ...]:
    """Return rates of a CPU known by its flags alone, those of the widest core with them: peaks stay upper bounds."""
    known = set(flags)
    rates = []
    for assumption in ASSUMPTIONS:
        if not known.issuperset(assumption.needs) or known.intersection(assumption.unless):
            continue
        how = f"assumed from the flag {' and '.join(assumption.needs)}: {assumption.how}"
        for dtype, flops in assumption.rates:
            sums: Accumulator | None = "int32" if dtype == "int8" else "fp32"
            accumulate = None if dtype in ("fp32", "fp64", "fp16") and assumption.engine == "vector" else sums
            rates.append(Rate(assumption.engine, assumption.isa, dtype, flops, accumulate, how=how))
    return tuple(rates) if any(rate.engine == "vector" for rate in rates) else (*rates, *_scalar())


def _scalar() -> tuple[Rate, ...]:
    how = "assumed, with no vector flag to go by: 2 scalar FMA"
    dtypes: tuple[DtypeName, ...] = ("fp32", "fp64")
    return tuple(Rate(engine="vector", isa="scalar", dtype=dtype, flops_per_cycle=4, how=how) for dtype in dtypes)
