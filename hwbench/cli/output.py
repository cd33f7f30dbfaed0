"""What goes to standard output: text for people, or one JSON object for programs; to standard error, what is done."""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from hwbench import answers
from hwbench.answers import Answer
from hwbench.errors import HwbenchError, InputError, shown
from hwbench.notices import Notice
from hwbench.report.text import layout
from hwbench.report.text.layout import Style
from hwbench.units import whole_number

MAX_WIDTH = PIPED = 120
"""Columns of a table where standard output is not a terminal; sentences are wrapped earlier."""
_PAINT = "(\033\\[(?:0|1|2|33|35|36)m)"
"""The codes that report.text paints with: the only control characters that a terminal gets from us."""

CLEAR = "\r\033[K"
_SLOW = ("torchvision:", "timm:", "hf:", "layers:", "torch:", "onnx:")
_INVISIBLE = (*range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Characters that JSON may hold as they are and that a terminal obeys: written as JSON escapes them."""


class ReaderLeft(Exception):  # noqa: N818
    """Who reads standard output has closed it, as `head` does when it has its lines: no error, and no more to do."""


def show(
    answer: Answer,
    as_json: bool,
    lines: Callable[[Style], Iterable[str]] | None = None,
    body: dict[str, Any] | None = None,
) -> None:
    """Write an answer as JSON, or as text followed by its notices.

    `lines` make another text than its own, `body` is another body of the JSON.
    """
    if as_json:
        document = answers.document(answer.SCHEMA, body, getattr(answer, "notices", ())) if body else answer.to_dict()
        write(_json(document) + "\n")
    else:
        chosen = style()
        write_lines(lines(chosen) if lines else answers.lines(answer, chosen), getattr(answer, "notices", ()))


def finish(answer: Any, as_json: bool) -> int:
    """Show a run and return the exit code: 130 where it was interrupted, 2 where it could not be saved."""
    show(answer, as_json)
    if answer.trouble:
        _complain(f"the run was not saved: {answer.trouble}")
    if answer.interrupted:
        _complain(f"interrupted: what was measured is {'saved' if answer.path else 'shown'}")
    return 130 if answer.interrupted else 2 if answer.trouble else 0


def _complain(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"hwbench: {text}", file=sys.stderr)


def write(text: str) -> None:
    """Write to standard output at once. Raises InputError when it is closed or full, ReaderLeft when nobody reads."""
    if sys.stdout is None:
        raise InputError("not-writable", "It is closed.", file="standard output")
    try:
        encoding = sys.stdout.encoding or "utf-8"
        if not text.replace("\n", "").isprintable():  # which is quick; translating is not
            text = text.translate({code: f"\\u{code:04x}" for code in _INVISIBLE})
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderLeft from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError("not-writable", f"It cannot be written: {reason}.", file="standard output") from None


def _json(body: dict[str, Any]) -> str:
    """Return a body as JSON; as ASCII where standard output, or UTF-8 for a file name of odd bytes, cannot carry it."""
    try:
        text = msgspec.json.encode(body).decode()
        text.encode(sys.stdout.encoding or "utf-8" if sys.stdout else "utf-8")
    except UnicodeEncodeError:
        import json  # which costs start-up time and is hardly ever needed

        text = json.dumps(body)
    return text


def write_lines(lines: Iterable[str], notices: Iterable[str | Notice] = ()) -> None:
    """Write lines of text, then the notices."""
    chosen = style()
    warnings = layout.warnings(map(str, notices), chosen)
    printable = (_printable(line, chosen.color) for line in [*lines, *(["", *warnings] if warnings else [])])
    write("\n".join(printable) + "\n")


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]], notices: Iterable[str | Notice] = ()) -> None:
    """Write a header and rows in SI units, empty where unknown; the notices go to standard error."""
    import csv  # which costs start-up time and is needed by a single format
    import io

    from hwbench.report.export.cells import text_cell

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(map(text_cell, row) for row in rows)
    write(text.getvalue())
    write_warnings(notices)


def write_warnings(notices: Iterable[str | Notice]) -> None:
    """Write a line a notice to standard error, where standard output has nothing but data."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            for notice in notices:
                print(f"warning: {shown(notice, 2000)}", file=sys.stderr)


def _printable(line: str, color: bool) -> str:
    """Return a line whose control characters, which came from somebody's file, are escaped."""
    if line.isprintable():
        return line
    parts = re.split(_PAINT, line) if color else [line]
    return "".join(part if color and re.fullmatch(_PAINT, part) else shown(part, len(part)) for part in parts)


def style() -> Style:
    """Return color and width of the terminal; plain when piped or when NO_COLOR is set. COLUMNS is the width, if set.

    A pipe into another program, such as `head`, ends in the terminal where the errors go; a file has no width.
    """
    terminal = sys.stdout is not None and sys.stdout.isatty()
    color = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = whole_number(os.environ.get("COLUMNS", "")) or _columns(terminal)
    if not columns:
        return Style(color=color, tables=PIPED)
    return Style(color=color, width=max(40, min(columns, MAX_WIDTH)))


def _columns(terminal: bool) -> int:
    """Return the width of the terminal that shows standard output; 0 for a file, or a terminal without a size."""
    try:
        if terminal:
            return os.get_terminal_size().columns
        if sys.stdout is not None and sys.stderr is not None and stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        pass
    return 0


@contextlib.contextmanager
def status(text: str) -> Iterator[None]:
    """Show what is being done until it is done, where there is something to show and standard error is a terminal."""
    show = bool(text) and on_terminal()
    tell(f"{text} …" if show else "")
    try:
        yield
    finally:
        tell(CLEAR if show else "")


def tracing(*models: object, training: bool = False) -> str:
    """Return what to show while models are counted: nothing for those that take an instant."""
    slow = [model for model in models if isinstance(model, str) and (training or _is_slow(model))]
    return f"tracing {shown(slow[0], 60)}" if slow else ""


def _is_slow(model: str) -> bool:
    """Return whether a model takes more than an instant to count."""
    return model.startswith(_SLOW) or model.endswith(".onnx") or ".py:" in model


def on_terminal() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def tell(text: str) -> None:
    """Write a piece of a line to standard error at once, where it is open."""
    if text:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def error_object(error: HwbenchError, exit_code: int, field: str | None) -> str:
    """Return the JSON of an error: `{"error": {code, message, exit_code, file, line, column, field, nearest}}`."""
    body: dict[str, Any] = {"code": error.code, "message": shown(error, 1000), "exit_code": exit_code}
    if isinstance(error, InputError):
        body["message"] = shown(error.message, 600)
        place = {"file": error.file, "line": error.line, "column": error.column, "field": field}
        body.update({key: value for key, value in place.items() if value is not None})
        body["nearest"] = list(error.nearest)
    return _json({"error": body})
