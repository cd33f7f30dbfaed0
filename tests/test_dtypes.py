"""Number formats by the names of frameworks."""

import pytest

from hwbench.dtypes import ALIASES, dtype
from hwbench.errors import InputError


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("float16", "fp16"), ("half", "fp16"), ("torch.bfloat16", "bf16"), ("Float32", "fp32"), ("double", "fp64")],
)
def test_names_of_frameworks(name: str, meaning: str) -> None:
    assert dtype(name) == dtype(meaning)


def test_every_alias_is_of_a_format() -> None:
    assert {dtype(alias).name for alias in ALIASES} <= {dtype(name).name for name in ALIASES.values()}


def test_the_nearest_format_is_named_first() -> None:
    with pytest.raises(InputError) as caught:
        dtype("flot16")
    assert caught.value.nearest[0] == "fp16"
