"""The page as a file: the one that the server sends, whose scripts ask it, or one with the answers inside.

A page with answers makes no request and runs no other script than its own: its policy forbids both.
"""

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

SCRIPTS = ("plotly-basic.min.js", "figures.js")
MODULES = ("tables.js", "controls.js", "pickers.js", "explore.js")
STYLES = ("page.css", "explore.css")
_BETWEEN_MODULES = re.compile(r"^import .*\n|^export \{.*\n|^export ", re.MULTILINE)
_POLICY = (
    "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
    "form-action 'none'"
)


@cache
def asset(name: str) -> str:
    """Return a file of the page."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets", name)
    with open(path, encoding="utf-8") as file:
        return file.read()


def served(initial: str) -> str:
    """Return the page that asks its server; `initial` is the query of its first question."""
    links = "".join(f'<link rel="stylesheet" href="/static/{name}">\n' for name in STYLES)
    scripts = "".join(f'<script src="/static/{name}"></script>\n' for name in SCRIPTS)
    scripts += f'<script type="module" src="/static/{MODULES[-1]}"></script>'
    return _filled(TITLE="hwbench explore", HEAD=links, INITIAL=html.escape(initial), VERDICT="", SCRIPTS=scripts)


def saved(title: str, verdict: str, contents: Mapping[str, Any]) -> str:
    """Return the page with everything inside: `contents` are what its scripts read, by the name of an element."""
    scripts = [asset(name).replace("</script", "<\\/script") for name in SCRIPTS]
    module = "".join(_BETWEEN_MODULES.sub("", asset(name)) for name in MODULES)
    policy = _POLICY.format(" ".join(f"'sha256-{_digest(script)}'" for script in (*scripts, module)))
    body = "".join(
        f'<script type="application/json" id="{key}">{_json(own)}</script>\n' for key, own in contents.items()
    )
    body += "".join(f"<script>{script}</script>\n" for script in scripts) + f'<script type="module">{module}</script>'
    head = (
        f'<meta http-equiv="content-security-policy" content="{policy}">\n<style>{"".join(map(asset, STYLES))}</style>'
    )
    return _filled(TITLE=html.escape(title), HEAD=head, INITIAL="", VERDICT=html.escape(verdict), SCRIPTS=body)


def _filled(**values: str) -> str:
    head, *rest = asset("explore.html").split("{{")
    pieces = [head]
    for piece in rest:  # one pass: filled-in text is never replaced again
        name, _, after = piece.partition("}}")
        pieces += [values[name], after]
    return "".join(pieces)


def _digest(script: str) -> str:
    """Return the digest by which a content security policy allows a script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _json(data: Any) -> str:
    """Return JSON for a script element: without `<`, `>`, `&` and JavaScript's line separators."""
    content = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
