"""The environment of a run, which stays the same while it lasts: the machine, its limits and settings, the software.

It is a plain mapping in the record, without the keys of what is unknown. Keys: docs/explanation/measuring.md.
"""

import hashlib
import os
import platform
import sys
from typing import Any

from hwbench.machine.host.describe import Host
from hwbench.machine.host.files import Files, format_cpulist, parse_cpulist
from hwbench.measure.environment.software import versions
from hwbench.measure.settings import CpuClass
from hwbench.notices import Notice, notice

CPU = "/sys/devices/system/cpu"
INFLUENCES = (
    "OMP_", "MKL_", "OPENBLAS_", "NUMBA_", "KMP_", "GOMP_", "BLIS_", "TORCH", "ATEN_", "CUDA_VISIBLE", "LD_PRE",
)  # fmt: skip
"""Prefixes of environment variables that change measurements."""
CHOICES = {
    "blas-kernels-chosen": ("OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
    "numba-target-chosen": ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX", "NUMBA_OPT"),
}
"""Environment variables that choose what computes, by the code of the notice."""


def environment(machine: Host, classes: tuple[CpuClass, ...], files: Files | None = None) -> dict[str, Any]:
    """Return the environment of a record: the machine besides its device, settings and software."""
    files = files or Files()
    cpufreq = f"{CPU}/cpu{classes[0].cpus[0] if classes else 0}/cpufreq"
    pages = files.text("/sys/kernel/mm/transparent_hugepage/enabled") or ""  # such as `always [madvise] never`
    values: dict[str, Any] = {
        "machine": machine_key(machine, files),
        "hostname": platform.node(),
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "brand": machine.brand,
        "flags": list(machine.flags),
        "matched": machine.matched,
        "logical": machine.logical,
        "usable": machine.usable,
        "quota": machine.quota,
        "smt": machine.smt,
        "hypervisor": machine.hypervisor,
        "classes": {core_class.name: format_cpulist(core_class.cpus) for core_class in classes},
        "governor": governor(files, classes),
        "driver": files.text(f"{cpufreq}/scaling_driver"),
        "preference": files.text(f"{cpufreq}/energy_performance_preference"),
        "turbo": turbo(files),
        "numa_nodes": numa_nodes(files),
        "huge_pages": pages.partition("[")[2].partition("]")[0],
        "versions": versions(),
        "variables": variables(dict(os.environ)),
        "warnings": [str(notice) for notice in machine.notices],
    }
    return {key: value for key, value in values.items() if value not in (None, "", {}, [])}


def machine_key(machine: Host, files: Files | None = None) -> str:
    """Return 16 hex digits that identify this machine, whatever part of it a process may use, without a serial number.

    They are a hash of the system's identity (else the host's name) with brand, flags and number of logical CPUs.
    """
    files = files or Files()
    identity = files.text("/etc/machine-id") or files.text("/var/lib/dbus/machine-id") or platform.node()
    parts = ("hwbench", identity, machine.brand, " ".join(sorted(machine.flags)), str(machine.logical))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def governor(files: Files, classes: tuple[CpuClass, ...]) -> str | None:
    """Return the frequency governor of the usable CPUs, several separated by commas; None where it is unknown."""
    cpus = (cpu for core_class in classes for cpu in core_class.cpus)
    texts = (files.text(f"{CPU}/cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus)
    return ", ".join(dict.fromkeys(text for text in texts if text)) or None


def turbo(files: Files) -> bool | None:
    """Return whether the clock may rise above the base: by intel_pstate's `no_turbo`, else by cpufreq's `boost`."""
    if (forbidden := files.number(f"{CPU}/intel_pstate/no_turbo")) is not None:
        return forbidden == 0
    boost = files.number(f"{CPU}/cpufreq/boost")
    return None if boost is None else boost == 1


def numa_nodes(files: Files) -> int | None:
    """Return the number of NUMA nodes with CPUs or memory."""
    nodes = [name for name in files.names("/sys/devices/system/node") if name[:4] == "node" and name[4:].isdigit()]
    return len(nodes) or None


def variables(every: dict[str, str]) -> dict[str, str]:
    """Return the environment variables that change measurements."""
    return {name: value[:200] for name, value in sorted(every.items()) if name.startswith(INFLUENCES)}


def cautions(environment: dict[str, Any]) -> list[Notice]:
    """Return a notice for each setting of an environment that keeps measurements below what the machine can do."""
    notices = []
    names, driver = str(environment.get("governor", "")), str(environment.get("driver", ""))
    dynamic = driver.startswith(("intel_pstate", "amd-pstate"))  # their `powersave` is the usual, dynamic one
    if any(name in ("powersave", "conservative", "userspace") for name in names.split(", ")) and not dynamic:
        notices.append(notice("governor-slow", governor=names))
    if environment.get("turbo") is False:
        notices.append(notice("turbo-off"))
    variables = environment.get("variables", {})
    chosen = ((code, name) for code, names in CHOICES.items() for name in names if name in variables)
    notices += [notice(code, variable=name, value=variables[name]) for code, name in chosen]
    quota = environment.get("quota")
    cores = sum(len(parse_cpulist(cpus)) for cpus in environment.get("classes", {}).values())
    if quota is not None and quota < 1:
        notices.append(notice("quota-below-one-cpu", quota=quota))
    elif quota is not None and quota < cores:
        notices.append(notice("quota-below-cores", quota=quota, cores=cores))
    if sys.flags.dev_mode:
        notices.append(notice("python-development-mode"))
    return notices
