"""Multiply-adds: right answers at every width, the instructions that each CPU has, and what follows from their pace."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from llvmlite import ir

from hwbench.measure import harness
from hwbench.measure.codegen import vectors
from hwbench.measure.kernels.fma import kernel as fma
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.team import Placement, Team
from hwbench.measure.settings import CpuClass
from tests.measure.codegen.assembly import assembly
from tests.measure.kernels.conftest import settings

pytestmark = pytest.mark.slow
WIDTHS = vectors.target().widths
FMA3 = "+avx,+avx2,+fma"


@pytest.mark.parametrize("dtype", fma.DTYPES)
@pytest.mark.parametrize("bits", WIDTHS)
def test_answers_are_numpys(bits: int, dtype: vectors.FloatDtype) -> None:
    count = fma_loops.accumulators(vectors.target().registers)
    assert fma.FmaLoop(fma_loops.throughput, bits, dtype).right(count, fma_loops.STEPS)
    assert fma.FmaLoop(fma_loops.latency, bits, dtype).right(1, fma_loops.DEPENDENT)


def test_a_loop_that_does_less_is_noticed() -> None:
    count = fma_loops.accumulators(vectors.target().registers)
    kernel = fma.FmaLoop(fma_loops.throughput, 128, "fp64")
    assert not kernel.right(count - 1, fma_loops.STEPS)
    assert not kernel.right(count, fma_loops.STEPS - 2)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dtype", fma.DTYPES)
def test_values_neither_vanish_nor_grow_out_of_bounds(dtype: str, fused: bool) -> None:
    near, far = (fma_loops.iterated(dtype, pairs, 1, 1, fused) for pairs in (1, 1_000_000))
    assert 1 < near < 2
    assert 1 < far < 2_000
    a, b, c, d = (float(number) for number in fma_loops.operands(dtype, fused))
    there, back = (near + a * b, near + a * b + c * d) if fused else (near * a + b, (near * a + b) * c + d)
    assert abs(there - near) > 0.5
    assert abs(back - near) < 1e-2


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_long_run_stays_finite(bits: int) -> None:
    operands = fma_loops.operands("fp32", vectors.target().fused)
    assert 0 < fma_loops.throughput(bits, 200_000, *operands) < 1e9


def loop(build: object, dtype: str, triple: str, features: str, bits: int, *extra: object) -> str:
    """Assembly of one of the loops for a target."""
    module = ir.Module()
    kind = vectors.FLOATS[dtype]
    function = ir.Function(module, ir.FunctionType(kind, [vectors.I64] + [kind] * 4), "kernel")
    builder = ir.IRBuilder(function.append_basic_block())
    rounds, *operands = function.args
    builder.ret(build(builder, rounds, operands, bits, *extra))  # type: ignore[operator]
    return assembly(module, triple, features=features)


X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


@pytest.mark.parametrize(
    ("triple", "features", "bits", "dtype", "count", "pattern"),
    [(ARM, "+neon", 128, "fp32", 24, r"\tfmla\tv\d+\.4s"),
     (ARM, "+neon", 128, "fp64", 24, r"\tfmla\tv\d+\.2d"),
     (X86, FMA3, 128, "fp32", 12, r"\tvfmadd\d+ps\t%xmm"),
     (X86, FMA3, 256, "fp64", 12, r"\tvfmadd\d+pd\t%ymm"),
     (X86, f"{FMA3},+avx512f,+avx512vl", 512, "fp32", 24, r"\tvfmadd\d+ps\t%zmm"),
     (X86, "+fma4,+avx", 256, "fp32", 12, r"\tvfmaddps\t%ymm")],
)  # fmt: skip
def test_a_fused_multiply_add_is_one_instruction_in_registers(
    triple: str, features: str, bits: int, dtype: str, count: int, pattern: str
) -> None:
    text = loop(fma_loops.throughput_ir, dtype, triple, features, bits, count, True)
    body = text[text.index("LBB0_2:") :]
    body = body[: body.index("\n\tj" if triple == X86 else "\n\tb.")]
    assert len(re.findall(pattern, body)) == fma_loops.STEPS * count
    assert not re.search(r"\(%rsp\)|\[sp|\tv?mov", body), "accumulators were spilled or copied"
    assert "call" not in text
    assert "\tbl\t" not in text


@pytest.mark.parametrize(
    ("features", "bits", "multiply", "add"),
    [("+sse2", 128, r"\tmulps\t", r"\taddps\t"), ("+avx", 256, r"\tvmulps\t.*%ymm", r"\tvaddps\t.*%ymm")],
)
def test_without_fma_it_is_a_multiply_and_an_add(features: str, bits: int, multiply: str, add: str) -> None:
    text = loop(fma_loops.throughput_ir, "fp32", X86, features, bits, 12, False)
    assert "call" not in text, "llvm.fma would call a library for every element"
    assert len(re.findall(multiply, text)) >= fma_loops.STEPS * 12
    assert len(re.findall(add, text)) >= fma_loops.STEPS * 12


@pytest.mark.parametrize(
    ("triple", "features", "bits", "name"),
    [(X86, "+sse2", 128, "sse2"), (X86, "+avx", 128, "sse2"), (X86, "+avx", 256, "avx"), (X86, FMA3, 128, "fma3"),
     (X86, FMA3, 256, "avx2"), (X86, f"{FMA3},+avx512f", 512, "avx512"), (ARM, "+neon", 128, "neon")],
)  # fmt: skip
def test_names_of_instruction_sets(triple: str, features: str, bits: int, name: str) -> None:
    assert fma.isa(vectors.parse_target(triple, features), bits) == name


def test_tasks_of_one_core_and_of_all() -> None:
    found = [task for task in fma.tasks(settings(threads=(1, 2))) if task.dtype in fma.DTYPES]
    one = [task for task in found if task.threads == 1]
    assert len([task for task in one if task.variant == "throughput"]) == 2 * len(WIDTHS)
    assert len([task for task in one if task.variant == "latency"]) == 2 * len(WIDTHS)
    assert len([task for task in found if task.threads == 2]) == 2 * len(WIDTHS)
    quick = fma.tasks(settings(threads=(1, 2), quick=True))
    vector = [(task.variant, task.threads) for task in quick if task.isa != "amx"]
    assert vector == [("throughput", count) for count in (1, 1, 2, 2)]
    assert {task.cpus for task in quick if task.threads == 2} == {(0, 1)}


def test_a_measurement_counts_its_cycles() -> None:
    target = vectors.target()
    alone = fma.throughput(target, 128, "fp64", Placement())
    both = fma.throughput(target, 128, "fp64", Placement(team=Team((None, None))))
    late = fma.latency(target, 128, "fp64", Placement())
    found = harness.measure([alone, both, late], 0.2, limits=harness.SamplingLimits(sample_s=0.002, max_samples=3))
    assert [one.checked for one in found] == [True, True, True]
    assert found[1].work == 2 * found[0].work
    assert all((sample.cycles or 0) > 0 for one in found for sample in one.samples)


def test_cycles_are_the_cpu_time_of_each_core_by_its_clock_under_load() -> None:
    loop = fma.FmaLoop(abs, 128, "fp64", Placement(team=Team((None, None))))
    loop.clocks = [SimpleNamespace(read=lambda hertz=hertz: hertz) for hertz in (4e9, 2e9)]  # type: ignore[misc]
    loop.elapsed = [0.5, 0.25]
    assert loop.cycles() == 2.5e9


OLD_CPU = """
from hwbench.measure import harness
from hwbench.measure.codegen import vectors
from hwbench.measure.kernels.clock import kernel as clock
from hwbench.measure.kernels.fma import kernel as fma
from hwbench.measure.kernels.memory import stream
from hwbench.measure.kernels.team import Placement
from hwbench.measure.settings import settings
assert vectors.target().widths == (128,), vectors.target()
chosen = settings(quick=True, threads=(1,))
tasks = [*clock.tasks(chosen), *fma.tasks(chosen)]
found = harness.measure(tasks, 0.1, limits=harness.SamplingLimits(sample_s=0.001, max_samples=1))
assert all(one.checked is not False for one in found)
arrays = stream.StreamArrays(1 << 20, Placement())
arrays.allocate()
assert all(arrays.right(one, store, 128) for one in stream.OPERATIONS for store in (False, True))
print(*sorted({(one.isa, one.subject.instructions) for one in found if one.kernel == "fma"}))
"""


def test_a_cpu_with_sse2_alone_measures_multiply_and_add_and_says_so(tmp_path: object) -> None:
    if not vectors.target().x86:
        pytest.skip("an x86 CPU is asked to play an older one")
    environment = {**os.environ, "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", OLD_CPU]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "('sse2', 'multiply and add')"


def test_classes_of_cores_are_measured_apart() -> None:
    found = fma.tasks(settings(classes=(CpuClass("P-core", (0,)), CpuClass("E-core", (1,)))))
    assert {task.core_class for task in found} == {"P-core", "E-core"}
