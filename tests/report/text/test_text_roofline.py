"""The roofline in text: its roof is where it should be, and no mark stands above it."""

import msgspec
import pytest

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Memory
from hwbench.predict.estimate import Estimate, estimate
from hwbench.report.text import roofline
from hwbench.report.text.layout import Style
from hwbench.workload import load

PAIRS = [("alexnet", "rtx3090"), ("resnet50", "h100-sxm"), ("lenet5", "i5-2500k")]


def drawn(model: str, device: Device, width: int) -> tuple[Estimate, list[str]]:
    found = estimate(load.workload(model), device)
    return found, roofline.roofline(found, Style(width=width))


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize(
    ("model", "device"), [("alexnet", "rtx3090"), ("resnet50", "h100-sxm"), ("lenet5", "i5-2500k")]
)
def test_it_fits_and_no_mark_is_above_the_roof(model: str, device: str, width: int) -> None:
    _, lines = drawn(model, catalog.device(device), width)
    assert max(map(len, lines)) <= width
    picture = [line[13:].ljust(100) for line in lines[: roofline.ROWS]]
    for column in range(100):
        cells = [row[column] for row in picture]
        roof = next((index for index, cell in enumerate(cells) if cell in "-/"), None)
        mark = next((index for index, cell in enumerate(cells) if cell in "ABCDEFGH."), None)
        assert roof is None or mark is None or mark >= roof - 1


def test_the_layer_that_takes_longest_is_a_and_named() -> None:
    lines = drawn("alexnet", catalog.device("rtx3090"), 80)[1]
    assert sum(line[13:].count("A") for line in lines[: roofline.ROWS]) == 1
    assert any(line.startswith("A fc6 ") for line in lines)


def test_the_reason_for_no_roofline() -> None:
    unknown = msgspec.structs.replace(catalog.device("rtx3090"), memory=Memory())
    assert drawn("alexnet", unknown, 80)[1] == ["There is no roofline: the memory bandwidth is unknown."]
