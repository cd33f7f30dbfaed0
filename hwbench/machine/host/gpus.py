"""GPUs beside the CPU, as their drivers name them in files. Reading never raises.

Sources: NVIDIA's driver (/proc/driver/nvidia/gpus), the kernel's amdgpu (`product_name` of a card).
"""

import re
from contextlib import suppress

from hwbench.errors import InputError, shown
from hwbench.machine import catalog
from hwbench.machine.host.files import Files
from hwbench.notices import Notice, notice

_NVIDIA, _CARDS = "/proc/driver/nvidia/gpus", "/sys/class/drm"


def gpus(files: Files) -> list[str]:
    """Return the names of the GPUs below a root, one for each card."""
    texts = (files.text(f"{_NVIDIA}/{name}/information") or "" for name in files.names(_NVIDIA))
    models = [match[1].strip() for text in texts if (match := re.search(r"^Model:\s*(.+)$", text, re.MULTILINE))]
    cards = (name for name in files.names(_CARDS) if re.fullmatch(r"card[0-9]+", name))
    return models + [text for name in cards if (text := files.text(f"{_CARDS}/{name}/device/product_name"))]


def beside(files: Files) -> tuple[Notice, ...]:
    """Return a notice for each kind of GPU beside the CPU, with its name in the catalog if it has one."""
    notices, names = [], gpus(files)
    for name in dict.fromkeys(names):
        device = None
        with suppress(InputError):
            device = catalog.device(name).name
        notices.append(notice("gpu-beside", gpu=shown(name, 80), count=names.count(name), device=device))
    return tuple(notices)
