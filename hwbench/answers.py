"""What every answer can do: print itself, draw itself in a notebook, and turn into a dict, JSON or a pandas table.

An answer is a frozen struct that inherits `Answer`. Its text is written by `hwbench.report.text`, which registers
with `lines`; importing `hwbench.api` is enough for that.
"""

from collections.abc import Callable, Iterable
from functools import singledispatch
from importlib import import_module
from typing import Any, ClassVar

import msgspec

from hwbench.errors import InputError, shown
from hwbench.notices import Notice
from hwbench.units import exact, si

MAX_HTML_ROWS = 100
_MAX_REPR = 190
_UNITS = {
    "flops_per_second": "FLOP/s", "bytes_per_second": "B/s", "per_s": "/s", "flops": "FLOP", "macs": "MAC",
    "bytes": "B", "hz": "Hz", "w": "W", "s": "s",
}  # fmt: skip
"""Unit of a value by the end of its name."""


class Answer:
    """Mixin of the structs that the API returns.

    SCHEMA names their JSON, MAIN the values worth a line (a dot leads into a nested struct), ROWS the field that is
    their table, and CONTEXT the fields that only texts need: JSON leaves those out. TITLE heads the HTML of an answer
    whose text begins with a table.
    """

    __slots__ = ()
    SCHEMA: ClassVar[str] = ""
    MAIN: ClassVar[tuple[str, ...]] = ()
    ROWS: ClassVar[str] = ""
    CONTEXT: ClassVar[tuple[str, ...]] = ()
    TITLE: ClassVar[str] = ""

    def __str__(self) -> str:
        warnings = [f"warning: {notice}" for notice in getattr(self, "notices", ())]
        return "\n".join([*lines(self), *(["", *warnings] if warnings else [])])

    def __repr__(self) -> str:
        text = ", ".join(f"{name}={_short(value)}" for name, value in main_values(self))
        limit = _MAX_REPR - len(type(self).__name__)
        return f"{type(self).__name__}({text if len(text) <= limit else f'{text[:limit]}…'})"

    def __hash__(self) -> int:
        return hash(repr(self))  # of values that equal answers share

    def _repr_html_(self) -> str:
        title = _escaped(self.TITLE or lines(self)[0])
        facts = [{"": _title(name), "value": _cell(name, value)} for name, value in main_values(self)]
        notes = "".join(f"<p>{_escaped(str(notice))}</p>" for notice in getattr(self, "notices", ()))
        return f"<p><b>{title}</b></p>{html_table(facts)}{html_table(rows(self))}{notes}"

    def to_dict(self) -> dict[str, Any]:
        """Return the object that the command line writes with `--json`: plain values in SI units."""
        return document(self.SCHEMA, self)

    def to_json(self) -> str:
        """Return `to_dict()` as one line of JSON."""
        return msgspec.json.encode(self.to_dict()).decode()

    def to_frame(self) -> Any:
        """Return the table of the answer as a `pandas.DataFrame`. Raises InputError where pandas is not installed."""
        try:
            pandas = import_module("pandas")
        except ImportError:
            message = "A data frame needs the package pandas, which is not installed: pip install pandas."
            raise InputError("missing-extra", message) from None
        return pandas.DataFrame(rows(self))

    def plot(self, name: str | None = None) -> Any:
        """Return a figure of the answer as a `plotly.graph_objects.Figure`: the first, or that of a name.

        An estimate has `layers`, `limits` and `roofline`, a comparison of devices `factors`. Raises InputError for
        answers and names without a figure.
        """
        known = figures(self)
        if (name or next(iter(known), None)) not in known:
            message = (
                f"There is no figure '{shown(name or '', 40)}' of this." if known else "There is no figure of this."
            )
            raise InputError("no-figure", message, field="name", nearest=tuple(known))
        figure = known[name or next(iter(known))]()
        layout = {**figure.layout, "title": {"text": figure.title}, "height": figure.height}
        try:
            return import_module("plotly.graph_objects").Figure({"data": figure.traces, "layout": layout})
        except ModuleNotFoundError:
            message = 'A figure needs the package plotly, which is not installed: pip install "hwbench[notebook]".'
            raise InputError("missing-extra", message) from None

    def body(self) -> dict[str, Any]:
        """Return the answer's own part of its JSON."""
        struct: Any = self
        names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
        values = {key: getattr(self, name) for name, key in names if name not in self.CONTEXT}
        body = {key: plain(value) for key, value in values.items() if value is not msgspec.UNSET}
        return body | (_notices(values["notices"]) if "notices" in values else {})


