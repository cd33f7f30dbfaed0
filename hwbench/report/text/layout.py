"""Plain text for people: aligned tables, wrapped sentences, color only where asked for."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from msgspec import Struct

from hwbench.errors import shown
from hwbench.report.text.format import cut, fit, width

_CODES = {"bold": "1", "dim": "2", "memory": "33", "compute": "36", "warning": "35"}


class Style(Struct, frozen=True):
    """How text looks: ANSI colors or none, the `width` of sentences in columns, and that of `tables` if it differs."""

    color: bool = False
    width: int = 100
    tables: int | None = None

    def paint(self, text: str, role: str) -> str:
        """Return the text in the color of its role, or unchanged."""
        code = _CODES.get(role)
        return f"\033[{code}m{text}\033[0m" if self.color and code else text


PLAIN = Style()
_NAMES = 13  # columns that names of values take, the gap included
_GAP = 2  # columns between those of a table
_MIN_FIRST, _MIN_NAME, _MIN_TITLE = 22, 14, 14
"""Columns that a name in the first column of a table keeps, a name in another, and a column's title."""
_MAX_NAME = 40  # columns of a name that keep it apart from others
_MAX_NUMBER = 30  # columns of a number, a date or the id of a run
_PREFIXES = "pnµmkKMGTP"
_UNITS = (
    "%", "s", "/s", "inferences/s", "samples/s", "tokens/s",
    "B", "B/s", "iB", "Hz", "W", "FLOP", "FLOP/s", "FLOP/B", "OP", "OP/s", "op", "op/s", "MAC", "T/s",
)  # fmt: skip
"""Units that stay on the line of their number, with or without a prefix."""


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    align: str,
    style: Style = PLAIN,
    roles: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> list[str]:
    """Return the lines of a table; `align` holds `l` or `r` for each column, and `roles[i]` colors row i.

    Where it is wider than the style, long names are cut, as far as they differ, then columns are left out: those headed
    by `spare` in that order, then from the right. Numbers are never cut.
    """
    body = [list(header), *([shown(cell) for cell in row] for row in rows)]
    columns = list(zip(*body, strict=True))
    widths = [max(map(width, column)) for column in columns]
    hidden, limit = "", style.tables or style.width
    if sum(widths) + _GAP * (len(widths) - 1) > limit:
        fitting = _fit(columns, widths, align, limit, spare)
        hidden = ", ".join(dict.fromkeys(name for i, name in enumerate(header) if i not in fitting and name))
        body = [[cut(cells[i], widths[i]) for i in fitting] for cells in body]
        widths, align = [widths[i] for i in fitting], "".join(align[i] for i in fitting)
    lines = [
        (" " * _GAP).join(_padded(*cell) for cell in zip(cells, widths, align, strict=True)).rstrip() for cells in body
    ]
    painted = [style.paint(line, role) for line, role in zip_longest(lines, ("bold", *roles), fillvalue="")]
    return painted + (heading(f"left out at this width: {hidden}", style, "dim") if hidden else [])


def _padded(cell: str, columns: int, side: str) -> str:
    gap = " " * (columns - width(cell))
    return cell + gap if side == "l" else gap + cell


