"""Products of fp16, bf16 and bytes: exact where numbers are whole, else as good as sums in fp32, on any shape."""

from typing import Any

import numpy as np
import pytest

from hwbench.errors import InputError
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import by_lane, multiplied, widths
from hwbench.measure.gemm import narrow
from hwbench.measure.gemm import product as gemm
from hwbench.measure.gemm.microkernel import ROWS

pytestmark = pytest.mark.slow
TARGET = vectors.target()
KINDS = multiplied(TARGET)
SHAPES = [
    (1, 1, 1), (1, 64, 300), (1, 257, 33), (5, 1, 7), (6, 3, 64), (7, 130, 4), (13, 66, 3), (25, 500, 1),
    (ROWS, 64, 256), (97, 97, 97), (64, 129, 65), (50, 1030, 70), (300, 700, 333), (44, 2048, 128),
    (1, 4099, 700), (7, 1027, 1031), (64, 700, 1500), (65, 700, 1500),
]  # fmt: skip


def floats(bits: Any) -> Any:
    """The numbers of fp16, or of bf16 bits."""
    if bits.dtype == np.float16:
        return bits.astype(np.float64)
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


CHANGED: dict[str, Any] = {"fp16": lambda values: np.asarray(values).astype(np.float16), "bf16": narrow.bf16}
"""Numbers as the operands of a dtype."""


def changed_to(dtype: str) -> Any:
    return CHANGED.get(dtype, lambda values: values.astype(np.int8))


def integers(values: Any) -> Any:
    return values.astype(np.int64)


def of_bytes(random: Any, kind: Any, shape: tuple[int, int]) -> Any:
    return random.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, shape).astype(kind)


@pytest.mark.skipif("int8" not in KINDS, reason="no dot products of bytes")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_of_bytes_are_exact(shape: tuple[int, int, int], kind: type, threads: int) -> None:
    random = np.random.default_rng()
    rows, depth, columns = shape
    a, b = of_bytes(random, kind, (rows, depth)), of_bytes(random, np.int8, (depth, columns))
    product = gemm.prepare(a, b, plan=gemm.make_plan("int8", threads))()
    assert product.dtype == np.int32
    np.testing.assert_array_equal(product, integers(a) @ integers(b))


@pytest.mark.parametrize("dtype", [dtype for dtype in KINDS if dtype in CHANGED])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_of_halves_have_the_errors_of_sums_in_fp32(
    shape: tuple[int, int, int], threads: int, dtype: str
) -> None:
    random = np.random.default_rng()
    rows, depth, columns = shape
    a, b = (CHANGED[dtype](random.uniform(-1, 1, size)) for size in ((rows, depth), (depth, columns)))
    product = gemm.prepare(a, b, plan=gemm.make_plan(dtype, threads))()
    assert product.dtype == np.float32
    x, y = floats(a), floats(b)
    assert (np.abs(product - x @ y) <= 8 * 2.0**-24 * (np.abs(x) @ np.abs(y)) * max(1, depth**0.5)).all()


@pytest.mark.parametrize("dtype", KINDS)
def test_every_width_that_the_cpu_has(dtype: str) -> None:
    random = np.random.default_rng()
    kind = by_lane(dtype, TARGET)
    a, b = of_bytes(random, np.int8, (41, 90)), of_bytes(random, np.int8, (90, 75))
    exact = integers(a) @ integers(b)
    if dtype in CHANGED:  # small whole numbers, whose sums are exact
        a, b = (CHANGED[dtype]((part % 16).astype(np.float32)) for part in (a, b))
        exact = floats(a) @ floats(b)
    for bits in widths(kind, TARGET) if kind else TARGET.widths:
        plan = gemm.make_plan(dtype, lanes=bits // 32)
        np.testing.assert_array_equal(gemm.prepare(a, b, plan=plan)(), exact)


@pytest.mark.parametrize("dtype", KINDS)
def test_any_strides_and_a_given_out(dtype: str) -> None:
    random = np.random.default_rng()
    first, second = (random.integers(0, 64, (90, 91)).astype(np.int8) for _ in range(2))
    numbers: Any = integers
    if dtype in CHANGED:
        first, second, numbers = CHANGED[dtype](first), CHANGED[dtype](second), floats
    pairs = ((first.T, second), (first[::2, 1:80], second[:79, ::-3]), (first[3:, 3:], second[:88]))
    for a, b in pairs:
        out = np.zeros((2 * a.shape[0], 2 * b.shape[1]), gemm.OUT[dtype])[::2, ::2]
        expected = numbers(a) @ numbers(b)
        assert gemm.matmul(a, b, out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", KINDS)
def test_a_prepared_product_reads_its_operands_anew(dtype: str) -> None:
    ones, two = np.ones((20, 30)), np.full((1, 1), 2.0)
    changed = changed_to(dtype)
    a, b = changed(ones), changed(ones.T)
    product = gemm.prepare(a, b)
    assert (product() == 30).all()
    b[:] = changed(two)
    a[0] = 0
    again = product()
    assert (again[0] == 0).all()
    assert (again[1:] == 60).all()


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("rows", [1, 5, 70])
def test_a_constant_b_becomes_lanes_once(dtype: str, rows: int) -> None:
    changed = changed_to(dtype)
    a, b = np.ones((rows, 1026)), np.ones((1026, 515))
    narrow_a, narrow_b = changed(a), changed(b)
    product = gemm.prepare(narrow_a, narrow_b, constant=True)
    assert (product() == 1026).all()
    narrow_a[:] = changed(2 * a)
    narrow_b[:] = changed(3 * b)
    assert (product() == 2052).all()


def test_rounding_to_bf16_is_to_the_nearest_and_even() -> None:
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -(1 + 2**-7), 3.4e38, np.inf, -np.inf])
    rounded = floats(narrow.bf16(values.astype(np.float32)))
    assert rounded.tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -(1 + 2**-7), np.inf, np.inf, -np.inf]
    assert np.isnan(floats(narrow.bf16(np.array([np.nan], np.float32)))[0])


@pytest.mark.skipif("fp16" not in KINDS, reason="no conversion from fp16")
def test_every_number_of_fp16_becomes_itself() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    one = np.ones((1, 1), np.float16)
    np.testing.assert_array_equal(gemm.matmul(one, every[None, :])[0], every.astype(np.float32))
    np.testing.assert_array_equal(gemm.matmul(every[:, None], one)[:, 0], every.astype(np.float32))


def test_what_cannot_be_multiplied() -> None:
    byte, word, single = (np.ones((2, 2), kind) for kind in (np.int8, np.uint16, np.float32))
    unsigned = byte.astype(np.uint8)
    for a, b, out in ((byte, unsigned, None), (word, byte, None), (byte, byte, single), (word, word, byte)):
        with pytest.raises(InputError) as caught:
            gemm.matmul(a, b, out)
        assert caught.value.code == "unsupported-dtype"


def test_a_cpu_without_dot_products_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "target", lambda: vectors.parse_target("x86_64-linux", "+avx,+avx2,+fma"))
    for dtype in ("bf16", "fp16"):
        with pytest.raises(InputError) as caught:
            gemm.make_plan(dtype, caches=())
        assert caught.value.code == "no-instruction"
