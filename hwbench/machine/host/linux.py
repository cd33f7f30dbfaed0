"""A Linux machine from /proc, /sys and its control groups. Any file may be missing, empty or nonsense: nothing raises.

Formats: proc(5); the kernel's ABI/testing/sysfs-devices-system-cpu and admin-guide/cputopology.
"""

from collections.abc import Iterable

from msgspec import Struct

from hwbench.machine.host import cgroup
from hwbench.machine.host.clock import linux_clock
from hwbench.machine.host.cpuinfo import Cpus, flags_of, identity_of, parse_cpuinfo
from hwbench.machine.host.facts import CacheFact, CoreClass, Facts, Identity, merged_caches
from hwbench.machine.host.files import Files, format_cpulist, parse_cpulist
from hwbench.machine.host.memory import memory_size
from hwbench.notices import notice

CPU = "/sys/devices/system/cpu"
Core = tuple[int | str, ...]
"""What the logical CPUs of one physical core share."""

HYBRID = (("P-core", "/sys/devices/cpu_core/cpus"), ("E-core", "/sys/devices/cpu_atom/cpus"),
          ("LPE-core", "/sys/devices/cpu_lowpower/cpus"))  # fmt: skip
VIRTUAL_PRODUCTS = (
    "KVM", "QEMU", "VMware", "VirtualBox", "Virtual Machine", "Bochs", "HVM domU", "Google Compute Engine", "OpenStack",
)  # fmt: skip


class _Group(Struct, frozen=True):
    """The logical CPUs of one class of cores, and those of them that this process may use."""

    name: str
    all: frozenset[int]
    mine: frozenset[int]


def read(files: Files, affinity: Iterable[int] | None) -> Facts | None:
    """Return what Linux says, None without an answer. `affinity`: ids of the CPUs this process may use, if known."""
    cpus = parse_cpuinfo(files.text("/proc/cpuinfo") or "")
    online = online_cpus(files, cpus)
    if not online:
        return None
    limits = cgroup.limits(files)
    allowed = allowed_cpus(files) if affinity is None else frozenset(affinity)
    usable = narrowed(narrowed(online, allowed), limits.cpus)
    cores, counted = physical_cores(files, cpus, online)
    groups = [_Group(name, every, every & usable) for name, every in cpu_classes(files, cpus, online).items()]
    first = cpus.get(min(usable), {})
    flags = flags_of(cpus[cpu] for cpu in sorted(usable) if cpu in cpus)
    total = memory_size(files)
    memory = min((size for size in (total, limits.memory) if size), default=None)
    notices = []
    if len(usable) < len(online):
        notices.append(notice("affinity", usable=len(usable), online=len(online), cpus=format_cpulist(usable)))
    if memory is not None and total is not None and memory < total:
        notices.append(notice("memory-limited", limit_bytes=memory, total_bytes=total))
    return Facts(
        brand=brand(files, first),
        flags=flags,
        logical=len(online),
        usable=len(usable),
        packages=len({package(files, cpus, cpu) for cpu in usable}),
        classes=tuple(_core_class(files, cpus, cores, group) for group in groups),
        counted=counted,
        caches=merged_caches({group.name: caches(files, cores, group.mine) for group in groups}),
        memory=memory,
        quota=limits.quota,
        smt=smt(files, cpus, cores, counted),
        hypervisor=hypervisor(files, flags),
        notices=tuple(notices),
    )


def online_cpus(files: Files, cpus: Cpus) -> frozenset[int]:
    """Return logical CPUs that are online: what /sys says, else those in /proc/cpuinfo, else those with a folder."""
    folders = (name.removeprefix("cpu") for name in files.names(CPU))
    return files.cpus(f"{CPU}/online") or frozenset(cpus) or frozenset(int(n) for n in folders if _is_number(n))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def allowed_cpus(files: Files) -> frozenset[int] | None:
    """Return the affinity that /proc/self/status records, for a tree where nobody can be asked."""
    for line in (files.text("/proc/self/status") or "").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            return parse_cpulist(line.partition(":")[2]) or None
    return None


def narrowed(cpus: frozenset[int], limit: frozenset[int] | None) -> frozenset[int]:
    """Return the CPUs within a limit, which is ignored if it leaves none: lxcfs renumbers CPUs."""
    return (cpus & limit) or cpus if limit else cpus


def physical_cores(files: Files, cpus: Cpus, online: frozenset[int]) -> tuple[dict[int, Core], bool]:
    """Return the physical core of every CPU, and whether all are known; a CPU of unknown core is one itself."""
    cores = {cpu: _core(files, cpus, cpu) for cpu in online}
    known = {cpu: core for cpu, core in cores.items() if core is not None}
    return {cpu: known.get(cpu, ("cpu", cpu)) for cpu in online}, len(known) == len(online)


def _core(files: Files, cpus: Cpus, cpu: int) -> Core | None:
    topology = f"{CPU}/cpu{cpu}/topology"
    for name in ("core_cpus_list", "thread_siblings_list"):
        siblings = files.cpus(f"{topology}/{name}")
        if cpu in siblings:
            return ("siblings", min(siblings))
    core = files.number(f"{topology}/core_id")
    if core is not None and core >= 0:
        die = files.number(f"{topology}/die_id") or 0
        return ("ids", package(files, cpus, cpu), die, core)
    fields = cpus.get(cpu, {})
    if _is_number(fields.get("core id", "")):
        return ("ids", fields.get("physical id", "0"), fields["core id"])
    return None


