"""The machine at hand as a device: what the operating system says, what the catalog knows, and what had to be assumed.

`hwbench peak` without a device shows it. Nothing here is measured: clocks are the system's, and where a part of the
answer is a guess its provenance is `assumed` and a notice reports it.
"""

import math
import os
import sys
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import shown
from hwbench.files import places
from hwbench.machine.device import Device
from hwbench.machine.host import fallback, linux, macos, match
from hwbench.machine.host.facts import CoreClass, Facts, Identity
from hwbench.machine.host.files import Files
from hwbench.machine.host.isa import contradicted, within_reach
from hwbench.machine.parts import Cache, Clock, Memory, Provenance, Units
from hwbench.notices import Notice, notice, unique
from hwbench.units import Bits, Bytes, BytesPerSecond, Hertz

ASSUMED_CLOCK = 2e9
CLOCK_DOUBTS = ("clock-assumed", "clock-from-hypervisor", "clock-overstated", "clock-without-boost")
"""Codes of notices that no longer hold once the clock has been measured."""
VENDORS = {
    "GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "VIA",
    "VirtualApple": "Apple",
    "Shanghai": "Zhaoxin", "IBM/S390": "IBM", "0x00": "unknown", "0x41": "Arm", "0x42": "Broadcom", "0x43": "Cavium",
    "0x44": "DEC", "0x46": "Fujitsu", "0x48": "HiSilicon", "0x49": "Infineon", "0x4d": "Motorola/Freescale",
    "0x4e": "NVIDIA", "0x50": "APM", "0x51": "Qualcomm", "0x53": "Samsung", "0x54": "Texas Instruments",
    "0x56": "Marvell", "0x61": "Apple", "0x66": "Faraday", "0x69": "Intel", "0x6d": "Microsoft", "0x70": "Phytium",
    "0xc0": "Ampere",
}  # fmt: skip
"""Makers by x86 vendor string and by Arm's implementer codes (lscpu-arm.c of util-linux)."""


