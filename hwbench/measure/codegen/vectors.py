"""Vectors of the CPU as LLVM instructions: building blocks of kernels that numba would not generate by itself.

Kernels are module-level intrinsics (`numba.extending.intrinsic`), which numba can cache; the functions below emit their
bodies. Addresses are 64-bit integers, counted in bytes. `target()` is the CPU for which numba generates code;
`NUMBA_CPU_NAME`, `NUMBA_CPU_FEATURES` and `NUMBA_ENABLE_AVX` can restrict it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from llvmlite import ir
from msgspec import Struct

FloatDtype = Literal["fp32", "fp64"]
SIZES: dict[str, int] = {"fp32": 4, "fp64": 8, "fp16": 4, "bf16": 4, "int8": 4}
"""Bytes of one lane: an element, or two bf16 or four int8 side by side, whose products have one sum; an fp16 becomes an
fp32."""

VOID, I8, I32, I64 = ir.VoidType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
HALF = ir.HalfType()
FLOATS: dict[str, ir.Type] = {"fp32": ir.FloatType(), "fp64": ir.DoubleType()}
SUMS: dict[str, ir.Type] = {**FLOATS, "fp16": ir.FloatType(), "bf16": ir.FloatType(), "int8": I32}
"""What the sums of a lane are in; a lane of narrow elements has their bits in the same type."""
MIN_BITS = 128
"""Width in bits of the vectors of every 64-bit CPU (SSE2, NEON), assumed for unknown CPUs too."""


class Target(Struct, frozen=True):
    """The CPU for which code is generated: an LLVM triple's first word, and the names of its enabled features."""

    architecture: str
    features: frozenset[str] = frozenset()

    @property
    def x86(self) -> bool:
        """Whether this is 64-bit x86."""
        return self.architecture in ("x86_64", "amd64")

    @property
    def arm(self) -> bool:
        """Whether this is 64-bit Arm."""
        return self.architecture in ("aarch64", "arm64")

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of its vectors in bits, the narrowest first."""
        wider = (256,) * ("avx" in self.features) + (512,) * ("avx512f" in self.features)
        return (MIN_BITS, *wider) if self.x86 else (MIN_BITS,)

    @property
    def registers(self) -> int:
        """Vector registers that a loop may use."""
        return 32 if self.arm or (self.x86 and "avx512vl" in self.features) else 16

    @property
    def fused(self) -> bool:
        """Whether a multiply-add is one instruction; if not, `llvm.fma` would call a slow library function."""
        return self.arm or (self.x86 and bool(self.features & {"fma", "fma4", "avx512f"}))

    @property
    def masks(self) -> bool:
        """Whether loads and stores of a part of a vector are one instruction each."""
        return self.x86 and "avx" in self.features

    @property
    def halves(self) -> bool:
        """Whether fp16 becomes fp32 by one instruction."""
        return self.arm or (self.x86 and "f16c" in self.features)

    def isa(self, bits: int) -> str:
        """Return hwbench's name of the instruction set with vectors of this width."""
        if not self.x86:
            return "neon" if self.arm else "vector"
        wide = "avx2" if "avx2" in self.features else "avx"
        return {128: "sse", 256: wide, 512: "avx512"}[bits]


def target() -> Target:
    """Return the CPU for which numba generates code in this process."""
    from numba.core.registry import cpu_target

    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return parse_target(triple, features)


def parse_target(triple: str, features: str) -> Target:
    """Return the target of an LLVM triple and a list of features such as `+avx,-avx512f`."""
    names = (name.strip() for name in features.split(","))
    return Target(triple.partition("-")[0].lower(), frozenset(name[1:] for name in names if name.startswith("+")))


def lanes(dtype: str, bits: int) -> int:
    """Return the lanes of a dtype in a vector of this width in bits."""
    return bits // (8 * SIZES[dtype])


def vector(dtype: str, count: int) -> ir.VectorType:
    """Return the LLVM type of a vector of `count` lanes of a dtype."""
    return ir.VectorType(SUMS[dtype], count)


def bits_of(element: ir.Type) -> int:
    """Return the bits of an element of this type."""
    if isinstance(element, ir.IntType):
        return int(element.width)
    return {ir.HalfType: 16, ir.FloatType: 32}.get(type(element), 64)