def package(files: Files, cpus: Cpus, cpu: int) -> str:
    """Return the socket that a CPU sits in; one for all where nobody says."""
    number = files.number(f"{CPU}/cpu{cpu}/topology/physical_package_id")
    return cpus.get(cpu, {}).get("physical id", "0") if number is None else str(number)


def smt(files: Files, cpus: Cpus, cores: dict[int, Core], counted: bool) -> bool | None:
    """Return whether some core runs more than one logical CPU; None where neither topology nor kernel says."""
    if counted:
        return len(set(cores.values())) < len(cores)
    active = files.number(f"{CPU}/smt/active")
    return None if active is None or not cpus else active == 1


def cpu_classes(files: Files, cpus: Cpus, online: frozenset[int]) -> dict[str, frozenset[int]]:
    """Return the CPUs of every class of cores by the class's name, the fastest first."""
    return _x86_classes(files, online) or _arm_classes(files, cpus, online) or {"core": online}


def _core_class(files: Files, cpus: Cpus, cores: dict[int, Core], group: _Group) -> CoreClass:
    """Return one class of cores; its clocks are those of its usable CPUs, if there are any."""
    clocks = linux_clock(files, cpus, group.mine or group.all)
    identity, own = identity_of(cpus.get(min(group.all), {})), {cores[cpu] for cpu in group.mine}
    return CoreClass(group.name, identity, len(own), len(group.mine), *clocks)


def _x86_classes(files: Files, online: frozenset[int]) -> dict[str, frozenset[int]]:
    groups = {name: files.cpus(path) & online for name, path in HYBRID}
    groups = {name: group for name, group in groups.items() if group}
    covered = frozenset().union(*groups.values())
    return groups if len(groups) > 1 and covered == online else {}


def _arm_classes(files: Files, cpus: Cpus, online: frozenset[int]) -> dict[str, frozenset[int]]:
    groups: dict[tuple[int, Identity], set[int]] = {}
    for cpu in online:
        identity = identity_of(cpus.get(cpu, {}))
        if not identity.vendor.startswith("0x"):
            return {}
        capacity = files.number(f"{CPU}/cpu{cpu}/cpu_capacity") or 0
        groups.setdefault((capacity, identity), set()).add(cpu)
    if len(groups) < 2:
        return {}
    numbered = tuple(f"class {number}" for number in range(1, len(groups) + 1))
    names = {2: ("big", "little"), 3: ("prime", "big", "little")}.get(len(groups), numbered)
    boosts = {key: linux_clock(files, cpus, group)[1] or 0 for key, group in groups.items()}
    order = sorted(groups, key=lambda key: (key[0], boosts[key], max(groups[key])), reverse=True)
    return {name: frozenset(groups[key]) for name, key in zip(names, order, strict=True)}


def caches(files: Files, cores: dict[int, Core], group: Iterable[int]) -> tuple[CacheFact, ...]:
    """Return data and unified caches of a group of CPUs, the first level first; of unequal instances the largest."""
    facts: dict[tuple[int, str], CacheFact] = {}
    for cpu in sorted(group):
        folder = f"{CPU}/cpu{cpu}/cache"
        for index in files.names(folder):
            level, kind = files.number(f"{folder}/{index}/level"), files.text(f"{folder}/{index}/type")
            size = cache_size(files.text(f"{folder}/{index}/size") or "")
            if level is None or not 0 < level < 10 or kind not in ("Data", "Unified") or not size:
                continue
            name = "L1d" if kind == "Data" and level == 1 else f"L{level}"
            if (level, name) in facts and facts[level, name].size >= size:
                continue
            sharers = {cores[other] for other in files.cpus(f"{folder}/{index}/shared_cpu_list") if other in cores}
            facts[level, name] = CacheFact(name, size, len(sharers) or None)
    return tuple(facts[key] for key in sorted(facts))


def cache_size(text: str) -> int | None:
    """Return bytes that sysfs means by `32K` or `8M`; None for anything else."""
    factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:])
    return int(text[:-1]) * factor if factor and _is_number(text[:-1]) else None


def brand(files: Files, fields: dict[str, str]) -> str:
    """Return the CPU as /proc/cpuinfo prints it; a board's name where the CPU has none, as on Arm."""
    tree = (files.text("/proc/device-tree/model") or "").strip("\0 ")
    own = fields.get("model name", "")
    generic = own.startswith(("ARMv", "AArch64 Processor"))
    return (own if not generic else "") or fields.get("Model", "") or tree or fields.get("cpu model", "") or own


def hypervisor(files: Files, flags: tuple[str, ...]) -> str | bool | None:
    """Return which hypervisor runs this machine, True if only that one does, False if none; None where nothing says."""
    kind = files.text("/sys/hypervisor/type")
    vendor = files.text("/sys/class/dmi/id/sys_vendor") or ""
    product = files.text("/sys/class/dmi/id/product_name") or ""
    virtual = any(name in f"{vendor} {product}" for name in VIRTUAL_PRODUCTS)
    virtual = virtual or (vendor == "Amazon EC2" and "metal" not in product)
    name = kind or (f"{vendor} {product}".strip() if virtual else "")
    if "hypervisor" in flags:
        return name or True
    return False if "fpu" in flags or "sse2" in flags else name or None
