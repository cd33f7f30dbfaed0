"""Number formats by the names of frameworks."""

import pytest

from hwbench.dtypes import ALIASES, QUANTIZED, dtype, measured_dtype
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


def test_bench_takes_formats_of_quantized_weights_too() -> None:
    assert [measured_dtype(name) for name in ("Q4_0", " q8_0", "q4_k", "Float16")] == [
        "q4_0",
        "q8_0",
        "q4_k",
        "fp16",
    ]
    for name, suggested in (("q5_0", True), ("iq4_xs", True), ("fp17", False)):
        with pytest.raises(InputError) as caught:
            measured_dtype(name)
        assert (caught.value.nearest == QUANTIZED) == suggested
