"""The ladder between a peak and a model's time: which measurements are its rungs, and which tasks it needs."""

from typing import Any

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.measure.analysis import ladder
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement, Sample
from hwbench.measure.settings import CpuClass, Settings
from hwbench.measure.subject import ForwardPass
from tests.measure.analysis.runs import CLOCKS, RATES, STREAMS, machine, made, run


def test_the_ladder_reads_what_explain_needs() -> None:
    inference = made("inference", "eager", "s", 0.02, dtype="fp32", threads=1, subject=ForwardPass("alexnet", 1))
    usual = product("numpy", 190e9, "1024x1024x1024")
    found = ladder.read(run(*CLOCKS, *RATES, usual, *STREAMS, inference), "fp32", 1, "alexnet", 1)
    assert found.isa == "avx512"
    assert found.stated == pytest.approx(machine().units[0].clock.all_core.get("avx512", 4.3e9) * 64, rel=0.3)
    assert found.stated_clock is not None
    assert found.stated == pytest.approx(found.stated_clock * 64)
    values = (found.clock, found.fma, found.blas, found.numba, found.bandwidth, found.run)
    assert [one.value if one else None for one in values] == pytest.approx([3.6e9, 230e9, 190e9, 210e9, 16e9, 0.02])
    assert (found.library, found.size) == ("numpy", "1024x1024x1024")
    assert ladder.read(run(inference), "fp32", 1, "alexnet", 8).run is None
    assert ladder.read(run(inference), "fp32", 1, "vgg16", 1).run is None


def product(variant: str, value: float, size: str) -> Measurement:
    return made("matmul", variant, "FLOP/s", value, dtype="fp32", size=size)


@pytest.mark.parametrize(
    ("products", "size", "library", "ours"),
    [
        # both at the usual size, whichever others were faster
        ([("torch", 9, "2048"), ("torch", 7, "1024"), ("numba", 8, "1024"), ("numba", 9, "2048")], "1024", 7, 8),
        # the fastest of the sizes that both have
        ([("torch", 9, "64"), ("torch", 5, "512"), ("numba", 6, "512"), ("numba", 3, "256"), ("numpy", 4, "256")],
         "512", 5, 6),
        ([("torch", 5, "512"), ("numpy", 6, "512"), ("numba", 4, "256")], "512", 6, None),
        ([("ijk", 9, "512")], None, None, None),
    ],
)  # fmt: skip
def test_both_products_of_a_ladder_are_of_one_size(
    products: list[tuple[str, float, str]], size: str | None, library: float | None, ours: float | None
) -> None:
    made_of = [product(name, value, "x".join([side] * 3)) for name, value, side in products]
    found = ladder.read(run(*made_of), "fp32", 1)
    assert found.size == (size and "x".join([size] * 3))
    assert [one and one.value for one in (found.blas, found.numba)] == pytest.approx([library, ours])


def test_a_ladder_of_nothing() -> None:
    found = ladder.read(run(*STREAMS), "fp32", 1)
    assert (found.isa, found.stated, found.clock, found.fma, found.run) == (None,) * 5


def test_the_ladder_measures_what_it_needs_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings((0,), (CpuClass("core", (0,)),), (), None, quick=True)  # type: ignore[arg-type]

    def task(kernel: str, variant: str, **changes: Any) -> Task:
        return Task(kernel, variant, "FLOP/s", 1.0, lambda _repetitions: None, **changes)

    given = [
        task("clock", "scalar"), task("clock", "avx2"), task("fma", "latency", dtype="fp32"),
        task("fma", "throughput", dtype="fp32"), task("fma", "throughput", dtype="fp64"),
        task("matmul", "ijk", dtype="fp32"), task("matmul", "numba", dtype="fp32"),
        task("matmul", "torch", dtype="fp32"),
        task("matmul", "numba", dtype="fp32", threads=2), task("stream", "copy"), task("latency", "chase"),
    ]  # fmt: skip
    asked: list[str] = []

    def tasks(kernels: Any, _settings: Any, named: bool) -> Any:
        asked[:] = [kernel.name for kernel in kernels]
        return given, []

    monkeypatch.setattr(ladder.kernels, "tasks", tasks)
    found = [(one.kernel, one.variant, one.dtype) for one in ladder.tasks(settings, "fp32", 1)]
    assert found == [
        ("clock", "avx2", None), ("fma", "throughput", "fp32"), ("matmul", "numba", "fp32"),
        ("matmul", "torch", "fp32"), ("stream", "copy", None),
    ]  # fmt: skip
    assert asked == ["clock", "fma", "matmul", "memory"]
    ladder.tasks(settings, "fp32", 1, memory=False)
    assert asked == ["clock", "fma", "matmul"]
    with pytest.raises(InputError) as caught:
        ladder.tasks(settings, "bf16", 1)
    assert (caught.value.code, caught.value.field) == ("unsupported-dtype", "dtype")


def test_multiply_adds_while_they_run_are_per_cpu_time() -> None:
    """Two threads that had three quarters of their time: 3 s of CPU time in 2 s."""
    samples = tuple(Sample(2.0, 10, 3.0) for _ in range(5))
    two = Measurement("fma", "throughput", "FLOP/s", 1e9, samples, "fp32", "avx2", 2, timer="wall")
    found = ladder.read(run(two), "fp32", 2)
    assert found.fma is not None
    assert found.running is not None
    assert (found.fma.value, found.running.value) == (5e9, pytest.approx(2e10 / 3))
    assert ladder.read(run(msgspec.structs.replace(two, timer="cpu")), "fp32", 2).running is None
    unknown = tuple(Sample(2.0, 10) for _ in range(5))
    assert ladder.read(run(msgspec.structs.replace(two, samples=unknown)), "fp32", 2).running is None
