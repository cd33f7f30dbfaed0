"""/proc/cpuinfo, whose form differs with every architecture of CPU, as fields by logical CPU."""

from collections.abc import Iterable

from hwbench.machine.host.facts import Identity
from hwbench.machine.host.files import HIGHEST_CPU

Cpus = dict[int, dict[str, str]]
"""Fields of /proc/cpuinfo by the number of the logical CPU."""


def parse_cpuinfo(text: str) -> Cpus:
    """Return the fields of every logical CPU; those outside the CPUs' blocks (old Arm kernels) are every CPU's."""
    cpus: Cpus = {}
    common: dict[str, str] = {}
    current = common
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            current = common if not line.strip() else current
        elif name == "processor" and (number := _decimal(value)) is not None and number <= HIGHEST_CPU:
            current = cpus.setdefault(number, {})
        else:
            current.setdefault(name, value)
    return {cpu: {**common, **fields} for cpu, fields in cpus.items()}


def identity_of(fields: dict[str, str]) -> Identity:
    """Return what a CPU calls itself: x86 vendor, family, model, stepping, or Arm implementer and part."""
    if "CPU implementer" in fields:
        implementer, part = hexadecimal(fields["CPU implementer"]), hexadecimal(fields.get("CPU part", ""))
        return Identity(vendor=f"{implementer:#x}" if implementer is not None else "", model=part)
    numbers = (_decimal(fields.get(name, "")) for name in ("cpu family", "model", "stepping"))
    return Identity(fields.get("vendor_id", "")[:40], *numbers)


def flags_of(blocks: Iterable[dict[str, str]]) -> tuple[str, ...]:
    """Return flags that all the CPUs have, in the order of the first: `flags` on x86, `Features` on Arm and others."""
    names = ("flags", "Features", "features")
    lists = [next((fields[name] for name in names if name in fields), "").split() for fields in blocks]
    lists = [flags for flags in lists if flags]
    if not lists:
        return ()
    shared = set(lists[0]).intersection(*lists[1:])
    return tuple(dict.fromkeys(flag for flag in lists[0] if flag in shared))


def hexadecimal(text: str) -> int | None:
    """Return a number such as `0xd0c`, None for anything else."""
    try:
        return int(text, 16) if text.lower().startswith("0x") and len(text) < 12 else None
    except ValueError:
        return None


def _decimal(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
