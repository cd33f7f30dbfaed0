"""What kernels may use: the CPUs of affinity, cpuset and quota, one a core, and what the user chose to measure."""

import os
from typing import Any

from msgspec import Struct

from hwbench.errors import InputError, shown
from hwbench.machine.host import topology
from hwbench.machine.host.describe import Host, host
from hwbench.machine.host.files import Files
from hwbench.machine.parts import Cache


class CpuClass(Struct, frozen=True):
    """One class of cores (P-core, E-core; `core` where all are alike) and its logical CPUs, one a physical core."""

    name: str
    cpus: tuple[int, ...]


class Settings(Struct, frozen=True):
    """What kernels need to make their tasks.

    `cpus` are logical CPUs that may be used, one a physical core, the fastest first; `threads` the numbers of threads
    to measure, none above `len(cpus)`; `dtypes` and `sizes` (m, k, n of a matrix product) are those that the user
    chose, None for the usual ones.
    """

    cpus: tuple[int, ...]
    classes: tuple[CpuClass, ...]
    caches: tuple[Cache, ...]
    host: Host
    threads: tuple[int, ...] = (1,)
    quick: bool = False
    dtypes: tuple[str, ...] | None = None
    sizes: tuple[tuple[int, int, int], ...] | None = None


def allowed(root: str = "/", affinity: set[int] | None = None) -> tuple[CpuClass, ...]:
    """Return the logical CPUs that this process may use, by class of core (the fastest first), one a physical core.

    Of a core's threads this is the one with the lowest number. Where the system does not describe its CPUs (no /proc,
    not Linux) there is one class of as many CPUs as Python counts.
    """
    if affinity is None and root == "/" and hasattr(os, "sched_getaffinity"):
        affinity = os.sched_getaffinity(0)
    layout = topology.read(Files(root), affinity)
    if layout is None:
        numbers = sorted(affinity) if affinity else range(os.cpu_count() or 1)
        return (CpuClass("core", tuple(numbers)),)
    classes = []
    for name, group in layout.classes.items():
        first = {layout.cores[cpu]: cpu for cpu in sorted(group & layout.usable, reverse=True)}
        if first:
            classes.append(CpuClass(name, tuple(sorted(first.values()))))
    return tuple(classes)


def settings(machine: Host | None = None, *, threads: tuple[int, ...] | None = None, **choices: Any) -> Settings:
    """Return the settings for this machine. By default kernels run on one core and on all that the quota allows.

    `choices` are `quick`, `dtypes` and `sizes` of Settings. Raises InputError for what is no number of threads.
    """
    for count in threads or ():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError("threads-range", f"'{shown(count, 40)}' is not a number of threads.", field="threads")
    machine = machine or host()
    classes = allowed()
    cpus = tuple(cpu for core_class in classes for cpu in core_class.cpus)
    most = len(cpus) if machine.quota is None else max(1, min(len(cpus), int(machine.quota)))
    return Settings(cpus, classes, machine.device.caches, machine, threads or tuple(sorted({1, most})), **choices)


def refuse_threads(threads: int | None, settings: Settings) -> None:
    """Raise InputError for more threads than this process may use cores."""
    most = len(settings.cpus)
    if threads and threads > most:
        cores = "1 core" if most == 1 else f"{most} cores"
        message = f"{threads} threads are too many: this process may use {cores}."
        raise InputError("threads-range", message, field="threads")
