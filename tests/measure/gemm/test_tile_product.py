"""Products by tiles of AMX: right on any CPU with the manual's products computed in memory, and the code with AMX.

Where the CPU has no AMX, what runs is all but the instructions on tiles: packing, loops, edges, threads.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba import njit

from hwbench.machine.parts import Cache
from hwbench.measure.codegen import tiles, vectors
from hwbench.measure.codegen.vectors import I8, I32, constant, offset
from hwbench.measure.gemm import narrow, tile_kernel, tile_loops, tile_product
from hwbench.measure.gemm import product as gemm
from hwbench.measure.gemm.tile_product import TileBlocks, TileProduct
from hwbench.units import Bytes
from tests.measure.codegen.assembly import assembly
from tests.measure.gemm.test_narrow import floats, integers, of_bytes
from tests.measure.gemm.test_page_ends import bounded

SHAPES = [
    (9, 1, 1), (1, 64, 300), (13, 66, 3), (16, 64, 16), (17, 63, 33), (32, 128, 32), (33, 65, 17), (48, 257, 47),
    (97, 97, 97), (64, 129, 65), (50, 1030, 70), (100, 333, 300),
]  # fmt: skip
SINGLES = ir.VectorType(ir.FloatType(), 16)
WORDS = ir.VectorType(I32, 16)


class InMemory(tiles.Tiles):
    """Tiles in memory, with the results that the manual states for the instructions."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        super().__init__(builder)
        self.start = builder.ptrtoint(builder.alloca(ir.ArrayType(I8, 8 * tiles.TILE_BYTES)), vectors.I64)

    def configure(self, address: ir.Value) -> None:
        pass

    def release(self) -> None:
        pass

    def zero(self, tile: int) -> None:
        for row in range(16):
            vectors.store(self.builder, vectors.zeros(WORDS), self.row(tile, constant(row)), 4)

    def load(self, tile: int, address: ir.Value, row: ir.Value) -> None:
        self.copied(tile, address, row, True)

    def stream(self, tile: int, address: ir.Value, row: ir.Value) -> None:
        self.load(tile, address, row)

    def store(self, tile: int, address: ir.Value, row: ir.Value) -> None:
        self.copied(tile, address, row, False)

    def copied(self, tile: int, address: ir.Value, row: ir.Value, load: bool) -> None:
        for number in range(16):
            outside = self.builder.add(address, self.builder.mul(row, constant(number)))
            source, target = (outside, self.row(tile, constant(number)))[:: 1 if load else -1]
            vectors.store(self.builder, vectors.load(self.builder, source, WORDS, 1), target, 1)

    def row(self, tile: int, row: ir.Value) -> ir.Value:
        return self.builder.add(offset(self.builder, self.start, tile * 1024), self.builder.mul(row, constant(64)))

    def multiply(self, kind: str, total: int, left: int, right: int) -> None:
        """TDPBF16PS keeps sums of the even and of the odd products of a row apart; denormal numbers count as zeros."""
        builder = self.builder

        def row(m: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            place, first = self.row(total, m), self.row(left, m)
            old = vectors.load(builder, place, WORDS, 4)

            def column(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
                word = vectors.load(builder, builder.add(first, builder.mul(k, constant(4))), I32, 4)
                a, b = vectors.splat(builder, word, 16), vectors.load(builder, self.row(right, k), WORDS, 4)
                if kind == "bf16":
                    pairs = zip(self.halves(a), self.halves(b), sums, strict=True)
                    return [self.flushed(vectors.fma(builder, x, y, old)) for x, y, old in pairs]
                for part in range(4):
                    x = self.byte(a, part, kind == "int8")
                    sums = [builder.add(sums[0], builder.mul(x, self.byte(b, part, True)))]
                return sums

            if kind == "bf16":
                even, odd = vectors.loop(builder, constant(16), [vectors.zeros(SINGLES)] * 2, column)
                both = self.flushed(builder.fadd(even, odd))
                new = self.flushed(builder.fadd(self.flushed(builder.bitcast(old, SINGLES)), both))
            else:
                (new,) = vectors.loop(builder, constant(16), [old], column)
            vectors.store(builder, new, place, 4)
            return []

        vectors.loop(builder, constant(16), [], row)

    def halves(self, lanes: ir.Value) -> tuple[ir.Value, ir.Value]:
        sixteen, upper = (ir.Constant(WORDS, [number] * 16) for number in (16, 0xFFFF0000))
        parts = self.builder.shl(lanes, sixteen), self.builder.and_(lanes, upper)
        even, odd = (self.flushed(self.builder.bitcast(part, SINGLES)) for part in parts)
        return even, odd

    def flushed(self, value: ir.Value) -> ir.Value:
        """Zeros for denormal numbers."""
        exponent = self.builder.and_(self.builder.bitcast(value, WORDS), ir.Constant(WORDS, [0x7F800000] * 16))
        denormal = self.builder.icmp_signed("==", exponent, vectors.zeros(WORDS))
        return self.builder.select(denormal, vectors.zeros(SINGLES), value)

    def byte(self, lanes: ir.Value, part: int, signed: bool) -> ir.Value:
        up, down = (ir.Constant(WORDS, [number] * 16) for number in (24 - 8 * part, 24))
        shift = self.builder.ashr if signed else self.builder.lshr
        return shift(self.builder.shl(lanes, up), down)


@pytest.fixture(scope="class", params=["memory", "AMX"])
def unit(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tiles in memory in new code, of which nothing is cached; then the CPU's own, where it has them."""
    if request.param == "AMX":
        if set(tiles.dtypes(vectors.target())) != set(tiles.FEATURES):
            pytest.skip("this CPU has no AMX, or the system gives no tiles")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_kernel, "Tiles", InMemory)
        patch.setattr(tile_loops, "run", njit(nogil=True)(tile_loops.run.py_func))
        yield


def prepared(a: Any, b: Any, threads: int = 1, constant: bool = False, small: bool = False) -> TileProduct:
    blocks = TileBlocks(128, 64, 64) if small else tile_product.blocks(())
    kind = np.float32 if a.dtype == np.uint16 else np.int32
    out = np.full((a.shape[0], b.shape[1]), 77, kind)
    return TileProduct(blocks, tuple(range(threads)), a, b, out, constant)


@pytest.mark.slow
@pytest.mark.usefixtures("unit")
class TestProducts:
    """One class, so that what is compiled serves all tests."""

    @pytest.mark.parametrize("small", [False, True])
    @pytest.mark.parametrize("kind", [np.int8, np.uint8])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_products_of_bytes_are_exact(self, shape: tuple[int, int, int], kind: type, small: bool) -> None:
        random = np.random.default_rng()
        a, b = of_bytes(random, kind, shape[:2]), of_bytes(random, np.int8, shape[1:])
        np.testing.assert_array_equal(prepared(a, b, small=small)(), integers(a) @ integers(b))

    @pytest.mark.parametrize("small", [False, True])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_products_of_bf16_have_the_errors_of_sums_in_fp32(self, shape: tuple[int, int, int], small: bool) -> None:
        random = np.random.default_rng()
        a, b = (narrow.bf16(random.uniform(-1, 1, size)) for size in (shape[:2], shape[1:]))
        x, y = floats(a), floats(b)
        error = np.abs(prepared(a, b, small=small)() - x @ y)
        assert (error <= 8 * 2.0**-24 * (np.abs(x) @ np.abs(y)) * max(1, shape[1] ** 0.5)).all()

    @pytest.mark.parametrize("kind", [np.int8, np.uint8])
    def test_two_threads(self, kind: type) -> None:
        random = np.random.default_rng()
        a, b = of_bytes(random, kind, (151, 203)), of_bytes(random, np.int8, (203, 149))
        np.testing.assert_array_equal(prepared(a, b, threads=2)(), integers(a) @ integers(b))

    @pytest.mark.skipif(os.name != "posix", reason="pages are closed as POSIX does")
    @pytest.mark.parametrize("at_end", [False, True])
    @pytest.mark.parametrize("shape", SHAPES[1:9])
    def test_nothing_beyond_the_operands_is_touched(self, shape: tuple[int, int, int], at_end: bool) -> None:
        rows, depth, columns = shape
        sides = ((rows, depth), np.int8), ((depth, columns), np.int8), ((rows, columns), np.int32)
        a, b, out = (bounded(*side, kind, 3, at_end) for side, kind in sides)
        a[:], b[:] = 2, 3
        TileProduct(TileBlocks(128, 64, 32), (0,), a, b, out, False)()
        assert (out == 6 * depth).all()

    def test_any_strides(self) -> None:
        random = np.random.default_rng()
        first, second = (of_bytes(random, np.int8, (90, 91)) for _ in range(2))
        for a, b in ((first.T, second), (first[::2, 1:80], second[:79, ::-3]), (first[3:, 3:], second[:88])):
            np.testing.assert_array_equal(prepared(a, b)(), integers(a) @ integers(b))

    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_constant_b_is_packed_once_and_a_read_anew(self, threads: int) -> None:
        random = np.random.default_rng()
        a, b = of_bytes(random, np.int8, (70, 300)), of_bytes(random, np.int8, (300, 150))
        product, first = prepared(a, b, threads, constant=True, small=True), integers(b)
        np.testing.assert_array_equal(product(), integers(a) @ first)
        a[:], b[:] = of_bytes(random, np.int8, a.shape), 0
        np.testing.assert_array_equal(product(), integers(a) @ first)

    def test_plans_lead_to_tiles_for_all_but_few_rows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if not vectors.target().x86:
            pytest.skip("AMX is x86's")
        monkeypatch.setattr(gemm, "tile_dtypes", lambda target: ("int8",))
        plan = gemm.make_plan("int8")
        a, b = np.ones((9, 5), np.int8), np.ones((5, 7), np.int8)
        assert isinstance(gemm.prepare(a, b, plan=plan), TileProduct)
        assert not isinstance(gemm.prepare(a[:8], b, plan=plan), TileProduct)
        assert (gemm.prepare(a, b, plan=plan)() == 5).all()


def test_blocks_fill_their_share_of_the_caches() -> None:
    caches = Cache("L1d", Bytes(48 << 10)), Cache("L2", Bytes(2 << 20))
    # Sapphire Rapids: 16 steps, 48 panels; 1 MiB of sums.
    assert tile_product.blocks(caches) == TileBlocks(1024, 1536, 512)


@pytest.mark.parametrize(("kind", "instruction"), [("bf16", "tdpbf16ps"), ("int8", "tdpbssd"), ("uint8", "tdpbusd")])
@pytest.mark.parametrize(("tall", "wide"), tile_kernel.KINDS)
def test_the_innermost_loop_loads_each_tile_once_and_spills_nothing(
    kind: str, instruction: str, tall: int, wide: int
) -> None:
    module = ir.Module()
    tile_kernel.kernel(module, kind, tall, wide).linkage = "external"
    text = assembly(module, "x86_64-unknown-linux-gnu", cpu="sapphirerapids")
    (loop,) = (part for part in re.split(r"\n(?=\.LBB)", text) if instruction in part)
    words = re.findall(r"\t(\w+)\t([^\n]*)", loop[: loop.index("\tj")])
    products = [places for word, places in words if word == instruction]
    assert products == [
        f"%tmm{6 + across}, %tmm{4 + down}, %tmm{2 * down + across}" for down in range(tall) for across in range(wide)
    ]
    assert [word for word, _ in words].count("tileloadd") == tall
    assert [word for word, _ in words].count("tileloaddt1") == wide  # B passes by A, which stays in L1
    others = {"prefetcht1", "leaq", "addq", "incq", "cmpq"}
    assert {word for word, _ in words} <= {instruction, "tileloadd", "tileloaddt1", *others}  # nothing spilled
    assert len(re.findall(r"\ttilestored\t", text)) == tall * wide


COMPILE = """
from numba import int64, types
from hwbench.measure.gemm import tile_loops
for kind, name in ((types.uint16, "tdpbf16ps"), (types.int8, "tdpbssd"), (types.uint8, "tdpbusd")):
    tile_loops.run.compile((kind[::1], int64[::1], int64, int64, int64))
    text = next(text for signature, text in tile_loops.run.inspect_asm().items() if signature[0] == kind[::1])
    names = ("ldtilecfg", "tilerelease", "tileloadd", name, "tilestored")
    print(*(int(f"\\t{each}" in text) for each in names), text.count("\\ttdp") == text.count("\\t" + name))
"""


@pytest.mark.slow
@pytest.mark.skipif(not vectors.target().x86, reason="AMX is x86's")
def test_numba_compiles_the_loops_for_a_cpu_with_tiles(tmp_path: Any) -> None:
    features = "+amx-tile,+amx-bf16,+amx-int8,+avx512f,+avx512bw,+avx512vl,+avx512dq,+avx512bf16,+avx512vnni,+avx2,+fma"
    known = {"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env={**os.environ, **known}, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["1 1 1 1 1 True"] * 3, done.stderr
