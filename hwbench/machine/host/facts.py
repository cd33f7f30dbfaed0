"""What an operating system tells about its machine, before anything is concluded from it."""

from collections.abc import Iterable

from msgspec import Struct

from hwbench.notices import Notice

CLOCKS = (1e6, 2e10)
"""Clocks in Hz that are believed: anything outside is a file full of nonsense."""


class Identity(Struct, frozen=True):
    """What a core calls itself: vendor, family, model and stepping on x86, implementer and part on Arm, else a name."""

    vendor: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None
    core: str = ""

    def __str__(self) -> str:
        if self.model is None and self.vendor.startswith("0x"):
            return f"a core of Arm implementer {self.vendor}"
        if self.model is None:
            vendor = "" if self.core.lower().startswith(self.vendor.lower()) else self.vendor
            return f"{vendor} {self.core}".strip() or self.vendor or "a CPU that does not say what it is"
        if self.vendor.startswith("0x"):
            return f"Arm implementer {self.vendor} part {self.model:#x}"
        stepping = "" if self.stepping is None else f" stepping {self.stepping}"
        return f"{self.vendor or 'unknown vendor'} family {self.family} model {self.model}{stepping}"


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
    `clock_overstated` is whether a driver states the clocks that is known to state too high ones.
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
    clock_overstated: bool = False
    notices: tuple[Notice, ...] = ()


def merged_caches(by_class: dict[str, tuple[CacheFact, ...]]) -> tuple[CacheFact, ...]:
    """Return caches of all classes of cores, each once; one that not all have alike is named for its class."""
    merged: dict[CacheFact, None] = {}
    for name in dict.fromkeys(fact.name for facts in by_class.values() for fact in facts):
        own = {label: [fact for fact in facts if fact.name == name] for label, facts in by_class.items()}
        alike = len({tuple(facts) for facts in own.values()}) == 1
        for label, facts in own.items():
            for fact in facts:
                merged[fact if alike else CacheFact(f"{label} {name}", fact.size, fact.shared_by)] = None
    return tuple(merged)


def clock(hertz: float | None) -> float | None:
    """Return a clock in Hz if it can be one, else None."""
    return hertz if hertz is not None and CLOCKS[0] <= hertz <= CLOCKS[1] else None


def highest(values: Iterable[float | None]) -> float | None:
    """Return the highest of the known values, None where none is known."""
    known = [value for value in values if value is not None]
    return max(known, default=None)
