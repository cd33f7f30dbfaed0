"""What a GPU does through torch: matrix products by dtype and shape, copies, launches. ROCm and MPS by the same path.

Operands are random (zeros draw less power and clock higher) and rotate among several, so that no product finds its own
in a cache. Measurements carry the device's description (`GpuWork.accelerator`), so that a saved run can be that
device. Tests run the same code on torch's `cpu`; no real card has run it yet.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.machine.peak import highest, peaks
from hwbench.measure.harness import Task
from hwbench.measure.settings import Settings
from hwbench.measure.subject import GpuWork
from hwbench.measure.torch.place import Place, Stopwatch, accelerator, describe, readings, set_fp32
from hwbench.units import exact

Shape = tuple[int, int, int]
"""m, k, n of a product of m×k by k×n."""

DTYPES: dict[str, Any] = {
    "fp64": torch.float64, "fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16,
    "bf16": torch.bfloat16, "fp8": getattr(torch, "float8_e4m3fn", None), "int8": torch.int8,
}  # fmt: skip
SQUARES = (1024, 2048, 4096, 8192)
CANDIDATES: tuple[Shape, ...] = (
    (4096, 4096, 4096), (8192, 8192, 8192), (8192, 4096, 4096), (8192, 4096, 8192), (4096, 8192, 4096),
    (16384, 4096, 4096), (6144, 6144, 6144), (5120, 5120, 5120), (8192, 2048, 8192),
)  # fmt: skip
"""Shapes among which the best is looked for: how many tiles they make of a card's units differs."""
SETS = 3
COPY_BYTES = 1 << 28
TOLERANCE = {"fp64": 1e-12, "fp32": 1e-5, "tf32": 2e-3, "fp16": 2e-3, "bf16": 1e-2, "fp8": 1e-2, "int8": 0.0}
"""Largest error of a product, as a share of the norm of its rows."""


class Lot(Struct, frozen=True):
    """How large the tasks are: squares and candidate shapes of products, bytes of a copied array."""

    squares: tuple[int, ...] = SQUARES
    candidates: tuple[Shape, ...] = CANDIDATES
    copy_bytes: int = COPY_BYTES


def tasks(settings: Settings, where: Place | None = None, lot: Lot | None = None) -> list[Task]:
    """The tasks of the first GPU that torch finds, or of `where`. Raises InputError where there is none."""
    where = where or accelerator()
    if where is None:
        raise InputError("torch finds no GPU here (CUDA, ROCm or MPS)")
    lot = lot or (Lot(squares=(4096,), candidates=CANDIDATES[:4]) if settings.quick else Lot())
    device = describe(where)
    wanted = [dtype for dtype in DTYPES if settings.dtypes is None or dtype in settings.dtypes]
    found = []
    for dtype in (name for name in wanted if supported(where, name)):
        squares = settings.sizes or tuple((size, size, size) for size in lot.squares)
        shapes = dict.fromkeys([*squares, *([] if settings.sizes else [best_shape(where, dtype, lot.candidates)])])
        found += [matmul(where, device, dtype, shape) for shape in shapes]
    return [*found, *(copies(where, device, lot.copy_bytes)), *launches(where, device)]


class GpuProduct:
    """A matrix product of random operands that rotate among `SETS`; call it with a running number."""

    def __init__(self, where: Place, dtype: str, shape: Shape) -> None:
        m, k, n = shape
        self.dtype = dtype
        self.operands = [(_random(where, dtype, m, k), _random(where, dtype, n, k)) for _ in range(SETS)]
        self.scale = torch.ones((), device=where.torch_name)

    def __call__(self, number: int) -> Any:
        """The product of m×k by k×n; the second operand lies transposed in memory, as the weights of a layer do."""
        left, right = self.operands[number % SETS]
        if self.dtype == "int8":
            return torch._int_mm(left, right.t())
        if self.dtype == "fp8":
            return torch._scaled_mm(left, right.t(), self.scale, self.scale, out_dtype=torch.bfloat16)
        return torch.matmul(left, right.t())

    def check(self) -> bool:
        """Whether the first rows agree with the product in double precision on the CPU."""
        left, right = (operand.to("cpu").double() for operand in self.operands[0])
        expected = left[:4] @ right.t()
        error = (self(0)[:4].to("cpu").double() - expected).norm()
        return float(error) <= TOLERANCE[self.dtype] * float(expected.norm())


def _random(where: Place, dtype: str, rows: int, columns: int) -> Any:
    if dtype == "int8":
        return torch.randint(-128, 128, (rows, columns), dtype=torch.int8).to(where.torch_name)
    return torch.randn(rows, columns).to(DTYPES[dtype]).to(where.torch_name)


def supported(where: Place, dtype: str) -> bool:
    """Whether torch multiplies matrices of a dtype here; tf32 is a mode of CUDA's alone."""
    if DTYPES[dtype] is None or (dtype == "tf32" and where.kind != "cuda"):
        return False
    try:
        GpuProduct(where, dtype, (32, 32, 32))(0)
        where.synchronize()
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError):
        return False
    return True


