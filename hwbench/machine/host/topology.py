"""The logical CPUs of a Linux machine: which this process may use, of which cores, and the classes of cores.

A container may see three numberings: the kernel's in the affinity, /sys and control groups; lxcfs's own from 0 in
/proc/cpuinfo; and either in /sys/devices/system/cpu/online. Where they are of different spaces, counts decide.
Formats: the kernel's ABI/testing/sysfs-devices-system-cpu and admin-guide/cputopology.
"""

from collections.abc import Callable, Iterable
from functools import partial

from msgspec import Struct

from hwbench.machine.host import cgroup
from hwbench.machine.host.clock import highest_clocks
from hwbench.machine.host.cpuinfo import Cpuinfo, Cpus, Fields, decimal, identity_of, parse_cpuinfo
from hwbench.machine.host.files import Files, parse_cpulist

CPU = "/sys/devices/system/cpu"
Core = tuple[int | str, ...]
"""What the logical CPUs of one physical core share."""

HYBRID = (("P-core", "/sys/devices/cpu_core/cpus"), ("E-core", "/sys/devices/cpu_atom/cpus"),
          ("LPE-core", "/sys/devices/cpu_lowpower/cpus"))  # fmt: skip
X86_NAMES = tuple(name for name, _ in HYBRID)
OTHER_NAMES = {2: ("big", "little"), 3: ("prime", "big", "little")}
GAP = 0.87
"""Cores of one kind differ in clock or capacity by less, step by step; those of two kinds by more."""
LOW_POWER_GAP = 0.95
"""Intel's E-cores have one clock, the low-power ones among them a lower one."""


class Topology(Struct, frozen=True):
    """`known` are the CPUs that are described, by the kernel's numbers; `logical` are those online, by count."""

    logical: int
    known: frozenset[int]
    usable: frozenset[int]
    cpus: Cpus
    cores: dict[int, Core]
    counted: bool
    classes: dict[str, frozenset[int]]
    one_identity: bool = False


def read(files: Files, affinity: Iterable[int] | None) -> Topology | None:
    """Return what Linux says of its CPUs, None without an answer; `affinity` as in `linux.read`."""
    info = parse_cpuinfo(files.text("/proc/cpuinfo") or "")
    offline = files.cpus(f"{CPU}/offline") | _offline(files)
    online = online_cpus(files, info) - offline
    if not online:
        return None
    allowed = allowed_cpus(files) if affinity is None else frozenset(affinity)
    known, usable = numbered(online, offline, within(allowed, cgroup.limits(files).cpus))
    cpus = info.of(known)
    cores, counted = physical_cores(files, cpus, known)
    classes = cpu_classes(files, cpus, known)
    return Topology(len(online), known, usable, cpus, cores, counted, classes, info.one_identity)


def online_cpus(files: Files, info: Cpuinfo) -> frozenset[int]:
    """Return logical CPUs that are online: what /sys says, else those in /proc/cpuinfo, else those with a folder."""
    alone = frozenset({0} if info.common else ())
    return files.cpus(f"{CPU}/online") or frozenset(info.blocks) or frozenset(_folders(files)) or alone


def _folders(files: Files) -> list[int]:
    numbers = (decimal(name.removeprefix("cpu")) for name in files.names(CPU) if name.startswith("cpu"))
    return [number for number in numbers if number is not None]


def _offline(files: Files) -> frozenset[int]:
    return frozenset(cpu for cpu in _folders(files) if files.number(f"{CPU}/cpu{cpu}/online") == 0)


def allowed_cpus(files: Files) -> frozenset[int] | None:
    """Return the affinity that /proc/self/status records, for a tree where nobody can be asked."""
    for line in (files.text("/proc/self/status") or "").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            return parse_cpulist(line.partition(":")[2]) or None
    return None


def within(cpus: frozenset[int] | None, limit: frozenset[int] | None) -> frozenset[int] | None:
    """Return the CPUs of an affinity that a limit leaves; a limit that leaves nothing is ignored."""
    return (cpus & limit) or cpus if cpus and limit else cpus or limit


