"""Read plain data from YAML: no tags, no anchors (so no alias bombs), no duplicate keys, no surprises of YAML 1.1.

Plain scalars follow YAML 1.2: `no` is text, `12:30` is text, `1e9` is a number. A module of its own, because importing
PyYAML takes a third of a start, and the catalog's files are cached in parsed form (see `cache`).
"""

from typing import Any

import yaml

from hwbench.errors import InputError, shown

Marks = dict[str, tuple[int, int]]

MAX_DEPTH = 40
_NUMERIC = frozenset("0123456789.eE+-")
_LITERALS: dict[str, bool | None] = {"": None, "null": None, "~": None, "true": True, "false": False}
_PLAIN_DATA = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", "!", None)
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def parse(text: str, path: str, marks: Marks | None = None) -> Any:
    """Return the data of a text's only document; `marks` takes line and column of each field. Raises InputError."""
    return _Builder(text, path, marks).document()


class _Builder:
    """Builds plain data from the parser's events, without YAML's object construction or recursion without a limit."""

    def __init__(self, text: str, path: str, marks: Marks | None = None) -> None:
        self.text, self.path, self.marks = text, path, marks

    def document(self) -> Any:
        """Return the data of the only document of the text."""
        loader = None
        try:
            loader = self.loader = _Loader(self.text)
            loader.get_event()
            if loader.check_event(yaml.StreamEndEvent):
                raise InputError("empty-file", "The file is empty.", file=self.path)
            loader.get_event()
            data = self._value(loader.get_event(), "", 0)
            loader.get_event()
            if not loader.check_event(yaml.StreamEndEvent):
                raise self._error(loader.get_event(), "several-documents", "The file has more than one document.")
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            message = f"The file is not valid YAML: {error.problem or error.context}."
            raise InputError("not-yaml", message, file=self.path, line=line, column=column) from None
        except yaml.YAMLError as error:
            reason = str(error).partition("\n")[0]
            raise InputError("not-yaml", f"The file is not valid YAML: {reason}.", file=self.path) from None
        finally:
            if loader is not None:
                loader.dispose()
        return data

    def _error(self, event: Any, code: str, message: str) -> InputError:
        mark = event.start_mark
        return InputError(code, message, file=self.path, line=mark.line + 1, column=mark.column + 1)

    def _value(self, event: Any, field: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._error(event, "too-deep", f"The file is nested more than {MAX_DEPTH} levels deep.")
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
            raise self._error(event, "yaml-anchor", "Anchors and aliases are not allowed: write the value out.")
        if event.tag not in _PLAIN_DATA:
            message = f"The tag {shown(event.tag, 60)} is not allowed: files are plain data."
            raise self._error(event, "yaml-tag", message)

    def _mapping(self, field: str, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := self.loader.get_event(), yaml.MappingEndEvent):
            self._check(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "yaml-key", "A key is not plain text.")
            key = event.value
            if key in mapping:
                raise self._error(event, "key-twice", f"The key '{shown(key)}' is twice in the same mapping.")
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
            raise self._error(event, "number-too-large", f"The number {shown(text, 30)} is out of range.")
        return value if "." in text or "e" in text.lower() else int(text)
