"""Numbers and names as people read them."""

import math
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from hwbench.units import Bytes, si
from hwbench.workload.ops import MemoryUse

MAX_LAYERS = 24
"""Layers up to which a table lists every one unasked."""
RATED = {"inference": "inferences", "training": "samples", "decode": "tokens"}
"""What a rate counts, by the mode of a run; a sample of `decode` is a token."""
_WIDE = "\u2e80"
"""From here on characters may take two columns."""


def percent(share: float | None) -> str:
    """Return a share as a percentage without false digits; `-` where unknown."""
    if share is None:
        return "-"
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    if 99.5 <= value < 100:  # only the whole is 100 %
        return f"{min(value, 99.99):.2f} %"
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def rate(value: float | None) -> str:
    """Return a rate in four digits: `312.9/s`, `13,720/s`; `-` where unknown."""
    return "-" if value is None else f"{_four_digits(value)}/s"


def known(value: float | None, unit: str, digits: int = 4) -> str:
    """Return a quantity with its unit; `-` where unknown or zero."""
    return si(value, unit, digits) if value else "-"


def throughput(value: float | None, mode: str = "inference") -> str:
    """Return `13,720 inferences/s`, samples in training or tokens; `-` where unknown."""
    return "-" if value is None else f"{_four_digits(value)} {RATED[mode]}/s"


def _four_digits(value: float) -> str:
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e12 else f"{rounded:.4g}"


def ceil_digits(value: float | None, digits: int = 4) -> float | None:
    """Return a number rounded up to so many digits: an upper bound is still one when it is printed."""
    if not value:
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    return math.ceil(value / step - 1e-9) * step


def floor_digits(value: float, digits: int = 4) -> float:
    """Return a number rounded down to so many digits: a lower bound is still one when it is printed."""
    return -(ceil_digits(-value, digits) or 0.0)


def interval(low: float, high: float) -> str:
    """Return an interval of seconds as `5.5–14.2 ms`: both ends in the unit of the upper one."""
    text, unit = si(high, "s", 3).split(" ")
    scale = 10.0 ** round(math.log10(float(text) / high)) if high else 0.0  # not the ratio itself: the text is rounded
    return f"{low * scale:.3g}–{text} {unit}"


def rate_interval(low: float, high: float) -> str:
    """Return an interval of rates as `43.5–50.6/s`."""
    return "–".join(f"{float(f'{end:.3g}'):,.0f}" if 1000 <= end < 1e12 else f"{end:.3g}" for end in (low, high)) + "/s"


def intensity(value: float) -> str:
    """Return FLOP a byte in three digits without an exponent: `0.5`, `38`, `2251`."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def integer(value: int) -> str:
    """Return a count such as `62,378,344`; in six digits where it is too long to read."""
    return f"{value:,}" if value < 10**15 else f"{value:.6g}"


def number(count: int, noun: str) -> str:
    """Return a count of things: `1 device`, `2,000 devices`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def layer_name(name: str, count: int = 1, longest: int = 40) -> str:
    """Return a layer's name without its middle, and how many layers are alike: `model.l…self_attn.q_proj:mm ×128`."""
    line = cut(name, longest)
    return line if count == 1 else f"{line} ×{count}"


def alike(layers: Sequence[Any], work: Callable[[Any], Hashable]) -> list[tuple[str, list[Any]]]:
    """Return layers whose names differ by numbers and whose work is the same, by the name that they share."""
    groups: dict[Hashable, list[Any]] = {}
    for layer in layers:
        groups.setdefault((re.sub(r"\d+", "*", layer.name), work(layer)), []).append(layer)
    return [(shared_name(group), group) for group in groups.values()]


def remark(layers: Sequence[Any]) -> list[str]:
    """Return what `×12` means where a trace has made operators that are alike one, under the name of the first."""
    return ["×N: the first of N operators that are alike"] if any(layer.count > 1 for layer in layers) else []


def shared_name(group: Sequence[Any]) -> str:
    """Return the name that a group shares, with `*` for numbers that differ."""
    parts = zip(*(re.split(r"(\d+)", layer.name) for layer in group), strict=True)
    return "".join(part[0] if len(set(part)) == 1 else "*" for part in parts)


def width(text: str) -> int:
    """Return the columns of a terminal that a text takes: two for East Asian characters and emoji."""
    if text.isascii() or max(text) < _WIDE:
        return len(text)
    from unicodedata import combining, east_asian_width  # of no use to most tables

    return sum(2 if east_asian_width(c) in "FW" else 0 if combining(c) else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """Return a name in so many columns: without its middle, or without its end if it has words. A ` ×12` is kept."""
    if width(text) <= columns:
        return text
    name, times, count = text.rpartition(" ×")
    if times and count.isdigit() and len(count) + 2 < columns // 2:
        return f"{cut(name, columns - len(count) - 2)} ×{count}"
    text = text.replace("…", "") if " " not in text else text
    tail = "" if " " in text else fit(text[::-1], 3 * (columns - 1) // 5)[::-1]
    return f"{fit(text, columns - 1 - width(tail))}…{tail}"


def fit(text: str, columns: int) -> str:
    """Return as many characters of a text as fit into so many columns."""
    taken = 0
    for index, character in enumerate(text):
        taken += width(character)
        if taken > columns:
            return text[:index]
    return text


def memory_use(memory: MemoryUse, free: int | None = None) -> str:
    """Return what a run holds, at its peak and of each kind."""
    kinds = {name: getattr(memory, f"{name}_bytes") for name in ("weights", "gradients", "optimizer", "activations")}
    parts = ", ".join(f"{name} {Bytes(size)}" for name, size in kinds.items() if size)
    if memory.peak_bytes is None:
        return f"{parts}, activations unknown"
    apart = ", not all at once" if sum(filter(None, kinds.values())) > memory.peak_bytes else ""
    return f"{Bytes(memory.peak_bytes)} at the peak{f' of {Bytes(free)} free' if free else ''}: {parts}{apart}"
