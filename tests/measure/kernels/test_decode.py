"""Tasks of quantized weights: shapes, parts of rows, and answers that are checked."""

import numpy as np
import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import by_lane
from hwbench.measure.kernels.matmul import decode, kernel
from hwbench.measure.kernels.team import first
from hwbench.measure.settings import Settings, settings

pytestmark = pytest.mark.skipif(by_lane("int8", vectors.target()) is None, reason="no dot products of bytes")


def chosen(**choices: object) -> Settings:
    return replace(settings(threads=(1,)), **choices)


def test_tasks_are_made_on_request_alone() -> None:
    assert {task.kernel for task in kernel.tasks(chosen())} == {"matmul"}
    tasks = kernel.tasks(chosen(dtypes=("q4_0",), sizes=((1, 512, 8000),)))
    assert [(task.kernel, task.variant, task.dtype, task.size, task.work) for task in tasks] == [
        ("matvec", variant, "q4_0", "1x512x8000", 8000 * 512 / 32 * 18) for variant in ("numba", "read")
    ]
    usual = kernel.tasks(chosen(dtypes=("fp32", "q8_0")))
    assert [task.variant for task in usual if task.kernel == "matvec"] == ["numba", "read", "cached"]
    assert {task.dtype for task in usual if task.kernel == "matmul"} == {"fp32"}


@pytest.mark.parametrize(
    ("rows", "threads", "variants"), [(1, 1, ["numba"]), (8000, 1, ["numba", "read"]), (8000, 2, ["numba"])]
)
def test_matrices_too_small_to_read_are_not(rows: int, threads: int, variants: list[str]) -> None:
    tasks = decode.tasks(replace(settings(threads=(threads,)), dtypes=("q4_0",), sizes=((1, 256, rows),)))
    assert [task.variant for task in tasks] == variants


@pytest.mark.parametrize("sizes", [((2, 512, 40),), ((1, 500, 40),), ((1, 65536, 65536),)])
def test_sizes_that_cannot_be(sizes: tuple[tuple[int, int, int], ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "affordable", lambda: 1 << 30)
    with pytest.raises(InputError):
        kernel.tasks(chosen(dtypes=("q4_k",), sizes=sizes))


def test_a_row_on_more_threads_than_rows_and_a_matrix_of_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "PIECE_BYTES", 1000)
    for rows in (1, 45):
        product = decode.DecodeProduct("q4_0", rows, 512, first(settings(), max(settings().threads)))
        try:
            product.prepare()
            assert product.right()
        finally:
            product.close()


@pytest.mark.parametrize("name", ["q4_0", "q8_0", "q4_k"])
def test_answers_are_checked(name: str) -> None:
    here = settings()
    product = decode.DecodeProduct(name, 37, 512, first(here, max(here.threads)))
    try:
        product.prepare()
        assert product.right()
        product.read(2)
        product.matrix.data[5::9] ^= 0x3F  # other weights than those in the reference's copy
        assert product.right()
        vector = product.vector.copy()
        product.vector[:] = np.roll(vector, 64)
        assert not product.right()
    finally:
        product.close()
