"""The microbenchmarks by name: which there are, and what each gives to be timed and to be read off what was timed."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, nearest, shown
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement, Result
from hwbench.measure.settings import Settings
from hwbench.notices import Notice, notice

Tasks = Callable[[Settings], Sequence[Task]]
Rows = Callable[[Sequence[Measurement]], Sequence[Result]]


class Benchmark(Struct, frozen=True):
    """One microbenchmark: `tasks` makes what is timed; `rows` reads further results off measurements of kind `read`.

    An `optional` one is left out in silence where the machine has nothing for it, unless it was asked for by name.

    Both import their module only when they are called: numba compiles nothing for a name.
    """

    name: str
    about: str
    tasks: Tasks
    read: str | None = None
    rows: Rows | None = None
    optional: bool = False


def _clock(settings: Settings) -> Sequence[Task]:
    from hwbench.measure.kernels.clock import kernel as clock

    return clock.tasks(settings)


def _fma(settings: Settings) -> Sequence[Task]:
    from hwbench.measure.kernels.fma import kernel as fma

    return fma.tasks(settings)


def _memory(settings: Settings) -> Sequence[Task]:
    from hwbench.measure.kernels.memory import kernel as memory

    return memory.tasks(settings)


def _memory_rows(measurements: Sequence[Measurement]) -> Sequence[Result]:
    from hwbench.measure.kernels.memory import kernel as memory

    return memory.rows(measurements)


def _matmul(settings: Settings) -> Sequence[Task]:
    from hwbench.measure.kernels.matmul import kernel as matmul

    return matmul.tasks(settings)


def _gpu(settings: Settings) -> Sequence[Task]:
    from hwbench.measure.torch.place import torch_module

    torch_module("gpu")
    from hwbench.measure.kernels import gpu

    return gpu.tasks(settings)


KERNELS = (
    Benchmark("clock", "the real clock, idle and under vector load", _clock),
    Benchmark("fma", "multiply-adds a second and a cycle, by ISA and dtype", _fma),
    Benchmark("matmul", "matrix products: ours, plain loops, numpy, torch", _matmul),
    Benchmark("memory", "STREAM, caches and latency", _memory, "working-set", _memory_rows),
    Benchmark("gpu", "matrix products, copies and launches on torch's GPU", _gpu, optional=True),
)
"""Every microbenchmark of `hwbench bench`."""

NAMES = tuple(kernel.name for kernel in KERNELS)


def chosen(names: Sequence[str]) -> tuple[Benchmark, ...]:
    """The kernels of these names in the order of KERNELS; all for none. Raises InputError."""
    for name in names:
        if name not in NAMES:
            raise InputError(f"there is no kernel '{shown(name)}'", nearest=nearest(name, NAMES) or NAMES)
    return tuple(kernel for kernel in KERNELS if kernel.name in (names or NAMES))


def tasks(kernels: Sequence[Benchmark], settings: Settings, named: bool) -> tuple[list[Task], list[Notice]]:
    """What the kernels give to be timed, and why one gives nothing. Raises its error where it was asked for by name."""
    found: list[Task] = []
    notices = []
    for kernel in kernels:
        try:
            found += kernel.tasks(settings)
        except HwbenchError as error:
            if named:
                raise
            if not kernel.optional:
                notices.append(notice("kernel-left-out", kernel=kernel.name, reason=str(error)))
    return found, notices


def rows(measurements: Sequence[Measurement]) -> list[Result]:
    """What the kernels read off measurements beside their own values, such as the sizes of caches."""
    measured = {one.kernel for one in measurements}
    return [row for kernel in KERNELS if kernel.rows and kernel.read in measured for row in kernel.rows(measurements)]
