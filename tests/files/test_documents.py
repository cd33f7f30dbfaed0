"""YAML from anybody: what is data, what is refused and where, and that nothing hangs or dies."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.files import content, documents
from hwbench.files import yaml as yaml_reader
from hwbench.units import Hertz

on_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
Write = Callable[[str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and gives its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "file.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def refused(path: str) -> InputError:
    with pytest.raises(InputError) as caught:
        documents.read(path)
    assert caught.value.file == path
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    return caught.value


REFUSED: dict[str, tuple[str | bytes, int | None, int | None, str]] = {
    "anchor": ("a: 1\nb: &x 2\n", 2, 4, "yaml-anchor"),
    "anchor on a list": ("a: &x [1]\n", 1, 4, "yaml-anchor"),
    "anchor on the whole": ("&x\na: 1\n", 1, 1, "yaml-anchor"),
    "anchor on a key": ("&x a: 1\n", 1, 1, "yaml-anchor"),
    "alias": ("a: *x\n", 1, 4, "yaml-anchor"),
    "alias in a list": ("a:\n  - 1\n  - *x\n", 3, 5, "yaml-anchor"),
    "alias as a key": ("*x : 1\n", 1, 1, "yaml-anchor"),
    "merge key": ("b: 1\n<<: *x\n", 2, 5, "yaml-anchor"),
    "tag of python": ("a: !!python/object/apply:os.system [ls]\n", 1, 4, "yaml-tag"),
    "tag on the whole": ("!!python/object:os.system\na: 1\n", 1, 1, "yaml-tag"),
    "tag on a key": ("a: 1\n!!python/name:os.system b: 1\n", 2, 1, "yaml-tag"),
    "tag of a type": ("a: !!int '3'\n", 1, 4, "yaml-tag"),
    "tag of binary": ("a: !!binary aGk=\n", 1, 4, "yaml-tag"),
    "tag of a set": ("a: !!set {x}\n", 1, 4, "yaml-tag"),
    "tag of ours": ("a:\n- !secret x\n", 2, 3, "yaml-tag"),
    "undeclared tag": ("a: !no!such x\n", 1, 4, "not-yaml"),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", 3, 1, "key-twice"),
    "duplicate key at depth": ("a:\n  - b: {c: 1, d: 2}\n    e: {c: 1, d: 2, c: 3}\n", 3, 21, "key-twice"),
    "duplicate key in quotes": ("1: a\n'1': b\n", 2, 1, "key-twice"),
    "duplicate empty key": ("? \n: 1\n? \n: 2\n", 3, 2, "key-twice"),
    "two documents": ("a: 1\n---\nb: 2\n", 2, 1, "several-documents"),
    "two documents, ended": ("a: 1\n...\n---\nb: 2\n", 3, 1, "several-documents"),
    "a list as a key": ("? [a]\n: 1\n", 1, 3, "yaml-key"),
    "a mapping as a key": ("{a: 1}: 1\n", 1, 1, "yaml-key"),
    "a list": ("- a\n- b\n", 1, 1, "not-a-mapping"),
    "a scalar": ("hello\n", 1, 1, "not-a-mapping"),
    "a number": ("3\n", 1, 1, "not-a-mapping"),
    "nothing in a document": ("---\n", 1, 1, "not-a-mapping"),
    "nothing": ("", None, None, "empty-file"),
    "white space": (" \n\n  \n", None, None, "empty-file"),
    "only comments": ("# one\n# two\n", None, None, "empty-file"),
    "only a BOM": (b"\xef\xbb\xbf", None, None, "empty-file"),
    "a tab before a key": ("a:\n\tb: 1\n", 2, 1, "not-yaml"),
    "a tab at the start": ("\ta: 1\n", 1, 1, "not-yaml"),
    "an open list": ("a: [1, 2\n", 2, 1, "not-yaml"),
    "an open quote": ("a: 'x\n", 2, 1, "not-yaml"),
    "two colons": ("a: b: c\n", 1, 5, "not-yaml"),
    "a reserved character": ("a: @x\n", 1, 4, "not-yaml"),
    "bad indentation": ("a: 1\n  b: 2\n", 2, 4, "not-yaml"),
    "an unknown directive": ("%FOO\n---\na: 1\n", 1, 5, "not-yaml"),
    "YAML of the future": ("%YAML 3.0\n---\na: 1\n", 1, 1, "not-yaml"),
    "a NUL": (b"a: b\0c\n", None, None, "not-yaml"),
    "an escape": (b"a: \x1b[31mred\n", None, None, "not-yaml"),
    "bytes": (b"a: 1\nb: \xff\n", 2, None, "not-utf8"),
    "an ELF": (b"\x7fELF\x02\x01\x01\0\0\0", None, None, "not-yaml"),
    "a PNG": (b"\x89PNG\r\n\x1a\n", 1, None, "not-utf8"),
    "UTF-16": ("a: 1\n".encode("utf-16"), 1, None, "not-utf8"),
    "UTF-16 without a BOM": ("a: 1\n".encode("utf-16-le"), None, None, "not-yaml"),
    "Latin-1": ("a: Zürich\n".encode("latin-1"), 1, None, "not-utf8"),
    "an encoded surrogate": (b"a: \xed\xa0\x80\n", 1, None, "not-utf8"),
    "an endless number": ("a: 1" + "0" * 5000, 1, 4, "number-too-large"),
    "a float beyond floats": ("a: 1\nb: 1e400\n", 2, 4, "number-too-large"),
    "a negative float beyond floats": ("b: -1e400\n", 1, 4, "number-too-large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, write: Write) -> None:
    text, line, column, code = REFUSED[name]
    error = refused(write(text))
    assert (error.code, error.line, error.column) == (code, line, column)


DEPTH = 100_000
DEEP = {
    "lists in flow": "a: " + "[" * DEPTH + "]" * DEPTH,
    "open lists in flow": "a: " + "[" * DEPTH,
    "mappings in flow": "{a: " * DEPTH + "1" + "}" * DEPTH,
    "lists in a block": "a:\n" + "- " * DEPTH,
    "lists in a block at the top": "- " * DEPTH,
    "mappings in a block": "".join(" " * depth + "a:\n" for depth in range(1400)),
    "questions": "? " * DEPTH,
    "braces and brackets": "[{a: " * DEPTH,
    "comma lists": "a: [" + "[],[" * DEPTH,
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_is_refused(name: str, write: Write) -> None:
    error = refused(write(DEEP[name]))
    assert "nested more than 40 levels" in error.message or "plain text" in error.message


def test_depth_up_to_the_limit_is_read(write: Write) -> None:
    deepest = yaml_reader.MAX_DEPTH
    assert "a" in documents.read(write("a: " + "[" * deepest + "]" * deepest)).data
    refused(write("a: " + "[" * (deepest + 1) + "]" * (deepest + 1)))


def test_an_alias_bomb_is_refused_at_its_first_anchor(write: Write) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    error = refused(write("\n".join(lines)))
    assert (error.line, error.column) == (1, 5)


READ: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "BOM": (b"\xef\xbb\xbfa: 1\n", {"a": 1}),
    "CRLF": ("a: 1\r\nb:\r\n  - x\r\n", {"a": 1, "b": ["x"]}),
    "CR": ("a: 1\rb: 2\r", {"a": 1, "b": 2}),
    "no newline at the end": ("a: 1", {"a": 1}),
    "a document mark": ("---\na: 1\n...\n", {"a": 1}),
    "a directive": ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
    "comments": ("# x\na: 1 # y\n# z\n", {"a": 1}),
    "a tab after a colon": ("a:\tb\n", {"a": "b"}),
    "flow": ("{a: [1, {b: c}], d: {}}", {"a": [1, {"b": "c"}], "d": {}}),
    "empty flow": ("{}", {}),
    "folded": ("a: >-\n  one\n  two\n", {"a": "one two"}),
    "literal": ("a: |\n  1\n", {"a": "1\n"}),
    "tagged text": ("a: !!str 3\nb: ! 2020\nc: !!str true\n", {"a": "3", "b": "2020", "c": "true"}),
    "keys are text": ("1: a\ntrue: b\nnull: c\n1.0: e\n", {"1": "a", "true": "b", "null": "c", "1.0": "e"}),
    "unicode": ("ключ: 東京 😀\n", {"ключ": "東京 😀"}),
    "a merge key without an alias": ("<<: {a: 1}\n", {"<<": {"a": 1}}),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_read(name: str, write: Write) -> None:
    content, data = READ[name]
    found = documents.read(write(content)).data
    assert found == data


SCALARS: list[tuple[str, object]] = [
    ("no", "no"),
    ("No", "No"),
    ("yes", "yes"),
    ("on", "on"),
    ("off", "off"),
    ("y", "y"),
    ("n", "n"),
    ("true", True),
    ("false", False),
    ("True", "True"),
    ("null", None),
    ("~", None),
    ("", None),
    ("None", "None"),
    ("12:30", "12:30"),
    ("1:00:00", "1:00:00"),
    ("2020-09", "2020-09"),
    ("2020-09-01", "2020-09-01"),
    ("2020", 2020),
    ("0", 0),
    ("-0", 0),
    ("012", 12),
    ("0o17", "0o17"),
    ("0x10", "0x10"),
    ("0b11", "0b11"),
    ("1_000", "1_000"),
    ("+5", 5),
    ("-5", -5),
    ("1e9", 1e9),
    ("1E9", 1e9),
    ("1e+9", 1e9),
    ("1.5e-3", 0.0015),
    (".5", 0.5),
    ("-.5", -0.5),
    ("5.", 5.0),
    ("1e", "1e"),
    ("e9", "e9"),
    (".", "."),
    ("...5", "...5"),
    ("1.2.3", "1.2.3"),
    ("1-2", "1-2"),
    ("+", "+"),
    (".inf", ".inf"),
    ("-.inf", "-.inf"),
    (".nan", ".nan"),
    ("inf", "inf"),
    ("nan", "nan"),
    ("٣", "٣"),
    ("1e-999", 0.0),
    ("123456789012345678901234567890", 123456789012345678901234567890),
    ("0123456789-0123456789-0123456789", "0123456789-0123456789-0123456789"),
    ("'1'", "1"),
    ('"true"', "true"),
    ("'null'", "null"),
    ("''", ""),
    ('"a\\tb\\x1b\\u202e"', "a\tb\x1b\u202e"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
@pytest.mark.parametrize("shape", ["a: {}\n", "a: [{}]\n", "a: {{b: {}}}\n"])
def test_plain_scalars_follow_yaml_1_2(text: str, value: object, shape: str, write: Write) -> None:
    data = documents.read(write(shape.format(text))).data
    if shape.startswith("a: [") and not text:
        assert data == {"a": []}
        return
    found = {"a: {}\n": lambda: data["a"], "a: [{}]\n": lambda: data["a"][0], "a: {{b: {}}}\n": lambda: data["a"]["b"]}
    assert found[shape]() == value
    assert type(found[shape]()) is type(value)


numbers = st.one_of(st.integers(-(10**25), 10**25), st.floats(allow_nan=False, allow_infinity=False))
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text()),
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(st.text(), below, max_size=4)),
    max_leaves=20,
)


def quoted(data: Any) -> str:
    """YAML as any library writes it, every text in quotes."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    style = Dumper.represent_scalar
    Dumper.add_representer(str, lambda dumper, text: style(dumper, "tag:yaml.org,2002:str", text, '"'))
    return yaml.dump(data, Dumper=Dumper, allow_unicode=False, sort_keys=False)


