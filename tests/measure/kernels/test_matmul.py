"""Which matrix products are measured: libraries at the sizes asked for, plain loops at one that they finish."""

import functools

import pytest

from hwbench.errors import InputError
from hwbench.machine.host.describe import host
from hwbench.measure import harness
from hwbench.measure.kernels.matmul import kernel as matmul
from hwbench.measure.settings import CpuClass, Settings

LOOPS = {"ijk", "ikj", "blocked", "parallel"}


def settings(**more: object) -> Settings:
    classes = (CpuClass("core", (0, 1)),)
    return Settings(cpus=(0, 1), classes=classes, caches=(), host=host(), threads=(1, 2), **more)  # type: ignore[arg-type]


def test_plain_loops_run_at_one_size_where_there_is_time() -> None:
    quick = matmul.tasks(settings(quick=True))
    assert [(task.variant, task.threads) for task in quick if task.variant == "numba"] == [("numba", 1), ("numba", 2)]
    assert LOOPS.isdisjoint(task.variant for task in quick)
    found = matmul.tasks(settings(dtypes=("fp32",)))
    loops = [(task.variant, task.size, task.threads) for task in found if task.variant in LOOPS]
    size = "512x512x512"
    assert sorted(loops) == [("blocked", size, 1), ("ijk", size, 1), ("ikj", size, 1), ("parallel", size, 2)]


def test_sizes_that_are_asked_for_are_those_of_all() -> None:
    found = matmul.tasks(settings(sizes=((4, 5, 6),), dtypes=("fp64",)))
    assert {task.size for task in found} == {"4x5x6"}
    assert {task.variant for task in found} >= {"numba", *LOOPS}
    assert {task.work for task in found} == {2.0 * 4 * 5 * 6}
    large = matmul.tasks(settings(sizes=((2048, 2048, 2048),), dtypes=("fp64",)))
    assert LOOPS.isdisjoint(task.variant for task in large)


@pytest.mark.slow
def test_every_product_is_right_and_a_wrong_one_is_noticed() -> None:
    found = matmul.tasks(settings(sizes=((33, 20, 17),), dtypes=("fp32", "fp64", *matmul.narrow_dtypes())))
    measured = harness.measure(found, 0.2, limits=harness.SamplingLimits(sample_s=1e-4, max_samples=1))
    assert len(measured) == len(found)
    assert all(one.checked for one in measured)
    operands = functools.cache(matmul.matrices)
    wrong = matmul.MatmulProduct(lambda a, b: ((lambda: None), lambda: a @ b * 1.01), operands, "fp32", (33, 20, 17))
    wrong.prepare()
    assert not wrong.check()


def test_a_dtype_without_products_is_refused() -> None:
    with pytest.raises(InputError):
        matmul.tasks(settings(dtypes=("fp8",)))
