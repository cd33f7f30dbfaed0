"""The matrix multiply against exact arithmetic: every kind of shape, strides, neighbors untouched, errors refused."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.machine.parts import Cache
from hwbench.measure.codegen import vectors
from hwbench.measure.gemm import blocking
from hwbench.measure.gemm import product as gemm
from hwbench.units import Bytes

KINDS = {"fp32": np.float32, "fp64": np.float64}
TINY_CACHES = (Cache("L1d", Bytes(1 << 10)), Cache("L2", Bytes(12 << 10)))
"""Caches so small that matrices of a few hundred rows take many blocks."""


def matrices(m: int, n: int, k: int, dtype: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, k)).astype(KINDS[dtype]), rng.standard_normal((k, n)).astype(KINDS[dtype])


def assert_right(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """Every element within depth × the unit roundoff of |A| · |B|: the bound of Higham 2002, section 3.5."""
    wide = np.longdouble if a.dtype == np.float64 else np.float64
    exact = a.astype(wide) @ b.astype(wide)
    scale = np.abs(a).astype(wide) @ np.abs(b).astype(wide)
    unit = np.finfo(a.dtype).eps / 2
    assert (np.abs(c - exact) <= 2 * np.sqrt(a.shape[1]) * unit * scale + np.finfo(a.dtype).tiny).all()


SHAPES = [
    (1, 1, 1), (1, 1, 300), (1, 300, 1), (300, 1, 1), (1, 64, 64), (2, 65, 63), (6, 64, 8), (7, 17, 9), (12, 130, 500),
    (45, 64, 64), (49, 1, 700), (50, 3, 600), (61, 70, 900), (100, 200, 300), (300, 5, 2), (513, 129, 257),
    (13, 2000, 3), (2000, 13, 3), (50, 300, 1000), (64, 64, 64), (128, 513, 800),
    (70, 1, 4100), (70, 4100, 1), (65, 65, 65), (10, 5, 40), (40, 17, 4100), (20, 20, 20), (700, 2052, 5), (7, 8200, 1),
]  # fmt: skip


@pytest.mark.sample(12)
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_kind_of_shape(shape: tuple[int, int, int], dtype: str) -> None:
    a, b = matrices(*shape, dtype)
    assert_right(a, b, gemm.matmul(a, b))


@pytest.mark.parametrize("dtype", KINDS)
@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 140)] * 3), st.tuples(*[st.integers(0, 9)] * 3), st.booleans(), st.integers(0, 2**30))
def test_parts_of_larger_matrices(dtype, shape, gaps, small, seed) -> None:
    m, n, k = shape
    a, b = matrices(m, n + gaps[1], k + gaps[0], dtype, seed)
    b = b[:k]
    around = np.full((m + 2, n + 2 + gaps[2]), 7, KINDS[dtype])
    out = around[1 : m + 1, 1 : n + 1]
    out[:] = np.nan
    how = gemm.make_plan(dtype, caches=TINY_CACHES if small else None)
    assert gemm.prepare(a[:, :k], b[:, :n], out, plan=how)() is out
    assert_right(a[:, :k], b[:, :n], out)
    out[:] = 7
    assert (around == 7).all()


@pytest.mark.parametrize("bits", vectors.target().widths)
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("rows", [2, 3, 5, 6, 7, 18, 29, 44])
@pytest.mark.slow
def test_few_rows_that_fetch_b_in_order(dtype: str, bits: int, rows: int) -> None:
    lanes = vectors.lanes(dtype, bits)
    tile = gemm.make_plan(dtype, lanes=lanes).tile
    l2 = blocking.SHALLOW**2 * tile.bytes / blocking.SHALLOW_L2  # just enough for a shallow block
    caches = Cache("L1d", Bytes(32 << 10)), Cache("L2", Bytes(l2)), Cache("L3", Bytes(4 << 10))
    how = gemm.make_plan(dtype, caches=caches, lanes=lanes)
    for strips, rest, depth in [(32, 0, 100), (67, 0, 33), (32, 1, 65), (40, tile.lanes + 1, 130), (33, 5, 31)]:
        columns = strips * tile.columns + rest
        a, b = matrices(rows, columns + 3, depth, dtype, columns)
        masks = vectors.target().masks
        blocks = blocking.fitted(how.limits, tile, rows, columns, depth, b.strides[0], masks)
        assert blocks.in_order == (masks or not (columns - blocks.few) % tile.columns)
        assert_right(a, b[:, :columns], gemm.prepare(a, b[:, :columns], plan=how)())


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shift", [0, 1, 3, 5])
@pytest.mark.parametrize("shape", [(13, 600, 7), (40, 1000, 1), (6, 700, 20), (1, 4500, 20)], ids=str)
def test_strips_that_begin_with_cache_lines_of_c(shape: tuple[int, int, int], shift: int, dtype: str) -> None:
    m, n, k = shape
    a, b = matrices(m, n, k, dtype)
    pitch = -(-(n + 20) // 64) * 64
    room = np.full((m + 1) * pitch + 64, 7, KINDS[dtype])
    start = -(room.ctypes.data // room.itemsize) % 64 + shift
    around = room[start : start + m * pitch].reshape(m, pitch)
    out = around[:, :n]
    out[:] = np.nan
    gemm.matmul(a, b, out)
    assert_right(a, b, out)
    out[:] = 7
    assert (room == 7).all()


@pytest.mark.sample(1)
@pytest.mark.parametrize("lanes_of", [0, 1, 2])
@pytest.mark.parametrize("dtype", KINDS)
def test_every_width_that_the_cpu_has(dtype: str, lanes_of: int) -> None:
    widths = vectors.target().widths
    if lanes_of >= len(widths):
        pytest.skip("vectors of this width are not on this CPU")
    lanes = vectors.lanes(dtype, widths[lanes_of])
    how = gemm.make_plan(dtype, caches=TINY_CACHES, lanes=lanes)
    assert how.tile.lanes == lanes
    for shape in [(5, 7, 11), (50, 3, 70), (101, 103, 107), (90, 96, 200), (3, 96, 30), (50, 3, 4200),
                  (60, 97, 40), (60, 9, 40), (44, 33, 20)]:  # fmt: skip
        a, b = matrices(*shape, dtype)
        assert_right(a, b, gemm.prepare(a, b, plan=how)())


def transposed(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix.T).T


@pytest.mark.parametrize("change", [
    transposed,
    lambda matrix: np.repeat(matrix, 2, axis=1)[:, ::2],
    lambda matrix: matrix[::-1].copy()[::-1],
    lambda matrix: matrix[:, ::-1].copy()[:, ::-1],
    lambda matrix: np.repeat(matrix, 3, axis=0)[::3],
    lambda matrix: np.frombuffer(b"x" + matrix.tobytes(), np.uint8)[1:].view(matrix.dtype).reshape(matrix.shape),
], ids=["transposed", "every second column", "upwards", "leftwards", "every third row", "unaligned"])  # fmt: skip
def test_any_strides(change) -> None:
    a, b = matrices(50, 70, 90, "fp32")
    assert_right(a, b, gemm.matmul(change(a), change(b)))
    out = change(np.zeros((50, 70), np.float32))
    if out.flags.writeable:
        assert gemm.matmul(a, b, out) is out
        assert_right(a, b, out)


def test_repeated_rows_and_columns() -> None:
    a, b = matrices(1, 70, 90, "fp32")
    rows = np.broadcast_to(a, (50, 90))
    assert_right(rows, b, gemm.matmul(rows, b))
    columns = np.broadcast_to(b[:, :1], (90, 70))
    assert_right(rows, columns, gemm.matmul(rows, columns))


def test_a_prepared_product_reads_its_operands_anew() -> None:
    a, b = matrices(60, 60, 60, "fp64")
    for given_a in (a, transposed(a)):
        product = gemm.prepare(given_a, b)
        product()
        np.multiply(given_a, 3, out=given_a)
        out = product()
        assert_right(given_a, b, out)


def test_what_is_not_a_number_stays_where_it_belongs() -> None:
    a, b = matrices(14, 70, 30, "fp32")
    a[13, 7] = np.nan
    b[5, 69] = np.inf
    c = gemm.matmul(a, b)
    assert np.isnan(c[13]).all()
    assert np.isfinite(c[:13, :69]).all()
    assert np.isinf(c[:13, 69]).all()


def test_products_can_be_computed_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    pairs = [matrices(150, 150, 150, "fp32", seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for (a, b), c in zip(pairs, pool.map(lambda pair: gemm.matmul(*pair), pairs), strict=True):
            assert_right(a, b, c)


def good(m: int = 3, n: int = 3, kind: type = np.float32) -> np.ndarray:
    return np.ones((m, n), kind)


@pytest.mark.parametrize(("arguments", "code", "field"), [
    ((good(3, 4), good(3, 4)), "shape-mismatch", "b"),
    ((good(0, 3), good()), "empty-matrix", "a"),
    ((good(), good(3, 0)), "empty-matrix", "b"),
    ((good()[0], good()), "not-a-matrix", "a"),
    ((good(), [[1.0]]), "not-a-matrix", "b"),
    ((good(), good(kind=np.float64)), "unsupported-dtype", "b"),
    ((good(kind=np.int32), good(kind=np.int32)), "unsupported-dtype", "a"),
    ((good().astype(">f4"), good().astype(">f4")), "unsupported-dtype", "a"),
    ((good(), good(), good(2, 3)), "shape-mismatch", "out"),
    ((good(), good(), good(kind=np.float64)), "unsupported-dtype", "out"),
    ((good(), good(), np.broadcast_to(good(1, 3), (3, 3))), "not-writable", "out"),
])  # fmt: skip
def test_what_cannot_be_multiplied(arguments, code, field) -> None:
    with pytest.raises(InputError) as caught:
        gemm.matmul(*arguments)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_product_over_its_own_operands_is_refused() -> None:
    a = good(4, 4)
    for out in (a, a[::-1], a.T):
        for operands in ((a, good(4, 4)), (good(4, 4), a)):
            with pytest.raises(InputError) as caught:
                gemm.matmul(*operands, out)
            assert (caught.value.code, caught.value.field) == ("overlap", "out")
    whole = np.ones((4, 8), np.float32)
    assert gemm.matmul(whole[:, :4], good(4, 4), whole[:, 4:])[0, 0] == 4


@pytest.mark.parametrize(("dtype", "options", "code"), [
    ("fp8", {}, "unsupported-dtype"), ("fp32", {"threads": 0}, "thread-range"), ("fp32", {"lanes": 3}, "vector-lanes"),
])  # fmt: skip
def test_plans_that_cannot_be(dtype, options, code) -> None:
    with pytest.raises(InputError) as caught:
        gemm.make_plan(dtype, **options)
    assert caught.value.code == code


def test_a_plan_for_another_dtype_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        gemm.prepare(good(), good(), plan=gemm.make_plan("fp64"))
    assert caught.value.code == "plan-dtype"


def test_the_caller_may_choose_the_cpus() -> None:
    assert gemm.make_plan("fp32", 2, cpus=(5, 3, 1)).cpus == (5, 3)
    assert gemm.make_plan("fp32", 9, cpus=(5, 3)).threads == 2


@pytest.mark.parametrize(("rows", "columns"), [(200, 200), (1, 4000), (4000, 1), (12, 4000), (1000, 4)])
@pytest.mark.parametrize("depth", [64, 256, 700, 2048])
def test_errors_are_no_larger_than_those_of_torch(rows: int, columns: int, depth: int) -> None:
    torch = pytest.importorskip("torch")
    a, b = matrices(rows, columns, depth, "fp32")
    exact = a.astype(np.float64) @ b.astype(np.float64)
    theirs = (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()
    mine, theirs = (np.sqrt(np.mean((c - exact) ** 2)) for c in (gemm.matmul(a, b), theirs))
    assert mine <= 1.05 * theirs


def test_threads_give_what_one_gives() -> None:
    rng = random.Random(0)
    for dtype in KINDS:
        for _ in range(6):
            a, b = matrices(rng.randint(1, 300), rng.randint(1, 300), rng.randint(1, 300), dtype)
            assert_right(a, b, gemm.prepare(a, b, plan=gemm.make_plan(dtype, 4))())
