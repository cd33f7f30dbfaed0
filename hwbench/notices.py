"""What an answer should say beside its numbers: a code and values where it is noticed, a sentence where it is shown.

Code that notices something makes a `Notice`; nothing reads its sentence but people. TEXTS is the one place where these
sentences are written, for the command line, JSON and Python alike.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct


class Notice(Struct, frozen=True):
    """One thing worth saying: `code` names its kind and does not change, `data` holds the values of its sentence."""

    code: str
    data: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The sentence for people."""
        text = TEXTS[self.code]
        return text.format(**self.data) if isinstance(text, str) else text(**self.data)

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash((self.code, repr(self.data)))


def notice(code: str, **data: Any) -> Notice:
    """Return a notice of a code with the values of its sentence."""
    return Notice(code, data)


def unique(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Return the notices without repetition, in the order in which they came."""
    return tuple(dict.fromkeys(notices))


TEXTS: dict[str, str | Callable[..., str]] = {
    "recorded": "{text}",  # saved by a version that wrote sentences only
}
"""The sentence of each code: a template of its data, or a function of it where a value has to be formatted."""