@singledispatch
def lines(answer: Any, style: Any = None) -> list[str]:  # noqa: ARG001
    """Return an answer as lines of text in a style of `hwbench.report.text.layout`, plain by default."""
    return [repr(answer)]


@singledispatch
def figures(answer: Any) -> dict[str, Callable[[], Any]]:  # noqa: ARG001
    """Return what makes the figures of an answer, by name; none by default."""
    return {}


@singledispatch
def rows(answer: Any) -> list[dict[str, Any]]:
    """Return the table of an answer: a dict a row, in SI units."""
    return [plain(row) for row in getattr(answer, answer.ROWS)] if answer.ROWS else [dict(main_values(answer))]


def document(schema: str, body: Any, notices: Iterable[Notice | str] = ()) -> dict[str, Any]:
    """Return the JSON object of an answer or a dict, with the notices of both: `hwbench.<schema>`, `/1` by default."""
    from hwbench import __version__  # whose types are those of the API, which has answers

    own = () if isinstance(body, dict) else getattr(body, "notices", ())
    head = {
        "schema": f"hwbench.{schema}" if "/" in schema else f"hwbench.{schema}/1",
        "hwbench_version": __version__,
        **_notices([*own, *notices]),
    }
    return {**head, **{key: value for key, value in plain(body).items() if key not in ("warnings", "notices")}}


def plain(value: Any) -> Any:
    """Return a value as dicts, lists, texts and numbers: answers by their `body`, notices by their text."""
    if isinstance(value, Answer):
        return value.body()
    if isinstance(value, Notice):
        return value.text
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return msgspec.to_builtins(value, enc_hook=exact)


def main_values(answer: Any) -> list[tuple[str, Any]]:
    """Return the values worth a line by name: those of MAIN, else every field that is a text or a number."""
    names = answer.MAIN or [name for name in answer.__struct_fields__ if name not in answer.CONTEXT]
    values = []
    for name in names:
        value = answer
        for part in name.split("."):
            value = getattr(value, part, None)
        if isinstance(value, (str, int, float)):
            values.append((name, value))
    return values


def html_table(table: list[dict[str, Any]]) -> str:
    """Return rows as a table of HTML with readable numbers; the first MAX_HTML_ROWS of more."""
    if not table:
        return ""
    head = "".join(f"<th>{_escaped(_title(name))}</th>" for name in table[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_escaped(_cell(name, value))}</td>" for name, value in row.items()) + "</tr>"
        for row in table[:MAX_HTML_ROWS]
    )
    rest = len(table) - MAX_HTML_ROWS
    more = f"<p>… and {rest:,} more rows</p>" if rest > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _notices(notices: Iterable[Notice | str]) -> dict[str, Any]:
    every = list(dict.fromkeys(notices))
    typed = [{"code": notice.code, "text": notice.text} for notice in every if isinstance(notice, Notice)]
    return {"warnings": [str(notice) for notice in every], "notices": typed}


def _escaped(text: str) -> str:
    import html  # whose table of entities costs start-up time

    return html.escape(text)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _unit_name(name: str) -> str | None:
    return next((end for end in _UNITS if name == end or name.endswith((f"_{end}", f".{end}"))), None)


def _title(name: str) -> str:
    return name.removesuffix(f"_{_unit_name(name)}").replace("_", " ").replace(".", " ")


def _cell(name: str, value: Any) -> str:
    """Return a value as a person reads it, with its unit."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return shown(value if isinstance(value, str) else msgspec.json.encode(value).decode())
    unit = _unit_name(name)
    if unit:
        return si(value, _UNITS[unit])
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