@pytest.mark.slow
@on_files
@given(st.dictionaries(st.text(), plain, max_size=5))
def test_plain_data_comes_back(write: Write, data: dict[str, Any]) -> None:
    assert documents.read(write(quoted(data))).data == data


@on_files
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@`#?,~ \n\t.0159e+<=\\\r\x85\u2028"), max_size=80).map(str.encode),
    )
)
def test_any_bytes_are_a_mapping_or_an_input_error(write: Write, content: bytes) -> None:
    try:
        data = documents.read(write(content)).data
    except InputError as error:
        said = str(error)
    else:
        said = ""
        assert isinstance(data, dict)
    assert said.isprintable()


def test_a_file_of_100_mb_is_refused_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.write(b"a: 1\n")
        file.truncate(100 << 20)
    read: list[int] = []
    real_open = open

    def counting(*args: Any, **kwargs: Any) -> Any:
        file = real_open(*args, **kwargs)
        real_read = file.read

        class Counting:
            def __enter__(self) -> "Counting":
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def read(self, size: int = -1) -> bytes:
                content: bytes = real_read(size)
                read.append(len(content))
                return content

        return Counting()

    monkeypatch.setattr("builtins.open", counting)
    assert refused(str(path)).code == "too-large"
    assert 0 < sum(read) <= content.MAX_BYTES + 1


def test_the_largest_file_is_read(write: Write) -> None:
    text = "a: 1\n#"
    path = write(text + "x" * (content.MAX_BYTES - len(text)))
    assert os.path.getsize(path) == content.MAX_BYTES
    assert documents.read(path).data == {"a": 1}
    path = write(text + "x" * (content.MAX_BYTES - len(text) + 1))
    assert refused(path).code == "too-large"


@pytest.mark.slow
def test_a_full_file_of_keys_is_read(write: Write) -> None:
    text = "".join(f"k{i}: {{a: {i}, b: [x, y]}}\n" for i in range(30_000))
    document = documents.read(write(text))
    assert len(document.data) == 30_000
    assert document.error("c", "x", "k29999.b[1]").line == 30_000


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("no-such.yaml", "No such file"),
        ("", "cannot be read"),
        (".", "directory"),
        ("a\0b.yaml", "null byte"),
        ("x" * 5000 + ".yaml", "too long"),
        ("\ud800.yaml", "cannot be read"),
    ],
)
def test_unreadable_paths(path: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = refused(path)
    assert "cannot be read" in error.message
    assert why in error.message


def test_a_file_without_permission(write: Write) -> None:
    path = write("a: 1\n")
    os.chmod(path, 0)
    if os.access(path, os.R_OK):  # root reads everything
        pytest.skip("this user may read any file")
    assert "Permission denied" in refused(path).message


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no /proc")
def test_a_file_that_fails_while_it_is_read() -> None:
    assert "cannot be read" in refused("/proc/self/mem").message


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero")
def test_an_endless_file_is_refused() -> None:
    assert "is larger" in refused("/dev/zero").message
    assert "is empty" in refused("/dev/null").message


def in_time(action: Callable[[], object]) -> object:
    """What the action returns, or a failure if it hangs."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(action()), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "hangs"
    return found[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_that_nobody_feeds_does_not_hang(tmp_path: Path) -> None:
    path = str(tmp_path / "pipe.yaml")
    os.mkfifo(path)
    assert "is empty" in str(in_time(lambda: refused(path)))


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no /dev/fd")
def test_a_pipe_that_somebody_feeds_slowly_is_read_whole() -> None:
    reader, writer = os.pipe()

    def feed() -> None:
        for line in ("a: 1\n", "b: 2\n"):
            time.sleep(0.1)
            os.write(writer, line.encode())
        os.close(writer)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        assert in_time(lambda: documents.read(f"/dev/fd/{reader}").data) == {"a": 1, "b": 2}
    finally:
        thread.join()
        os.close(reader)


def test_text_may_be_larger_where_it_is_said_so(write: Write) -> None:
    path = write("x" * (content.MAX_BYTES + 1))
    assert len(content.read_text(path, limit=1 << 21)) == content.MAX_BYTES + 1


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct below."""

    base: Hertz | None = None
    boost: Hertz | None = None
    by_isa: dict[str, Hertz] = {}


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct in a list."""

    name: str
    count: Annotated[int, msgspec.Meta(gt=0)]
    clock: Clock | None = None
    size: float | None = None
    good: bool = True


class Thing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct of the kinds of fields that catalog files have."""

    title: str
    parts: tuple[Part, ...]
    released: Annotated[str, msgspec.Meta(pattern="^(19|20)[0-9]{2}$")] | None = None
    origin: dict[str, int] = {}
    kind: Literal["cpu", "gpu"] = "cpu"


SOUND = """\
title: x
parts:
  - name: a
    count: 1
    clock: {base: 1 GHz, boost: 2 GHz}
  - {name: b, count: 2,
     clock: {by_isa: {avx2: 3 GHz}}}
released: '2020'
origin:
  x: 1
"""


def test_a_sound_document_is_converted(write: Write) -> None:
    thing = documents.convert(documents.read(write(SOUND)), Thing)
    assert thing.parts[0].clock == Clock(Hertz(1e9), Hertz(2e9))
    assert thing.parts[1].clock == Clock(by_isa={"avx2": Hertz(3e9)})
    assert type(thing.parts[1].clock.by_isa["avx2"]) is Hertz
    replaced = documents.convert(documents.read(write(SOUND)), Thing, {"title": "y", "parts": []})
    assert replaced == Thing("y", ())


WRONG: list[tuple[str, str, int, int, str, tuple[str, ...]]] = [
    ("title: x", "title: 1", 1, 1, "title", ()),
    ("title: x", "title: [x]", 1, 1, "title", ()),
    ("title: x", "title:", 1, 1, "title", ()),
    ("title: x", "titel: x", 1, 1, "titel", ("title",)),
    ("title: x", "'a\\nb': x", 1, 1, "a\\nb", ()),
    ("title: x\n", "", 1, 1, "", ()),
    ("count: 1", "count: 0", 4, 5, "parts[0].count", ()),
    ("count: 1", "count: one", 4, 5, "parts[0].count", ()),
    ("count: 1", "count: 1.5", 4, 5, "parts[0].count", ()),
    ("count: 1", "cuont: 1", 4, 5, "parts[0].cuont", ("count",)),
    ("    count: 1\n", "", 3, 5, "parts[0]", ()),
    ("base: 1 GHz", "base: 1", 5, 13, "parts[0].clock.base", ()),
    ("base: 1 GHz", "base: {a: b}", 5, 13, "parts[0].clock.base", ()),
    ("base: 1 GHz", "base: true", 5, 13, "parts[0].clock.base", ()),
    ("base: 1 GHz", "base: 0 GHz", 5, 13, "parts[0].clock.base", ()),
    ("base: 1 GHz", "base: -1 GHz", 5, 13, "parts[0].clock.base", ()),
    ("base: 1 GHz", "base: 1 ghz", 5, 13, "parts[0].clock.base", ()),
    ("boost: 2 GHz", "bost: 2 GHz", 5, 26, "parts[0].clock.bost", ("boost",)),
    ("name: b", "name: 2", 6, 6, "parts[1].name", ()),
    ("count: 2", "count: -2", 6, 15, "parts[1].count", ()),
    ("by_isa: {avx2: 3 GHz}", "by_isa: 3", 7, 14, "parts[1].clock.by_isa", ()),
    ("avx2: 3 GHz", "avx2: 3", 7, 14, "parts[1].clock.by_isa", ()),
    ("released: '2020'", "released: 2020", 8, 1, "released", ()),
    ("released: '2020'", "released: May", 8, 1, "released", ()),
    ("released: '2020'", "kind: gpus", 8, 1, "kind", ("gpu",)),
    ("released: '2020'", "kind: other", 8, 1, "kind", ("cpu", "gpu")),
    ("released: '2020'", "kind: 'a\\nb'", 8, 1, "kind", ("cpu", "gpu")),
    ("released: '2020'", "kind: 1", 8, 1, "kind", ()),
    ("x: 1", "x: y", 10, 3, "origin", ()),
    ("clock: {base: 1 GHz, boost: 2 GHz}", "size: big", 5, 5, "parts[0].size", ()),
    ("clock: {base: 1 GHz, boost: 2 GHz}", "good: 'yes'", 5, 5, "parts[0].good", ()),
    ("clock: {base: 1 GHz, boost: 2 GHz}", "good: no", 5, 5, "parts[0].good", ()),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "column", "field", "choices"), WRONG)
def test_a_wrong_field_is_named_with_its_place(
    old: str, new: str, line: int, column: int, field: str, choices: tuple[str, ...], write: Write
) -> None:
    assert SOUND.count(old) == 1
    path = write(SOUND.replace(old, new))
    with pytest.raises(InputError) as caught:
        documents.convert(documents.read(path), Thing)
    error = caught.value
    assert (error.code, error.nearest) == ("invalid-field", choices)
    assert str(error).isprintable()
    if field != "origin" and "by_isa" not in field:
        assert (error.line, error.column, error.field or "") == (line, column, field)
    else:  # the key of a dict is not told: the place is that of the dict
        assert abs((error.line or 0) - line) <= 1


def test_columns_count_characters_not_bytes(write: Write) -> None:
    path = write("{title: 'Zürich 東京 😀', parts: [{name: a, cuont: 1}]}\n")
    with pytest.raises(InputError) as caught:
        documents.convert(documents.read(path), Thing)
    assert caught.value.column == "{title: 'Zürich 東京 😀', parts: [{name: a, cuont: 1}]}".index("cuont") + 1


def test_lines_count_after_a_bom_and_crlf(write: Write) -> None:
    path = write(b"\xef\xbb\xbf# x\r\ntitle: x\r\nparts:\r\n- {name: a, cuont: 1}\r\n")
    with pytest.raises(InputError) as caught:
        documents.convert(documents.read(path), Thing)
    assert (caught.value.line, caught.value.column) == (4, 13)


def test_a_place_that_is_not_in_the_file_is_the_nearest_above(write: Write) -> None:
    document = documents.read(write(SOUND))
    assert (document.error("c", "x", "parts[0].clock.turbo").line, document.error("c", "x", "parts[7]").line) == (5, 2)
    assert (document.error("c", "x", "partsy").line, document.error("c", "x").line) == (1, 1)
    assert document.error("c", "x", "parts[1]").column == 5
    assert document.error("c", "x").field is None


def test_a_document_too_deep_for_the_converter(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    document = documents.read(write(SOUND))

    def recurse(*_: Any, **__: Any) -> None:
        raise RecursionError

    monkeypatch.setattr(msgspec, "convert", recurse)
    with pytest.raises(InputError, match="too deeply"):
        documents.convert(document, Thing)


def test_a_type_that_no_file_can_hold_is_said(write: Write) -> None:
    class Odd(msgspec.Struct):
        title: complex

    with pytest.raises(InputError, match="complex is not a type of a field"):
        documents.convert(documents.read(write("title: x\n")), Odd)


names = st.sampled_from(["title", "parts", "name", "count", "clock", "base", "boost", "by_isa", "origin", "released"])
near = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=9), st.sampled_from(["1 GHz", "0 Hz", "2020"])),
    lambda below: st.one_of(
        st.lists(below, max_size=3), st.dictionaries(st.one_of(names, st.text(max_size=5)), below, max_size=4)
    ),
    max_leaves=15,
)


@pytest.mark.slow
@on_files
@given(st.dictionaries(st.one_of(names, st.text(max_size=30)), near, max_size=4))
def test_any_mapping_is_a_thing_or_an_input_error(write: Write, data: dict[str, Any]) -> None:
    path = write(quoted(data))
    try:
        documents.convert(documents.read(path), Thing)
    except InputError as error:
        said, line = str(error), error.line
    else:
        said, line = "", 1
    assert said.isprintable()
    assert line is not None
    assert line >= 1


@on_files
@given(st.text("x`$.[] -at", max_size=30))
def test_a_field_named_like_a_complaint_confuses_nobody(write: Write, name: str) -> None:
    path = write(quoted({"title": "x", "parts": [], f"?{name}": 1}))
    with pytest.raises(InputError) as caught:
        documents.convert(documents.read(path), Thing)
    assert "unknown field" in str(caught.value)


def test_the_pure_python_parser_gives_the_same(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libyaml is missing, PyYAML's own parser takes its place."""
    monkeypatch.setattr(yaml_reader, "_Loader", yaml.BaseLoader)
    for name, (text, data) in READ.items():
        if name != "a tab after a colon":  # only libyaml reads it
            assert documents.read(write(text)).data == data, name
    for name, (text, _, _, code) in REFUSED.items():
        if name == "an unknown directive":  # only libyaml refuses it
            continue
        assert refused(write(text)).code in (code, "not-yaml"), name
    path = write(SOUND.replace("count: 2", "count: -2"))
    with pytest.raises(InputError) as caught:
        documents.convert(documents.read(path), Thing)
    assert (caught.value.line, caught.value.column) == (6, 15)
