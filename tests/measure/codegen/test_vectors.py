"""The building blocks of kernels: that they compute what they say, and that other targets get their instructions."""

import re

import numpy as np
import pytest
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import I64, Target
from tests.measure.codegen.assembly import assembly

COUNT = 4
VOID = ir.VoidType()


@intrinsic
def copy_part(_context, source, destination, live):
    """Add 1 to the first `live` of four doubles."""

    def build(context, builder, _signature, arguments):
        start, end, count = arguments
        type_ = vectors.vector("fp64", COUNT)
        on = vectors.mask(builder, count, COUNT)
        value = vectors.load(builder, start, type_, 8, on)
        one = vectors.splat(builder, ir.Constant(ir.DoubleType(), 1.0), COUNT)
        vectors.store(builder, builder.fadd(value, one), end, 8, on)
        return context.get_dummy_value()

    return types.void(source, destination, live), build


@intrinsic
def power_sum(_context, source, rounds):
    """The sum of four doubles, each raised: x ← x · x + x, so many rounds."""

    def build(_context, builder, _signature, arguments):
        start, count = arguments
        first = vectors.load(builder, start, vectors.vector("fp64", COUNT), 8)
        (last,) = vectors.loop(
            builder, count, [first], lambda _, values: [vectors.multiply_add(builder, *[values[0]] * 3)]
        )
        return vectors.add_lanes(builder, [last])[0]

    return types.float64(source, rounds), build


@intrinsic
def sums_of_lanes(_context, source, destination):
    """Seven vectors of four doubles to the sum of each, and the first four of these to one vector."""

    def build(context, builder, _signature, arguments):
        start, end = arguments
        type_ = vectors.vector("fp64", COUNT)
        values = [vectors.load(builder, vectors.offset(builder, start, 32 * number), type_, 8) for number in range(7)]
        sums = vectors.add_lanes(builder, values)
        vectors.store(builder, vectors.of_elements(builder, sums[:COUNT]), end, 8)
        for number, total in enumerate(sums[COUNT:], COUNT):
            vectors.store(builder, total, vectors.offset(builder, end, 8 * number), 8)
        return context.get_dummy_value()

    return types.void(source, destination), build


@intrinsic
def larger(_context, one, other):
    """The larger of two numbers, through `choose`."""

    def build(_context, builder, _signature, arguments):
        one, other = arguments
        (value,) = vectors.choose(builder, builder.icmp_signed(">", one, other), lambda: [one], [other])
        return value

    return types.int64(one, other), build


@intrinsic
def stream_out(_context, source, destination):
    """Copy four doubles past the caches, with a look ahead at an address that nobody owns."""

    def build(context, builder, _signature, arguments):
        start, end = arguments
        vectors.prefetch(builder, vectors.constant(8), write=True)
        value = vectors.load(builder, vectors.offset(builder, start, 0), vectors.vector("fp64", COUNT), 8)
        vectors.store(builder, value, end, 32, nontemporal=True)
        return context.get_dummy_value()

    return types.void(source, destination), build


@njit
def run_copy_part(source: int, destination: int, live: int) -> None:
    copy_part(source, destination, live)


@njit
def run_power_sum(source: int, rounds: int) -> float:
    return power_sum(source, rounds)


@njit
def run_sums_of_lanes(source: int, destination: int) -> None:
    sums_of_lanes(source, destination)


@njit
def run_larger(one: int, other: int) -> int:
    return larger(one, other)


@njit
def run_stream_out(source: int, destination: int) -> None:
    stream_out(source, destination)


@pytest.mark.parametrize("live", [-3, 0, 1, 3, 4, 9])
def test_masked_parts_touch_only_what_is_on(live: int) -> None:
    source, destination = np.arange(4.0), np.full(4, 7.0)
    run_copy_part(source.ctypes.data, destination.ctypes.data, live)
    inside = max(0, min(live, COUNT))
    assert destination.tolist() == [*(source[:inside] + 1), *[7.0] * (COUNT - inside)]


@pytest.mark.parametrize("rounds", [-1, 0, 1, 3])
def test_loops_carry_their_values(rounds: int) -> None:
    source = np.array([0.5, 0.25, 0.125, 1.0])
    expected = source.copy()
    for _ in range(rounds):
        expected = expected * expected + expected
    assert run_power_sum(source.ctypes.data, rounds) == expected.sum()


