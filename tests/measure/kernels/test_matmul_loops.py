"""The plain loops give the product, on every kind of shape, and on as many threads as asked for."""

import numpy as np
import pytest
from numba import get_num_threads

from hwbench.measure.kernels.matmul import loops as matmul_loops


@pytest.mark.parametrize(("name", "loop"), matmul_loops.LOOPS, ids=[name for name, _ in matmul_loops.LOOPS])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_loops_multiply(name, loop, kind) -> None:
    rng = np.random.default_rng(0)
    for m, n, k in [(1, 1, 1), (3, 130, 65), (129, 64, 2), (70, 71, 72)]:
        a, b = rng.standard_normal((m, k)).astype(kind), rng.standard_normal((k, n)).astype(kind)
        out = np.full((m, n), np.nan, kind)
        loop(a, b, out)
        np.testing.assert_allclose(out, a.astype(float) @ b, rtol=0, atol=1e-4 if kind == np.float32 else 1e-12)


def test_threads_are_put_back() -> None:
    before = get_num_threads()
    a, out = np.eye(9), np.empty((9, 9))
    matmul_loops.on_threads(1, a, a, out)
    assert (out == a).all()
    assert get_num_threads() == before
