"""A GPU's kernels run on torch's CPU: what they compute is right, what they say of themselves is true. Needs torch."""

from typing import Any

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.host.describe import host
from hwbench.measure.harness import measure
from hwbench.measure.settings import CpuClass, Settings
from hwbench.measure.subject import GpuWork

torch = pytest.importorskip("torch")

from hwbench.measure.kernels import gpu  # noqa: E402
from hwbench.measure.torch.device import CPU, TorchDevice  # noqa: E402

SMALL = gpu.GpuSizes((48,), ((64, 32, 48), (16, 64, 32)), 1 << 12)


@pytest.fixture
def settings() -> Settings:
    return Settings(cpus=(0,), classes=(CpuClass("core", (0,)),), caches=(), host=host(), quick=True)


@pytest.mark.slow
def test_everything_runs_and_is_right(settings: Settings) -> None:
    tasks = gpu.tasks(settings, CPU, SMALL)
    found = measure(tasks, 0.5)
    assert {one.kernel for one in found} == {"matmul", "stream", "launch"}
    dtypes = {one.dtype for one in found if one.kernel == "matmul"}
    assert {"fp32", "fp64"} <= dtypes
    assert "tf32" not in dtypes  # a mode of CUDA's
    assert all(one.checked for one in found if one.kernel != "launch")
    assert all(one.timer == "device" and one.where == "gpu" for one in found)
    assert all(sample.cpu_s is None and sample.wall_s > 0 for one in found for sample in one.samples)


def test_work_and_units(settings: Settings) -> None:
    chosen = msgspec.structs.replace(settings, dtypes=("fp32", "int8"), sizes=((32, 64, 16),))
    tasks = gpu.tasks(chosen, CPU, SMALL)
    products = [task for task in tasks if task.kernel == "matmul"]
    assert [(task.dtype, task.unit, task.work, task.size) for task in products] == [
        ("fp32", "FLOP/s", 65536.0, "32x64x16"),
        ("int8", "op/s", 65536.0, "32x64x16"),
    ]
    assert [(task.variant, task.work) for task in tasks if task.kernel == "stream"] == [
        ("copy", 8192),
        ("triad", 12288),
    ]


def test_the_best_shape_is_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {64: 1.0, 16: 0.1}

    class Watch:
        def __init__(self, _where: Any, product: Any) -> None:
            self.seconds = seconds[product.operands[0][0].shape[0]]

        def __call__(self, _repetitions: int) -> None:
            pass

    monkeypatch.setattr(gpu, "Stopwatch", Watch)
    assert gpu.best_shape(CPU, "fp32", SMALL.candidates) == (16, 64, 32)


def test_shapes_that_do_not_fit_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    made = gpu.GpuProduct

    def product(where: Any, dtype: str, shape: Any) -> Any:
        if shape[0] == 64:
            raise torch.OutOfMemoryError("no room")
        return made(where, dtype, shape)

    monkeypatch.setattr(gpu, "GpuProduct", product)
    assert gpu.best_shape(CPU, "fp32", SMALL.candidates) == (16, 64, 32)
    with pytest.raises(InputError) as caught:
        gpu.best_shape(CPU, "fp32", SMALL.candidates[:1])
    assert caught.value.code == "out-of-memory"


def test_a_wrong_product_is_noticed() -> None:
    product = gpu.GpuProduct(CPU, "fp32", (32, 32, 32))
    assert product.check()
    product.operands = [(a, b) for a, b in product.operands]
    right = product.__call__
    product.__class__ = type("Wrong", (gpu.GpuProduct,), {"__call__": lambda self, number: right(number) * 1.001})
    assert not product.check()


def test_operands_rotate() -> None:
    product = gpu.GpuProduct(CPU, "fp32", (8, 8, 8))
    results = [product(number) for number in range(gpu.SETS + 1)]
    assert torch.equal(results[0], results[gpu.SETS])
    assert not torch.equal(results[0], results[1])


def test_a_dtype_that_torch_cannot_multiply() -> None:
    assert not gpu.supported(CPU, "tf32")
    assert gpu.supported(CPU, "fp64")


def test_a_description_travels_with_the_measurement() -> None:
    device = catalog.device("rtx3090")
    card = TorchDevice("cuda:0", "NVIDIA GeForce RTX 3090")
    product = gpu.matmul(card, device, "fp32", (64, 64, 64))
    subjects = [task.subject for task in (product, *gpu.copies(card, device, 1024), *gpu.launches(card, device))]
    assert all(isinstance(one, GpuWork) and one.accelerator == device for one in subjects)
    peaks = [one.peak for one in subjects if isinstance(one, GpuWork)]
    assert peaks == [pytest.approx(35.58e12, rel=0.005), 936e9, 936e9, None, None]
    assert gpu.about(CPU, None) == GpuWork("cpu", "CPU")


def test_without_a_gpu(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "accelerator", lambda: None)
    with pytest.raises(InputError) as caught:
        gpu.tasks(settings)
    assert caught.value.code == "no-gpu"
