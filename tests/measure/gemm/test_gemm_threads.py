"""Threads of the matrix multiply: shares cover C once; workers wake, sleep, take turns, and obey the affinity."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.measure.gemm import product as gemm
from hwbench.measure.gemm import threads as gemm_threads
from hwbench.measure.gemm.prepared import GemmProduct
from hwbench.measure.gemm.threads import Share, shares

pytestmark = pytest.mark.realtime


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 70))
def test_shares_cover_the_product_once(rows: int, columns: int, threads: int) -> None:
    covered = np.zeros((rows, columns), int)
    parts = shares(rows, columns, threads, 6, 16)
    assert 1 <= len(parts) <= threads
    for part in parts:
        assert part.rows > 0
        assert part.columns > 0
        covered[part.row : part.row + part.rows, part.column : part.column + part.columns] += 1
    assert (covered == 1).all()


def test_columns_are_split_first_and_rows_where_there_are_few() -> None:
    assert shares(1024, 1024, 2, 6, 16) == (Share(0, 0, 1024, 512), Share(0, 512, 1024, 512))
    assert [part.columns for part in shares(6000, 64, 4, 6, 16)] == [64] * 4
    assert len(shares(1, 1, 8, 6, 16)) == 1
    down = {part.row for part in shares(4096, 4096, 64, 6, 16)}
    assert 1 < len(down) < 64


def product(size: int = 150, threads: int = 2) -> GemmProduct:
    rng = np.random.default_rng(0)
    return gemm.prepare(*(rng.standard_normal((size, size)) for _ in "ab"), threads=threads)


def two_cpus() -> gemm.GemmPlan:
    """A plan for two threads, which may have to share one CPU."""
    how = gemm.make_plan("fp64", 1)
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]
    return gemm.GemmPlan(how.dtype, how.tile, how.limits, (cpus[0], cpus[-1]))


def test_workers_start_again_after_they_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm_threads, "LOOKS", 10)
    how = two_cpus()
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((120, 130)), rng.standard_normal((130, 140))
    shared = gemm.prepare(a, b, plan=how)
    for pause in (0, 0, 0.02, 0, 0.05):
        time.sleep(pause)
        shared.out[:] = 0
        np.testing.assert_allclose(shared(), a @ b)


def test_many_threads_on_few_cpus() -> None:
    how = two_cpus()
    how = gemm.GemmPlan(how.dtype, how.tile, how.limits, how.cpus * 3)
    rng = np.random.default_rng(0)
    for shape in ((200, 210, 220), (3, 5, 7), (500, 3, 9)):
        a, b = rng.standard_normal((shape[0], shape[2])), rng.standard_normal((shape[2], shape[1]))
        np.testing.assert_allclose(gemm.prepare(a, b, plan=how)(), a @ b, atol=1e-12)


def test_calls_from_two_threads_take_turns() -> None:
    how = two_cpus()
    rng = np.random.default_rng(0)
    jobs = [(rng.standard_normal((90, 100)), rng.standard_normal((100, 110))) for _ in range(4)]
    wrong = []

    def work(a: np.ndarray, b: np.ndarray) -> None:
        mine = gemm.prepare(a, b, plan=how)
        for _ in range(20):
            mine.out[:] = 0
            if not np.allclose(mine(), a @ b):
                wrong.append(1)

    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_small_products_start_no_thread_that_they_do_not_occupy() -> None:
    if gemm.make_plan("fp32", 2).threads < 2:
        pytest.skip("one CPU")
    used = {
        size: gemm.prepare(*(np.ones((size, size), np.float32) for _ in "ab"), threads=2).plan.threads
        for size in (1, 32, 256)
    }
    assert used == {1: 1, 32: 1, 256: 2}


@pytest.mark.skipif(not gemm_threads.PINS, reason="this system has no affinity")
def test_the_affinity_of_the_caller_is_put_back() -> None:
    before = os.sched_getaffinity(0)
    gemm.prepare(np.ones((99, 99)), np.ones((99, 99)), plan=two_cpus())()
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not gemm_threads.PINS, reason="this system has no affinity")
def test_one_allowed_cpu_is_one_thread() -> None:
    script = """
import os, numpy as np
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
from hwbench.measure.gemm import product as gemm
assert gemm.make_plan("fp64", 4).threads == 1
a = np.arange(10000.0).reshape(100, 100)
assert np.allclose(gemm.matmul(a, a, threads=4), a @ a)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
