"""Formulas as MathML, written when the pages are built: browsers show it without scripts, fonts or requests."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Return the page with its TeX replaced (`pymdownx.arithmatex` has marked it)."""
    return FORMULA.sub(
        lambda match: convert(html.unescape(match[2]), display="block" if match[1] == "div" else "inline"), content
    )
