"""What the tests of the kernels share."""

from hwbench.machine.host.describe import host
from hwbench.measure.settings import CpuClass, Settings


def settings(*, quick: bool = False, threads: tuple[int, ...] = (1,), classes: tuple[CpuClass, ...] = ()) -> Settings:
    """Return settings for kernels on a machine whose caches nobody knows."""
    classes = classes or (CpuClass("core", (0, 1)),)
    cpus = tuple(cpu for one in classes for cpu in one.cpus)
    return Settings(cpus=cpus, classes=classes, caches=(), host=host(), threads=threads, quick=quick)
