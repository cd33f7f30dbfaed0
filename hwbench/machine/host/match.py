"""Which catalogued architecture and device a CPU is, by what it calls itself, and where that cannot be trusted."""

import contextlib
import os
import re
from collections.abc import Iterable
from itertools import chain

from msgspec import Struct

from hwbench.errors import InputError
from hwbench.files import content, folders, names
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.elsewhere import brand_keys
from hwbench.machine.host.facts import CoreClass, Identity
from hwbench.machine.host.isa import assumed_rates, contradicted, within_reach
from hwbench.machine.parts import Architecture, Cpuid, Provenance, Rate, Units
from hwbench.notices import Notice, notice

UNKNOWN = "unknown"
IMPLEMENTERS: dict[str, tuple[str, ...]] = {
    "0x41": ("arm", "armltd", "armlimited"), "0x42": ("broadcom",), "0x43": ("cavium", "marvell"), "0x46": ("fujitsu",),
    "0x48": ("hisilicon", "huawei"), "0x4e": ("nvidia",), "0x50": ("apm", "ampere"), "0x51": ("qualcomm",),
    "0x53": ("samsung",), "0x61": ("apple",), "0x6d": ("microsoft",), "0xc0": ("ampere",),
}  # fmt: skip
"""Names under which architecture files may give Arm's implementer codes (lscpu-arm.c)."""

COMPANIONS = {
    "golden-cove": "gracemont", "raptor-cove": "gracemont", "redwood-cove": "crestmont", "lion-cove": "skymont",
    "cougar-cove": "darkmont",
}  # fmt: skip
"""The E-cores beside Intel's P-cores: one model number stands for both, and it is the P-core's file that has it."""

VARIANT = "-1fma"
"""Ends the name of an architecture whose chips differ from those of the name without it in AVX-512 units alone."""


GENERIC = re.compile(
    r"QEMU|KVM processor|\b[Cc]lass\b|with IBPB|AMD EPYC(-[A-Z]\w+)?(-v\d+)? Processor|Hygon Dhyana Processor|"
    r"Westmere E56xx|Zhaoxin YongFeng Processor|Phenom\(tm\) 9550|"
    r"\((Nehalem|Sandy ?Bridge|Ivy ?Bridge|Haswell|Broadwell|Skylake|Cascadelake|Cooperlake|Icelake|SapphireRapids|"
    r"GraniteRapids|DiamondRapids|SierraForest|ClearwaterForest|Snow[Rr]idge|Denverton|Knights Mill)\b"
)
"""Brands of the CPU models of QEMU (target/i386/cpu.c), which any CPU with their flags may stand behind."""

BEFORE_GUESTS = frozenset({"k7", "k7-thunderbird", "k8", "netburst", "p6", "pentium-m", "core2"})
"""Architectures that no hypervisor of today runs on, whose numbers generic models have (QEMU's 15/6, 15/107, 6/6)."""


class Match(Struct, frozen=True):
    """What a class of cores was taken for; `how` is the provenance of its rates."""

    architecture: str
    rates: tuple[Rate, ...]
    how: Provenance
    notices: tuple[Notice, ...] = ()


def match(cores: CoreClass, flags: tuple[str, ...], position: int = 0, guest: bool = False) -> Match:
    """Return the architecture that the cores' identity means if the flags confirm it, else rates assumed from flags.

    The classes of a hybrid x86 CPU share one identity, that of its fastest class (`position` 0). `guest`: this is a
    virtual machine, whose CPU may be a generic model.
    """
    candidates, notices = _candidates(cores.identity)
    if guest and candidates.keys() & BEFORE_GUESTS:
        return unknown(cores, flags, (*notices, notice("model-generic", model=str(cores.identity))))
    lies = {name: flag for name, known in candidates.items() if (flag := contradicted(known.rates, flags))}
    names = sorted(candidates.keys() - lies.keys(), key=lambda name: (-widest(candidates[name].rates), name))
    if lies and not names:
        name = min(lies)
        lie = notice("model-contradicted", title=candidates[name].title, flag=lies[name])
        return unknown(cores, flags, (*notices, lie))
    if names and position > 0 and cores.identity.vendor == "GenuineIntel":
        candidates = _companion(names[0])
        names = [*candidates]
    if not names:
        return unknown(cores, flags, notices)
    name = names[0]
    rates = within_reach(candidates[name].rates, flags)
    if not any(rate.engine == "vector" for rate in rates):
        return unknown(cores, flags, notices)
    width = widest(candidates[name].rates)
    others = [candidates[other].title for other in names[1:] if widest(candidates[other].rates) < width]
    if "avx512f" in flags and name + VARIANT in folders.files("architectures"):
        others.append("a variant with one AVX-512 FMA unit")
    notices += masked(candidates[name].title, candidates[name].rates, rates)
    if others:
        doubt = notice("model-ambiguous", title=candidates[name].title, others=others)
        return Match(name, rates, "assumed", (*notices, doubt))
    return Match(name, rates, "derived", notices)