def numbered(
    online: frozenset[int], offline: frozenset[int], allowed: frozenset[int] | None
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the CPUs to describe and those of them that may be used, both by the kernel's numbers.

    Where the affinity has CPUs that are not online, the online ones have a container's own numbers: as many may be
    used as both have.
    """
    if not allowed:
        return online, online
    if allowed - online - offline and not online <= allowed:
        usable = frozenset(sorted(allowed)[: len(online)])
        return usable, usable
    return online, (allowed & online) or online


def physical_cores(files: Files, cpus: Cpus, known: frozenset[int]) -> tuple[dict[int, Core], bool]:
    """Return the physical core of every CPU, and whether all are known; a CPU of unknown core is one itself."""
    cores = {cpu: _core(files, cpus, cpu) for cpu in known}
    own = {cpu: core for cpu, core in cores.items() if core is not None}
    return {cpu: own.get(cpu, ("cpu", cpu)) for cpu in known}, len(own) == len(known)


def _core(files: Files, cpus: Cpus, cpu: int) -> Core | None:
    topology = f"{CPU}/cpu{cpu}/topology"
    for name in ("core_cpus", "thread_siblings"):
        siblings = files.cpus(f"{topology}/{name}_list", f"{topology}/{name}")
        if cpu in siblings:
            return ("siblings", min(siblings))
    core, fields = files.number(f"{topology}/core_id"), cpus.get(cpu, {})
    if core is not None and core >= 0:
        die = files.number(f"{topology}/die_id") or 0
        return ("ids", _package_id(files, fields, cpu), die, core)
    own = fields.get("core id", fields.get("core", ""))
    if decimal(own) is not None:
        return ("ids", _package_id(files, fields, cpu), own)
    return None


def package(files: Files, cpus: Cpus, cpu: int) -> str:
    """Return the socket that a CPU sits in; one for all where nobody says, and on boards, where it is a cluster."""
    fields = cpus.get(cpu, {})
    if "cpu implementer" in fields and not files.is_folder("/sys/class/dmi/id"):
        return "0"
    return _package_id(files, fields, cpu)


def _package_id(files: Files, fields: Fields, cpu: int) -> str:
    number = files.number(f"{CPU}/cpu{cpu}/topology/physical_package_id")
    return fields.get("physical id", fields.get("package", "0")) if number is None else str(number)


def cpu_classes(files: Files, cpus: Cpus, known: frozenset[int]) -> dict[str, frozenset[int]]:
    """Return the CPUs of every class of cores by the class's name, the fastest first.

    Intel's hybrids show in the folders of their performance counters; any others by what differs: identity on Arm,
    then capacity, highest clock, or performance by ACPI's CPPC.
    """
    intel = {name: files.cpus(path) & known for name, path in HYBRID}
    intel = {name: group for name, group in intel.items() if group}
    if intel and frozenset().union(*intel.values()) == known:
        slow = _bands(files, intel["E-core"], LOW_POWER_GAP) if [*intel] == ["P-core", "E-core"] else []
        return dict(zip(X86_NAMES, (intel["P-core"], *slow), strict=True)) if len(slow) == 2 else intel
    kinds: dict[object, set[int]] = {}
    for cpu in known:
        kinds.setdefault(_kind(cpus.get(cpu, {})), set()).add(cpu)
    groups = [band for kind in kinds.values() for band in _bands(files, kind)]
    if len(groups) < 2:
        return {"core": known}
    clocks = highest_clocks(files, known)
    order = sorted(groups, key=partial(_rank, files, clocks), reverse=True)
    x86 = any("vendor_id" in cpus.get(cpu, {}) for cpu in known)
    numbers = tuple(f"class {number}" for number in range(1, len(groups) + 1))
    names = X86_NAMES[: len(groups)] if x86 and len(groups) <= 3 else OTHER_NAMES.get(len(groups), numbers)
    return dict(zip(names, order, strict=True))


def _kind(fields: dict[str, str]) -> object:
    """Return what tells kinds of cores apart in /proc/cpuinfo; all of x86 are one kind there."""
    identity = identity_of(fields)
    return identity if identity.vendor.startswith("0x") or identity.core else None


def _rank(files: Files, clocks: dict[int, float], group: frozenset[int]) -> tuple[float, float, float, int]:
    capacity = max(files.number(f"{CPU}/cpu{cpu}/cpu_capacity") or 0 for cpu in group)
    performance = max(files.number(f"{CPU}/cpu{cpu}/acpi_cppc/highest_perf") or 0 for cpu in group)
    return capacity, max(clocks.get(cpu, 0) for cpu in group), performance, max(group)


def _bands(files: Files, group: Iterable[int], gap: float = GAP) -> list[frozenset[int]]:
    """Return the CPUs of a group split where capacity, clock or performance make a step; those of one kind together."""
    members = sorted(group)
    clocks = highest_clocks(files, members)
    evidence: tuple[Callable[[int], float | None], ...] = (
        lambda cpu: files.number(f"{CPU}/cpu{cpu}/cpu_capacity"),
        clocks.get,
        lambda cpu: files.number(f"{CPU}/cpu{cpu}/acpi_cppc/highest_perf"),
    )
    for value in evidence:
        known: dict[int, float] = {}
        for cpu in members:
            if not (number := value(cpu)):
                break
            known[cpu] = number
        if len(known) < len(members):
            continue
        bands: list[set[int]] = []
        last = float("inf")
        for cpu in sorted(members, key=lambda cpu: -known[cpu]):
            if known[cpu] < gap * last:
                bands.append(set())
            bands[-1].add(cpu)
            last = known[cpu]
        if len(bands) > 1:
            return [frozenset(band) for band in bands]
    return [frozenset(members)]
