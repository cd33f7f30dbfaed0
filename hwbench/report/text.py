"""Plain text for people: aligned tables, wrapped sentences, color only where asked for."""

import math
import textwrap
from collections.abc import Iterable, Sequence

from msgspec import Struct

from hwbench.errors import shown
from hwbench.units import si

_CODES = {"bold": "1", "dim": "2", "memory": "33", "compute": "36", "warning": "33"}


class Style(Struct, frozen=True):
    """How text looks: with ANSI colors on a terminal, plain everywhere else; `width` in columns."""

    color: bool = False
    width: int = 100

    def paint(self, text: str, role: str) -> str:
        """The text in the color of its role, or as it is."""
        code = _CODES.get(role)
        return f"\033[{code}m{text}\033[0m" if self.color and code else text


PLAIN = Style()
_NAMES = 13  # columns that names of values take, the gap included


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], align: str, style: Style = PLAIN, roles: Sequence[str] = ()
) -> list[str]:
    """Lines of a table whose columns are left (`l`) or right (`r`) aligned; `roles[i]` colors row i."""
    body = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (c.ljust(w) if a == "l" else c.rjust(w) for c, w, a in zip(cells, widths, align, strict=True))
        return "  ".join(padded).rstrip()

    lines = [style.paint(line(header), "bold")]
    for index, cells in enumerate(body):
        lines.append(style.paint(line(cells), roles[index] if index < len(roles) else ""))
    return lines


def sentences(text: str, style: Style = PLAIN, indent: str = "") -> list[str]:
    """Text wrapped to the width, each line after `indent`."""
    return textwrap.wrap(shown(text, 2000), style.width, initial_indent=indent, subsequent_indent=indent) or [""]


def warnings(texts: Iterable[str], style: Style = PLAIN) -> list[str]:
    """One paragraph a warning."""
    found = []
    for text in texts:
        first, *rest = textwrap.wrap(f"warning: {shown(text, 2000)}", style.width, subsequent_indent="  ")
        found += [style.paint(line, "warning") for line in (first, *rest)]
    return found


def percent(share: float | None) -> str:
    """A share as a percentage with the digits that it deserves; `-` where unknown."""
    if share is None:
        return "-"
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    if 99.5 <= value < 100:  # 100 % is said of nothing less
        return f"{min(value, 99.99):.2f} %"
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


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


def field(name: str, text: str, style: Style = PLAIN) -> list[str]:
    """A named value, wrapped beside its name."""
    width = max(style.width, _NAMES + 20)
    first, *rest = textwrap.wrap(shown(text, 2000), width - _NAMES) or [""]
    return [f"{name:<{_NAMES}}{first}".rstrip(), *(f"{'':{_NAMES}}{line}" for line in rest)]


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
