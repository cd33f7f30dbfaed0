"""Plain data out of YAML: no tags, no anchors (so no alias bombs), no duplicate keys, none of YAML 1.1's surprises.

Plain scalars follow YAML 1.2: `no` is text, `12:30` is text, `1e9` is a number. Apart from `documents`, because
importing PyYAML costs a third of a start, and files of the catalog are there in parsed form (see `folders`).
"""

from typing import Any

import yaml

from hwbench.errors import InputError, shown

Marks = dict[str, tuple[int, int]]

DEEPEST = 40
_NUMERIC = frozenset("0123456789.eE+-")
_LITERALS: dict[str, bool | None] = {"": None, "null": None, "~": None, "true": True, "false": False}
_PLAIN_DATA = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", "!", None)
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def parse(text: str, path: str, marks: Marks | None = None) -> Any:
    """The data of the only document in a text; `marks` takes line and column of each field. Raises InputError."""
    return _Builder(text, path, marks).document()


class _Builder:
    """Plain data out of the parser's events: none of YAML's object construction, and no recursion without a limit."""

    def __init__(self, text: str, path: str, marks: Marks | None = None) -> None:
        self.path = path
        self.marks = marks
        self.text = text

    def document(self) -> Any:
        """The only document of the text."""
        loader = None
        try:
            loader = self.loader = _Loader(self.text)
            loader.get_event()
            if loader.check_event(yaml.StreamEndEvent):
                raise InputError("is empty", file=self.path)
            loader.get_event()
            data = self._value(loader.get_event(), "", 0)
            loader.get_event()
            if not loader.check_event(yaml.StreamEndEvent):
                raise self._error(loader.get_event(), "a file holds one document only")
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            message = f"is not valid YAML: {error.problem or error.context}"
            raise InputError(message, file=self.path, line=line, column=column) from None
        except yaml.YAMLError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"is not valid YAML: {reason}", file=self.path) from None
        finally:
            if loader is not None:
                loader.dispose()
        return data

    def _error(self, event: Any, message: str) -> InputError:
        mark = event.start_mark
        return InputError(message, file=self.path, line=mark.line + 1, column=mark.column + 1)

    def _value(self, event: Any, field: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise self._error(event, f"is nested more than {DEEPEST} levels deep")
        self._check(event)
        if self.marks is not None:
            self.marks.setdefault(field, (event.start_mark.line + 1, event.start_mark.column + 1))
        if isinstance(event, yaml.ScalarEvent):
            # A style: quoted, or a block of text. A tag: text, whatever it looks like.
            return event.value if event.style or event.tag else self._plain(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := self.loader.get_event(), yaml.SequenceEndEvent):
                below = "" if self.marks is None else f"{field}[{len(items)}]"
                items.append(self._value(event, below, depth + 1))
            return items
        return self._mapping(field, depth)

    def _check(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._error(event, "anchors and aliases are not allowed: write the value out")
        if event.tag not in _PLAIN_DATA:
            raise self._error(event, f"the tag {shown(event.tag, 60)} is not allowed: files hold plain data only")

    def _mapping(self, field: str, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := self.loader.get_event(), yaml.MappingEndEvent):
            self._check(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key must be plain text")
            key = event.value
            if key in mapping:
                raise self._error(event, f"the key '{shown(key)}' stands twice in the same mapping")
            below = ""
            if self.marks is not None:  # the pass that an error pays for
                below = f"{field}.{key}" if field else key
                mark: Any = event.start_mark
                self.marks[below] = (mark.line + 1, mark.column + 1)
            mapping[key] = self._value(self.loader.get_event(), below, depth + 1)
        return mapping

    def _plain(self, event: Any) -> Any:
        text: str = event.value
        if text in _LITERALS:
            return _LITERALS[text]
        if not _NUMERIC.issuperset(text) or not any(map(str.isdigit, text)):
            return text
        try:
            value = float(text)
        except ValueError:
            return text  # a date, a range of versions
        if len(text) > 30 or value in (float("inf"), float("-inf")):
            raise self._error(event, f"the number {shown(text, 30)} is too large")
        return value if "." in text or "e" in text.lower() else int(text)