def _suffix(type_: ir.Type) -> str:
    """Return LLVM's name of a type in an intrinsic: `f32`, `v16f32`."""
    if isinstance(type_, ir.VectorType):
        return f"v{type_.count}{_suffix(type_.element)}"
    return f"{'i' if isinstance(type_, ir.IntType) else 'f'}{bits_of(type_)}"


def constant(value: int) -> ir.Constant:
    """Return a 64-bit integer."""
    return ir.Constant(I64, value)


def call(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: Sequence[ir.Value]) -> ir.Value:
    """Emit a call by name and full type: llvmlite's own `declare_intrinsic` gives `llvm.fma` one argument."""
    from numba.core import cgutils

    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), list(arguments))


def function(module: ir.Module, name: str, arguments: Sequence[str], emit: Callable[..., None]) -> ir.Function:
    """Return the function of a module with this name, emitted on first use; its arguments are 64-bit integers.

    `emit` is given a builder and the arguments by name.
    """
    if name in module.globals:
        return module.globals[name]
    result = ir.Function(module, ir.FunctionType(VOID, [I64] * len(arguments)), name)
    result.linkage = "internal"
    result.attributes.add("noinline")
    result.attributes.add("nounwind")
    builder = ir.IRBuilder(result.append_basic_block("entry"))
    emit(builder, dict(zip(arguments, result.args, strict=True)))
    builder.ret_void()
    return result


def fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """Emit a · b + c, rounded once. Only for a target that is `fused`: others call a library for every element."""
    return call(builder, f"llvm.fma.{_suffix(a.type)}", a.type, [a, b, c])


def multiply_add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """Emit a · b + c the fast way: rounded once where the target is `fused`, else a multiply and an add."""
    return call(builder, f"llvm.fmuladd.{_suffix(a.type)}", a.type, [a, b, c])


def offset(builder: ir.IRBuilder, address: ir.Value, amount: int) -> ir.Value:
    """Emit an address so many bytes further on."""
    return builder.add(address, constant(amount)) if amount else address


def pointer(builder: ir.IRBuilder, address: ir.Value, type_: ir.Type) -> ir.Value:
    """Emit an address as a pointer."""
    return builder.inttoptr(address, type_.as_pointer())


def load(
    builder: ir.IRBuilder, address: ir.Value, type_: ir.Type, align: int, on: ir.Value | None = None
) -> ir.Value:  # fmt: skip
    """Emit the value at an address that is a multiple of `align` bytes.

    With a mask `on`, elements that are off are zeros, whose memory is not touched.
    """
    place = pointer(builder, address, type_)
    if on is not None:
        arguments = [place, ir.Constant(I32, align), on, zeros(type_)]
        return call(builder, f"llvm.masked.load.{_suffix(type_)}.p0", type_, arguments)
    value = builder.load(place)
    value.align = align
    return value


def store(
    builder: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int, on: ir.Value | None = None,
    nontemporal: bool = False,
) -> None:  # fmt: skip
    """Emit a store, with a mask `on` of the elements that are on: memory of the others is not touched.

    A non-temporal one bypasses the caches and needs the alignment of the whole vector.
    """
    place = pointer(builder, address, value.type)
    if on is not None:
        arguments = [value, place, ir.Constant(I32, align), on]
        call(builder, f"llvm.masked.store.{_suffix(value.type)}.p0", VOID, arguments)
        return
    instruction = builder.store(value, place)
    instruction.align = align
    if nontemporal:
        instruction.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))


def splat(builder: ir.IRBuilder, scalar: ir.Value, count: int) -> ir.Value:
    """Emit a vector with the scalar in every element."""
    type_ = ir.VectorType(scalar.type, count)
    undefined = ir.Constant(type_, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, count), [0] * count))


def of_elements(builder: ir.IRBuilder, elements: Sequence[ir.Value]) -> ir.Value:
    """Emit a vector of these elements."""
    value = ir.Constant(ir.VectorType(elements[0].type, len(elements)), ir.Undefined)
    for position, element in enumerate(elements):
        value = builder.insert_element(value, element, ir.Constant(I32, position))
    return value


def zeros(type_: ir.VectorType) -> ir.Constant:
    """Return a vector of zeros."""
    return ir.Constant(type_, [0 if isinstance(type_.element, ir.IntType) else 0.0] * type_.count)


