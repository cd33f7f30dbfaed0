"""The machine at hand as a device: what the operating system says, what the catalog knows, and what had to be assumed.

`hwbench peak` without a device shows it. Nothing here is measured: clocks are the system's, and where a part of the
answer is a guess its provenance is `assumed` and a warning says so in a sentence.
"""

import math
import os
import sys

from msgspec import Struct

from hwbench.errors import shown
from hwbench.machine.architecture import Rate
from hwbench.machine.device import Cache, Clock, Device, Memory, Provenance, Units
from hwbench.machine.host import fallback, linux, macos, match
from hwbench.machine.host.facts import CoreClass, Facts, Files
from hwbench.machine.host.isa import contradicted, within_reach
from hwbench.machine.host.match import Match
from hwbench.units import Bits, Bytes, BytesPerSecond, Hertz

ASSUMED_CLOCK = 2e9
VENDORS = {
    "GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "VIA", "0x41": "Arm",
    "Shanghai": "Zhaoxin", "0x46": "Fujitsu", "0x48": "HiSilicon", "0x51": "Qualcomm", "0x61": "Apple",
    "0xc0": "Ampere",
}  # fmt: skip


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
    warnings: tuple[str, ...]


class _Class(Struct, frozen=True):
    """One class of units with what is known of it."""

    units: Units
    provenance: dict[str, Provenance]
    warnings: tuple[str, ...] = ()


def host(root: str = "/", affinity: set[int] | None = None, system: str | None = None) -> Host:
    """The machine below `root` (a recorded tree, or the one that runs this process) as a device.

    `affinity`: ids of the logical CPUs that may be used, the process's own by default; `system`: as `sys.platform`.
    Files that are missing or nonsense never raise: the answer then says what it assumes.
    """
    live = root == "/"
    system = sys.platform if system is None else system
    if affinity is None and live and hasattr(os, "sched_getaffinity"):
        affinity = set(os.sched_getaffinity(0))
    facts = None
    if system.startswith("linux"):
        facts = linux.read(Files(root), affinity)
    elif system == "darwin":
        facts = macos.read(Files(root), live)
    if facts is None:
        facts = fallback.read(affinity) if live else Facts()
    return describe(facts)


def describe(facts: Facts) -> Host:
    """The host that facts add up to, with the catalog's knowledge of it."""
    known, pairs, doubts = _recognized(facts)
    warnings = [*facts.warnings, *doubts]
    counts = _within_quota(facts)
    described = []
    for position, cores in enumerate(facts.classes):
        if not counts[position]:
            continue
        if known:
            described.append(_from_device(pairs[cores.name], cores, facts, counts[position]))
        else:
            described.append(_from_identity(cores, facts, counts[position], position))
    warnings += _count_warnings(facts, counts)
    warnings += [warning for one in described for warning in one.warnings]
    if facts.hypervisor and facts.smt is not True and "fpu" in facts.flags:
        warnings.append(
            "Under this hypervisor a virtual CPU may be half a physical core (the guest shows no SMT): "
            "peaks may be twice too high."
        )
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
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _recognized(facts: Facts) -> tuple[Device | None, dict[str, Units], list[str]]:
    """The catalogued device that the brand means, its units for each class of cores, and doubts about it."""
    known = match.known_device(facts.brand)
    pairs = match.same_classes(known, facts.classes) if known else None
    if known is None or pairs is None:
        return None, {}, []
    if any(contradicted(units.rates, facts.flags) for units in pairs.values()):
        return None, {}, [f"The brand says {known.title}, but the flags show more: the brand is not believed."]
    if len(known.units) > len(facts.classes):
        text = f"{known.title} has more classes of cores than the system shows: some count as faster ones."
        return known, pairs, [text]
    return known, pairs, []


def _within_quota(facts: Facts) -> list[int]:
    """Cores to count in each class: no more than the quota feeds, the fastest first."""
    left = sum(cores.cores for cores in facts.classes)
    if facts.quota is not None:
        left = min(left, max(1, math.ceil(facts.quota)))
    counts = []
    for cores in facts.classes:
        counts.append(min(cores.cores, left))
        left -= counts[-1]
    return counts


def _count_warnings(facts: Facts, counts: list[int]) -> list[str]:
    warnings = []
    cores = sum(one.cores for one in facts.classes)
    if facts.quota is not None and facts.quota < facts.usable:
        warnings.append(
            f"The control group's quota allows {facts.quota:g} CPUs' worth of time: {sum(counts)} of {cores} cores are "
            "counted, so that peaks stay upper bounds."
        )
    if not facts.counted:
        warnings.append("The system does not tell cores from threads: every logical CPU is assumed to be a core.")
    return warnings


