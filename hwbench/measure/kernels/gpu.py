"""A GPU measured through torch (CUDA, ROCm or MPS): matrix products by dtype and shape, copies, launches.

Operands are random (zeros draw less power and clock higher) and rotate among several sets, so that no product finds its
own in a cache. Measurements hold the device's description (`GpuWork.accelerator`), so that a saved run can serve as
that device. Tests run the same code on torch's `cpu`; no real card has run it yet.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Device, highest, peaks
from hwbench.measure.harness import Task
from hwbench.measure.settings import Settings
from hwbench.measure.subject import GpuWork
from hwbench.measure.torch.device import Stopwatch, TorchDevice, accelerator, set_fp32
from hwbench.measure.torch.gpu import describe, readings

Shape = tuple[int, int, int]
"""m, k, n of a product of m×k by k×n."""

DTYPES: dict[str, Any] = {
    "fp64": torch.float64, "fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16,
    "bf16": torch.bfloat16, "fp8": getattr(torch, "float8_e4m3fn", None), "int8": torch.int8,
}  # fmt: skip
CANDIDATES: tuple[Shape, ...] = (
    (4096, 4096, 4096), (8192, 8192, 8192), (8192, 4096, 4096), (8192, 4096, 8192), (4096, 8192, 4096),
    (16384, 4096, 4096), (6144, 6144, 6144), (5120, 5120, 5120), (8192, 2048, 8192),
)  # fmt: skip
"""Shapes among which the fastest is searched: they divide differently among a card's units."""
SETS = 3
"""Sets of operands among which products rotate."""

TOLERANCE = {"fp64": 1e-12, "fp32": 1e-5, "tf32": 2e-3, "fp16": 2e-3, "bf16": 1e-2, "fp8": 1e-2, "int8": 0.0}
"""Largest error of a product, as a share of the norm of its rows."""


class GpuSizes(Struct, frozen=True):
    """Sizes of the tasks: squares and candidate shapes of products, bytes of a copied array."""

    squares: tuple[int, ...] = (1024, 2048, 4096, 8192)
    candidates: tuple[Shape, ...] = CANDIDATES
    copy_bytes: int = 1 << 28


def tasks(settings: Settings, gpu: TorchDevice | None = None, sizes: GpuSizes | None = None) -> list[Task]:
    """Return the tasks of a GPU, by default the first that torch finds. Raises InputError where there is no GPU."""
    gpu = gpu or accelerator()
    if gpu is None:
        raise InputError("no-gpu", "A GPU is needed (CUDA, ROCm or MPS), and torch finds none here.")
    sizes = sizes or (GpuSizes(squares=(4096,), candidates=CANDIDATES[:4]) if settings.quick else GpuSizes())
    device = describe(gpu)
    wanted = [dtype for dtype in DTYPES if settings.dtypes is None or dtype in settings.dtypes]
    products = []
    for dtype in (name for name in wanted if supported(gpu, name)):
        squares = settings.sizes or tuple((size, size, size) for size in sizes.squares)
        shapes = dict.fromkeys([*squares, *([] if settings.sizes else [best_shape(gpu, dtype, sizes.candidates)])])
        products += [matmul(gpu, device, dtype, shape) for shape in shapes]
    return [*products, *copies(gpu, device, sizes.copy_bytes), *launches(gpu, device)]


class GpuProduct:
    """A matrix product of random operands; called with a running number, which selects a set of operands."""

    def __init__(self, gpu: TorchDevice, dtype: str, shape: Shape) -> None:
        m, k, n = shape
        self.dtype = dtype
        self.operands = [(_random(gpu, dtype, m, k), _random(gpu, dtype, n, k)) for _ in range(SETS)]
        self.scale = torch.ones((), device=gpu.torch_name)

    def __call__(self, number: int) -> Any:
        """Multiply m×k by k×n; the second operand is transposed in memory, like the weights of a layer."""
        left, right = self.operands[number % SETS]
        if self.dtype == "int8":
            return torch._int_mm(left, right.t())
        if self.dtype == "fp8":
            return torch._scaled_mm(left, right.t(), self.scale, self.scale, out_dtype=torch.bfloat16)
        return torch.matmul(left, right.t())

    def check(self) -> bool:
        """Return whether the first rows agree with the product in double precision on the CPU."""
        left, right = (operand.to("cpu").double() for operand in self.operands[0])
        expected = left[:4] @ right.t()
        error = (self(0)[:4].to("cpu").double() - expected).norm()
        return float(error) <= TOLERANCE[self.dtype] * float(expected.norm())


def _random(gpu: TorchDevice, dtype: str, rows: int, columns: int) -> Any:
    if dtype == "int8":
        return torch.randint(-128, 128, (rows, columns), dtype=torch.int8).to(gpu.torch_name)
    return torch.randn(rows, columns).to(DTYPES[dtype]).to(gpu.torch_name)


def supported(gpu: TorchDevice, dtype: str) -> bool:
    """Return whether torch multiplies matrices of a dtype here; tf32 is a mode of CUDA only."""
    if DTYPES[dtype] is None or (dtype == "tf32" and gpu.kind != "cuda"):
        return False
    try:
        GpuProduct(gpu, dtype, (32, 32, 32))(0)
        gpu.synchronize()
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError):
        return False
    return True


