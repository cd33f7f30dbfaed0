"""The inner kernel as machine code for CPUs that are not here: the right instructions, nothing kept on the stack."""

import re

import pytest
from llvmlite import ir

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import Target
from hwbench.measure.gemm import microkernel
from hwbench.measure.gemm.microkernel import Tile, Variant
from tests.measure.codegen.assembly import assembly

LINUX = "unknown-linux-gnu"
AVX2 = "+avx,+avx2,+fma"
AVX512 = "+avx,+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq"


def code(variant: Variant, triple: str, cpu: str, features: str) -> str:
    module = ir.Module()
    microkernel.kernel(module, variant)
    return assembly(module, triple, cpu, features)


CPUS = [
    (f"aarch64-{LINUX}", "neoverse-n1", "+neon", "fp32", 4, (6, 4), r"fmla\s+v\d+\.4s", r"(?:str|stp|stur)\s+q.*\[sp"),
    (f"aarch64-{LINUX}", "apple-m1", "+neon", "fp64", 2, (6, 4), r"fmla\s+v\d+\.2d", r"(?:str|stp|stur)\s+q.*\[sp"),
    (f"x86_64-{LINUX}", "haswell", AVX2, "fp32", 8, (6, 2), r"vfmadd\d+ps\s.*ymm", r"vmov\w+\s+%ymm\d+, .*\(%rsp\)"),
    (f"x86_64-{LINUX}", "haswell", AVX2, "fp64", 4, (6, 2), r"vfmadd\d+pd\s.*ymm", r"vmov\w+\s+%ymm\d+, .*\(%rsp\)"),
    (f"x86_64-{LINUX}", "skylake-avx512", AVX512, "fp32", 16, (6, 4), r"vfmadd\d+ps\s.*zmm",
     r"vmov\w+\s+%zmm\d+, .*\(%rsp\)"),
    (f"x86_64-{LINUX}", "znver4", AVX512, "fp64", 8, (6, 4), r"vfmadd\d+pd\s.*zmm", r"vmov\w+\s+%zmm\d+, .*\(%rsp\)"),
]  # fmt: skip


@pytest.mark.parametrize(("triple", "cpu", "features", "dtype", "lanes", "shape", "instruction", "spill"), CPUS)
@pytest.mark.parametrize("copying", [False, True])
def test_the_main_kernel_is_all_multiply_adds(
    triple, cpu, features, dtype, lanes, shape, instruction, spill, copying
) -> None:
    tile = microkernel.tile_for(dtype, lanes, vectors.parse_target(triple, features))
    assert (tile.rows, tile.vectors) == shape
    if copying and tile.narrow:
        pytest.skip("narrow vectors pack nothing on the side")
    text = code(Variant(tile, copying=copying), triple, cpu, features)
    assert len(re.findall(instruction, text)) == (tile.unroll + 1) * shape[0] * shape[1]
    assert not re.findall(spill, text)


@pytest.mark.slow
@pytest.mark.parametrize(("triple", "cpu", "features", "dtype", "lanes", "shape", "instruction", "spill"), CPUS)
def test_kernels_for_edges_multiply_add_as_well(triple, cpu, features, dtype, lanes, shape, instruction, spill) -> None:
    target = vectors.parse_target(triple, features)
    for variant in microkernel.edges(microkernel.tile_for(dtype, lanes, target), target.masks):
        text = code(variant, triple, cpu, features)
        products = variant.tile.rows * variant.tile.vectors
        assert len(re.findall(instruction, text)) == (variant.unroll + 1) * products


def test_without_fused_instructions_multiply_and_add_are_two() -> None:
    triple = f"x86_64-{LINUX}"
    tile = microkernel.tile_for("fp32", 4, Target("x86_64"))
    text = code(Variant(tile), triple, "x86-64", "")
    products = (tile.unroll + 1) * tile.rows * tile.vectors
    assert text.count("mulps") == products
    assert "fmaf" not in text


@pytest.mark.parametrize(("registers", "vectors_"), [(32, 4), (16, 2)])
def test_tiles_fit_the_registers(registers: int, vectors_: int) -> None:
    features = frozenset({"avx512vl"} if registers == 32 else ())
    tile = microkernel.tile_for("fp32", 4, Target("x86_64", features))
    assert tile == Tile("fp32", 4, 6, vectors_)
    assert tile.rows * tile.vectors + tile.vectors + 1 <= registers
    assert (tile.columns, tile.bytes) == (4 * vectors_, 16 * vectors_)


def test_edges_hold_every_part_of_a_tile() -> None:
    for tile in (Tile("fp32", 16, 6, 4), Tile("fp64", 2, 6, 2)):
        kernels = [variant.tile for variant in microkernel.edges(tile, masks=True)]
        for rows in range(1, tile.rows + 1):
            for columns in range(1, tile.columns + 1):
                assert any(
                    kernel.rows >= rows and kernel.columns - kernel.lanes < columns <= kernel.columns
                    for kernel in kernels
                )
