"""Totals by module, next to the sums of the ops that are in it."""

import math
from typing import Any

import pytest

import hwbench
from hwbench.errors import InputError
from hwbench.report.text.workload import summary
from hwbench.workload.ops import Op, Workload
from hwbench.workload.tree import Branch, scope, tree


def flat(branch: Branch) -> dict[str, Branch]:
    """Every module by its path."""
    return {branch.path: branch} | {path: each for inner in branch.inner for path, each in flat(inner).items()}


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("layer1.0.conv1:convolution", ("layer1", "0", "conv1")),
        ("conv1", ("conv1",)),
        ("add", ("add",)),
        ("/layer1/layer1.0/conv1/Conv", ("layer1", "0", "conv1")),
        ("/model/layers.0/self_attn/q_proj/MatMul", ("model", "layers", "0", "self_attn", "q_proj")),
        ("body/Conv_1", ("body",)),
        ("/Conv", ("",)),
    ],
)
def test_the_modules_of_an_op(name: str, modules: tuple[str, ...]) -> None:
    assert scope(name) == modules


def test_a_catalogued_network_adds_up() -> None:
    answer = hwbench.count("resnet50", depth=3, batch=2)
    assert isinstance(answer.tree, Branch)
    modules = flat(answer.tree)
    assert (modules[""].macs, modules[""].params) == (answer.macs, answer.params)
    assert modules["layer1.0"].params == 64 * 64 + 9 * 64 * 64 + 2 * 64 * 256 + 4 * 64 + 4 * 256  # 75,008
    assert modules["layer1.0"].macs == 2 * 56 * 56 * (64 * 64 + 9 * 64 * 64 + 2 * 64 * 256)
    assert modules["fc"].macs == 2 * 2048 * 1000
    assert modules["fc"].share == pytest.approx(2 * 2048 * 1000 / answer.macs)
    assert sum(module.traffic_bytes for module in answer.tree.inner) == answer.traffic_bytes
    assert "layer1.0.conv1" in modules


def test_blocks_that_are_alike_are_one_row_with_their_sum() -> None:
    lines = summary(hwbench.count("resnet50", depth=2))
    (row,) = [line for line in lines if line.split()[:2] == ["*", "×5"]]
    assert row.split()[2] == "5,585,920"  # 5 (2 · 1024 · 256 + 9 · 256² + 4 · 256 + 2 · 1024)
    assert not any(
        "×" in line and "×N" not in line for line in summary(hwbench.count("resnet50", depth=2), all_layers=True)[2:30]
    )


def test_only_a_trace_knows_where_every_op_is() -> None:
    ops = (Op("linear", (4,), params=20, macs=16, name="blocks.0.fc:addmm", count=3),)
    answer = hwbench.count(Workload("w", "w", (4,), ops), depth=1)
    assert [notice.code for notice in answer.notices] == ["tree-of-folded"]
    assert tree(answer.workload, 32, 1, 2).inner[0].inner[0].macs == 48


def test_a_tree_has_a_depth() -> None:
    with pytest.raises(InputError) as error:
        hwbench.count("alexnet", depth=0)
    assert error.value.field == "depth"


class TestTraced:
    torch = pytest.importorskip("torch")

    def network(self) -> Any:
        nn = self.torch.nn

        class Block(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

            def forward(self, x: Any) -> Any:
                return x + self.down(self.up(x).relu())

        return nn.Sequential(nn.Sequential(*(Block() for _ in range(3))), nn.Linear(8, 2))

    def test_ops_that_are_alike_keep_their_modules(self) -> None:
        answer = hwbench.count(self.network(), self.torch.empty(4, 8), depth=3)
        modules = flat(answer.tree)
        assert [modules[f"0.{block}"].params for block in range(3)] == [8 * 16 + 16 + 16 * 8 + 8] * 3
        assert modules["0.2.down"].macs == 4 * 16 * 8
        assert modules["1"].macs == 4 * 8 * 2
        assert answer.macs == modules["0"].macs + modules["1"].macs
        assert not answer.notices

    def test_gradients_belong_to_the_module_of_their_forward_pass(self) -> None:
        answer = hwbench.count(self.network(), self.torch.empty(4, 8), mode="training", depth=3)
        modules, product = flat(answer.tree), 4 * 8 * 16
        assert modules["0.0.up"].macs == 2 * product  # the network's input needs no gradient
        assert modules["0.0.down"].macs == modules["0.2.up"].macs == 3 * product
        assert modules["1"].macs == 3 * 4 * 8 * 2
        parts = {op.part: 0 for op in answer.workload.ops}
        for op in answer.workload.ops:
            parts[op.part] += op.macs
        assert parts == {"forward": 6 * product + 64, "backward": 11 * product + 2 * 64}

    def test_inputs_that_need_gradients_have_them(self) -> None:
        data = self.torch.empty(4, 8, requires_grad=True)
        answer = hwbench.count(self.network(), data, mode="training")
        assert answer.macs == 3 * (6 * 4 * 8 * 16 + 4 * 8 * 2)


def test_an_exported_graph_has_the_modules_of_its_names(tmp_path: Any) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    weights = [helper.make_tensor(name, 1, [8, 8], [0.0] * 64) for name in ("a", "b")]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["y"], name="/layer1/layer1.0/fc/MatMul"),
        helper.make_node("MatMul", ["y", "b"], ["z"], name="/layer1/layer1.1/fc/MatMul"),
    ]
    ends = [helper.make_tensor_value_info(name, 1, [2, 8]) for name in ("x", "z")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    path = str(tmp_path / "scopes.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    modules = flat(hwbench.count(path, depth=2).tree)
    assert [modules[name].macs for name in ("layer1", "layer1.0", "layer1.1")] == [256, 128, 128]
    assert math.isclose(sum(modules[name].share for name in ("layer1.0", "layer1.1")), 1)
