"""GPUs beside the CPU, as their drivers name them in files, or the list of PCI ids. Reading never raises.

Sources: NVIDIA's driver (/proc/driver/nvidia/gpus; NVML on Windows and in WSL, which have no such files), the kernel's
amdgpu (`product_name` of a card), and for cards without either the ids in /sys/class/drm with the names of pci.ids,
which distributions install.
"""

import re
from typing import Any

from hwbench.errors import InputError, shown
from hwbench.machine import catalog
from hwbench.machine.host.files import Files
from hwbench.notices import Notice, notice

_NVIDIA, _CARDS = "/proc/driver/nvidia/gpus", "/sys/class/drm"
_PCI_IDS = ("/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids", "/usr/share/pci.ids")
_VENDORS = {"10de": "NVIDIA", "1002": "AMD", "8086": "Intel"}
"""Makers of GPUs that compute by their PCI ids: consoles of servers and virtual displays have others."""


def gpus(files: Files) -> list[str]:
    """Return the names of the GPUs below a root, one for each card."""
    texts = (files.text(f"{_NVIDIA}/{name}/information") or "" for name in files.names(_NVIDIA))
    models = [match[1].strip() for text in texts if (match := re.search(r"^Model:\s*(.+)$", text, re.MULTILINE))]
    models = models or (_by_nvml() if files.root == "/" else [])
    named = "10de" if models else ""
    for card in (name for name in files.names(_CARDS) if re.fullmatch(r"card[0-9]+", name)):
        folder = f"{_CARDS}/{card}/device"
        name = files.text(f"{folder}/product_name") or _by_id(files, folder, named)
        models += [name] if name else []
    return models


def _by_nvml() -> list[str]:
    """Return the names of NVIDIA's cards by its library; none without the extra `nvidia` or a driver."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        names: list[Any] = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
        return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _by_id(files: Files, folder: str, named: str) -> str:
    """Return the name that pci.ids has of a card, empty without one; `named` is a vendor whose driver names its own."""
    vendor, device = ((files.text(f"{folder}/{part}") or "").removeprefix("0x") for part in ("vendor", "device"))
    if vendor not in _VENDORS or vendor == named or not re.fullmatch(r"[0-9a-f]{4}", device):
        return ""
    ids = next(filter(None, map(files.text, _PCI_IDS)), "")
    _, _, own = f"\n{ids}".partition(f"\n{vendor}  ")
    line = re.match(rf"[^\n]*\n(?:[\t#][^\n]*\n)*?\t{device}  ([^\n]*)", own)
    name = line[1] if line else ""
    bracket = re.search(r"\[(.+)\]", name)
    return f"{_VENDORS[vendor]} {bracket[1] if bracket else name}" if name else ""


def beside(files: Files) -> tuple[Notice, ...]:
    """Return a notice for each kind of GPU beside the CPU, with its name in the catalog if it has one."""
    notices, names = [], gpus(files)
    for name in dict.fromkeys(names):
        device, choices = None, {}
        try:
            device = catalog.device(name).name
        except InputError as error:
            if error.code == "ambiguous-device":
                choices = {"choices": error.nearest}
        notices.append(notice("gpu-beside", gpu=shown(name, 80), count=names.count(name), device=device, **choices))
    return tuple(notices)
