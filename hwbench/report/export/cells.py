"""Cells of CSV that a spreadsheet and a terminal show as the text they are."""

from typing import Any

from hwbench.errors import shown

_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
"""Characters that make a spreadsheet compute a cell; the last four are their full-width forms."""


def text_cell(value: Any) -> Any:
    """Return a cell as it is written: text without control characters, quoted where it would be a formula."""
    if not isinstance(value, str):
        return value
    quoted = f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value
    return shown(quoted, len(quoted))
