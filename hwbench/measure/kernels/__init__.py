"""The microbenchmarks by name, the tasks of each, and the results that follow from measurements of several tasks."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, nearest, shown
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement, Result
from hwbench.measure.settings import Settings
from hwbench.notices import Notice, notice

__all__ = ["KERNELS", "NAMES", "Benchmark", "rows", "select", "tasks"]


class Benchmark(Struct, frozen=True):
    """One microbenchmark: `tasks` returns its tasks; `rows` derives further results from measurements of kind `read`.

    An `optional` one is skipped silently on machines without its hardware, unless it is requested by name. Modules are
    imported when they are called, since numba takes long to import.
    """

    name: str
    about: str
    tasks: Callable[[Settings], Sequence[Task]]
    read: str | None = None
    rows: Callable[[Sequence[Measurement]], Sequence[Result]] | None = None
    optional: bool = False


def _call(function: str, argument: Any) -> Any:
    """Call a function of one of the modules here, which is imported only now."""
    module, _, name = function.rpartition(".")
    return getattr(import_module(f"{__name__}.{module}"), name)(argument)


def _gpu(settings: Settings) -> Sequence[Task]:
    from hwbench.measure.torch.device import torch_module

    torch_module("The kernel gpu")
    return list(_call("gpu.tasks", settings))


KERNELS = (
    Benchmark("clock", "the real clock, idle and under vector load", partial(_call, "clock.kernel.tasks")),
    Benchmark("fma", "multiply-adds a second and a cycle, by ISA and dtype", partial(_call, "fma.kernel.tasks")),
    Benchmark("matmul", "matrix products: hwbench, plain loops, numpy, torch", partial(_call, "matmul.kernel.tasks")),
    Benchmark(
        "memory",
        "STREAM, caches and latency",
        partial(_call, "memory.kernel.tasks"),
        "working-set",
        partial(_call, "memory.results.rows"),
    ),
    Benchmark("gpu", "matrix products, copies and launches on torch's GPU", _gpu, optional=True),
)
"""Every microbenchmark of `hwbench bench`."""

NAMES = tuple(kernel.name for kernel in KERNELS)


def select(names: Sequence[str]) -> tuple[Benchmark, ...]:
    """Return the kernels of these names in the order of KERNELS; all where there are no names. Raises InputError."""
    for name in names:
        if name not in NAMES:
            text = f"There is no kernel '{shown(name)}'."
            raise InputError("unknown-kernel", text, field="kernels", nearest=nearest(name, NAMES) or NAMES)
    return tuple(kernel for kernel in KERNELS if kernel.name in (names or NAMES))


def tasks(kernels: Sequence[Benchmark], settings: Settings, named: bool) -> tuple[list[Task], list[Notice]]:
    """Return the tasks of kernels, and a notice for each kernel that cannot run, whose error is raised if `named`."""
    result: list[Task] = []
    notices = []
    for kernel in kernels:
        try:
            result += kernel.tasks(settings)
        except HwbenchError as error:
            if named:
                raise
            if not kernel.optional:
                notices.append(notice("kernel-left-out", kernel=kernel.name, reason=str(error)))
    return result, notices


def rows(measurements: Sequence[Measurement]) -> list[Result]:
    """Return what kernels derive from several measurements, such as the sizes of caches."""
    measured = {row.kernel for row in measurements}
    return [row for kernel in KERNELS if kernel.rows and kernel.read in measured for row in kernel.rows(measurements)]
