"""Tables in narrow terminals: no line is wider, and the columns that an answer rests on are the last to go."""

from collections.abc import Callable
from typing import Any

import pytest

ESSENTIAL = [
    ("peak -d rtx4090", ("engine", "dtype", "accum.", "peak")),
    ("peak -d i7-12700h", ("engine", "dtype", "accum.", "units", "peak")),
    ("devices list", ("name", "architecture", "bandwidth")),
    ("models list", ("name", "params", "a sample")),
    ("count --model vgg16", ("layer", "output", "params", "FLOP")),
    ("count --model bert-base", ("layer", "params", "FLOP")),
    ("estimate vgg16 rtx3090 --layers", ("layer", "roofline", "expected", "share", "bound")),
    ("estimate vgg16 rtx3090 --roofline", ("layer", "roofline", "expected", "share", "bound")),
    ("estimate bert-base a10 --dtype fp16 --batch 8", ("layer", "expected", "share", "bound")),
    ("estimate alexnet rtx3090 --batch 1,8 --dtype fp32,fp16", ("batch", "expected", "80 % interval", "bound")),
    ("compare rtx4090 a100-sxm4-80gb --model resnet50 --dtype fp16", ("device", "batch", "expected", "bound")),
    ("compare rtx4090 a100-sxm4-80gb i9-10940x", ("device", "fp32 peak", "bandwidth", "ridge")),
    ("require --model resnet50 --rate 100/s", ("device", "power", "rate")),
    ("study clock", ("suite", "R² clock", "R² unseen", "lower wins", "predictor", "score from")),
    ("sweep --model alexnet --batch 1,8", ("device", "power", "expected", "80 % interval")),
    ("validate", ("predictor", "MAPE", "bias", "cover")),
]  # fmt: skip


@pytest.mark.sample(14)
@pytest.mark.parametrize("columns", [60, 80, 140])
@pytest.mark.parametrize(("command", "essential"), ESSENTIAL, ids=[command for command, _ in ESSENTIAL])
def test_no_line_is_wider_and_essential_columns_stay(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str, essential: tuple[str, ...], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = cli(command).out.splitlines()
    assert [line for line in lines if len(line) > columns] == []
    titles = {title.strip() for line in lines for title in line.split("  ")}
    assert set(essential) <= titles
    assert not [line for line in lines if line.startswith("left out") and any(f" {e}," in line for e in essential)]
