"""AMX: the instructions in the code, tiles laid out as the manual's own loops read them, the answer where it runs."""

import re

import numpy as np
import pytest
from llvmlite import ir

from hwbench.measure import harness
from hwbench.measure.codegen import tiles, vectors
from hwbench.measure.codegen.vectors import Target
from hwbench.measure.kernels.fma import amx, amx_loops
from hwbench.measure.kernels.fma import kernel as fma
from hwbench.measure.kernels.team import Placement, Team
from tests.measure.codegen.assembly import assembly as code_of

X86 = "x86_64-unknown-linux-gnu"
FEATURES = "+amx-tile,+amx-bf16,+amx-int8,+avx512f"


def assembly(dtype: tiles.TileDtype, pairs: int) -> str:
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vectors.I64, [vectors.I64] * 6), "tiles")
    builder = ir.IRBuilder(function.append_basic_block())
    rounds, *addresses, link = function.args
    builder.ret(amx_loops.tiles_ir(builder, rounds, addresses, link, dtype, pairs))
    return code_of(module, X86, features=FEATURES)


@pytest.mark.parametrize(("dtype", "instruction"), [("bf16", "tdpbf16ps"), ("int8", "tdpbssd")])
def test_products_load_multiply_store_and_release_tiles(dtype: tiles.TileDtype, instruction: str) -> None:
    text = assembly(dtype, amx_loops.PAIRS_BESIDE)
    assert re.findall(rf"\t{instruction}\t%tmm7, %tmm6, %tmm(\d)", text) == [
        str(tile) for tile in range(amx_loops.SUMS)
    ]
    names = ("ldtilecfg", "tileloadd", "tilezero", "tilestored", "tilerelease")
    assert [len(re.findall(rf"\t{name}\b", text)) for name in names] == [1, 2, amx_loops.SUMS, amx_loops.SUMS, 1]
    assert len(re.findall(r"\txorq\t%\w+, %\w+", text)) >= amx_loops.PAIRS_BESIDE * amx_loops.SUMS
    assert "call" not in text


def test_without_the_chain_there_are_products_alone() -> None:
    text = assembly("bf16", 0)
    products = len(re.findall(r"\ttdpbf16ps\t", text))
    assert products % amx_loops.SUMS == 0  # LLVM may unroll it
    assert products > 0


def test_the_configuration_is_the_manuals() -> None:
    config = tiles.configuration()
    assert config.nbytes == 64
    assert config[0] == 1
    assert config[1:16].sum() == 0
    assert config[16:32].view(np.uint16).tolist() == [64] * 8
    assert config[48:56].tolist() == [16] * 8


def bf16(tile: np.ndarray) -> np.ndarray:
    """Values of bf16 bits as fp32."""
    return (tile.astype(np.uint32) << 16).view(np.float32)


def product(dtype: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """TDPBF16PS and TDPBSSD as the manual's loops have them, on the bytes of two tiles, from a sum of zero."""
    few = 2 if dtype == "bf16" else 4
    read = bf16 if dtype == "bf16" else (lambda tile: tile.astype(np.int64))
    one, other = read(left), read(right)
    total = np.zeros((16, 16))
    for m in range(16):
        for k in range(16):
            for n in range(16):
                for part in range(few):
                    total[m, n] += one[m, few * k + part] * other[k, few * n + part]
    return total


@pytest.mark.parametrize("dtype", list(amx.DEPTHS))
def test_tiles_are_laid_out_for_their_instruction(dtype: tiles.TileDtype) -> None:
    factors = amx.TileFactors(dtype)
    _, left, right = factors.memory
    assert left.nbytes == right.nbytes == tiles.TILE_BYTES
    assert np.array_equal(product(dtype, left, right), factors.left @ factors.right)


@pytest.mark.parametrize(("dtype", "operations"), [("bf16", 16384), ("int8", 32768)])
def test_operations_of_one_instruction(dtype: tiles.TileDtype, operations: int) -> None:
    assert amx.operations(dtype) == operations
    # A product takes 16 cycles: 1024 bf16 FLOP and 2048 int8 operations a cycle, as Intel states.
    assert operations / 16 in (1024, 2048)


def test_where_the_cpu_or_the_system_has_no_tiles_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "permitted", lambda: True)
    full = frozenset({"amx-tile", "amx-bf16", "amx-int8"})
    assert tiles.dtypes(Target("x86_64", full)) == ("bf16", "int8")
    assert tiles.dtypes(Target("x86_64", full - {"amx-bf16"})) == ("int8",)
    assert tiles.dtypes(Target("x86_64", full - {"amx-tile"})) == ()
    assert tiles.dtypes(Target("aarch64", full)) == ()
    monkeypatch.setattr(tiles, "permitted", lambda: False)
    assert tiles.dtypes(Target("x86_64", full)) == ()


def test_only_linux_is_asked_for_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not tiles.permitted.__wrapped__()


@pytest.mark.parametrize("dtype", list(amx.DEPTHS))
def test_answers_are_numpys_where_there_are_tiles(dtype: tiles.TileDtype) -> None:
    if dtype not in tiles.dtypes(vectors.target()):
        pytest.skip("this CPU has no AMX, or the system gives no tiles")
    assert amx.TileFactors(dtype).right_answer()
    found = harness.measure(
        [amx.task(dtype, Placement())], 0.1, limits=harness.SamplingLimits(sample_s=0.002, max_samples=3)
    )
    assert found[0].checked
    assert all((sample.cycles or 0) > 0 for sample in found[0].samples)


@pytest.mark.slow
@pytest.mark.parametrize("team", [None, Team((None, None))])
def test_a_task_runs_every_members_tiles_and_counts_them(team: Team | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task's own arithmetic, on a machine without tiles: the kernels are replaced by numpy's product."""

    def instead(self: amx.TileFactors, rounds: int, loaded: bool = False) -> None:
        self.result[:] = rounds * (self.left @ self.right)
        sum(range(100 * rounds))

    monkeypatch.setattr(amx.TileFactors, "run", instead)
    task = amx.task("int8", Placement((0, 1) if team else (0,), team=team))
    found = harness.measure([task], 0.1, limits=harness.SamplingLimits(sample_s=0.002, max_samples=3))
    members = 2 if team else 1
    assert found[0].checked
    assert found[0].unit == "op/s"
    assert found[0].threads == members
    assert found[0].work == 32768 * amx_loops.SUMS * members
    assert all((sample.cycles or 0) > 0 for sample in found[0].samples)


def test_a_wrong_product_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: amx.TileFactors, rounds: int, loaded: bool = False) -> None:
        self.result[:] = rounds * (self.left @ self.right)
        self.result[-1, 3, 4] += loaded

    monkeypatch.setattr(amx.TileFactors, "run", wrong)
    assert not amx.TileFactors("bf16").right_answer()


def test_the_kernel_fma_takes_tiles_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.measure.kernels.conftest import settings

    monkeypatch.setattr(fma, "tile_dtypes", lambda target: ("bf16", "int8"))
    found = [task for task in fma.tasks(settings(threads=(1, 2))) if task.isa == "amx"]
    assert [(task.dtype, task.threads) for task in found] == [("bf16", 1), ("int8", 1), ("bf16", 2), ("int8", 2)]
