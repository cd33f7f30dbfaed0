"""What goes to standard output: text for people, or one JSON object for programs."""

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hwbench.answers import document
from hwbench.errors import HwbenchError, InputError, shown
from hwbench.notices import Notice

if TYPE_CHECKING:  # JSON does without the report room
    from hwbench.report.text.layout import Style

PIPED = 120
"""Columns that a table may take where nobody said how many there are; sentences are wrapped earlier."""
_PAINT = re.compile("(\033\\[(?:0|1|2|33|36)m)")
"""The codes that report.text paints with: the only control characters that a terminal gets from us."""


def write(text: str) -> None:
    """Write to standard output at once. Raises InputError when it is closed or full."""
    if sys.stdout is None:
        raise InputError("is closed", file="standard output")
    try:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot be written: {reason}", file="standard output") from None


def write_json(command: str, payload: Any, warnings: Iterable[str | Notice] = ()) -> None:
    """One object with the keys of every command (`schema`, `hwbench_version`, `warnings`) before the payload's."""
    write(json_text(command, payload, warnings) + "\n")


def json_text(command: str, payload: Any, warnings: Iterable[str | Notice] = ()) -> str:
    """What `write_json` writes, as text without its end of line."""
    return _json(document(command, payload, warnings))


def _json(body: dict[str, Any]) -> str:
    """The body as JSON; as ASCII where standard output, or UTF-8 for a file name of odd bytes, cannot carry it."""
    try:
        text = msgspec.json.encode(body).decode()
        text.encode(sys.stdout.encoding or "utf-8" if sys.stdout else "utf-8")
    except UnicodeEncodeError:
        import json

        text = json.dumps(body)
    return text


def write_lines(lines: Iterable[str], warnings: Iterable[str | Notice] = ()) -> None:
    """Lines of text, then the warnings."""
    from hwbench.report.text import layout as text

    chosen = style()
    told = text.warnings(map(str, warnings), chosen)
    shown_lines = (_printable(line, chosen.color) for line in [*lines, *(["", *told] if told else [])])
    write("\n".join(shown_lines) + "\n")


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]], warnings: Iterable[str | Notice] = ()) -> None:
    """A header and rows in SI units, empty where unknown; the warnings go to standard error."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write(text.getvalue())
    write_warnings(warnings)


def write_warnings(warnings: Iterable[str | Notice]) -> None:
    """A line a warning on standard error, where standard output holds nothing but data."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            for warning in warnings:
                print(f"warning: {shown(warning, 2000)}", file=sys.stderr)


def _printable(line: str, color: bool) -> str:
    """A line whose control characters, which came from somebody's file, are escaped."""
    if line.isprintable():
        return line
    parts = _PAINT.split(line) if color else [line]
    return "".join(part if color and _PAINT.fullmatch(part) else shown(part, len(part)) for part in parts)


def style() -> "Style":
    """Color and width of the terminal; plain when piped or when NO_COLOR is set."""
    from hwbench.report.text.layout import Style

    terminal = sys.stdout is not None and sys.stdout.isatty()
    if not terminal:
        return Style(tables=PIPED)
    color = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = os.get_terminal_size().columns
    if not columns:  # a terminal that nobody told its size, as in containers
        return Style(color=color, tables=PIPED)
    return Style(color=color, width=max(40, min(columns, 120)))


def error_object(error: HwbenchError, code: int) -> str:
    """The JSON of an error: `{"error": {message, exit_code, file, line, column, field, nearest}}`."""
    found: dict[str, Any] = {"code": error.code, "message": shown(error, 1000), "exit_code": code}
    if isinstance(error, InputError):
        found["message"] = shown(error.message, 600)
        place = {"file": error.file, "line": error.line, "column": error.column, "field": error.field}
        found.update({key: value for key, value in place.items() if value is not None})
        found["nearest"] = list(error.nearest)
    return _json({"error": found})
