"""The clocks of a Linux CPU, in Hz, as the system states them: not measured, and a hypervisor may invent them.

Documentation/admin-guide/pm/cpufreq: `cpuinfo_max_freq` and `base_frequency` in kHz. ACPI's CPPC: in MHz.
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
    top = highest(_hertz(files, f"{folder}/cpuinfo_max_freq", 1e3) for folder in folders)
    base = highest(_hertz(files, f"{folder}/base_frequency", 1e3) for folder in folders)
    base = base or highest(_hertz(files, f"{CPU}/cpu{cpu}/acpi_cppc/nominal_freq", 1e6) for cpu in numbers)
    if top and _hides_boost(files, folders[0], top):
        return max(top, base or 0), None
    if top:
        return (base if base is not None and base <= top else None), top
    blocks = [cpus[cpu] for cpu in numbers if cpu in cpus]
    stated = (value for block in blocks for value in (_megahertz(block), brand_clock(block.get("model name", ""))))
    return base or highest(stated) or _device_tree(files), None


def highest_clocks(files: Files, group: Iterable[int]) -> dict[int, float]:
    """Return the highest clock in Hz that cpufreq states of each CPU, of those where it states one."""
    policies = _policies(files)
    folders = {cpu: policies.get(cpu, f"{CPU}/cpu{cpu}/cpufreq") for cpu in group}
    clocks = {cpu: _hertz(files, f"{folder}/cpuinfo_max_freq", 1e3) for cpu, folder in folders.items()}
    return {cpu: hertz for cpu, hertz in clocks.items() if hertz}


def overstates(files: Files, group: Iterable[int]) -> bool:
    """Return whether amd-pstate states the clocks: it scales them by CPPC's ranks of cores, which can be too high."""
    cpu = min(group)
    folder = _policies(files).get(cpu, f"{CPU}/cpu{cpu}/cpufreq")
    return (files.text(f"{folder}/scaling_driver") or "").startswith("amd-pstate")


def brand_clock(brand: str) -> float | None:
    """Return the clock in Hz at the end of a name such as `Intel(R) Xeon(R) CPU @ 2.60GHz`."""
    match = re.search(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*([GM])Hz\s*$", brand)
    return clock(float(match[1]) * {"G": 1e9, "M": 1e6}[match[2]]) if match else None


def _megahertz(fields: dict[str, str]) -> float | None:
    names = ("cpu mhz static", "cpu mhz", "clock", "cpu-freq")
    text = next((fields[name] for name in names if fields.get(name)), "")
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,9})?) *([mg]hz)?", text.lower())
    return clock(round(float(match[1]) * (1e9 if match[2] == "ghz" else 1e6))) if match else None


def _hertz(files: Files, name: str, unit: float) -> float | None:
    number = files.number(name)
    return None if number is None else clock(number * unit)


def _policies(files: Files) -> dict[int, str]:
    """Return folder of each CPU's cpufreq policy, for trees without the links below the CPUs."""
    folders: dict[int, str] = {}
    for name in files.names(f"{CPU}/cpufreq"):
        if name.startswith("policy"):
            folder = f"{CPU}/cpufreq/{name}"
            folders.update(dict.fromkeys(_spaced(files, f"{folder}/related_cpus"), folder))
    return folders


def _spaced(files: Files, name: str) -> list[int]:
    """Return numbers with blanks in between, as cpufreq writes them."""
    numbers = map(whole_number, (files.text(name) or "").split())
    return [number for number in numbers if number is not None]


def _hides_boost(files: Files, folder: str, top: float) -> bool:
    """Return whether the highest clock that the driver states is without boost: acpi-cpufreq lists P-states only.

    It writes Intel's turbo as 1 MHz above the next clock; AMD's boost is above the list where the kernel knows it.
    """
    if files.text(f"{folder}/scaling_driver") != "acpi-cpufreq":
        return False
    listed = sorted(_spaced(files, f"{folder}/scaling_available_frequencies"), reverse=True)
    if not listed or top > listed[0] * 1e3:
        return False
    step = listed[0] - listed[1] if len(listed) > 1 else listed[0] % 10_000
    return files.number(f"{CPU}/cpufreq/boost") == 1 or step == 1000


def _device_tree(files: Files) -> float | None:
    """Return `clock-frequency` of the CPUs in the device tree: a big-endian number of Hz."""
    folder = "/proc/device-tree/cpus"
    values = []
    for name in files.names(folder):
        content = files.bytes(f"{folder}/{name}/clock-frequency") if name.startswith("cpu@") else None
        if content and len(content) in (4, 8):
            values.append(clock(float(int.from_bytes(content, "big"))))
    return highest(values)
