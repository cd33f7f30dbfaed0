"""What the names of timm's files tell."""

import pytest

from hwbench.predict.data.rows import Defaults
from hwbench.predict.data.timm import parse_name, torch_version


@pytest.mark.parametrize(
    ("name", "device", "dtype", "layout", "runtime"),
    [
        # as they stand upstream
        ("benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv", "rtx3090", "amp", "nhwc", "torch-2.4-eager"),
        ("benchmark-infer-amp-nchw-pt113-cu117-rtx3090.csv", "rtx3090", "amp", "nchw", "torch-1.13-eager"),
        ("benchmark-infer-amp-nchw-pt240-cu124-rtx4090-dynamo.csv", "rtx4090", "amp", "nchw", "torch-2.4-compile"),
        ("benchmark-infer-amp-nchw-pt291-cu130-5090.csv", "5090", "amp", "nchw", "torch-2.9-eager"),
        ("benchmark-infer-amp-nchw-pt291-cu130-pro6000maxq.csv", "pro6000maxq", "amp", "nchw", "torch-2.9-eager"),
        (
            "benchmark-infer-bf16-nchw-pt291-cu130-pro6000maxq-dynamo.csv",
            "pro6000maxq",
            "bf16",
            "nchw",
            "torch-2.9-compile",
        ),
        ("benchmark-infer-amp_bf16-nchw-pt291-cu128-4090-dynamo.csv", "4090", "amp", "nchw", "torch-2.9-compile"),
        ("benchmark-infer-fp32-nchw-pt221-cpu-i9_10940x-dynamo.csv", "i9-10940x", "fp32", "nchw", "torch-2.2-compile"),
        ("benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv", "i7-12700h", "fp32", "nchw", "torch-2.4-compile"),
        # ours
        ("rtx3090_amp_nhwc_pt240.csv", "rtx3090", "amp", "nhwc", "torch-2.4-eager"),
        ("i9-10940x_fp32_nchw_pt240_dynamo.csv", "i9-10940x", "fp32", "nchw", "torch-2.4-compile"),
        ("/some/where/h100-pcie_float16.csv", "h100-pcie", "fp16", None, None),
        ("times.csv", "times", None, None, None),
    ],
)
def test_the_file_name_says_it(
    name: str, device: str, dtype: str | None, layout: str | None, runtime: str | None
) -> None:
    assert parse_name(name)[0] == Defaults(device, dtype, layout, runtime)


@pytest.mark.parametrize(
    ("word", "version"),
    [
        ("pt240", "2.4"),
        ("pt113", "1.13"),
        ("pt110", "1.10"),
        ("pt221", "2.2"),
        ("pt2100", "2.10"),
        ("pt2", None),
        ("p", None),
    ],
)
def test_version(word: str, version: str | None) -> None:
    assert torch_version(word) == version
