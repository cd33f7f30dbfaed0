"""Text from somebody's file stays text in a spreadsheet."""

import pytest

from hwbench.report.export.cells import text_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1"])
def test_a_formula_is_quoted(text: str) -> None:
    assert text_cell(text) == f"'{text}"


def test_a_tab_or_a_line_end_is_quoted_and_escaped() -> None:
    assert [text_cell(text) for text in ("\t=1", "\r=1")] == ["'\\t=1", "'\\r=1"]


@pytest.mark.parametrize("value", [-1.5, 3, None, True, "rtx3090", "a-b", "é"])
def test_numbers_and_plain_text_stay(value: object) -> None:
    assert text_cell(value) is value or text_cell(value) == value
