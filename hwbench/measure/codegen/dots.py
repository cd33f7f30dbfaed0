"""Instructions that multiply and add narrow elements: dot products of bf16 and int8, in 32 bits, and those of fp16.

Each lane of 32 bits holds two bf16 or four bytes. x86's VDPBF16PS and VPDPBUSD add the products of one lane to its sum
(Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2); so do Arm's BFDOT and SDOT, while BFMMLA and
SMMLA multiply two rows of 64 bits by two others (Arm Architecture Reference Manual, section C7). Multiply-adds of fp16
(AVX512-FP16, Arm's FEAT_FP16) have a sum of 16 bits for each element, so that products of matrices do not use them.
"""

from typing import Literal

from llvmlite import ir
from msgspec import Struct

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import HALF, I8, Target

DotDtype = Literal["bf16", "int8", "fp16"]

ELEMENTS = {"fp16": 1, "bf16": 2, "int8": 4}
"""Elements of a lane of 32 bits; the one fp16 is there as an fp32."""


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's `bfloat`, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


class Dot(Struct, frozen=True):
    """An instruction: its name, the CPU's feature, LLVM's intrinsic by width, and products in each 128 bits."""

    name: str
    dtype: DotDtype
    isa: str
    feature: str
    intrinsics: dict[int, str]
    products: int

    @property
    def steps(self) -> int:
        """Times that the products of one lane are added to a sum: 1 where each lane has its own."""
        return self.products // self.lanes(128) // ELEMENTS[self.dtype]

    @property
    def sum_type(self) -> ir.Type:
        """LLVM's type of a sum."""
        return HALF if self.dtype == "fp16" else vectors.SUMS[self.dtype]

    def lanes(self, bits: int) -> int:
        """Return the sums in a vector of this width."""
        return bits // vectors.bits_of(self.sum_type)


def _by_width(name: str, *widths: int) -> dict[int, str]:
    return {bits: f"llvm.x86.{name}.{bits}" for bits in widths}


X86_DOTS = (
    Dot("vdpbf16ps", "bf16", "avx512-bf16", "avx512bf16", _by_width("avx512bf16.dpbf16ps", 128, 256, 512), 8),
    Dot("vpdpbusd", "int8", "avx512-vnni", "avx512vnni", _by_width("avx512.vpdpbusd", 128, 256, 512), 16),
    Dot("vpdpbusd", "int8", "avx-vnni", "avxvnni", _by_width("avx512.vpdpbusd", 128, 256), 16),
    Dot("vfmadd231ph", "fp16", "avx512-fp16", "avx512fp16", {16 * n: f"llvm.fma.v{n}f16" for n in (8, 16, 32)}, 8),
)
ARM_DOTS = (
    Dot("bfdot", "bf16", "neon-bfdot", "bf16", {128: "llvm.aarch64.neon.bfdot.v4f32.v8bf16"}, 8),
    Dot("bfmmla", "bf16", "neon-bf16", "bf16", {128: "llvm.aarch64.neon.bfmmla"}, 16),
    Dot("sdot", "int8", "neon", "dotprod", {128: "llvm.aarch64.neon.sdot.v4i32.v16i8"}, 16),
    Dot("smmla", "int8", "neon-i8mm", "i8mm", {128: "llvm.aarch64.neon.smmla.v4i32.v16i8"}, 32),
    Dot("fmla", "fp16", "neon", "fullfp16", {128: "llvm.fma.v8f16"}, 8),
)


def dots(target: Target) -> tuple[Dot, ...]:
    """Return the instructions that a target has; where AVX-512 has one, not its form for narrower vectors alone."""
    every = X86_DOTS if target.x86 else ARM_DOTS if target.arm else ()
    result = tuple(dot for dot in every if dot.feature in target.features)
    wide = any(dot.isa == "avx512-vnni" for dot in result)
    return tuple(dot for dot in result if not (wide and dot.isa == "avx-vnni"))


def widths(dot: Dot, target: Target) -> tuple[int, ...]:
    """Return the widths in bits of an instruction's vectors on a target, the narrowest first."""
    narrow = not dot.isa.startswith("avx512") or "avx512vl" in target.features
    return tuple(bits for bits in dot.intrinsics if bits in target.widths and (narrow or bits == 512))


def by_lane(dtype: str, target: Target) -> Dot | None:
    """Return the instruction of a dtype in which each lane of 32 bits has a sum of its own, None without."""
    return next(
        (dot for dot in dots(target)
         if (dot.dtype, dot.steps, dot.lanes(32)) == (dtype, 1, 1) and widths(dot, target)), None,
    )  # fmt: skip


def multiplied(target: Target) -> tuple[str, ...]:
    """Return the narrow dtypes of matrix products on a target: those of its dot products, and fp16 as fp32."""
    return tuple(dtype for dtype in ELEMENTS if (target.halves if dtype == "fp16" else by_lane(dtype, target)))


def dot(builder: ir.IRBuilder, intrinsic: str, a: ir.Value, b: ir.Value, sums: ir.Value) -> ir.Value:
    """Emit an instruction of lanes of 32 bits. `a` is without a sign in x86's of bytes; LLVM reads bf16 in lanes, too.

    Arm's take vectors of their elements, as do multiply-adds.
    """
    if intrinsic.startswith("llvm.fma"):
        factors = [builder.bitcast(factor, sums.type) for factor in (a, b)]
        return vectors.call(builder, intrinsic, sums.type, [*factors, sums])
    kind = ir.VectorType(vectors.I32, sums.type.count)
    if intrinsic.startswith("llvm.aarch64"):
        element: ir.Type = _BFloat() if "bf" in intrinsic else I8
        kind = ir.VectorType(element, 8 if "bf" in intrinsic else 16)
    return vectors.call(builder, intrinsic, sums.type, [sums, builder.bitcast(a, kind), builder.bitcast(b, kind)])
