"""Dot products of narrow dtypes: right answers at every width, and the instructions that each CPU has."""

import re
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from msgspec.structs import replace

from hwbench.measure import harness
from hwbench.measure.codegen import dots as codegen
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import ARM_DOTS, X86_DOTS, Dot
from hwbench.measure.kernels.fma import dot_loops, dots
from hwbench.measure.kernels.fma import kernel as fma
from hwbench.measure.kernels.fma.loops import accumulators
from hwbench.measure.kernels.team import Placement, Team
from tests.measure.codegen.assembly import assembly
from tests.measure.kernels.conftest import settings

pytestmark = pytest.mark.slow
TARGET = vectors.target()
HERE = [(number, bits) for number, dot in enumerate(codegen.dots(TARGET)) for bits in codegen.widths(dot, TARGET)]
X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


@pytest.mark.parametrize(("number", "bits"), HERE)
def test_answers_are_those_of_whole_numbers(number: int, bits: int) -> None:
    dot = codegen.dots(TARGET)[number]
    operands, count = dot_loops.operands(dot.dtype), accumulators(TARGET.registers)
    many = dot_loops.throughput(number, bits, 5, *operands)
    assert many == dot_loops.answer(dot, bits, count, 5 * dot_loops.STEPS // 2)
    assert many != dot_loops.answer(dot, bits, count - 1, 5 * dot_loops.STEPS // 2), "a sum less is noticed"
    assert dot_loops.latency(number, bits, 5, *operands) == dot_loops.answer(dot, bits, 1, 5 * dot_loops.DEPENDENT // 2)


@pytest.mark.parametrize(("number", "bits"), HERE)
def test_one_step_is_the_product_of_a_lane(number: int, bits: int) -> None:
    dot = codegen.dots(TARGET)[number]
    random = np.random.default_rng(number)
    halves: list[Any]
    for _ in range(20):
        if dot.dtype == "bf16":
            halves = [random.integers(-9, 10, 2).astype(np.float32) for _ in range(4)]
            lanes = [int((half.view(np.uint32) >> 16).astype(np.uint16).view(np.int32)[0]) for half in halves]
        elif dot.dtype == "fp16":
            halves = [random.integers(-5, 6, 1) for _ in range(4)]
            lanes = [int(np.repeat(half, 2).astype(np.float16).view(np.int32)[0]) for half in halves]
        else:
            low = 0 if TARGET.x86 else -128
            halves = [random.integers(low if k % 2 == 0 else -128, 128, 4) for k in range(4)]
            lanes = [int(half.astype(np.int8).view(np.int32)[0]) for half in halves]
        forth, back = (int(np.dot(halves[k].astype(int), halves[k + 1].astype(int))) for k in (0, 2))
        gained = dot_loops.DEPENDENT // 2 * (forth + back) * dot.steps * dot.lanes(bits)
        assert dot_loops.latency(number, bits, 1, *lanes) == gained


def test_forth_and_back_leave_one() -> None:
    for dtype, factors in dot_loops.FACTORS.items():
        a, b, c, d = (np.array(numbers) for numbers in factors)
        assert int(a @ b + c @ d) == 1
        assert len(a) == codegen.ELEMENTS[dtype]


def text_of(dot: Dot, bits: int, triple: str, features: str, count: int) -> str:
    """Assembly of the throughput loop for a target."""
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vectors.I64, [vectors.I64] * 5), "kernel")
    builder = ir.IRBuilder(function.append_basic_block())
    rounds, *scalars = function.args
    builder.ret(dot_loops.loop_ir(builder, rounds, scalars, dot, bits, count, dot_loops.STEPS))
    return assembly(module, triple, features=features)


AVX512 = "+avx,+avx2,+avx512f,+avx512vl,+avx512bw"
CODE = [
    (X86_DOTS[0], 512, X86, f"{AVX512},+avx512bf16", 24, r"\tvdpbf16ps\t%zmm"),
    (X86_DOTS[0], 256, X86, f"{AVX512},+avx512bf16", 24, r"\tvdpbf16ps\t%ymm"),
    (X86_DOTS[1], 512, X86, f"{AVX512},+avx512vnni", 24, r"\tvpdpbusd\t%zmm"),
    (X86_DOTS[2], 256, X86, "+avx,+avx2,+avxvnni", 12, r"\t(?:\{vex\}\t)?vpdpbusd\t%ymm"),
    (X86_DOTS[3], 512, X86, f"{AVX512},+avx512fp16", 24, r"\tvfmadd231ph\t%zmm"),
    (X86_DOTS[3], 256, X86, f"{AVX512},+avx512fp16", 24, r"\tvfmadd231ph\t%ymm"),
    (ARM_DOTS[0], 128, ARM, "+neon,+bf16", 24, r"\tbfdot\tv\d+\.4s"),
    (ARM_DOTS[1], 128, ARM, "+neon,+bf16", 24, r"\tbfmmla\tv\d+\.4s"),
    (ARM_DOTS[2], 128, ARM, "+neon,+dotprod", 24, r"\tsdot\tv\d+\.4s"),
    (ARM_DOTS[3], 128, ARM, "+neon,+i8mm", 24, r"\tsmmla\tv\d+\.4s"),
    (ARM_DOTS[4], 128, ARM, "+neon,+fullfp16", 24, r"\tfmla\tv\d+\.8h"),
]  # fmt: skip


@pytest.mark.parametrize(("dot", "bits", "triple", "features", "count", "pattern"), CODE)
def test_the_loop_is_instructions_in_registers(
    dot: Dot, bits: int, triple: str, features: str, count: int, pattern: str
) -> None:
    text = text_of(dot, bits, triple, features, count)
    body = text[text.rindex(".LBB0_", 0, re.search(pattern, text).start()) :]  # type: ignore[union-attr]
    body = body[: body.index("\n\tj" if triple == X86 else "\n\tb.")]
    assert len(re.findall(pattern, body)) == dot_loops.STEPS * count
    assert not re.search(r"\(%rsp\)|\[sp|\tv?mov", body), "sums were spilled or copied"


@pytest.mark.parametrize(
    ("triple", "features", "names"),
    [(X86, AVX512, []), (X86, f"{AVX512},+avx512vnni,+avxvnni", ["avx512-vnni"]), (X86, "+avx2,+avxvnni", ["avx-vnni"]),
     (X86, f"{AVX512},+avx512bf16", ["avx512-bf16"]),
     (X86, f"{AVX512},+avx512fp16", ["avx512-fp16"]), (ARM, "+neon,+dotprod", ["neon"]),
     (ARM, "+neon,+bf16,+i8mm", ["neon-bfdot", "neon-bf16", "neon-i8mm"]), ("riscv64-unknown-linux-gnu", "+v", [])],
)  # fmt: skip
def test_instructions_are_those_of_the_target(triple: str, features: str, names: list[str]) -> None:
    assert [dot.isa for dot in codegen.dots(vectors.parse_target(triple, features))] == names


def test_without_short_vectors_only_the_widest_are_used() -> None:
    alone = vectors.parse_target(X86, "+avx,+avx512f,+avx512vnni")
    assert codegen.widths(X86_DOTS[1], alone) == (512,)
    assert codegen.widths(X86_DOTS[1], vectors.parse_target(X86, f"{AVX512},+avx512vnni")) == (128, 256, 512)


def test_tasks_are_checked_and_counted() -> None:
    found = dots.tasks(TARGET, Placement(), None, latencies=True)
    assert len(found) == len(HERE) + len({number for number, _ in HERE})
    team = dots.tasks(TARGET, Placement(team=Team((None, None))), ["int8"], latencies=True)
    assert {task.dtype for task in team} <= {"int8"}
    measured = harness.measure([*found, *team], 0.3, limits=harness.SamplingLimits(sample_s=0.002, max_samples=2))
    assert all(one.checked for one in measured)
    assert all((sample.cycles or 0) > 0 for one in measured for sample in one.samples)
    assert {one.unit for one in measured if one.variant.startswith("throughput")} <= {"FLOP/s", "op/s"}


def test_a_quick_run_has_them_only_on_request() -> None:
    narrow = {"bf16", "int8", "fp16"}
    assert not [task for task in fma.tasks(settings(quick=True)) if task.dtype in narrow and task.isa != "amx"]
    asked = fma.tasks(replace(settings(quick=True), dtypes=("int8",)))
    assert {task.dtype for task in asked} == (
        {"int8"} if any(dot.dtype == "int8" for dot in codegen.dots(TARGET)) else set()
    )