def best_shape(where: Place, dtype: str, candidates: Sequence[Shape], tries: int = 3) -> Shape:
    """The shape of the most FLOP/s in the best of a few short stretches; those that do not fit in memory are out."""
    rates: dict[Shape, float] = {}
    set_fp32(where, dtype != "tf32")
    for shape in candidates:
        try:
            watch = Stopwatch(where, GpuProduct(where, dtype, shape))
            watch(1)
            seconds = []
            for _ in range(tries):
                watch(2)
                seconds.append(max(watch.seconds, 1e-9) / 2)
        except torch.OutOfMemoryError:
            continue
        rates[shape] = 2.0 * shape[0] * shape[1] * shape[2] / min(seconds)
    if not rates:
        raise InputError(f"no shape of a {dtype} product fits in the memory of {where.title}")
    return max(rates, key=lambda shape: rates[shape])


def matmul(where: Place, device: Device | None, dtype: str, shape: Shape) -> Task:
    """One product of `shape` (m, k, n), in FLOP/s (op/s for integers)."""
    m, k, n = shape
    held: list[Any] = []
    top = highest(peaks(device), dtype) if device else None
    subject = about(where, device, top.flops_per_second if top else None)

    def prepare() -> GpuWork:
        product = GpuProduct(where, dtype, shape)
        held[:] = [product, Stopwatch(where, product, lambda: set_fp32(where, dtype != "tf32"))]
        return msgspec.structs.replace(subject, under_load=_read_under_load(where, held[1]))

    return Task(
        kernel="matmul",
        variant="torch",
        unit="op/s" if dtype == "int8" else "FLOP/s",
        work=2.0 * m * k * n,
        call=lambda repetitions: held[1](repetitions),  # noqa: PLW0108 - `prepare` makes it
        dtype=dtype,
        size=f"{m}x{k}x{n}",
        timer="device",
        where="gpu",
        subject=subject,
        prepare=prepare,
        check=lambda: bool(held[0].check()),
        elapsed=lambda: float(held[1].seconds),
        close=held.clear,
    )


def _read_under_load(where: Place, watch: Stopwatch) -> dict[str, Any]:
    """Return clocks and power while the device works, where its driver tells: queued work runs on while we ask."""
    if where.kind != "cuda":
        return {}
    watch(2)
    for number in range(min(2000, int(0.3 / max(watch.seconds / 2, 1e-6)) + 1)):
        watch.step(number)
    found = readings(where)
    where.synchronize()
    return found


def copies(where: Place, device: Device | None, size: int) -> list[Task]:
    """Copy (two arrays) and triad (three), in B/s of what STREAM counts; arrays of `size` bytes, beyond any cache."""

    def made(variant: str, arrays: int) -> Task:
        held: list[Any] = []

        def prepare() -> None:
            sets = [[torch.randn(size // 4, device=where.torch_name) for _ in range(arrays)] for _ in range(2)]
            held[:] = [sets, Stopwatch(where, lambda number: _move(sets[number % 2]))]

        return Task(
            kernel="stream",
            variant=variant,
            unit="B/s",
            work=float(arrays * (size // 4) * 4),
            call=lambda repetitions: held[1](repetitions),  # noqa: PLW0108 - `prepare` makes it
            dtype="fp32",
            size=str(size),
            timer="device",
            where="gpu",
            subject=about(where, device, device.memory.bandwidth if device else None),
            prepare=prepare,
            check=lambda: _moved(held[0][0]),
            elapsed=lambda: float(held[1].seconds),
            close=held.clear,
        )

    return [made("copy", 2), made("triad", 3)]


def _move(arrays: list[Any]) -> None:
    if len(arrays) == 2:
        arrays[0].copy_(arrays[1])
    else:
        torch.add(arrays[1], arrays[2], alpha=3.0, out=arrays[0])


def _moved(arrays: list[Any]) -> bool:
    _move(arrays)
    expected = arrays[1] if len(arrays) == 2 else arrays[1] + 3.0 * arrays[2]
    return bool(torch.allclose(arrays[0], expected, atol=1e-4))


def launches(where: Place, device: Device | None) -> list[Task]:
    """Seconds of the smallest op: queued one after another, and with a wait for each one's end."""

    def made(variant: str, wait: bool) -> Task:
        held: list[Any] = []

        def prepare() -> None:
            number = torch.zeros(1, device=where.torch_name)

            def step(_: int) -> None:
                number.add_(1.0)
                if wait:
                    where.synchronize()

            held[:] = [Stopwatch(where, step)]

        return Task(
            kernel="launch",
            variant=variant,
            unit="s",
            work=1,
            call=lambda repetitions: held[0](repetitions),  # noqa: PLW0108 - `prepare` makes it
            timer="device",
            where="gpu",
            subject=about(where, device),
            prepare=prepare,
            elapsed=lambda: float(held[0].seconds),
            close=held.clear,
        )

    return [made("queued", False), made("round-trip", True)]


def about(where: Place, device: Device | None, peak: float | None = None) -> GpuWork:
    """Return the subject of a measurement on a GPU; `peak` is what its value is compared with."""
    described = None if device is None else msgspec.to_builtins(device, enc_hook=exact)
    return GpuWork(where.torch_name, where.title, described, None if peak is None else float(peak))