def unknown(cores: CoreClass, flags: tuple[str, ...], notices: tuple[Notice, ...] = ()) -> Match:
    """Return rates from the flags alone, with a notice."""
    rates = assumed_rates(flags)
    isas = list(dict.fromkeys(rate.isa for rate in rates))
    core_class = "" if cores.name == "core" else cores.name
    doubt = notice("cpu-unknown", core_class=core_class, identity=str(cores.identity), isas=isas)
    return Match(UNKNOWN, rates, "assumed", (*notices, doubt))


def masked(title: str, rates: Iterable[Rate], left: Iterable[Rate]) -> tuple[Notice, ...]:
    """Return the notice about ISAs that an architecture has and the flags do not show, if there are any."""
    shown = {rate.isa for rate in left}
    gone = list(dict.fromkeys(rate.isa for rate in rates if rate.isa not in shown))
    return (notice("isa-hidden", title=title, isas=gone),) if gone else ()


def widest(rates: Iterable[Rate]) -> float:
    """Return the highest fp32 rate of the vector engine in FLOP per cycle, 0 where there is none."""
    fp32 = (rate.flops_per_cycle for rate in rates if rate.engine == "vector" and rate.dtype == "fp32")
    return max(fp32, default=0.0)


def _candidates(identity: Identity) -> tuple[dict[str, Architecture], tuple[Notice, ...]]:
    """Return the architectures with this identity, only those with its stepping if any, and notices of broken files."""
    candidates: dict[str, Architecture] = {}
    exact: dict[str, Architecture] = {}
    broken: list[str] = []
    if identity.core and (path := _named(identity)):
        with contextlib.suppress(InputError):
            return {os.path.splitext(os.path.basename(path))[0]: catalog.load_architecture(path)}, ()
    for name, path in folders.files("architectures").items() if identity.model is not None else ():
        try:
            text = content.read_text(path)
            if "cpuid" not in text and "based_on" not in text:
                continue
            architecture = catalog.load_architecture(path)
        except InputError as error:
            broken.append(str(error))
            continue
        ids = [cpuid for cpuid in architecture.cpuid if answers(cpuid, identity)]
        if ids and architecture.kind == "cpu":
            candidates[name] = architecture
            if any(cpuid.steppings for cpuid in ids):
                exact[name] = architecture
    doubts = (notice("architecture-left-out", error=broken[0], others=len(broken) - 1),) if broken else ()
    return exact or candidates, doubts


def _named(identity: Identity) -> str | None:
    """Return the file of the architecture that a core's own name means: `sifive,u74-mc`, `Spacemit(R) X60`."""
    name = re.sub(r"\((R|TM)\)", "", identity.core)
    return folders.locate("architectures", name) or folders.locate("architectures", name.rpartition(",")[2])


def _companion(name: str) -> dict[str, Architecture]:
    """Return the architecture of the slower cores beside these; empty where the catalog has none."""
    try:
        other = COMPANIONS[name]
        return {other: catalog.architecture(other)}
    except (KeyError, InputError):
        return {}


def answers(cpuid: Cpuid, identity: Identity) -> bool:
    """Return whether a CPU calls itself what an architecture's file says."""
    vendors = {names.key(name) for name in (identity.vendor, *IMPLEMENTERS.get(identity.vendor, ()))}
    return (
        names.key(cpuid.vendor) in vendors
        and identity.model in cpuid.models
        and cpuid.family in (None, identity.family)
        and (cpuid.steppings is None or identity.stepping in cpuid.steppings)
    )


def known_device(brand: str) -> Device | None:
    """Return the catalogued CPU whose title, name or alias the brand string is; None where there is none."""
    wanted = brand_keys(brand)
    named = (path for name in sorted(wanted) if (path := folders.locate("devices", name)))
    titled = (path for path in (folders.files("devices").values() if wanted else ()) if wanted & _title_keys(path))
    for path in chain(named, titled):  # titles are read where no name or alias is it
        with contextlib.suppress(InputError):
            if (device := catalog.load_device(path)).kind == "cpu":
                return device
    return None


def _title_keys(path: str) -> frozenset[str]:
    """Return the key of the title in a file's text: to parse every file would take longer than everything else here."""
    with contextlib.suppress(InputError):
        titles = re.findall(r"^title:\s*[\"']?(.*?)[\"']?\s*$", content.read_text(path), re.MULTILINE)
        return frozenset(names.key(title) for title in titles[:1])
    return frozenset()


def same_classes(device: Device, classes: tuple[CoreClass, ...]) -> dict[str, Units] | None:
    """Return the device's units for every class of cores: by name, else by rank; None if they cannot be paired."""
    ranked = sorted(device.units, key=lambda units: -(units.clock.boost or units.clock.base or 0))
    by_name = {names.key(units.name): units for units in device.units}
    if len(classes) == 1:
        return {classes[0].name: by_name.get(names.key(classes[0].name), ranked[0])}
    if all(names.key(cores.name) in by_name for cores in classes):
        return {cores.name: by_name[names.key(cores.name)] for cores in classes}
    if len(classes) == len(ranked):
        return {cores.name: units for cores, units in zip(classes, ranked, strict=True)}
    return None
