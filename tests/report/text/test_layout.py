"""Text for people: tables that line up, plain when plain is asked for, no control character from outside."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.report.text.format import ceil_digits, floor_digits, integer, interval, layer_name, memory_use, percent
from hwbench.report.text.layout import Style, sentences, table, warnings, wrapped
from hwbench.workload.ops import MemoryUse

WORDS = st.text("abc01µ×", min_size=1, max_size=20)
ANYTHING = st.text(max_size=20)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=6))
def test_tables_line_up(rows: list[tuple[str, str, str]]) -> None:
    header, *lines = table(("left", "right", "last"), rows, "lrl")
    second, third = header.index("right") + len("right"), header.index("last")
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(row[0])
        assert line[:second].endswith(" " + row[1])
        assert line[third:] == row[2]


@given(st.lists(st.tuples(ANYTHING, ANYTHING), max_size=6))
def test_tables_hold_no_control_characters(rows: list[tuple[str, str]]) -> None:
    lines = table(("one", "two"), rows, "lr")
    assert len(lines) == len(rows) + 1
    assert all(line.isprintable() for line in lines)


def test_color_surrounds_lines_and_only_on_request() -> None:
    plain = table(("a", "b"), [("1", "2"), ("3", "4")], "lr", Style(), ["memory", ""])
    colored = table(("a", "b"), [("1", "2"), ("3", "4")], "lr", Style(color=True), ["memory", ""])
    assert not any("\033" in line for line in plain)
    assert colored[1].startswith("\033[33m")
    assert "\033" not in colored[2]
    assert [re.sub("\033\\[[0-9]*m", "", line) for line in colored] == plain


def test_percent_never_rounds_to_a_bound_that_was_not_reached() -> None:
    cases = {0: "0 %", 1: "100 %", 0.9996: "99.96 %", 0.999999: "99.99 %", 0.0004: "<0.1 %", 0.054: "5.4 %"}
    assert {share: percent(share) for share in cases} == cases
    assert percent(None) == "-"
    assert percent(1.26) == "126 %"


def test_integers_and_sentences() -> None:
    assert integer(62378344) == "62,378,344"
    assert all(len(line) <= 40 for line in sentences("word " * 50, Style(width=40)))
    assert warnings(["one\x1b[31m", "two"]) == ["warning: one\\x1b[31m", "warning: two"]


def test_a_layers_name_keeps_both_ends() -> None:
    assert layer_name("conv1") == "conv1"
    assert layer_name("conv1", 3) == "conv1 ×3"
    assert layer_name("a" * 60 + ".q_proj:mm") == "a" * 16 + "…" + "a" * 13 + ".q_proj:mm"
    assert len(layer_name("x" * 1000)) == 40


@given(st.floats(1e-12, 1e18))
def test_a_bound_stays_one_when_it_is_rounded(value: float) -> None:
    above, below = ceil_digits(value), floor_digits(value)
    assert above is not None
    assert below <= value * (1 + 1e-12)
    assert value <= above * (1 + 1e-12)
    assert above <= value * 1.001
    assert below >= value * 0.999


def test_a_unit_stays_with_its_number_and_a_name_in_one_line() -> None:
    text = "at most 3.13 k/s, 5.5 %. in torch-eager-cuda 2 MiB per 4"
    for width in range(16, 60):
        lines = wrapped(text, width)
        assert " ".join(lines) == text
        assert max(map(len, lines)) <= width
        assert not any(line.startswith(("k/s", "%", "MiB", "eager", "cuda")) for line in lines)


def test_an_address_is_parted_at_a_slash_and_other_long_words_anywhere() -> None:
    assert wrapped("see https://a.org/b-c/ddd", 16) == ["see", "https://a.org/b-", "c/ddd"]
    assert wrapped("x" * 25, 10, 8) == ["x" * 10, "x" * 8, "x" * 7]
    assert wrapped("", 10) == []


def test_ten_percent_has_no_digit_more_than_eleven() -> None:
    assert [percent(share) for share in (0.0994, 0.0996, 0.1, 0.11)] == ["9.9 %", "10 %", "10 %", "11 %"]


def test_names_are_cut_no_further_than_they_differ() -> None:
    first, second = "encoder.layer.*.attention.output.dense", "encoder.layer.*.output.dense"
    rows = [(name, "1.234 ms", "5.678 ms", "overhead") for name in (first, second)]
    header = ("layer", "roofline", "expected", "bound")
    *lines, left_out = table(header, rows, "lrrl", Style(width=50), spare=("roofline",))
    assert len({line.split()[0] for line in lines[1:]}) == 2
    assert all(len(line) <= 50 for line in lines)
    assert "roofline" in left_out


def test_both_ends_of_an_interval_are_in_the_unit_of_the_upper_one() -> None:
    assert interval(0.790e-3, 1.2449e-3) == "0.79–1.24 ms"
    assert interval(387e-6, 747e-6) == "387–747 µs"
    assert interval(0.9996, 0.9996) == "1–1 s"
    assert interval(0.0, 0.0) == "0–0 s"


@pytest.mark.parametrize(("peak", "ends"), [(6, "activations 3 B"), (5, "activations 3 B, not all at once")])
def test_parts_that_add_up_to_more_than_the_peak_say_so(peak: int, ends: str) -> None:
    assert memory_use(MemoryUse(1, 2, 0, 3, peak)) == f"{peak} B at the peak: weights 1 B, gradients 2 B, {ends}"
