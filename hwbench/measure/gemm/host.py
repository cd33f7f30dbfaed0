"""What a plan takes from this machine where the caller states nothing: its caches, and a CPU for each thread."""

from functools import cache

from hwbench.machine.parts import Cache


@cache
def caches() -> tuple[Cache, ...]:
    """Return the caches that the operating system reports."""
    from hwbench.machine.host.describe import host

    return host().device.caches


def cpus() -> tuple[int, ...]:
    """Return the logical CPUs that this process may use, the fastest first, one a physical core."""
    from hwbench.measure.settings import allowed

    return tuple(cpu for group in allowed() for cpu in group.cpus)
