"""Traced models on the command line: with torch where it is installed, and a clear word where it is not."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hwbench.workload
from hwbench.notices import notice

FACTORY = """
import torch

def net():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
                               torch.nn.Linear(8 * 16 * 16, 10))

def with_input():
    return net(), (torch.empty(4, 3, 16, 16),)

@torch.library.custom_op("library::invert", mutates_args=())
def invert(x: torch.Tensor) -> torch.Tensor:
    return x.clone()

invert.register_fake(torch.empty_like)

def odd():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return invert(x)
    return Odd(), (torch.empty(2, 4, 4),)

def asking():
    class Asking(torch.nn.Module):
        def forward(self, x):
            return x @ x if (x > 0).all() else x
    return Asking(), (torch.empty(2, 4, 4),)

def broken():
    raise RuntimeError("two\\nlines")

number = 3
"""
MACS = 8 * 16 * 16 * 27 + 8 * 16 * 16 * 10


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("torch")
    (tmp_path / "user_nets.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("user_nets", None)
    return "torch:user_nets"


def test_a_module_of_ones_own(cli: Callable[..., Any], factory: str) -> None:
    for asked, batch in ((f"{factory}:with_input", 4), (f"{factory}:net --input 2x3x16x16", 2)):
        found = cli(f"count --model {asked} --json").json
        assert (found["macs"], found["batch"]) == (batch * MACS, batch)  # what was given is what is counted
        assert cli(f"count --model {asked} --batch 1 --json").json["macs"] == MACS
        assert found["params"] == 8 * 27 + 8 + 8 * 16 * 16 * 10 + 10
        assert found["uncounted"] == []
        assert [layer["kind"] for layer in found["layers"]] == ["conv", "elementwise", "linear"]


def test_estimates_of_a_traced_module(cli: Callable[..., Any], factory: str) -> None:
    asked = f"estimate --model {factory}:with_input --device rtx3090 --json"
    single = cli(f"{asked} --batch 8").json
    assert single["flops"] == 2 * 8 * MACS
    mixed = cli(f"{asked} --batch 8 --dtype amp").json
    assert mixed["flops"] == single["flops"]
    assert mixed["ideal_time_s"] == pytest.approx(single["ideal_time_s"] / 2)
    assert {layer["kind"] for layer in mixed["layers"]} > {"cast", "conv", "linear"}
    training = cli(f"{asked} --mode training --batch 4").json
    # forward, both gradients of the linear layer, the weight's gradient of the convolution that sees the image
    assert training["flops"] == 2 * 4 * (MACS + 2 * 8 * 16 * 16 * 10 + 8 * 16 * 16 * 27)


def test_export_and_load_without_torch(cli: Callable[..., Any], factory: str, tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    assert cli(f"models export {factory}:with_input -o {path}").code == 0
    assert cli(f"count --model {path} --batch 1 --json").json["macs"] == MACS
    assert cli(f"count --model {path} --json").json["batch"] == 4  # of the factory's input
    assert cli(f"models export {factory}:with_input -o {tmp_path}/saved.txt").code == 2
    assert cli(f"models export {factory}:with_input -o {tmp_path}/no/saved.json").code == 2


def test_assumptions_about_values_are_warnings(cli: Callable[..., Any], factory: str, tmp_path: Path) -> None:
    expected = notice("assumed-value", operator="all", module="", answer=True).text
    for command in ("count", "estimate --device rtx3090"):
        assert cli(f"{command} --model {factory}:asking --json").json["warnings"] == [expected]
        assert expected in " ".join(cli(f"{command} --model {factory}:asking").out.split())
    cli(f"models export {factory}:asking -o {tmp_path}/saved.json")
    answer = cli(f"count --model {tmp_path}/saved.json --json").json
    assert [notice["code"] for notice in answer["notices"]] == ["assumed-value"]


def test_what_is_not_counted_is_said(cli: Callable[..., Any], factory: str) -> None:
    answer = cli(f"count --model {factory}:odd --json")
    assert answer.code == 0
    assert any("library.invert" in name for name in answer.json["uncounted"])
    assert "Not counted" in cli(f"estimate --model {factory}:odd --device rtx3090").out
    strict = cli(f"count --model {factory}:odd --strict")
    assert (strict.code, strict.err.count("\n")) == (2, 1)
    assert "library.invert" in strict.err


def test_an_audit_runs_torchs_own_counter_beside_ours(cli: Callable[..., Any], factory: str) -> None:
    found = cli(f"count --model {factory}:with_input --audit --json").json["audit"]
    meta = next(one for one in found if one["counter"] == "FlopCounterMode on meta")
    assert (meta["macs"], meta["ratio"], meta["unit"]) == (MACS, 1.0, "flop")
    assert all(one["error"] or one["ratio"] for one in found)
    text = cli(f"count --model {factory}:with_input --audit").out
    assert "FlopCounterMode on meta" in text
    assert cli("count --model alexnet --audit").code == 2
    assert cli(f"count --model {factory}:with_input --audit --mode training").code == 2


@pytest.mark.slow
def test_mixed_precision_training_is_refused_without_cuda(
    shell: Callable[..., Any], factory: str, tmp_path: Path
) -> None:
    if sys.modules["torch"].cuda.is_available():
        pytest.skip("torch has a CUDA device")
    asked = f"hwbench estimate --model {factory}:with_input --device rtx3090 --dtype amp --mode training"
    answer = shell(asked, PYTHONPATH=str(tmp_path))  # a process of its own: torch once aborted it
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "only where torch has a CUDA device" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("{}:net", "input-needed"),
        ("{}:nothing", "not-a-factory"),
        ("{}:number", "not-a-factory"),
        ("{}:broken", "not-buildable"),
        ("{}", "not-a-factory"),
        ("torch:no_such_module:net", "missing-package"),
        ("{}:net --input 2x0x3", "not-a-shape"),
        ("{}:net --input 2x3x16x16:int65", "unknown-dtype"),
        ("{}:net --input 2x5x16x16", "not-traceable"),
    ],
)
def test_wrong_modules(cli: Callable[..., Any], factory: str, arguments: str, code: str) -> None:
    answer = cli(f"count --model {arguments.format(factory)} --json")
    assert (answer.code, answer.err.count("\n"), answer.json["error"]["code"]) == (2, 1, code)


@pytest.mark.parametrize(
    "option",
    [
        "--phase decode",
        "--context 5",
        "--image-size 64",
        "--channels-last",
        "--dtype amp",
    ],
)
def test_options_of_tracing_are_refused_for_layer_lists(cli: Callable[..., Any], option: str) -> None:
    answer = cli(f"count --model alexnet {option} --json")
    assert (answer.code, answer.err.count("\n"), answer.json["error"]["code"]) == (2, 1, "not-traced")
    name = option.split(maxsplit=1)[0]
    assert answer.json["error"]["field"] in (name, name.removeprefix("--").replace("-", "_"))


@pytest.mark.parametrize(
    "model", ["torchvision:resnet50", "timm:resnet50 --mode training", "hf:bert", "torch:json:loads", "graph.onnx"]
)
def test_a_missing_extra_is_named(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    for name in ("torch", "onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("tracing", "onnx"):
        for module in [module for module in sys.modules if module.startswith(f"hwbench.workload.{name}")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.delattr(hwbench.workload, name, raising=False)
    answer = cli(f"count --model {model}")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert f"pip install 'hwbench[{'onnx' if model.endswith('.onnx') else 'torch'}]'" in answer.err