def test_lanes_of_many_vectors_are_added_up() -> None:
    source, sums = np.arange(28.0) ** 2, np.zeros(7)
    run_sums_of_lanes(source.ctypes.data, sums.ctypes.data)
    assert sums.tolist() == source.reshape(7, 4).sum(axis=1).tolist()


def test_choose_runs_one_side() -> None:
    assert run_larger(3, 2) == run_larger(2, 3) == 3


def test_streaming_stores_store() -> None:
    room = np.zeros(8)
    start = (-room.ctypes.data) % 32 // 8
    source = np.arange(4.0) + 1
    run_stream_out(source.ctypes.data, room[start:].ctypes.data)
    assert room[start : start + 4].tolist() == source.tolist()


@pytest.mark.parametrize(("features", "widths", "registers", "fused", "masks", "isa"), [
    ("", (128,), 16, False, False, "sse"), ("+sse4.2,-avx", (128,), 16, False, False, "sse"),
    ("+avx", (128, 256), 16, False, True, "avx"), ("+avx,+avx2,+fma", (128, 256), 16, True, True, "avx2"),
    ("+avx,+avx2,+fma,+avx512f", (128, 256, 512), 16, True, True, "avx512"),
    ("+avx,+avx2,+fma,+avx512f,+avx512vl", (128, 256, 512), 32, True, True, "avx512"),
])  # fmt: skip
def test_targets_of_x86(features, widths, registers, fused, masks, isa) -> None:
    target = vectors.parse_target("x86_64-unknown-linux-gnu", features)
    assert (target.widths, target.registers, target.fused, target.masks) == (widths, registers, fused, masks)
    assert target.isa(widths[-1]) == isa


def test_other_targets() -> None:
    arm = vectors.parse_target("aarch64-unknown-linux-gnu", "+neon,+avx")
    assert (arm.widths, arm.registers, arm.fused, arm.masks, arm.isa(128)) == ((128,), 32, True, False, "neon")
    other = Target("riscv64")
    assert (other.widths, other.registers, other.fused, other.isa(128)) == ((128,), 16, False, "vector")


def test_the_target_of_this_process_has_128_bits() -> None:
    assert vectors.target().widths[0] == 128


@pytest.mark.parametrize("dtype", ["fp32", "fp64"])
@pytest.mark.parametrize("bits", [128, 256, 512])
def test_lanes_fill_the_width(dtype: str, bits: int) -> None:
    type_ = vectors.vector(dtype, vectors.lanes(dtype, bits))
    assert type_.count * 8 * vectors.SIZES[dtype] == bits


def module_of(dtype: str, count: int, fused: bool) -> ir.Module:
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(VOID, [I64, I64]), "kernel")
    builder = ir.IRBuilder(function.append_basic_block())
    type_ = vectors.vector(dtype, count)
    a, b = (vectors.load(builder, address, type_, 16) for address in function.args)
    multiply_add = vectors.fma if fused else vectors.multiply_add
    vectors.store(builder, multiply_add(builder, a, b, b), function.args[0], 16)
    builder.ret_void()
    return module


@pytest.mark.parametrize(("triple", "features", "dtype", "count", "pattern"), [
    ("aarch64-unknown-linux-gnu", "+neon", "fp32", 4, r"fmla\s+v\d+\.4s"),
    ("aarch64-unknown-linux-gnu", "+neon", "fp64", 2, r"fmla\s+v\d+\.2d"),
    ("x86_64-unknown-linux-gnu", "+avx512f", "fp32", 16, r"vfmadd\d+ps\s.*%zmm"),
    ("x86_64-unknown-linux-gnu", "+avx2,+fma", "fp64", 4, r"vfmadd\d+pd\s.*%ymm"),
])  # fmt: skip
def test_multiply_adds_are_one_instruction(triple, features, dtype, count, pattern) -> None:
    for fused in (True, False):
        text = assembly(module_of(dtype, count, fused), triple, features=features)
        assert re.search(pattern, text), text


def test_without_fused_instructions_no_library_is_called() -> None:
    triple = "x86_64-unknown-linux-gnu"
    text = assembly(module_of("fp32", 4, fused=False), triple, features="+sse2")
    assert "mulps" in text
    assert "addps" in text
    assert "fmaf" not in text
