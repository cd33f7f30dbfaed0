"""One line, whatever stands in a name."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.errors import HwbenchError, InputError, nearest, shown

NASTY = [
    "a\nb",
    "a\r\nb",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\0b",
    "a\bb",
    "\u202egnirts",
    "\u2066hidden\u2069",
    "a\u2028b\u2029c\x85d\x0be\x0cf",
    "\ud800",
    "\udc80",
    "x" * 10_000,
    "\x1b" * 10_000,
    "\U0001f600\u200d\U0001f600",
    "\ufeff",
]


def is_one_line(text: str) -> bool:
    return text.isprintable() and len(text.splitlines()) <= 1


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
def test_nasty_names_make_one_printable_line(nasty: str) -> None:
    error = InputError(f"no {nasty}", file=nasty, line=1, column=2, field=nasty, nearest=[nasty, nasty])
    said = str(error)
    assert is_one_line(said)
    assert len(said) < 20_000
    said.encode()  # no lone surrogate is left


names = st.text(st.characters(exclude_categories=()), max_size=300)


@given(names, names, names, names, st.one_of(st.none(), st.integers(1, 10**9)))
def test_any_name_makes_one_printable_line(message: str, file: str, field: str, name: str, line: int | None) -> None:
    error = InputError(message, file=file, line=line, field=field, nearest=[name])
    assert is_one_line(str(error))
    assert is_one_line(str(error.at(file=name, field=name)))


@given(names, st.integers(1, 200))
def test_shown_text_is_cut_before_it_is_escaped(text: str, longest: int) -> None:
    line = shown(text, longest)
    assert is_one_line(line)
    assert len(line) <= 10 * longest
    if text.isprintable() and len(text) <= longest:
        assert line == text


def test_shown_keeps_what_can_be_read() -> None:
    assert shown("Zürich, 東京, עברית") == "Zürich, 東京, עברית"
    assert shown("a\tb") == "a\\tb"
    assert shown("\x1b[31m") == "\\x1b[31m"
    assert shown("\u202e") == "\\u202e"
    assert shown(["x"]) == "['x']"
    assert shown("x" * 121) == "x" * 119 + "…"
    assert shown("x" * 120) == "x" * 120


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("is wrong"), "is wrong"),
        (InputError("is wrong", file="a.yaml"), "a.yaml: is wrong"),
        (InputError("is wrong", file="a.yaml", line=3), "a.yaml:3: is wrong"),
        (InputError("is wrong", file="a.yaml", line=3, column=7), "a.yaml:3:7: is wrong"),
        (
            InputError("is wrong", file="a.yaml", line=3, column=7, field="clock.boost"),
            "a.yaml:3:7: clock.boost: is wrong",
        ),
        (InputError("is wrong", field="--batch"), "--batch: is wrong"),
        (InputError("is wrong", nearest=["a"]), "is wrong (did you mean a?)"),
        (InputError("is wrong", nearest=iter(["a", "b"])), "is wrong (did you mean a or b?)"),
    ],
)
def test_the_line_says_where_what_and_what_else(error: InputError, text: str) -> None:
    assert str(error) == text


def test_a_place_is_added_only_where_none_was() -> None:
    bare = InputError("is wrong", line=2, column=3, nearest=["a"])
    placed = bare.at(file="a.yaml", field="clock")
    assert str(placed) == "a.yaml:2:3: clock: is wrong (did you mean a?)"
    assert str(placed.at(file="b.yaml", field="memory")) == str(placed)
    assert str(bare) == "2:3: is wrong (did you mean a?)"


def test_errors_say_whose_they_are() -> None:
    assert HwbenchError("x").exit_code == 1
    assert InputError("x").exit_code == 2
    assert issubclass(InputError, HwbenchError)


def test_an_error_passes_between_processes() -> None:
    error = InputError("is wrong", file="a.yaml", line=3, field="x", nearest=("a",))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rtx309", ("rtx3090",)),
        ("RTX3090", ("rtx3090",)),
        ("bost", ("boost",)),
        ("zzz", ()),
        ("", ()),
        ("\0\n", ()),
        ("rtx3090" * 10_000, ()),
    ],
)
def test_nearest(name: str, found: tuple[str, ...]) -> None:
    assert nearest(name, ["rtx3090", "boost", "h100-sxm"]) == found


def test_nearest_is_best_first_and_few() -> None:
    choices = iter(["rtx4090", "rtx3090", "rtx3090ti", "rtx3080", "rtx3070"])
    found = nearest("rtx3090", choices)
    assert len(found) == 3
    assert found[0] == "rtx3090"
    assert len(nearest("rtx3090", ["rtx4090", "rtx3090", "rtx3080"], most=1)) == 1
