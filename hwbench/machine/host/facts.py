"""What an operating system tells about its machine, before anything is concluded from it. Reads small text files."""

import os
import re
from collections.abc import Iterable

from msgspec import Struct

from hwbench.notices import Notice

LARGEST_FILE = 1 << 24
HIGHEST_CPU = 1 << 16
CLOCKS = (1e6, 2e10)
"""Clocks in Hz that are believed: anything outside is a file full of nonsense."""


class Files(Struct, frozen=True):
    """The text files below a folder: the machine's own (`/`) or a recorded tree. Reading never raises."""

    root: str = "/"

    def path(self, name: str) -> str:
        """Return where a file is: `/proc/cpuinfo` below the root."""
        return os.path.join(self.root, name.lstrip("/"))

    def bytes(self, name: str) -> bytes | None:
        """Return content of a file, None where it is missing, unreadable, or no plain file."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read(LARGEST_FILE)
        except (OSError, ValueError):
            return None

    def text(self, name: str) -> str | None:
        """Return content of a file as text, without blanks around it; None where it cannot be read."""
        content = self.bytes(name)
        return None if content is None else content.decode("utf-8", "replace").strip()

    def number(self, name: str) -> int | None:
        """Return the whole number that a file holds, None where it holds something else."""
        return whole_number(self.text(name))

    def cpus(self, name: str) -> frozenset[int]:
        """Return the CPU list that a file holds, empty where it cannot be read."""
        return parse_cpulist(self.text(name) or "")

    def names(self, folder: str) -> list[str]:
        """Return names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(self.path(folder)))
        except (OSError, ValueError):
            return []

    def is_folder(self, name: str) -> bool:
        """Return whether there is such a folder."""
        return "\0" not in name and os.path.isdir(self.path(name))


class Identity(Struct, frozen=True):
    """What a core calls itself: x86 vendor, family, model and stepping; on Arm the implementer and the part."""

    vendor: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None

    def __str__(self) -> str:
        if self.model is None:
            return self.vendor or "a CPU that does not say what it is"
        if self.vendor.startswith("0x"):
            return f"Arm implementer {self.vendor} part {self.model:#x}"
        return f"{self.vendor or 'unknown vendor'} family {self.family} model {self.model} stepping {self.stepping}"


class CoreClass(Struct, frozen=True):
    """One class of cores: how many physical cores and logical CPUs of it this process may use; clocks in Hz."""

    name: str = "core"
    identity: Identity = Identity()
    cores: int = 1
    threads: int | None = None
    base: float | None = None
    boost: float | None = None


class CacheFact(Struct, frozen=True):
    """One instance of a data or unified cache: size in bytes, and the number of physical cores that share it."""

    name: str
    size: int
    shared_by: int | None = None


class Facts(Struct, frozen=True):
    """All that an operating system says. Memory in bytes, quota in CPUs' worth of time, None where unknown.

    `counted` is whether cores are known apart from SMT threads; where not, every logical CPU is taken for a core.
    """

    brand: str = ""
    flags: tuple[str, ...] = ()
    logical: int = 1
    usable: int = 1
    packages: int = 1
    classes: tuple[CoreClass, ...] = (CoreClass(),)
    counted: bool = False
    caches: tuple[CacheFact, ...] = ()
    memory: int | None = None
    quota: float | None = None
    smt: bool | None = None
    hypervisor: str | bool | None = None
    notices: tuple[Notice, ...] = ()


def merged_caches(by_class: dict[str, tuple[CacheFact, ...]]) -> tuple[CacheFact, ...]:
    """Return caches of all classes of cores, each once; where classes differ in one, it is named for its class."""
    merged: dict[CacheFact, None] = {}
    for name in dict.fromkeys(fact.name for facts in by_class.values() for fact in facts):
        own = {label: [fact for fact in facts if fact.name == name] for label, facts in by_class.items()}
        alike = len({tuple(facts) for facts in own.values() if facts}) == 1
        for label, facts in own.items():
            for fact in facts:
                merged[fact if alike else CacheFact(f"{label} {name}", fact.size, fact.shared_by)] = None
    return tuple(merged)


def whole_number(text: str | None) -> int | None:
    """Return a decimal number of at most 20 digits as an int, None for any other text."""
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,20}", text) else None


def clock(hertz: float | None) -> float | None:
    """Return a clock in Hz if it can be one, else None."""
    return hertz if hertz is not None and CLOCKS[0] <= hertz <= CLOCKS[1] else None


def highest(values: Iterable[float | None]) -> float | None:
    """Return the highest of the known values, None where none is known."""
    known = [value for value in values if value is not None]
    return max(known, default=None)


def parse_cpulist(text: str) -> frozenset[int]:
    """Return the CPUs of a kernel list such as `0-3,8`. What is no number or range is left out; nothing raises."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if match:
            first = int(match[1])
            last = int(match[2] or first)
            cpus.update(range(first, min(last, HIGHEST_CPU) + 1))
    return frozenset(cpu for cpu in cpus if cpu <= HIGHEST_CPU)


def format_cpulist(cpus: Iterable[int]) -> str:
    """Return the kernel's text for a set of CPUs: `0-3,8`. The inverse of `parse_cpulist`."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