def best_shape(gpu: TorchDevice, dtype: str, candidates: Sequence[Shape], tries: int = 3) -> Shape:
    """Return the shape with the most FLOP/s in the best of a few short stretches, among those that fit in memory."""
    rates: dict[Shape, float] = {}
    set_fp32(gpu, dtype != "tf32")
    for shape in candidates:
        try:
            watch = Stopwatch(gpu, GpuProduct(gpu, dtype, shape))
            watch(1)
            seconds = []
            for _ in range(tries):
                watch(2)
                seconds.append(max(watch.seconds, 1e-9) / 2)
        except torch.OutOfMemoryError:
            continue
        rates[shape] = 2.0 * shape[0] * shape[1] * shape[2] / min(seconds)
    if not rates:
        raise InputError("out-of-memory", f"{gpu.title} has too little memory for every shape of a {dtype} product.")
    return max(rates, key=lambda shape: rates[shape])


def matmul(gpu: TorchDevice, device: Device | None, dtype: str, shape: Shape) -> Task:
    """Return the task of a product of `shape` (m, k, n), in FLOP/s (op/s for integers)."""
    m, k, n = shape
    watch = Stopwatch(gpu, before=lambda: set_fp32(gpu, dtype != "tf32"))
    top = highest(peaks(device), dtype) if device else None
    subject = about(gpu, device, top.flops_per_second if top else None)

    def prepare() -> GpuWork:
        watch.step = GpuProduct(gpu, dtype, shape)
        return msgspec.structs.replace(subject, under_load=_read_under_load(gpu, watch))

    return Task(
        kernel="matmul",
        variant="torch",
        unit="op/s" if dtype == "int8" else "FLOP/s",
        work=2.0 * m * k * n,
        dtype=dtype,
        size=f"{m}x{k}x{n}",
        subject=subject,
        prepare=prepare,
        check=lambda: bool(watch.step.check()),
        **timed_by(watch),
    )


def timed_by(watch: Stopwatch) -> dict[str, Any]:
    """Return the fields of a task that a stopwatch runs on a GPU."""
    return {"call": watch, "timer": "device", "where": "gpu", "elapsed": watch.last, "close": watch.release}


def _read_under_load(gpu: TorchDevice, watch: Stopwatch) -> dict[str, Any]:
    """Return clocks and power while the device works, where its driver reports them: queued work goes on meanwhile."""
    if gpu.kind != "cuda":
        return {}
    watch(2)
    for number in range(min(2000, int(0.3 / max(watch.seconds / 2, 1e-6)) + 1)):
        watch.step(number)
    under_load = readings(gpu)
    gpu.synchronize()
    return under_load


def copies(gpu: TorchDevice, device: Device | None, size: int) -> list[Task]:
    """Return the tasks of copy (two arrays) and triad (three), in B/s as STREAM counts; arrays have `size` bytes."""

    def task(variant: str, arrays: int) -> Task:
        watch = Stopwatch(gpu)

        def prepare() -> None:
            watch.step = GpuCopy(gpu, arrays, size)

        return Task(
            kernel="stream",
            variant=variant,
            unit="B/s",
            work=float(arrays * (size // 4) * 4),
            dtype="fp32",
            size=str(size),
            subject=about(gpu, device, device.memory.bandwidth if device else None),
            prepare=prepare,
            check=lambda: bool(watch.step.check()),
            **timed_by(watch),
        )

    return [task("copy", 2), task("triad", 3)]


class GpuCopy:
    """A copy (of two arrays) or a triad (of three) on one of two sets of arrays, by a running number."""

    def __init__(self, gpu: TorchDevice, arrays: int, size: int) -> None:
        self.sets = [[torch.randn(size // 4, device=gpu.torch_name) for _ in range(arrays)] for _ in range(2)]

    def __call__(self, number: int) -> None:
        """Write the first array of a set from the others."""
        destination, *sources = self.sets[number % 2]
        if len(sources) == 1:
            destination.copy_(sources[0])
        else:
            torch.add(*sources, alpha=3.0, out=destination)

    def check(self) -> bool:
        """Return whether the first set holds the right answer after a call."""
        self(0)
        destination, *sources = self.sets[0]
        expected = sources[0] if len(sources) == 1 else sources[0] + 3.0 * sources[1]
        return bool(torch.allclose(destination, expected, atol=1e-4))


def launches(gpu: TorchDevice, device: Device | None) -> list[Task]:
    """Return the tasks of the smallest op, in seconds: queued one after another, and each awaited."""

    def task(variant: str, wait: bool) -> Task:
        watch = Stopwatch(gpu)

        def prepare() -> None:
            number = torch.zeros(1, device=gpu.torch_name)

            def step(_: int) -> None:
                number.add_(1.0)
                if wait:
                    gpu.synchronize()

            watch.step = step

        subject = about(gpu, device)
        return Task("launch", variant, "s", 1, subject=subject, prepare=prepare, **timed_by(watch))

    return [task("queued", False), task("round-trip", True)]


def about(gpu: TorchDevice, device: Device | None, peak: float | None = None) -> GpuWork:
    """Return the subject of a measurement on a GPU; `peak` is the peak of its value."""
    return GpuWork(gpu.torch_name, gpu.title, device, None if peak is None else float(peak))