def add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """Emit the sum of two values, or of two vectors, of floats or of integers."""
    element = a.type.element if isinstance(a.type, ir.VectorType) else a.type
    return builder.add(a, b) if isinstance(element, ir.IntType) else builder.fadd(a, b)


def mask(builder: ir.IRBuilder, live: ir.Value, count: int) -> ir.Value:
    """Emit a mask of `count` elements whose first `live` are on; `live` may be below 0 or above `count`."""
    numbers = ir.Constant(ir.VectorType(I64, count), list(range(count)))
    return builder.icmp_signed("<", numbers, splat(builder, live, count))


def prefetch(builder: ir.IRBuilder, address: ir.Value, write: bool = False, locality: int = 3) -> None:
    """Emit a prefetch of the cache line at any address: `locality` 3 means to L1, 2 to L2, 0 for a single use."""
    numbers = [ir.Constant(I32, number) for number in (int(write), locality, 1)]
    call(builder, "llvm.prefetch.p0", VOID, [pointer(builder, address, I8), *numbers])


def add_lanes(builder: ir.IRBuilder, values: Sequence[ir.Value]) -> list[ir.Value]:
    """Emit the sum of the elements of each vector, all of one type, added up pair by pair.

    Two vectors at a time become one with the sums of neighboring elements, which takes few instructions for many.
    """
    count, many = values[0].type.count, list(values)
    picks = [ir.Constant(ir.VectorType(I32, count), list(range(first, 2 * count, 2))) for first in (0, 1)]
    for _ in range(count.bit_length() - 1):
        pairs = zip(many[::2], many[1::2] + many[-1:], strict=False)
        many = [add(builder, *(builder.shuffle_vector(*pair, pick) for pick in picks)) for pair in pairs]
    sums = [builder.extract_element(value, ir.Constant(I32, lane)) for value in many for lane in range(count)]
    return sums[: len(values)]


Body = Callable[[ir.Value, list[ir.Value]], Sequence[ir.Value]]
"""The body of a loop: takes the round's number and the loop's values, returns the values after the round."""


def loop(builder: ir.IRBuilder, rounds: ir.Value, start: Sequence[ir.Value], body: Body) -> list[ir.Value]:
    """Emit so many rounds of `body` (none if below 1), whose values are in registers; return those after the last."""
    before = builder.block
    inside = builder.append_basic_block("loop")
    after = builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed(">", rounds, constant(0)), inside, after)

    builder.position_at_end(inside)
    number = builder.phi(I64)
    values = [builder.phi(value.type) for value in start]
    results = list(body(number, list(values)))
    following = builder.add(number, constant(1))
    end = builder.block
    builder.cbranch(builder.icmp_signed("<", following, rounds), inside, after)
    number.add_incoming(constant(0), before)
    number.add_incoming(following, end)
    for phi, first, result in zip(values, start, results, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(result, end)

    builder.position_at_end(after)
    return [_either(builder, first, before, result, end) for first, result in zip(start, results, strict=True)]


def choose(
    builder: ir.IRBuilder, condition: ir.Value, then: Callable[[], Sequence[ir.Value]], otherwise: Sequence[ir.Value]
) -> list[ir.Value]:
    """Emit the values of `then` where the condition holds, else `otherwise`; only the chosen code runs."""
    before = builder.block
    inside = builder.append_basic_block("then")
    after = builder.append_basic_block("chosen")
    builder.cbranch(condition, inside, after)
    builder.position_at_end(inside)
    results = list(then())
    end = builder.block
    builder.branch(after)
    builder.position_at_end(after)
    return [_either(builder, other, before, result, end) for other, result in zip(otherwise, results, strict=True)]


def switch(
    builder: ir.IRBuilder, number: ir.Value, cases: Iterable[int], build: Callable[[int], ir.Value], otherwise: ir.Value
) -> ir.Value:
    """Emit what `build` emits for one of the cases, `otherwise` for any other number; only the chosen code runs."""
    for case in cases:
        equal = builder.icmp_signed("==", number, constant(case))
        (otherwise,) = choose(builder, equal, partial(lambda case: [build(case)], case), [otherwise])
    return otherwise


def _either(builder: ir.IRBuilder, a: ir.Value, from_a: ir.Block, b: ir.Value, from_b: ir.Block) -> ir.Value:
    phi = builder.phi(a.type)
    phi.add_incoming(a, from_a)
    phi.add_incoming(b, from_b)
    return phi