def _from_device(known: Units, cores: CoreClass, facts: Facts, count: int) -> _Class:
    """Units of a catalogued device: its architecture and clocks, the system's counts."""
    rates = within_reach(known.rates, facts.flags)
    warnings = list(match.masked(known.architecture, known.rates, rates))
    if known.clock.boost and cores.boost and cores.boost > known.clock.boost * 1.005:
        warnings.append(
            f"The system states a clock of up to {Hertz(cores.boost)}, above the catalogued {known.clock.boost}: "
            "peaks use the catalogued one."
        )
    how: Provenance = "spec"
    if not any(rate.engine == "vector" for rate in rates):
        assumed = match.unknown(cores, facts.flags)
        rates, how, warnings = assumed.rates, assumed.how, [*warnings, *assumed.warnings]
    units = Units(known.architecture, count, known.clock, known.name, cores.threads or None, rates)
    return _Class(units, _provenance(facts, known.name, "spec", how), tuple(warnings))


def _from_identity(cores: CoreClass, facts: Facts, count: int, position: int) -> _Class:
    """Units of a CPU that is known by what it calls itself, or by its flags alone."""
    found: Match = match.match(cores, facts.flags, position)
    clock, how, warnings = _clock(cores, facts)
    rates: tuple[Rate, ...] = found.rates
    units = Units(found.architecture, count, clock, cores.name, cores.threads or None, rates)
    return _Class(units, _provenance(facts, cores.name, how, found.how), (*found.warnings, *warnings))


def _provenance(facts: Facts, name: str, clock: Provenance, rates: Provenance) -> dict[str, Provenance]:
    count: Provenance = "os" if facts.counted else "assumed"
    return {f"units.{name}.count": count, f"units.{name}.clock": clock, f"units.{name}.rates": rates}


def _clock(cores: CoreClass, facts: Facts) -> tuple[Clock, Provenance, tuple[str, ...]]:
    """The clocks that the system states, else an assumed one, and the sentence about how far to trust them."""
    who = f" of the {cores.name}s" if len(facts.classes) > 1 else ""
    bound = "peaks computed from it are not upper bounds."
    base = Hertz(cores.base) if cores.base else None
    boost = Hertz(cores.boost) if cores.boost else None
    stated = boost or base
    if stated is None:
        text = f"No clock{who} is known; {Hertz(ASSUMED_CLOCK)} is assumed: {bound}"
        return Clock(base=Hertz(ASSUMED_CLOCK)), "assumed", (text,)
    if facts.hypervisor:
        text = f"The clock{who}, {stated}, is what the hypervisor says; the real one may be higher: {bound}"
        return Clock(base=base, boost=boost), "os", (text,)
    if boost is None:
        text = f"The system states a clock{who} of {stated} and no boost; the real one may be higher: {bound}"
        return Clock(base=base), "os", (text,)
    return Clock(base=base, boost=boost), "os", ()


def _device(facts: Facts, known: Device | None, classes: list[_Class]) -> Device:
    provenance: dict[str, Provenance] = {}
    for one in classes:
        provenance.update(one.provenance)
    memory, origins = _memory(facts, known)
    caches = tuple(Cache(fact.name, Bytes(fact.size), fact.shared_by) for fact in facts.caches)
    if caches:
        provenance["caches"] = "os"
    vendor = facts.classes[0].identity.vendor
    return Device(
        title=shown(facts.brand) or _title(classes),
        kind="cpu",
        vendor=known.vendor if known else VENDORS.get(vendor, shown(vendor, 40) or "unknown"),
        units=tuple(one.units for one in classes),
        memory=memory,
        released=known.released if known else None,
        power=known.power if known else None,
        caches=caches or (known.caches if known else ()),
        provenance={**provenance, **origins},
        name="host",
    )


def _title(classes: list[_Class]) -> str:
    """What to call a CPU that the system has no name for, as on Arm."""
    names = dict.fromkeys(one.units.architecture for one in classes)
    return "Unknown CPU" if match.UNKNOWN in names else f"CPU with cores of {' and '.join(names)}"


def _memory(facts: Facts, known: Device | None) -> tuple[Memory, dict[str, Provenance]]:
    """Memory of the size that the system states; type and bandwidth only if the catalog knows the CPU.

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
    return (
        Memory(
            type=spec.type,
            size=size,
            bandwidth=BytesPerSecond(spec.bandwidth * sockets) if spec.bandwidth else None,
            bus=Bits(spec.bus * sockets) if spec.bus else None,
            rate=spec.rate,
        ),
        origins,
    )