class Host(Struct, frozen=True):
    """The machine at hand. `usable` logical CPUs of `logical` may be used; `quota` is in CPUs' worth of time.

    `device` counts the physical cores within reach, per class; `brand` and `flags` are the system's own words, and
    `matched` is the catalogued device that the brand means. `hypervisor`: its name, or whether there is one. None is
    unknown.
    """

    device: Device
    brand: str
    flags: tuple[str, ...]
    logical: int
    usable: int
    quota: float | None
    smt: bool | None
    hypervisor: str | bool | None
    matched: str | None
    notices: tuple[Notice, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the notices, as `--json` has them."""
        return tuple(each.text for each in self.notices)


class _Class(Struct, frozen=True):
    """One class of units with what is known of it."""

    units: Units
    provenance: dict[str, Provenance]
    notices: tuple[Notice, ...] = ()


def host(root: str = "/", affinity: set[int] | None = None, system: str | None = None) -> Host:
    """Return the machine below `root` (a recorded tree, or the one that runs this process) as a device.

    `affinity`: ids of the logical CPUs that may be used, the process's own by default; `system`: as `sys.platform`.
    Files that are missing or nonsense never raise: the answer then says what it assumes. The machine that runs this
    process is read once for each affinity and catalog.
    """
    system = sys.platform if system is None else system
    if root != "/":
        return describe(_facts(root, affinity, system))
    if affinity is None and hasattr(os, "sched_getaffinity"):
        affinity = os.sched_getaffinity(0)
    catalog_folders = (os.environ.get("HWBENCH_CONFIGS"), places.user("config"))
    return _this_host(None if affinity is None else frozenset(affinity), system, catalog_folders)


@lru_cache(maxsize=8)
def _this_host(affinity: frozenset[int] | None, system: str, _catalog_folders: tuple[str | None, str]) -> Host:
    return describe(_facts("/", None if affinity is None else set(affinity), system))


def _facts(root: str, affinity: set[int] | None, system: str) -> Facts:
    live = root == "/"
    facts = None
    if system.startswith("linux"):
        facts = linux.read(Files(root), affinity)
    elif system == "darwin":
        facts = macos.read(Files(root), live)
    if live and (facts is None or not (facts.brand or facts.flags)):
        return _completed(facts, fallback.read(affinity))
    return facts or Facts()


def _completed(facts: Facts | None, library: Facts) -> Facts:
    """Return facts of a system that does not name its CPU with the name, identity and flags that libraries find."""
    if facts is None or len(facts.classes) > 1 or facts.classes[0].identity != Identity():
        return facts or library
    known = replace(facts.classes[0], identity=library.classes[0].identity, base=facts.classes[0].base)
    memory, counted = facts.memory or library.memory, facts.counted or library.counted
    if facts.usable == 1 and not facts.counted:  # memory alone
        return replace(library, memory=memory, notices=facts.notices)
    return replace(facts, brand=library.brand, flags=library.flags, classes=(known,), memory=memory, counted=counted)


def describe(facts: Facts) -> Host:
    """Return the host that facts add up to, with the catalog's knowledge of it."""
    known, pairs, doubts = _recognized(facts)
    notices = [*facts.notices, *doubts]
    counts = _within_quota(facts)
    described = [
        _from_device(pairs[cores.name], cores, facts, count) if known else _from_identity(cores, facts, count, position)
        for position, (cores, count) in enumerate(zip(facts.classes, counts, strict=True))
        if count
    ]
    notices += _count_notices(facts, counts)
    notices += [notice for cores in described for notice in cores.notices]
    hybrid = next((cores.units for cores in described if cores.units.architecture in match.COMPANIONS), None)
    hides = [cores.name for cores in facts.classes] == ["core"] and known is None
    if hybrid and hides and (facts.hypervisor or facts.classes[0].boost is None):
        notices.append(notice("hybrid-hidden", title=hybrid.architecture))
    if "sme" in facts.flags and not any(
        rate.isa.startswith("sme") for cores in described for rate in cores.units.rates
    ):
        notices.append(notice("sme-uncounted"))
    if facts.hypervisor and facts.smt is not True and "fpu" in facts.flags:
        notices.append(notice("virtual-cpus"))
    return Host(
        device=_device(facts, known, described),
        brand=shown(facts.brand),
        flags=facts.flags,
        logical=facts.logical,
        usable=facts.usable,
        quota=facts.quota,
        smt=facts.smt,
        hypervisor=shown(facts.hypervisor) if isinstance(facts.hypervisor, str) else facts.hypervisor,
        matched=known.name if known else None,
        notices=unique(notices),
    )


def _recognized(facts: Facts) -> tuple[Device | None, dict[str, Units], list[Notice]]:
    """Return the catalogued device that the brand means, its units for each class of cores, and doubts about it."""
    known = None if match.GENERIC.search(facts.brand) else match.known_device(facts.brand)
    pairs = match.same_classes(known, facts.classes) if known else None
    if known is None or pairs is None:
        return None, {}, []
    if any(contradicted(units.rates, facts.flags) for units in pairs.values()):
        return None, {}, [notice("brand-contradicted", title=known.title)]
    if facts.hypervisor and any(units.architecture in match.BEFORE_GUESTS for units in pairs.values()):
        return None, {}, []
    if len(known.units) > len(facts.classes) and [*pairs] == ["core"]:
        return known, pairs, [notice("core-classes-hidden", title=known.title)]
    return known, pairs, []


def _within_quota(facts: Facts) -> list[int]:
    """Return the cores to count in each class: no more than the quota feeds, the fastest first."""
    left = sum(cores.cores for cores in facts.classes)
    if facts.quota is not None:
        left = min(left, max(1, math.ceil(facts.quota)))
    counts = []
    for cores in facts.classes:
        counts.append(min(cores.cores, left))
        left -= counts[-1]
    return counts


def _count_notices(facts: Facts, counts: list[int]) -> list[Notice]:
    cores = sum(core_class.cores for core_class in facts.classes)
    notices = [] if facts.counted else [notice("cores-uncounted")]
    if facts.quota is not None and facts.quota < facts.usable:
        notices.insert(0, notice("quota", quota=facts.quota, counted=sum(counts), cores=cores))
    return notices


def _from_device(known: Units, cores: CoreClass, facts: Facts, count: int) -> _Class:
    """Return units of a catalogued device: its architecture and clocks, the system's counts."""
    rates = within_reach(known.rates, facts.flags)
    notices = match.masked(known.architecture, known.rates, rates)
    if known.clock.boost and cores.boost and cores.boost > known.clock.boost * 1.005:
        notices += (notice("clock-above-catalog", clock_hz=cores.boost, catalog_hz=float(known.clock.boost)),)
    how: Provenance = "spec"
    if not any(rate.engine == "vector" for rate in rates):
        assumed = match.unknown(cores, facts.flags)
        rates, how, notices = assumed.rates, assumed.how, (*notices, *assumed.notices)
    units = Units(known.architecture, count, known.clock, known.name, cores.threads or None, rates)
    return _Class(units, _provenance(facts, known.name, "spec", how), notices)


def _from_identity(cores: CoreClass, facts: Facts, count: int, position: int) -> _Class:
    """Return units of a CPU that is known by what it calls itself, or by its flags alone."""
    if facts.hypervisor is not False and match.GENERIC.search(facts.brand):
        matched = match.unknown(cores, facts.flags, (notice("model-generic", model=shown(facts.brand)),))
    else:
        matched = match.match(cores, facts.flags, position, bool(facts.hypervisor))
    clock, how, notices = _clock(cores, facts)
    units = Units(matched.architecture, count, clock, cores.name, cores.threads or None, matched.rates)
    return _Class(units, _provenance(facts, cores.name, how, matched.how), (*matched.notices, *notices))


def _provenance(facts: Facts, name: str, clock: Provenance, rates: Provenance) -> dict[str, Provenance]:
    count: Provenance = "os" if facts.counted else "assumed"
    return {f"units.{name}.count": count, f"units.{name}.clock": clock, f"units.{name}.rates": rates}


def _clock(cores: CoreClass, facts: Facts) -> tuple[Clock, Provenance, tuple[Notice, ...]]:
    """Return the clocks that the system states, else an assumed one, and the sentence about how far to trust them."""
    core_class = cores.name if len(facts.classes) > 1 else ""
    base = Hertz(cores.base) if cores.base else None
    boost = Hertz(cores.boost) if cores.boost else None
    stated = boost or base
    if stated is None:
        doubt = notice("clock-assumed", clock_hz=ASSUMED_CLOCK, core_class=core_class)
        return Clock(base=Hertz(ASSUMED_CLOCK)), "assumed", (doubt,)
    clock = Clock(base=base, boost=boost)
    if not facts.hypervisor and boost:
        over = notice("clock-overstated", clock_hz=float(boost), core_class=core_class)
        return clock, "os", (over,) if facts.clock_overstated else ()
    code = "clock-from-hypervisor" if facts.hypervisor else "clock-without-boost"
    return clock, "os", (notice(code, clock_hz=float(stated), core_class=core_class),)


def _device(facts: Facts, known: Device | None, classes: list[_Class]) -> Device:
    provenance = {field: origin for core_class in classes for field, origin in core_class.provenance.items()}
    memory, origins = _memory(facts, known)
    caches = tuple(Cache(fact.name, Bytes(fact.size), fact.shared_by) for fact in facts.caches)
    if caches:
        provenance["caches"] = "os"
    vendor = facts.classes[0].identity.vendor
    return Device(
        title=shown(facts.brand) or _title(classes),
        kind="cpu",
        vendor=known.vendor if known else VENDORS.get(vendor, shown(vendor, 40) or "unknown"),
        units=tuple(core_class.units for core_class in classes),
        memory=memory,
        released=known.released if known else None,
        power=known.power if known else None,
        caches=caches or (known.caches if known else ()),
        provenance={**provenance, **origins},
        name="host",
    )


def _title(classes: list[_Class]) -> str:
    """Return what to call a CPU that the system has no name for, as on Arm."""
    names = dict.fromkeys(core_class.units.architecture for core_class in classes)
    return "Unknown CPU" if match.UNKNOWN in names else f"CPU with cores of {' and '.join(names)}"


def _memory(facts: Facts, known: Device | None) -> tuple[Memory, dict[str, Provenance]]:
    """Return memory of the size that the system states; type and bandwidth only if the catalog knows the CPU.

    Every socket has a bus of its own, but what a hypervisor calls a socket is anything.
    """
    size = Bytes(facts.memory) if facts.memory else None
    origins: dict[str, Provenance] = {"memory.size": "os"} if size else {}
    if known is None:
        return Memory(size=size), origins
    sockets = 1 if facts.hypervisor else max(1, facts.packages)
    spec = known.memory
    if sockets > 1:
        origins |= {"memory.bandwidth": "derived", "memory.bus": "derived"}
    bandwidth = BytesPerSecond(spec.bandwidth * sockets) if spec.bandwidth else None
    return Memory(spec.type, size, bandwidth, Bits(spec.bus * sockets) if spec.bus else None, spec.rate), origins
