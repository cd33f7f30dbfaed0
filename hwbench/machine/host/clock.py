"""The clocks of a Linux CPU, in Hz, as the system states them: not measured, and a hypervisor may invent them.

Documentation/admin-guide/pm/cpufreq: `cpuinfo_max_freq` and `base_frequency` in kHz.
"""

import re
from collections.abc import Iterable

from hwbench.machine.host.cpuinfo import Cpus
from hwbench.machine.host.facts import clock, highest
from hwbench.machine.host.files import Files, whole_number

CPU = "/sys/devices/system/cpu"


def linux_clock(files: Files, cpus: Cpus, group: Iterable[int]) -> tuple[float | None, float | None]:
    """Return base and boost clock of a group of CPUs, each the highest of any: cores boost differently."""
    numbers = sorted(group)
    policies = _policies(files)
    folders = [policies.get(cpu, f"{CPU}/cpu{cpu}/cpufreq") for cpu in numbers]
    top = highest(_kilohertz(files, f"{folder}/cpuinfo_max_freq") for folder in folders)
    base = highest(_kilohertz(files, f"{folder}/base_frequency") for folder in folders)
    base = base or highest(_nominal(files, cpu) for cpu in numbers)
    if top and _hides_boost(files, folders[0], top):
        return max(top, base or 0), None
    if top:
        return (base if base is not None and base <= top else None), top
    blocks = [cpus[cpu] for cpu in numbers if cpu in cpus]
    base = base or highest(value for fields in blocks for value in (_megahertz(fields), brand_clock(_name(fields))))
    return base or _device_tree(files), None


def _name(fields: dict[str, str]) -> str:
    return fields.get("model name", "")


def brand_clock(brand: str) -> float | None:
    """Return the clock in Hz at the end of a name such as `Intel(R) Xeon(R) CPU @ 2.60GHz`."""
    match = re.search(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*([GM])Hz\s*$", brand)
    return clock(float(match[1]) * {"G": 1e9, "M": 1e6}[match[2]]) if match else None


def _megahertz(fields: dict[str, str]) -> float | None:
    text = fields.get("cpu MHz") or fields.get("CPU MHz") or fields.get("clock", "").removesuffix("MHz")
    return clock(round(float(text) * 1e6)) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", text) else None


def _kilohertz(files: Files, name: str) -> float | None:
    number = files.number(name)
    return None if number is None else clock(number * 1e3)


def _nominal(files: Files, cpu: int) -> float | None:
    """Return the nominal clock of ACPI's CPPC, which is in MHz."""
    number = files.number(f"{CPU}/cpu{cpu}/acpi_cppc/nominal_freq")
    return None if number is None else clock(number * 1e6)


def _policies(files: Files) -> dict[int, str]:
    """Return folder of each CPU's cpufreq policy, for trees without the links below the CPUs."""
    folders: dict[int, str] = {}
    for name in files.names(f"{CPU}/cpufreq"):
        if name.startswith("policy"):
            folder = f"{CPU}/cpufreq/{name}"
            folders.update(dict.fromkeys(_spaced(files, f"{folder}/related_cpus"), folder))
    return folders


def _spaced(files: Files, name: str) -> frozenset[int]:
    """Return CPUs of a list with blanks in between, as cpufreq writes it."""
    numbers = (whole_number(part) for part in (files.text(name) or "").split())
    return frozenset(number for number in numbers if number is not None)


def _hides_boost(files: Files, folder: str, top: float) -> bool:
    """Return whether the highest clock that the driver states is without boost: acpi-cpufreq lists P-states only.

    It writes Intel's turbo as 1 MHz above the base clock; AMD's boost is above the list where the kernel knows it.
    """
    if files.text(f"{folder}/scaling_driver") != "acpi-cpufreq":
        return False
    listed = (whole_number(part) for part in (files.text(f"{folder}/scaling_available_frequencies") or "").split())
    known = highest(float(number) * 1e3 for number in listed if number is not None)
    if known is None or top > known:
        return False
    return files.number(f"{CPU}/cpufreq/boost") == 1 or top % 1e7 == 1e6


def _device_tree(files: Files) -> float | None:
    """Return `clock-frequency` of the CPUs in the device tree: a big-endian number of Hz."""
    folder = "/proc/device-tree/cpus"
    values = []
    for name in files.names(folder):
        content = files.bytes(f"{folder}/{name}/clock-frequency") if name.startswith("cpu@") else None
        if content and len(content) in (4, 8):
            values.append(clock(float(int.from_bytes(content, "big"))))
    return highest(values)
