"""Any other machine, through psutil and py-cpuinfo, as far as they know; both may be missing, wrong, or raise.

py-cpuinfo takes more than a second, and its cache sizes and clocks are not to be relied on (caches are totals over
cores, the "actual" clock is the advertised one): only the brand, the flags and the identity are taken from it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from hwbench.machine.host.clock import brand_clock
from hwbench.machine.host.facts import CoreClass, Facts, Identity, clock, highest

T = TypeVar("T")


def read(affinity: set[int] | None) -> Facts:
    """Return all that the two libraries say about the machine that runs this process."""
    info = _cpuinfo()
    logical = _attempt(lambda: _count(_psutil().cpu_count(logical=True))) or len(affinity or ()) or 1
    physical = _attempt(lambda: _count(_psutil().cpu_count(logical=False)))
    usable = min(len(affinity), logical) if affinity else logical
    brand, flags = info.get("brand_raw"), info.get("flags")
    brand = brand if isinstance(brand, str) else ""
    frequency = _attempt(lambda: _psutil().cpu_freq().max)
    hertz = clock(frequency * 1e6) if isinstance(frequency, int | float) else None
    family, model, stepping = (_count(info.get(name)) for name in ("family", "model", "stepping"))
    identity = Identity(str(info.get("vendor_id_raw") or "")[:40], family, model, stepping)
    base = highest([hertz, brand_clock(brand)])
    cores = CoreClass(identity=identity, cores=min(physical or usable, usable), threads=usable, base=base)
    return Facts(
        brand=brand,
        flags=tuple(flag for flag in flags if isinstance(flag, str)) if isinstance(flags, list) else (),
        logical=logical,
        usable=usable,
        classes=(cores,),
        counted=physical is not None,
        memory=_attempt(lambda: _count(_psutil().virtual_memory().total)),
        smt=logical > physical if physical else None,
    )


def _psutil() -> Any:
    import psutil

    return psutil


def _cpuinfo() -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        import cpuinfo

        info = cpuinfo.get_cpu_info()
        return info if isinstance(info, dict) else {}

    return _attempt(ask) or {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _attempt(ask: Callable[[], T]) -> T | None:
    """Return the answer, or None whatever goes wrong: on unknown systems these libraries raise anything."""
    try:
        return ask()
    except Exception:
        return None
