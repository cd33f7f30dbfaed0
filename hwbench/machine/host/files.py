"""Text files of the kernel, and the formats of their values. Reading never raises."""

import os
import re
from collections.abc import Iterable

from msgspec import Struct

MAX_BYTES = 1 << 24
MAX_CPU = 1 << 16


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
                return file.read(MAX_BYTES)
        except (OSError, ValueError):
            return None

    def text(self, name: str) -> str | None:
        """Return content of a file as text, without blanks around it; None where it cannot be read."""
        content = self.bytes(name)
        return None if content is None else content.decode("utf-8", "replace").strip()

    def number(self, name: str) -> int | None:
        """Return the whole number that a file holds, None where it holds something else."""
        return whole_number(self.text(name))

    def cpus(self, name: str, mask: str | None = None) -> frozenset[int]:
        """Return the CPU list that a file holds, or the mask that another one does; empty where none can be read."""
        return parse_cpulist(self.text(name) or "") or (parse_cpumask(self.text(mask) or "") if mask else frozenset())

    def names(self, folder: str) -> list[str]:
        """Return names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(self.path(folder)))
        except (OSError, ValueError):
            return []

    def is_folder(self, name: str) -> bool:
        """Return whether there is such a folder."""
        return "\0" not in name and os.path.isdir(self.path(name))


def whole_number(text: str | None) -> int | None:
    """Return a decimal number of at most 20 digits as an int, None for any other text."""
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,20}", text) else None


def parse_cpulist(text: str) -> frozenset[int]:
    """Return the CPUs of a kernel list such as `0-3,8`. What is no number or range is left out; nothing raises."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        if match := re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part):
            cpus.update(range(int(match[1]), min(int(match[2] or match[1]), MAX_CPU) + 1))
    return frozenset(cpus)


def parse_cpumask(text: str) -> frozenset[int]:
    """Return the CPUs of a kernel mask such as `00000000,00000101`; none where the text is no mask."""
    digits = text.strip().replace(",", "")
    if not re.fullmatch(r"[0-9a-fA-F]{1,16384}", digits):
        return frozenset()
    mask = int(digits, 16)
    return frozenset(cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1)


def format_cpulist(cpus: Iterable[int]) -> str:
    """Return the kernel's text for a set of CPUs: `0-3,8`. The inverse of `parse_cpulist`."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