def _fit(
    columns: Sequence[Sequence[str]], widths: list[int], align: str, limit: int, spare: Sequence[str]
) -> list[int]:
    """Return the indices of the columns that stay within the limit; `widths` become what they are cut to."""
    indices = list(range(len(columns)))
    longest = min(_MAX_NAME, limit * 11 // 20)  # so that numbers fit beside a name
    floors = [_min_width(columns[i], widths[i], align[i], _MIN_NAME if i else _MIN_FIRST, longest) for i in indices]
    first = [i for name in spare for i, column in enumerate(columns) if column[0] == name]
    order = [*first, *(i for i in reversed(indices) if i not in first)]
    while len(indices) > 2 and sum(floors[i] for i in indices) + _GAP * (len(indices) - 1) > limit:
        indices.remove(next(i for i in order if i in indices and i))
    while sum(widths[i] for i in indices) + _GAP * (len(indices) - 1) > limit:
        widest = max((i for i in indices if widths[i] > floors[i]), key=lambda i: widths[i], default=None)
        if widest is None:
            break
        widths[widest] -= 1
    return indices


def _min_width(column: Sequence[str], own: int, side: str, shortest: int, longest: int) -> int:
    """Return the columns of a terminal that a table's column needs: all of a number, the beginning of a name."""
    title, *cells = column
    names = {cell for cell in cells if side == "l" and _is_name(cell)}
    while shortest < min(own, longest) and len({cut(name, shortest) for name in names}) < len(names):
        shortest += 1
    whole = [min(shortest, width(cell)) if cell in names else width(cell) for cell in cells]
    return min(own, max([min(width(title), _MIN_TITLE), *whole]))


def _is_name(cell: str) -> bool:
    """Return whether a cell is long and may be cut: it is no number with its unit, and no bar."""
    number = len(cell) <= _MAX_NUMBER and (cell[:1].isdigit() or not any(map(str.isalpha, cell)))
    return width(cell) > _MIN_NAME and not number


def name_width(longest: int, style: Style) -> int:
    """Return how long a name may be that has `longest` columns of 100: longer in a wider style."""
    return longest + max(0, style.width - PLAIN.width)


def heading(text: str, style: Style = PLAIN, role: str = "bold") -> list[str]:
    """Return a title, or a remark in another role, wrapped to the width."""
    return [style.paint(line, role) for line in sentences(text, style)]


def sentences(text: str, style: Style = PLAIN, indent: str = "") -> list[str]:
    """Return text wrapped to the width, each line after `indent`."""
    return [indent + line for line in wrapped(shown(text, 2000), style.width - len(indent))] or [""]


def wrapped(text: str, first: int, rest: int | None = None) -> list[str]:
    """Return lines of up to `first`, then `rest` columns; names with dashes and numbers with units stay whole."""
    words = text.split()
    if width(whole := " ".join(words)) <= first:
        return [whole] if words else []
    chunks: list[str] = []
    for word in words:
        if chunks and chunks[-1][-1].isdigit() and _is_unit(word):
            chunks[-1] += f" {word}"
        else:
            chunks.append(word)
    lines, line, taken, limit = [], "", 0, max(first, 2)
    for chunk in chunks:
        columns = width(chunk)
        if line and taken + 1 + columns <= limit:
            line, taken = f"{line} {chunk}", taken + 1 + columns
            continue
        if line:
            lines.append(line)
            limit = max(first if rest is None else rest, 2)
        line, taken = chunk, columns
        while taken > limit:  # such as an address, which is broken after a slash or a dash
            start = fit(line, limit)
            lines.append(start[: max(start.rfind("/"), start.rfind("-")) + 1] or start)
            line = line[len(lines[-1]) :].lstrip()
            taken = width(line)
            limit = max(first if rest is None else rest, 2)
    return [*lines, line] if line else lines


def _is_unit(word: str) -> bool:
    bare = word.rstrip(".,;:)")
    return bare in _UNITS or (bare[:1] in _PREFIXES and bare[1:] in _UNITS)


def warnings(texts: Iterable[str], style: Style = PLAIN) -> list[str]:
    """Return a paragraph for each warning."""
    lines = []
    for text in texts:
        first, *rest = wrapped(f"warning: {shown(text, 2000)}", style.width, style.width - 2)
        lines += [style.paint(line, "warning") for line in (first, *(f"  {line}" for line in rest))]
    return lines


def field(name: str, text: str, style: Style = PLAIN) -> list[str]:
    """Return a named value, wrapped next to its name."""
    columns = max(style.width, _NAMES + 20)
    first, *rest = wrapped(shown(text, 2000), columns - _NAMES) or [""]
    return [f"{name:<{_NAMES}}{first}".rstrip(), *(f"{'':{_NAMES}}{line}" for line in rest)]
