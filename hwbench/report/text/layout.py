"""Plain text for people: aligned tables, wrapped sentences, color only where asked for."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from hwbench.errors import shown
from hwbench.report.text.format import _first, cut, width

_CODES = {"bold": "1", "dim": "2", "memory": "33", "compute": "36", "warning": "33"}


class Style(Struct, frozen=True):
    """How text looks: with ANSI colors on a terminal, plain everywhere else; `width` in columns, of `tables` if set."""

    color: bool = False
    width: int = 100
    tables: int | None = None

    def paint(self, text: str, role: str) -> str:
        """The text in the color of its role, or as it is."""
        code = _CODES.get(role)
        return f"\033[{code}m{text}\033[0m" if self.color and code else text


PLAIN = Style()
_NAMES = 13  # columns that names of values take, the gap included
_GAP = 2  # columns between those of a table
_SHORTEST_FIRST, _SHORTEST, _SHORTEST_TITLE = 22, 14, 10
"""What a name in the first column of a table may be cut to, one in another, and a column's title."""
_NUMBER = 30  # the longest text that is taken for a number, a date or the id of a run
_PREFIXES = "pnµmkKMGTP"
_UNITS = (
    "%", "s", "/s", "B", "B/s", "iB", "Hz", "W", "FLOP", "FLOP/s", "FLOP/B", "OP", "OP/s", "op", "op/s", "MAC", "T/s",
)  # fmt: skip
"""What stays on the line of its number, with or without a prefix."""


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    align: str,
    style: Style = PLAIN,
    roles: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> list[str]:
    """Lines of a table whose columns are left (`l`) or right (`r`) aligned; `roles[i]` colors row i.

    Where it is wider than the style, long names are cut, then columns left out: those headed by `spare`, first things
    first, then from the right. Numbers are never cut.
    """
    body = [[shown(cell) for cell in row] for row in rows]
    columns = list(zip(header, *body, strict=True))
    widths = [max(map(width, column)) for column in columns]
    kept, told, most = list(range(len(columns))), "", style.tables or style.width
    if sum(widths) + _GAP * (len(widths) - 1) > most:
        kept = _fit(columns, widths, align, most, spare)
        told = ", ".join(dict.fromkeys(name for i, name in enumerate(header) if i not in kept and name))

    def line(cells: Sequence[str]) -> str:
        padded = []
        for i in kept:
            cell = cut(cells[i], widths[i])
            gap = " " * (widths[i] - width(cell))
            padded.append(cell + gap if align[i] == "l" else gap + cell)
        return (" " * _GAP).join(padded).rstrip()

    lines = [style.paint(line(header), "bold")]
    for index, cells in enumerate(body):
        lines.append(style.paint(line(cells), roles[index] if index < len(roles) else ""))
    return lines + (heading(f"left out at this width: {told}", style, "dim") if told else [])


def _fit(columns: Sequence[Sequence[str]], widths: list[int], align: str, most: int, spare: Sequence[str]) -> list[int]:
    """The indices of the columns that stay within `most`; `widths` become what they are cut to."""
    kept = list(range(len(columns)))
    floors = [_least(columns[i], widths[i], align[i], _SHORTEST if i else _SHORTEST_FIRST) for i in kept]
    named = [i for name in spare for i, column in enumerate(columns) if column[0] == name]
    going = [*named, *(i for i in reversed(kept) if i not in named)]
    while len(kept) > 2 and sum(floors[i] for i in kept) + _GAP * (len(kept) - 1) > most:
        kept.remove(next(i for i in going if i in kept and i))
    while sum(widths[i] for i in kept) + _GAP * (len(kept) - 1) > most:
        widest = max((i for i in kept if widths[i] > floors[i]), key=lambda i: widths[i], default=None)
        if widest is None:
            break
        widths[widest] -= 1
    return kept


def _least(column: Sequence[str], own: int, side: str, shortest: int) -> int:
    """The columns of a terminal that a table's column must have: all of a number, the beginning of a name."""
    title, *cells = column
    whole = [min(shortest, width(cell)) if side == "l" and _is_name(cell) else width(cell) for cell in cells]
    return min(own, max([min(width(title), _SHORTEST_TITLE), *whole]))


def _is_name(cell: str) -> bool:
    """Whether a cell is long and may be cut: it is no number with its unit, and no bar."""
    number = len(cell) <= _NUMBER and (cell[:1].isdigit() or not any(map(str.isalpha, cell)))
    return width(cell) > _SHORTEST and not number


def roomy(longest: int, style: Style) -> int:
    """How long a name may be that is `longest` where there are 100 columns: more where there are more."""
    return longest + max(0, style.width - PLAIN.width)


def heading(text: str, style: Style = PLAIN, role: str = "bold") -> list[str]:
    """A title, or a remark in another role, wrapped to the width."""
    return [style.paint(line, role) for line in sentences(text, style)]


def sentences(text: str, style: Style = PLAIN, indent: str = "") -> list[str]:
    """Text wrapped to the width, each line after `indent`."""
    return [indent + line for line in wrapped(shown(text, 2000), style.width - len(indent))] or [""]


def wrapped(text: str, first: int, rest: int | None = None) -> list[str]:
    """Lines of at most `first`, then `rest` columns: names stay whole at their dashes, and a unit beside its number."""
    chunks: list[str] = []
    for word in text.split():
        if chunks and chunks[-1][-1].isdigit() and _is_unit(word):
            chunks[-1] += f" {word}"
        else:
            chunks.append(word)
    lines, line, most = [], "", max(first, 2)
    for chunk in chunks:
        if line and width(line) + 1 + width(chunk) <= most:
            line += f" {chunk}"
            continue
        if line:
            lines.append(line)
            most = max(first if rest is None else rest, 2)
        line = chunk
        while width(line) > most:  # an address, say: after a slash or a dash of it
            begun = _first(line, most)
            lines.append(begun[: max(begun.rfind("/"), begun.rfind("-")) + 1] or begun)
            line = line[len(lines[-1]) :].lstrip()
            most = max(first if rest is None else rest, 2)
    return [*lines, line] if line else lines


def _is_unit(word: str) -> bool:
    bare = word.rstrip(".,;:)")
    return bare in _UNITS or (bare[:1] in _PREFIXES and bare[1:] in _UNITS)


def warnings(texts: Iterable[str], style: Style = PLAIN) -> list[str]:
    """One paragraph a warning."""
    found = []
    for text in texts:
        first, *rest = wrapped(f"warning: {shown(text, 2000)}", style.width, style.width - 2)
        found += [style.paint(line, "warning") for line in (first, *(f"  {line}" for line in rest))]
    return found


def field(name: str, text: str, style: Style = PLAIN) -> list[str]:
    """A named value, wrapped beside its name."""
    width = max(style.width, _NAMES + 20)
    first, *rest = wrapped(shown(text, 2000), width - _NAMES) or [""]
    return [f"{name:<{_NAMES}}{first}".rstrip(), *(f"{'':{_NAMES}}{line}" for line in rest)]
