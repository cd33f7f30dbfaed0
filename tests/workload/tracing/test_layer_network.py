"""Modules of network files: the same parameters, operations and shapes as the ops that the file counts. Needs torch."""

import math
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload import load
from hwbench.workload.layers import network
from hwbench.workload.layers import products as layers
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")

from hwbench.workload.tracing import layer_network as torch_network  # noqa: E402
from hwbench.workload.tracing import trace as torch_trace  # noqa: E402
from hwbench.workload.tracing.layer_modules import FACTORIES, IN_PLACE  # noqa: E402

MODELS = sorted(load.workloads())
HALF_PADDED = [  # options, input shape: TensorFlow's "same", with an odd position of padding and without
    ({"channels": 4, "kernel": 3, "stride": 2, "padding": "same"}, (3, 8, 9)),
    ({"channels": 4, "kernel": (2, 5), "stride": (1, 3), "padding": "same"}, (2, 7, 11)),
    ({"channels": 4, "kernel": 3, "padding": "same", "dilation": 2}, (2, 10)),
]


def of_model(name: str) -> tuple[Any, Any]:
    request = ModelRequest(name)
    file = load.layer_list(request)
    return torch_network.module(file.layers, file.input), load.workload(request)


def on_meta(name: str) -> tuple[Any, Any]:
    with torch.device("meta"):
        return of_model(name)


@pytest.mark.parametrize("name", MODELS)
def test_counts_of_a_catalogued_model_are_those_of_its_module(name: str) -> None:
    module, workload = on_meta(name)
    dtype = torch.int64 if module.rows else torch.float32
    data = torch.empty(2, *workload.input_shape, dtype=dtype, device="meta")
    traced = torch_trace.trace(module, (data,), batch=2)
    assert sum(parameter.numel() for parameter in module.parameters()) == workload.params
    assert sum(op.macs * op.count for op in traced.ops) == workload.macs
    assert not traced.uncounted
    weighty = [(op.macs, op.params) for op in workload.ops if op.macs and op.kind != "attention"]
    assert [(op.macs, op.params) for op in traced.ops if op.macs and "attention" not in op.kind] == weighty


@pytest.mark.parametrize("name", MODELS)
def test_every_op_is_one_leaf_that_gives_its_shape(name: str) -> None:
    module, workload = on_meta(name)
    assert [leaf for leaf, _ in module.leaves] == [op.name for op in workload.ops]
    shapes: list[tuple[int, ...]] = []
    for _, leaf in module.leaves:
        leaf.register_forward_hook(lambda _module, _args, output: shapes.append(tuple(output.shape)))
    dtype = torch.int64 if module.rows else torch.float32
    module(torch.empty(3, *workload.input_shape, dtype=dtype, device="meta"))
    assert shapes == [(3, *op.output_shape) for op in workload.ops]


def test_every_layer_kind_has_a_module() -> None:
    assert set(FACTORIES) == {kind.__name__ for kind in layers.KINDS}
    assert set(IN_PLACE) <= set(FACTORIES)


EVERY_KIND = [
    {"conv": {"channels": 6, "kernel": 3, "padding": 1, "then": ["relu", "batch_norm", {"scale": {}}, "relu6"]}},
    {"transposed_conv": {"channels": 4, "kernel": 2, "stride": 2, "output_padding": 1}},
    {"local_response_norm": {"size": 3}},
    {"max_pool": {"kernel": 3, "stride": 2, "padding": 1, "ceil": True}},
    {"avg_pool": {"kernel": [2, 3]}},
    {"add": {"inputs": 3}},
    "copy", "silu", "sigmoid", "tanh", "gelu",
    "tokens",
    {"class_token": {}},
    {"position_embedding": {}},
    {"linear": {"features": 24}},
    {"attention": {"heads": 4, "kv_heads": 2}},
    "softmax",
    {"residual": {"layers": [{"layer_norm": {}}, {"linear": {"features": 12, "bias": False}}]}},
    {"matmul": {"columns": 5}},
    {"branches": {"layers": [[], ["copy"]], "combine": "add"}},
]  # fmt: skip


def test_all_kinds_run_and_have_the_shapes_counted() -> None:
    ops = network.build(EVERY_KIND, (3, 8, 9))
    module = torch_network.module(EVERY_KIND, (3, 8, 9))
    assert sum(p.numel() for p in module.parameters()) == sum(op.params for op in ops)
    with torch.inference_mode():
        for batch in (2, 5):  # `matmul` and `add` make second operands for each batch
            output = module(torch.randn(batch, 3, 8, 9))
            assert tuple(output.shape) == (batch, *ops[-1].output_shape)
            assert output.isfinite().all()


def test_a_global_mean_and_an_embedding_run() -> None:
    listed = [{"embedding": {"rows": 7, "width": 4}}, {"linear": {"features": 3}}]
    module = torch_network.module(listed, (5,))
    assert module.rows == 7
    assert tuple(module(torch.tensor([[0, 1, 2, 3, 6]])).shape) == (1, 5, 3)
    pooled = torch_network.module(["global_avg_pool"], (3, 2, 2))(torch.arange(12.0).view(1, 3, 2, 2))
    assert pooled.tolist() == [[1.5, 5.5, 9.5]]


