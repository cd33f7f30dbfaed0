"""What the control groups of Linux leave this process: CPUs, CPU time and memory. Versions 1, 2 and both at once.

A limit at any level of the hierarchy binds all below it, so that the smallest over all ancestors counts. Inside a
container the path in /proc/self/cgroup often does not exist below the mount, which then shows the container's own
group: the mount itself stands for it. Files: the kernel's admin-guide/cgroup-v1 (cpusets, memory),
scheduler/sched-bwc and admin-guide/cgroup-v2.
"""

import re

from msgspec import Struct

from hwbench.machine.host.files import Files, parse_cpulist, whole_number

UNLIMITED = 1 << 60
"""Bytes from which a memory limit means none: version 1 writes the largest multiple of a page."""

MOUNT = "/sys/fs/cgroup"
CONTROLLERS = frozenset({"cpu", "cpuset", "memory"})


class CgroupLimits(Struct, frozen=True):
    """What is left: `cpus` may be used (None: all), `quota` in CPUs' worth of time, `memory` in bytes (None: all)."""

    cpus: frozenset[int] | None = None
    quota: float | None = None
    memory: int | None = None


class Mount(Struct, frozen=True):
    """A mounted hierarchy: where it is, which group its root shows, its controllers (empty: version 2)."""

    point: str
    shows: str = "/"
    controllers: frozenset[str] = frozenset()


def limits(files: Files) -> CgroupLimits:
    """Return the limits on this process, of all hierarchies together."""
    groups = parse_groups(files.text("/proc/self/cgroup") or "")
    if not groups and (own := files.text("/proc/self/cpuset")):
        groups = {"cpuset": own, "": own}
    mounts = parse_mounts(files.text("/proc/self/mountinfo") or "")
    mounts = mounts or parse_mount_table(files.text("/proc/mounts") or "") or usual_mounts(files)
    sets: list[frozenset[int]] = []
    quotas: list[float] = []
    memories: list[int] = []
    for mount in mounts:
        for folder in levels(files, mount, groups):
            sets += _sets(files, folder, mount)
            quotas += _quotas(files, folder, mount)
            memories += _memories(files, folder, mount)
    shared = frozenset.intersection(*sets) if sets else None
    return CgroupLimits(shared or None, min(quotas, default=None), min(memories, default=None))


def parse_groups(text: str) -> dict[str, str]:
    """Return the process's group by controller, from /proc/self/cgroup; version 2 stands under the empty name."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                groups.setdefault(controller, parts[2])
    return groups


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Return mounted hierarchies with a controller that matters here, from /proc/self/mountinfo."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        controllers = frozenset(kind[2].split(",")) & CONTROLLERS if kind[0] == "cgroup" else frozenset()
        if kind[0] == "cgroup2" or controllers:
            mounts.append(Mount(_unescaped(fields[4]), _unescaped(fields[3]), controllers))
    return tuple(mounts)


def parse_mount_table(text: str) -> tuple[Mount, ...]:
    """Return mounted hierarchies as `parse_mounts` does, from /proc/mounts, which does not say what a mount shows."""
    lines = (line.split() for line in text.splitlines())
    as_in_mountinfo = (f"0 0 0:0 / {line[1]} rw - {line[2]} none {line[3]}" for line in lines if len(line) > 3)
    return parse_mounts("\n".join(as_in_mountinfo))


def usual_mounts(files: Files) -> tuple[Mount, ...]:
    """Return where hierarchies usually are, when the list of mounts cannot be read."""
    version_1 = [
        Mount(f"{MOUNT}/{name}", "/", controllers)
        for name in files.names(MOUNT)
        if (controllers := frozenset(name.split(",")) & CONTROLLERS)
    ]
    return (*version_1, Mount(f"{MOUNT}/unified"), Mount(MOUNT))


def levels(files: Files, mount: Mount, groups: dict[str, str]) -> list[str]:
    """Return folders of the process's group and of all its ancestors that the mount shows, the mount itself last."""
    names = mount.controllers or {""}
    folders: dict[str, None] = {}
    for group in dict.fromkeys(groups.get(name, "/") for name in sorted(names)):
        steps = [step for step in _below(group, mount.shows).split("/") if step]
        if ".." in steps or not files.is_folder("/".join([mount.point, *steps])):
            steps = []
        while steps:
            folders.setdefault("/".join([mount.point, *steps]))
            steps.pop()
    return [*folders, mount.point]


def _below(group: str, shows: str) -> str:
    """Return the group's path relative to the group that a mount shows."""
    shows = shows.rstrip("/")
    return group[len(shows) :] if group == shows or group.startswith(f"{shows}/") else group


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _sets(files: Files, folder: str, mount: Mount) -> list[frozenset[int]]:
    version_1 = ("cpuset.effective_cpus", "cpuset.cpus", "effective_cpus", "cpus")
    names = version_1 if mount.controllers else ("cpuset.cpus.effective",)
    if mount.controllers and "cpuset" not in mount.controllers:
        return []
    sets = (parse_cpulist(files.text(f"{folder}/{name}") or "") for name in names)
    return [cpus for cpus in sets if cpus][:1]


def _quotas(files: Files, folder: str, mount: Mount) -> list[float]:
    if not mount.controllers:
        time, _, period = (files.text(f"{folder}/cpu.max") or "").partition(" ")
        numbers = whole_number(time), whole_number(period.strip() or "100000")
    elif "cpu" in mount.controllers:
        numbers = files.number(f"{folder}/cpu.cfs_quota_us"), files.number(f"{folder}/cpu.cfs_period_us")
    else:
        return []
    allowed, length = (number or 0 for number in numbers)  # microseconds of CPU time in each period of wall time
    return [allowed / length] if allowed > 0 and length > 0 else []  # `max` or -1: no limit


def _memories(files: Files, folder: str, mount: Mount) -> list[int]:
    if mount.controllers and "memory" not in mount.controllers:
        return []
    limit = files.number(f"{folder}/{'memory.limit_in_bytes' if mount.controllers else 'memory.max'}")
    return [limit] if limit is not None and 0 < limit < UNLIMITED else []
