"""Main memory, and what this process may still take of it within the limits of its control groups."""

from collections.abc import Iterable

from hwbench.machine.host import cgroup
from hwbench.machine.host.files import Files, whole_number


def meminfo(files: Files, field: str) -> int | None:
    """Return the bytes of a field of /proc/meminfo, None where it is missing or no number."""
    for line in (files.text("/proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        number = whole_number((rest.split() or [""])[0])
        if name == field and number is not None:
            return number << 10
    return None


def memory_size(files: Files) -> int | None:
    """Return the bytes of main memory that the kernel has to give out, None where unknown or absurd."""
    total = meminfo(files, "MemTotal")
    return total if total and 0 < total < 1 << 60 else None


def available(files: Files) -> int | None:
    """Return the system's available memory in bytes: `MemAvailable` of /proc/meminfo; elsewhere psutil's number."""
    amount = meminfo(files, "MemAvailable")
    if amount is not None or files.root != "/":
        return amount
    import psutil  # only systems without /proc need it

    try:
        return int(psutil.virtual_memory().available)
    except OSError:  # a /proc that is there and empty
        return None


def free_memory(files: Files) -> int | None:
    """Return the bytes free to this process, None where nothing is known.

    What the process's control group uses is not free, except for pages of files that were not read lately: the kernel
    drops those when memory is needed.
    """
    amounts = [amount for amount in (available(files), *_left_by_groups(files)) if amount is not None]
    return max(0, min(amounts)) if amounts else None


def _left_by_groups(files: Files) -> Iterable[int]:
    limit = cgroup.limits(files).memory
    if limit is not None:
        folders = ((cgroup.MOUNT, "memory.current"), (f"{cgroup.MOUNT}/memory", "memory.usage_in_bytes"))
        used = 0
        for folder, name in folders:
            if (number := files.number(f"{folder}/{name}")) is not None:
                used = max(0, number - _droppable(files.text(f"{folder}/memory.stat") or ""))
                break
        yield limit - used if used < limit else limit // 8


def _droppable(stat: str) -> int:
    """Return the bytes of inactive file pages in a group's memory.stat (version 1 prefixes sums with `total_`)."""
    numbers = dict(line.split() for line in stat.splitlines() if len(line.split()) == 2)
    return whole_number(numbers.get("total_inactive_file", numbers.get("inactive_file"))) or 0
