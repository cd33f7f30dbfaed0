"""The conditions that change during a run, read before and after it: load, pressure, steal, temperature, clock.

A snapshot is a plain mapping in the record, without the keys of what is unknown.
"""

import math
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from hwbench.machine.host import cgroup, memory
from hwbench.machine.host.files import Files, whole_number
from hwbench.notices import Notice, notice

CPU = "/sys/devices/system/cpu"
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
MAX_CELSIUS = 90.0
"""Temperature from which processors begin to slow down."""


DISTURBANCES = ("other-work", "hypervisor-steal", "quota-throttled", "processor-hot", "other-hwbench")
"""Codes of the notices of a run that was disturbed."""


def snapshot(cpus: Iterable[int], files: Files | None = None) -> dict[str, Any]:
    """Return the conditions now. Counters (`busy_s`, `steal_s`, `own_cpu_s`, `throttled_s`) are in s."""
    files = files or Files()
    numbers = sorted(cpus)
    busy = _busy(files, numbers)
    values: dict[str, Any] = {
        "time_s": time.time(),
        "monotonic_s": time.monotonic(),
        "cpus": len(numbers),
        "load": _load(files),
        "pressure": _pressure(files),
        "busy_s": busy and busy[0],
        "steal_s": busy and busy[1],
        "own_cpu_s": sum(os.times()[:4]),
        "throttled_s": _throttled(files),
        "temperature_c": _temperature(files),
        "clock_hz": _clocks(files, numbers),
        "memory_available_bytes": memory.available(files),
    }
    return {key: value for key, value in values.items() if value is not None}


def while_idle(cpus: Iterable[int], seconds: float) -> list[Notice]:
    """Return the disturbances of some seconds in which this process does nothing."""
    numbers = list(cpus)
    before = snapshot(numbers)
    time.sleep(seconds)
    return disturbances(before, snapshot(numbers))


def _load(files: Files) -> list[float] | None:
    with suppress(ValueError):
        return [float(part) for part in (files.text("/proc/loadavg") or "").split()[:3]] or None
    return None


def _pressure(files: Files) -> float | None:
    """Return the share of the last ten seconds in which something waited for a CPU (PSI; Linux, accounting/psi)."""
    some = re.search(r"^some avg10=(\d+(?:\.\d+)?)(?:\s|$)", files.text("/proc/pressure/cpu") or "", re.MULTILINE)
    return float(some[1]) / 100 if some else None


def _busy(files: Files, cpus: list[int]) -> tuple[float, float] | None:
    """Return the seconds that these CPUs worked, and those that the hypervisor withheld (proc(5), /proc/stat)."""
    wanted, listed = {f"cpu{cpu}" for cpu in cpus}, False
    busy = steal = 0.0
    for line in (files.text("/proc/stat") or "").splitlines():
        name, *fields = line.split()
        values = [whole_number(field) for field in fields[:8]]
        if name in wanted and len(values) == 8 and None not in values:
            user, nice, system, _idle, _wait, interrupt, soft, stolen = (float(value or 0) for value in values)
            busy += user + nice + system + interrupt + soft
            steal += stolen
            listed = True
    return (busy / _TICK, steal / _TICK) if listed else None


def _throttled(files: Files) -> float | None:
    """Return the seconds for which the quotas of control groups have stopped this process, of all levels together."""
    groups = cgroup.parse_groups(files.text("/proc/self/cgroup") or "")
    mounts = cgroup.parse_mounts(files.text("/proc/self/mountinfo") or "") or cgroup.usual_mounts(files)
    seconds = []
    for mount in (mount for mount in mounts if not mount.controllers or "cpu" in mount.controllers):
        for folder in cgroup.levels(files, mount, groups):
            for line in (files.text(f"{folder}/cpu.stat") or "").splitlines():
                name, _, value = line.partition(" ")
                unit = {"throttled_usec": 1e-6, "throttled_time": 1e-9}.get(name)
                if unit and (number := whole_number(value)) is not None:
                    seconds.append(number * unit)
    return sum(seconds) if seconds else None


def _temperature(files: Files) -> float | None:
    """Return the highest temperature of the processor in °C, of thermal zones where it has no driver."""
    readings = []
    for folder in (f"/sys/class/hwmon/{chip}" for chip in files.names("/sys/class/hwmon")):
        if files.text(f"{folder}/name") in ("coretemp", "k10temp", "zenpower", "cpu_thermal"):
            names = (name for name in files.names(folder) if name.startswith("temp") and name.endswith("_input"))
            readings += [files.number(f"{folder}/{name}") for name in names]
    if not readings:
        zones = (f"/sys/class/thermal/{zone}" for zone in files.names("/sys/class/thermal"))
        kinds = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "soc-thermal", "cpu0-thermal")
        readings = [files.number(f"{zone}/temp") for zone in zones if files.text(f"{zone}/type") in kinds]
    known = [reading / 1000 for reading in readings if reading is not None and 0 < reading < 150_000]
    return max(known, default=None)


def _clocks(files: Files, cpus: list[int]) -> list[float] | None:
    """Return the clock of each CPU in Hz as cpufreq states it, which is no measurement."""
    values = [files.number(f"{CPU}/cpu{cpu}/cpufreq/scaling_cur_freq") for cpu in cpus]
    return [value * 1e3 for value in values if value is not None] or None


def disturbances(before: dict[str, Any], after: dict[str, Any]) -> list[Notice]:
    """Return a notice for each disturbance between two snapshots that a reader of the values must know."""
    notices: list[Notice] = []
    elapsed = after.get("monotonic_s", 0.0) - before.get("monotonic_s", 0.0)
    available = elapsed * after.get("cpus", 1)
    if available <= 0:
        return notices

    def spent(key: str) -> float:
        known = key in before and key in after
        return max(0.0, float(after[key]) - float(before[key])) if known else math.nan  # above no limit

    if (other := (spent("busy_s") - spent("own_cpu_s")) / available) > 0.05:
        notices.append(notice("other-work", share=other))
    if (steal := spent("steal_s") / available) > 0.01:
        notices.append(notice("hypervisor-steal", share=steal))
    if (throttled := spent("throttled_s") / elapsed) > 0.01:
        notices.append(notice("quota-throttled", share=throttled))
    if (celsius := after.get("temperature_c", 0.0)) >= MAX_CELSIUS:
        notices.append(notice("processor-hot", celsius=celsius))
    return notices
