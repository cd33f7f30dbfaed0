"""Arguments of models that are no tensors: numbers, truth values and words by name."""

from typing import Any

import pytest

import hwbench
from hwbench.cli.options import model_values
from hwbench.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn


class Resampled(nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(8, 2), nn.Linear(8, 4)

    def forward(self, x: Any, sr: int = 8000, twice: bool = False) -> Any:
        layer = self.high if sr == 16000 else self.low
        return layer(x) + (layer(x) if twice else 0)


def test_a_value_chooses_the_path() -> None:
    data = torch.empty(3, 8)
    assert hwbench.count(Resampled(), data).macs == 3 * 8 * 2
    assert hwbench.count(Resampled(), data, values={"sr": 16000}).macs == 3 * 8 * 4
    assert hwbench.count(Resampled(), data, values={"sr": 16000, "twice": True}, mode="training").macs == 4 * 3 * 8 * 4


def test_values_as_they_are_typed() -> None:
    typed = model_values(("sr=16000", "rate=0.5", "causal=True", "mask=none", "kind=fast"))
    assert typed == {"sr": 16000, "rate": 0.5, "causal": True, "mask": None, "kind": "fast"}
    assert model_values(()) is None


@pytest.mark.parametrize("texts", [("sr",), ("=3",), ("a b=3",), ("sr=1", "sr=2")])
def test_what_is_no_value_is_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error:
        model_values(texts)
    assert error.value.field == "values"


def test_lists_of_layers_take_no_values() -> None:
    with pytest.raises(InputError) as error:
        hwbench.count("alexnet", values={"sr": 1})
    assert error.value.field == "values"


def test_an_argument_that_does_not_exist() -> None:
    with pytest.raises(InputError) as error:
        hwbench.count(Resampled(), torch.empty(3, 8), values={"rate": 1})
    assert "rate" in error.value.message
