"""A Mac from the output of `sysctl`. Names: Apple, "Determining system capabilities" (sysctlbyname)."""

from hwbench.machine.host.clock import brand_clock
from hwbench.machine.host.facts import CacheFact, CoreClass, Facts, Identity, clock, highest, merged_caches
from hwbench.machine.host.files import Files, whole_number

RECORDING = "/sysctl.txt"
"""Where a recorded tree keeps the output of `sysctl hw machdep.cpu kern.hv_vmm_present`."""

FEATURES = {
    "AdvSIMD": "asimd", "neon": "asimd", "neon_fp16": "asimdhp", "arm.FEAT_FP16": "asimdhp", "arm.FEAT_BF16": "bf16",
    "arm.FEAT_DotProd": "asimddp", "arm.FEAT_I8MM": "i8mm", "arm.FEAT_SME": "sme", "arm.FEAT_SME2": "sme2",
}  # fmt: skip
"""Linux's name of each feature that macOS states under `hw.optional`."""

X86_FLAGS = {
    "avx1.0": "avx", "sse4.1": "sse4_1", "sse4.2": "sse4_2", "sse3": "pni", "vmm": "hypervisor",
    "avx512bf16": "avx512_bf16", "avx512vnni": "avx512_vnni", "avx512fp16": "avx512_fp16",
}  # fmt: skip
"""Linux's name of each flag that macOS spells in another way."""

PARTS = {"M1": (0x23, 0x22), "M2": (0x33, 0x32), "M3": (0x43, 0x42), "M4": (0x53, 0x52)}
"""Parts of a generation's performance and efficiency cores, as Linux (asm/cputype.h) and m1n1 know the base chips."""

LEVELS = {"Performance": "P-core", "Efficiency": "E-core", "Super": "super-core"}
"""Names of the classes of cores by what macOS calls their level."""

Values = dict[str, str]


def read(files: Files, live: bool) -> Facts | None:
    """Return what macOS says, None without an answer. `live`: run the `sysctl` command if there is no recording."""
    text = files.text(RECORDING)
    values = parse_sysctl((_ask() if text is None and live else text) or "")
    logical = _number(values, "hw.logicalcpu") or _number(values, "hw.ncpu") or _number(values, "hw.activecpu")
    if not logical and not values.get("machdep.cpu.brand_string"):
        return None
    logical = logical or _number(values, "machdep.cpu.thread_count") or _number(values, "machdep.cpu.core_count") or 1
    classes = _performance_levels(values) or (_single_class(values, logical),)
    physical = sum(core_class.cores for core_class in classes)
    return Facts(
        brand=values.get("machdep.cpu.brand_string", ""),
        flags=flags(values),
        logical=logical,
        usable=logical,
        packages=_number(values, "hw.packages") or 1,
        classes=classes,
        counted="hw.physicalcpu" in values or "hw.perflevel0.physicalcpu" in values,
        caches=caches(values, [core_class.name for core_class in classes]),
        memory=_number(values, "hw.memsize"),
        smt=logical > physical if "hw.physicalcpu" in values else None,
        hypervisor=_number(values, "kern.hv_vmm_present") == 1 if "kern.hv_vmm_present" in values else None,
    )


def parse_sysctl(text: str) -> Values:
    """Return values by name from lines such as `hw.memsize: 17179869184`."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def flags(values: Values) -> tuple[str, ...]:
    """Return flags in Linux's spelling: the features of an x86 CPU, or those that an Arm one states as optional."""
    names = ("features", "leaf7_features", "extfeatures")
    words = " ".join(values.get(f"machdep.cpu.{name}", "") for name in names).lower().split()
    x86 = [X86_FLAGS.get(word, word.replace(".", "_")) for word in words]
    arm = [flag for name, flag in FEATURES.items() if values.get(f"hw.optional.{name}") == "1"]
    return tuple(dict.fromkeys([*x86, *arm]))


def caches(values: Values, names: list[str]) -> tuple[CacheFact, ...]:
    """Return caches by class of cores on Apple's chips, of the whole CPU on Intel's."""
    by_class: dict[str, tuple[CacheFact, ...]] = {}
    for level, name in enumerate(names):
        prefix = f"hw.perflevel{level}."
        known = (("L1d", "l1dcachesize", 1), ("L2", "l2cachesize", _number(values, f"{prefix}cpusperl2")))
        by_class[name] = tuple(
            CacheFact(label, size, shared) for label, key, shared in known if (size := _number(values, prefix + key))
        )
    if any(by_class.values()):
        return merged_caches(by_class)
    sharing = [_number({"": part}, "") for part in values.get("hw.cacheconfig", "").split()]
    threads = max(1, (_number(values, "hw.logicalcpu") or 1) // (_number(values, "hw.physicalcpu") or 1))
    facts = []
    for level, (label, key) in enumerate((("L1d", "l1dcachesize"), ("L2", "l2cachesize"), ("L3", "l3cachesize")), 1):
        cpus = sharing[level] if level < len(sharing) else None
        if size := _number(values, f"hw.{key}"):
            facts.append(CacheFact(label, size, max(1, cpus // threads) if cpus else None))
    return tuple(facts)


def _performance_levels(values: Values) -> tuple[CoreClass, ...]:
    """Return classes of cores of an Apple chip, the fastest first; none where macOS does not tell them apart."""
    levels = [level for level in range(4) if _number(values, f"hw.perflevel{level}.physicalcpu")]
    own = [values.get(f"hw.perflevel{level}.name", "") for level in levels]
    usual = {1: ("core",), 2: ("P-core", "E-core")}.get(len(levels), tuple(f"level {level}" for level in levels))
    names = [
        LEVELS.get(name, f"{name.lower()[:40]}-core") if all(own) else other
        for name, other in zip(own, usual, strict=True)
    ]
    names = names if len(names) > 1 and len(set(names)) == len(names) else [*usual]
    vendor, generation, *_ = *values.get("machdep.cpu.brand_string", "").split(), "", ""
    parts = PARTS.get(generation) if vendor == "Apple" else None
    return tuple(
        CoreClass(
            name=name,
            identity=Identity("0x61", model=parts[0 if level == 0 else 1] if parts else None),
            cores=_number(values, f"hw.perflevel{level}.physicalcpu") or 1,
            threads=_number(values, f"hw.perflevel{level}.logicalcpu"),
        )
        for level, name in zip(levels, names, strict=True)
    )


def _single_class(values: Values, logical: int) -> CoreClass:
    clocks = (_number(values, "hw.cpufrequency_max"), _number(values, "hw.cpufrequency"))
    base = highest([*(clock(hertz) for hertz in clocks), brand_clock(values.get("machdep.cpu.brand_string", ""))])
    family, model, stepping = (_number(values, f"machdep.cpu.{name}") for name in ("family", "model", "stepping"))
    identity = Identity(values.get("machdep.cpu.vendor", ""), family, model, stepping)
    return CoreClass(identity=identity, cores=_number(values, "hw.physicalcpu") or logical, threads=logical, base=base)


def _number(values: Values, name: str) -> int | None:
    """Return a number that is not negative, None for anything else."""
    number = whole_number(values.get(name))
    return number if number is not None and 0 <= number < 1 << 63 else None


def _ask() -> str | None:
    """Return what the `sysctl` command prints; None where it cannot be run."""
    import subprocess

    try:
        names = ("hw", "machdep.cpu", "kern.hv_vmm_present")
        done = subprocess.run(["/usr/sbin/sysctl", *names], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
