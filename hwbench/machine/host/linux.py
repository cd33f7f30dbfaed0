"""A Linux machine from /proc, /sys and its control groups. Any file may be missing, empty or nonsense: nothing raises.

Each fact is read on its own, so that what is missing takes nothing else away. Formats: proc(5) and the kernel's ABI.
"""

import re
from collections.abc import Iterable

from hwbench.machine.host import cgroup, topology
from hwbench.machine.host.clock import linux_clock, overstates
from hwbench.machine.host.cpuinfo import Fields, decimal, flags_of, identity_of
from hwbench.machine.host.facts import CacheFact, CoreClass, Facts, Identity, merged_caches
from hwbench.machine.host.files import Files, format_cpulist
from hwbench.machine.host.memory import memory_size
from hwbench.machine.host.topology import CPU, Core, Topology
from hwbench.notices import notice

VIRTUAL_PRODUCTS = (
    "KVM", "QEMU", "VMware", "VirtualBox", "Virtual Machine", "Bochs", "HVM domU", "Google Compute Engine", "OpenStack",
    "Alibaba Cloud", "Tencent Cloud", "Droplet", "vServer",
)  # fmt: skip
VIRTUAL_VENDORS = ("QEMU", "VMware, Inc.", "innotek GmbH", "Xen", "Parallels", "Bochs", "Google", "OpenStack")
"""Makers of virtual machines alone: their word is enough where an x86 CPU has no flag of a hypervisor."""

CLOUDS = {
    ("Amazon EC2", 0xD08): "AWS Graviton", ("Amazon EC2", 0xD0C): "AWS Graviton2",
    ("Amazon EC2", 0xD40): "AWS Graviton3", ("Amazon EC2", 0xD4F): "AWS Graviton4",
    ("Google", 0xD0C): "Ampere Altra", ("Google", 0xD4F): "Google Axion",
    ("Microsoft Corporation", 0xD0C): "Ampere Altra", ("Microsoft Corporation", 0xD49): "Microsoft Azure Cobalt 100",
    ("NVIDIA", 0xD4F): "NVIDIA Grace",
}  # fmt: skip
"""Arm CPUs by the maker of their system (DMI) and the part of their cores: Arm has no brand strings."""

IBM_Z = {"2817": "z196", "2827": "zEC12", "2964": "z13", "3906": "z14", "8561": "z15", "3931": "z16", "9175": "z17"}
"""Names of machine types (QEMU's target/s390x/cpu_models.c)."""


def read(files: Files, affinity: Iterable[int] | None) -> Facts | None:
    """Return what Linux says, None without an answer. `affinity`: ids of the CPUs this process may use, if known."""
    layout = topology.read(files, affinity)
    total = memory_size(files)
    if layout is None:
        return Facts(memory=total) if total else None
    limits = cgroup.limits(files)
    usable = layout.usable
    first = layout.cpus.get(min(usable), {})
    flags = flags_of(layout.cpus[cpu] for cpu in sorted(usable) if cpu in layout.cpus)
    memory = min((size for size in (total, limits.memory) if size), default=None)
    notices = []
    if len(usable) < layout.logical:
        notices.append(notice("affinity", usable=len(usable), online=layout.logical, cpus=format_cpulist(usable)))
    if memory is not None and total is not None and memory < total:
        notices.append(notice("memory-limited", limit_bytes=memory, total_bytes=total))
    own = {name: group & usable for name, group in layout.classes.items() if group & usable}
    return Facts(
        brand=brand(files, first),
        flags=flags,
        logical=layout.logical,
        usable=len(usable),
        packages=len({topology.package(files, layout.cpus, cpu) for cpu in usable}),
        classes=tuple(_core_class(files, layout, name, group) for name, group in layout.classes.items()),
        counted=layout.counted,
        caches=merged_caches({name: caches(files, layout.cores, group) for name, group in own.items()}),
        memory=memory,
        quota=limits.quota,
        smt=smt(files, layout),
        hypervisor=hypervisor(files, flags, first),
        clock_overstated=overstates(files, usable),
        notices=tuple(notices),
    )


def smt(files: Files, layout: Topology) -> bool | None:
    """Return whether some core runs more than one logical CPU; None where neither topology nor kernel says."""
    if layout.counted:
        return len(set(layout.cores.values())) < len(layout.cores)
    active = files.number(f"{CPU}/smt/active")
    return None if active is None or not layout.cpus else active == 1


