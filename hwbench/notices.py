"""Notices: what an answer should say beside its numbers, as a code and values.

Code that notices something makes a `Notice`; only people read its sentence, which is in `notice_texts`.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct


class Notice(Struct, frozen=True):
    """One thing worth saying: `code` names its kind and does not change, `data` holds the values of its sentence."""

    code: str
    data: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The sentence for people."""
        from hwbench.notice_texts import sentence  # which answers without notices do without

        return sentence(self.code, self.data)

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash((self.code, repr(self.data)))


def notice(code: str, **data: Any) -> Notice:
    """Return a notice of a code with the values of its sentence."""
    return Notice(code, data)


def unique(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Return the notices whose sentences differ, in the order in which they came."""
    first: dict[str, Notice] = {}
    for each in notices:
        first.setdefault(each.text, each)
    return tuple(first.values())
