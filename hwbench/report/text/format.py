"""Numbers and names as people read them."""

import math

from hwbench.units import si

_WIDE = "\u2e80"
"""From here on characters may take two columns."""


def width(text: str) -> int:
    """The columns of a terminal that a text takes: two a character where East Asian ones and emoji are among them."""
    if text.isascii() or max(text) < _WIDE:
        return len(text)
    from unicodedata import combining, east_asian_width  # of no use to most tables

    return sum(2 if east_asian_width(c) in "FW" else 0 if combining(c) else 1 for c in text)


def cut(text: str, most: int) -> str:
    """A name in so many columns: without its middle, without its end if it is words, its start if it was cut there."""
    if width(text) <= most:
        return text
    if text.startswith("…"):
        return "…" + _first(text[::-1], most - 1)[::-1]
    tail = "" if " " in text else _first(text[::-1], 3 * (most - 1) // 5)[::-1]
    return f"{_first(text, most - 1 - width(tail))}…{tail}"


def _first(text: str, most: int) -> str:
    """As many characters of a text as take no more than so many columns."""
    taken = 0
    for index, character in enumerate(text):
        taken += width(character)
        if taken > most:
            return text[:index]
    return text


def percent(share: float | None) -> str:
    """A share as a percentage with the digits that it deserves; `-` where unknown."""
    if share is None:
        return "-"
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    if 99.5 <= value < 100:  # 100 % is said of nothing less
        return f"{min(value, 99.99):.2f} %"
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def rate(value: float | None) -> str:
    """Inferences a second: `312.9/s`, `13.72 k/s`; `-` where unknown."""
    return "-" if value is None else si(value, "/s").replace(" /s", "/s")


def at_most(value: float | None, digits: int = 4) -> float | None:
    """A number rounded up to four digits: an upper bound stays one when it is printed."""
    if not value:
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    return math.ceil(value / step - 1e-9) * step


def at_least(value: float, digits: int = 4) -> float:
    """A number rounded down to four digits: a lower bound stays one when it is printed."""
    return -(at_most(-value, digits) or 0.0)


def intensity(value: float) -> str:
    """FLOP a byte with three digits and no exponent: `0.5`, `38`, `2251`."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def layer(name: str, count: int = 1, longest: int = 40) -> str:
    """A layer's name, cut from the left where it is long, and how many are alike: `…self_attn.q_proj:mm ×128`."""
    line = name if len(name) <= longest else f"…{name[1 - longest :]}"
    return line if count == 1 else f"{line} ×{count}"


def integer(value: int) -> str:
    """A count with its thousands apart: `62,378,344`; six digits of one that is too long to read."""
    return f"{value:,}" if value < 10**15 else f"{value:.6g}"