def _core_class(files: Files, layout: Topology, name: str, group: frozenset[int]) -> CoreClass:
    """Return one class of cores; its clocks are those of its usable CPUs, if there are any.

    Where one CPU's identity stands for several classes, which of them has it is unknown.
    """
    mine = group & layout.usable
    identity = identity_of(layout.cpus.get(min(mine or group), {}))
    if layout.one_identity and len(layout.classes) > 1:
        identity = Identity(identity.vendor)
    cores = len({layout.cores[cpu] for cpu in mine})
    if identity.vendor == "IBM" and len(mine) > 4 * cores > 0:  # a core of eight threads is two of four
        identity = Identity(identity.vendor, core=f"{identity.core} SMT8")
    return CoreClass(name, identity, cores, len(mine), *linux_clock(files, layout.cpus, mine or group))


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
            sharers = files.cpus(f"{folder}/{index}/shared_cpu_list", f"{folder}/{index}/shared_cpu_map")
            facts[level, name] = CacheFact(name, size, len({cores[cpu] for cpu in sharers if cpu in cores}) or None)
    return tuple(facts[key] for key in sorted(facts))


def cache_size(text: str) -> int | None:
    """Return bytes that sysfs means by `32K` or `8M`; None for anything else."""
    factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:])
    number = decimal(text[:-1])
    return number * factor if factor and number is not None else None


def brand(files: Files, fields: Fields) -> str:
    """Return the CPU as /proc/cpuinfo prints it; a cloud's, a board's or a system's name where the CPU has none."""
    vendor = files.text("/sys/class/dmi/id/sys_vendor") or ""
    product = (files.text("/sys/class/dmi/id/product_name") or "").replace("_", " ")
    tree = (files.text("/proc/device-tree/model") or "").strip("\0 ")
    model, identity = fields.get("model", ""), identity_of(fields)
    names = [fields.get("model name", ""), *([CLOUDS.get((vendor, identity.model), "")] if identity.model else [])]
    if fields.get("vendor_id") == "IBM/S390" and (machine := fields.get("machine", "")):
        names.append(f"IBM {IBM_Z[machine]} ({machine})" if machine in IBM_Z else f"IBM {machine}")
    names += [fields["cpu"].partition(",")[0] if identity.vendor == "IBM" else ""] if "cpu" in fields else []
    names += [model if decimal(model) is None else "", tree, fields.get("cpu model", ""), fields.get("uarch", "")]
    names.append(fields.get("cpu", "").partition(",")[0])
    if "vendor_id" not in fields and not _virtual(vendor, product):
        names.append(product)
    return next((name for name in names if name and not name.startswith(("ARMv", "AArch64 Processor"))), "")


def hypervisor(files: Files, flags: tuple[str, ...], fields: Fields | None = None) -> str | bool | None:
    """Return which hypervisor runs this machine, True if only that one does, False if none; None where nothing says."""
    vendor = files.text("/sys/class/dmi/id/sys_vendor") or ""
    product = files.text("/sys/class/dmi/id/product_name") or ""
    named = (product if product.startswith(vendor) else f"{vendor} {product}").strip()
    named = named if _virtual(vendor, product) else ""
    name = files.text("/sys/hypervisor/type") or _z_hypervisor(files) or _tree_hypervisor(files, fields or {}) or named
    if "hypervisor" in flags:
        return name or True
    if (fields or {}).get("vendor_id") == "VirtualApple":  # Rosetta, in a virtual machine on a Mac
        return name or True
    if ("fpu" in flags and "cpucfg" not in flags) or "sse2" in flags:  # x86, which has a flag for it
        return name if name and (vendor in VIRTUAL_VENDORS or name != named) else False
    return name or (False if (fields or {}).get("platform") == "PowerNV" else None)


def _virtual(vendor: str, product: str) -> bool:
    of_cloud = vendor == "Amazon EC2" and "metal" not in product
    return of_cloud or any(name in f"{vendor} {product}" for name in VIRTUAL_PRODUCTS)


def _z_hypervisor(files: Files) -> str:
    """Return the hypervisor of an IBM Z from /proc/sysinfo: the innermost, else that of the logical partition."""
    text = files.text("/proc/sysinfo") or ""
    control = re.search(r"^VM00 Control Program:\s*(.+?)\s*$", text, re.MULTILINE)
    return re.sub(r"\s+", " ", control[1])[:80] if control else "PR/SM" if "LPAR Number" in text else ""


def _tree_hypervisor(files: Files, fields: Fields) -> str:
    """Return the hypervisor that the device tree names, or that a virtual machine on POWER implies."""
    compatible = (files.text("/proc/device-tree/hypervisor/compatible") or "").partition("\0")[0]
    if compatible:
        return {"linux,kvm": "KVM", "xen,xen": "Xen"}.get(compatible, compatible[:80])
    if fields.get("platform") == "pSeries":
        return "KVM" if "qemu" in fields.get("machine", "").lower() else "PowerVM"
    return ""
