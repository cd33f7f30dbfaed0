"""The network that a row measured: as it was built, reparameterized, or another one today."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.predict.data.rows import MeasuredTime
from hwbench.predict.data.workloads import measured_workload
from hwbench.workload.request import MERGED, ModelRequest

ROW = MeasuredTime("rtx3090", "timm:repvgg_a2.rvgg_in1k", 256, "amp", 1e-2, "mine.csv:2", image_size=224)


def count(request: ModelRequest) -> Any:
    """Return a network that has 9 million parameters as it is built, and 8 million reparameterized."""
    assert (request.image_size, request.autocast, request.channels_last) == (224, "fp16", False)
    return SimpleNamespace(name=request.model, params=8e6 if request.model.endswith(MERGED) else 9e6)


@pytest.mark.parametrize(
    ("params", "name"),
    [(None, ROW.model), (9.001e6, ROW.model), (8.001e6, "timm:repvgg_a2-reparameterized"), (8.9e6, ROW.model)],
)
def test_the_number_of_parameters_tells_which_form_was_timed(params: float | None, name: str) -> None:
    assert measured_workload(replace(ROW, params=params), count).name == name


@pytest.mark.parametrize("params", [5e6, 7.9e6, 12e6])
def test_another_number_is_another_network(params: float) -> None:
    with pytest.raises(InputError) as caught:
        measured_workload(replace(ROW, params=params), count)
    assert caught.value.code == "other-network"
