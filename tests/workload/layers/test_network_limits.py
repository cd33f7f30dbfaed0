"""What a small file of layers may expand to."""

from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload.layers import network


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "layers",
    [
        [{"repeat": {"count": 99_999, "layers": ["flatten"] * 20_000}}],
        [{"repeat": {"count": 99_999, "layers": [{"repeat": {"count": 99_999, "layers": []}}]}}],
        [{"repeat": {"count": 1000, "layers": [{"repeat": {"count": 1000, "layers": ["flatten"]}}]}}, "relu"],
        [{"repeat": {"count": 99_999, "layers": [{"flatten": {"then": ["flatten"] * 1000}}]}}],
    ],
)  # fmt: skip
def test_views_are_counted_as_they_are_visited(layers: list[Any]) -> None:
    with pytest.raises(InputError) as caught:
        network.build(layers, (3, 8, 8))
    assert caught.value.code == "too-large"