@pytest.mark.parametrize(("options", "shape"), HALF_PADDED)
def test_same_padding_is_tensorflows(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    op = layers.conv(shape, **options)
    output = FACTORIES["conv"](dict(options), shape, op)(torch.randn(2, *shape))
    assert tuple(output.shape) == (2, *op.output_shape)


def test_same_padding_puts_the_odd_position_last() -> None:
    options = {"channels": 1, "kernel": 2, "padding": "same", "bias": False}
    module = FACTORIES["conv"](dict(options), (1, 3), layers.conv((1, 3), **options))
    with torch.no_grad():
        module.convolution.weight.copy_(torch.tensor([[[1.0, 10.0]]]))
        assert module(torch.tensor([[[1.0, 2.0, 3.0]]])).tolist() == [[[21.0, 32.0, 3.0]]]


def test_activations_overwrite_only_what_nobody_else_reads() -> None:
    data = torch.tensor([[-1.0, 2.0]])
    module = torch_network.module([{"residual": {"layers": ["relu", "relu"]}}], (2,))
    assert module(data).tolist() == [[-1.0, 4.0]]  # the shortcut still sees the input as it was
    assert data.tolist() == [[-1.0, 2.0]]
    both = torch_network.module([{"branches": {"layers": [["relu"], []]}}], (2,))
    assert both(data).tolist() == [[0.0, 2.0, -1.0, 2.0]]
    assert [leaf.inplace for name, leaf in module.leaves if name.startswith("relu")] == [False, True]


def test_a_view_of_the_input_is_not_overwritten() -> None:
    data = torch.tensor([[[-1.0, 2.0]]])
    module = torch_network.module(["flatten", "relu"], (1, 2))
    assert module(data).tolist() == [[0.0, 2.0]]
    assert data.tolist() == [[[-1.0, 2.0]]]


def test_only_the_largest_of_several_tables_takes_the_indices() -> None:
    tables = [[{"embedding": {"rows": rows, "width": 2}}] for rows in (9, 3)]
    module = torch_network.module([{"branches": {"layers": tables, "combine": "add"}}], (4,))
    large, small = (leaf for _, leaf in module.leaves[:2])
    found = module(torch.tensor([[8, 8, 0, 1]]))
    expected = large.table.weight[[8, 8, 0, 1]] + small.table.weight[[0, 1, 2, 0]]
    assert torch.allclose(found[0], expected)


def test_attention_is_that_of_its_heads() -> None:
    module = FACTORIES["attention"]({"heads": 2}, (3, 12), layers.attention((3, 12), heads=2))
    packed = torch.randn(1, 3, 12)
    query, key, value = (part.view(3, 2, 2) for part in packed[0].split(4, dim=-1))
    weights = torch.einsum("qhd,khd->hqk", query, key).div(math.sqrt(2)).softmax(-1)
    assert torch.allclose(module(packed)[0], torch.einsum("hqk,khd->qhd", weights, value).reshape(3, 4), atol=1e-6)


def test_what_cannot_run_is_said() -> None:
    with pytest.raises(InputError, match="another layer computes") as caught:
        torch_network.module([{"linear": {"features": 2}}, {"embedding": {"rows": 3, "width": 2}}], (4,))
    assert caught.value.code == "not-runnable"
    with pytest.raises(InputError, match="Conv of 4 spatial dimensions"):
        torch_network.module([{"conv": {"channels": 2, "kernel": 1}}], (2, 3, 3, 3, 3))


def test_a_saved_count_has_no_layers_to_run(tmp_path: Any) -> None:
    path = tmp_path / "counts.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="holds counts"):
        of_model(str(path))


def test_a_matrix_product_runs() -> None:
    module, workload = of_model("matmul:3x4x5")
    output = module(torch.ones(2, 3, 4))
    assert tuple(output.shape) == (2, 3, 5)
    assert torch.allclose(output, torch.matmul(torch.ones(2, 3, 4), module.leaves[0][1].others[0]))
    assert workload.macs == 60


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_of_every_network_is_counted(name: str) -> None:
    forward = load.workload(name)
    step = load.workload(ModelRequest(name, training=True, batch=2))
    assert (step.params, step.samples, step.fixed) == (forward.params, 2, "training")
    assert 2 * 2 * forward.macs < step.operations("mac", 2) <= 2.5 * 3 * 2 * forward.macs


def test_a_training_step_is_three_products_but_for_the_first_layer() -> None:
    step = load.workload(ModelRequest("alexnet", training=True, batch=4))
    first = next(op for op in load.workload("alexnet").ops if op.name == "conv1")
    assert step.operations("mac", 4) == 4 * (3 * load.workload("alexnet").macs - first.macs)
    assert step.title.endswith("training step")
