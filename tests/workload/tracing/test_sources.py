"""Names of networks that must be traced: what they build and what they refuse. Skipped where torch is not installed."""

import sys
from pathlib import Path
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")

from hwbench.workload.tracing import sources  # noqa: E402

FACTORIES = """
import torch
from torch import nn

calls = []

def plain():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1))

def with_args():
    return nn.Linear(16, 4), (torch.zeros(5, 16),)

def with_kwargs():
    return nn.Linear(16, 4), (), {"input": torch.zeros(5, 7, 16)}

def two_inputs():
    return nn.Bilinear(3, 4, 5)

def wrong():
    return 3

def broken():
    raise RuntimeError("not today")

constant = 7
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "hwbench_factories.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hwbench_factories", raising=False)
    return "torch:hwbench_factories:"


def traced(model: str, **options: Any) -> Workload:
    return sources.workload(ModelRequest(model, **options))


def test_a_factory_of_a_module(factories: str) -> None:
    found = traced(factories + "plain", input="2x3x16x16")
    assert found.macs == 256 * 8 * (27 + 8)
    assert found.params == 8 * 27 + 8 + 64 + 8
    assert found.input_shape == (3, 16, 16)
    assert [op.name for op in found.ops] == ["0:convolution", "1:relu", "2:convolution"]


def test_a_factory_with_arguments(factories: str) -> None:
    assert traced(factories + "with_args").macs == 64
    assert traced(factories + "with_kwargs").macs == 7 * 64
    assert traced(factories + "two_inputs", input="2x3,2x4").macs == 5 * 12 + 5 * 4


def test_batches_grow_by_the_sample(factories: str) -> None:
    """The same counts whatever batch was traced, and work that grows with the batch except for the weights."""
    one, eight = (traced(factories + "plain", input=f"{batch}x3x16x16") for batch in (1, 8))
    assert one.ops == eight.ops
    assert eight.work(32, batch=4).flops == 4 * one.work(32).flops
    assert eight.work(32, batch=4).weight_bytes == one.work(32).weight_bytes
    assert eight.work(16).traffic * 2 == eight.work(32).traffic


@pytest.mark.parametrize(
    ("rest", "options", "code"),
    [
        ("plain", {}, "input-needed"),
        ("plain", {"input": "2x4x16x16"}, "not-traceable"),
        ("wrong", {}, "not-a-factory"),
        ("broken", {}, "not-buildable"),
        ("constant", {}, "not-a-factory"),
        ("absent", {}, "not-a-factory"),
        ("plain", {"input": "2x3x16x16:float33"}, "unknown-dtype"),
    ],
)
def test_factory_errors(factories: str, rest: str, options: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as raised:
        traced(factories + rest, **options)
    assert raised.value.code == code


@pytest.mark.parametrize("name", ["torch:", "torch:os", "torch::x", "torch:no_such_package_x:f"])
def test_malformed_names(name: str) -> None:
    with pytest.raises(InputError):
        traced(name)


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torchvision", "timm", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)
        source = "hf" if package == "transformers" else package
        with pytest.raises(InputError) as raised:
            traced(f"{source}:resnet50")
        assert raised.value.code == "missing-package"
        assert f"pip install {package}" in raised.value.message


def test_a_package_of_another_torch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError) as raised:
        traced("torchvision:resnet50")
    assert raised.value.code == "missing-package"
    assert "torchvision::nms does not exist" in raised.value.message


MMACS = {"resnet50": 4089.184256, "mobilenet_v3_large": 216.58976, "vit_b_16": 17563.828224, "alexnet": 714.18848}


@pytest.mark.parametrize("name", MMACS)
def test_torchvision(name: str) -> None:
    pytest.importorskip("torchvision")
    found = traced(f"torchvision:{name}")
    assert (found.macs / 1e6, found.uncounted) == (MMACS[name], ())


def test_unknown_models_have_near_ones() -> None:
    pytest.importorskip("timm")
    pytest.importorskip("torchvision")
    for source in ("torchvision", "timm"):
        with pytest.raises(InputError) as error:
            traced(f"{source}:resnet5O")
        assert any("resnet50" in name for name in error.value.nearest)


def test_timm_takes_another_image_size() -> None:
    pytest.importorskip("timm")
    small, large = (traced("timm:vit_tiny_patch16_224", image_size=side) for side in (None, 384))
    assert small.macs < large.macs / 2.8
    assert large.input_shape == (3, 384, 384)
