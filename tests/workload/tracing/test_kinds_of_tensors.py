"""Tensors that are not plain ones: quantized and packed, sparse, and of sequences of different lengths."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.ao import quantization

from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import sources
from hwbench.workload.tracing.build import Built

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, that torch.ao moves to a package of its own


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*self.layers, *args)


def counted(module: nn.Module, *args: torch.Tensor) -> Workload:
    return sources.count_module(Built(module, args, {}, 1, "", None, stated=True), ModelRequest("torch:x:y"))[1]


def multiply_adds(found: Workload) -> int:
    return found.operations("mac", found.batch)


class Quantized(nn.Module):
    """Two convolutions and a linear layer whose data are quantized once."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = quantization.QuantStub(), quantization.DeQuantStub()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=4, bias=False)
        self.third, self.act = nn.Linear(8 * 6 * 6, 5), nn.ReLU()

    def forward(self, data: torch.Tensor) -> Any:
        data = self.act(self.second(self.act(self.first(self.enter(data)))))
        return self.leave(self.third(data.flatten(1)))


@pytest.mark.slow
def test_a_network_of_quantized_layers() -> None:
    network = Quantized().eval()
    network.qconfig = quantization.get_default_qconfig("x86")
    prepared = quantization.prepare(network)
    prepared(torch.zeros(2, 3, 8, 8))
    found = counted(quantization.convert(prepared), torch.zeros(2, 3, 8, 8))
    products = {op.name: (op.kind, op.macs, op.params) for op in found.ops if op.macs}
    assert list(products.values()) == [
        ("conv", 64 * 8 * 27, 8 * 27 + 8),
        ("grouped_conv", 36 * 8 * 18, 8 * 18),
        ("linear", 288 * 5, 288 * 5 + 5),
    ]
    assert found.uncounted == ()
    assert {op.dtype for op in found.ops if op.macs} == {"int8"}
    assert sum(op.bias_adds for op in found.ops) == 64 * 8 + 5


LAYERS = {
    "linear": (nn.Linear(16, 32), (4, 16), 4 * 16 * 32, 16 * 32 + 32),
    "lstm": (nn.LSTM(8, 16, 2), (5, 3, 8), 15 * 64 * (8 + 3 * 16), 64 * (8 + 3 * 16) + 4 * 64),
    "both directions": (
        nn.GRU(8, 16, bidirectional=True), (5, 3, 8), 2 * 15 * 48 * (8 + 16), 2 * (48 * (8 + 16) + 2 * 48),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_whose_weights_alone_are_quantized(name: str) -> None:
    layer, shape, macs, params = LAYERS[name]
    module = quantization.quantize_dynamic(nn.Sequential(layer), {type(layer)}, torch.qint8)
    found = counted(module, torch.zeros(shape))
    assert (multiply_adds(found), found.params, found.uncounted) == (macs, params, ())
    assert {op.dtype for op in found.ops if op.macs} == {"int8"}


def test_a_quantized_table() -> None:
    found = counted(torch.ao.nn.quantized.Embedding(10, 16), torch.zeros(7, dtype=torch.int64))
    assert (multiply_adds(found), found.params, found.uncounted) == (0, 160, ())


def test_a_layer_that_runs_twice_has_its_packed_weights_once() -> None:
    layer = quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 8)), {nn.Linear}, torch.qint8)
    found = counted(nn.Sequential(layer, layer), torch.zeros(2, 8))
    assert (multiply_adds(found), found.params) == (2 * 2 * 64, 72)


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.parametrize("multiply", [torch.sparse.mm, torch.matmul])
def test_a_sparse_matrix_multiplies_what_it_holds(layout: torch.layout, multiply: Callable[..., Any]) -> None:
    """Four edges of a graph of four nodes, each times the five values of a node."""
    nodes = torch.tensor([[0, 1, 2, 2], [1, 0, 2, 3]])
    edges = torch.sparse_coo_tensor(nodes, torch.ones(4), (4, 4), check_invariants=True)
    module = Function(lambda linear, x: multiply(module.edges, linear(x)), nn.Linear(8, 5))
    module.register_buffer("edges", edges if layout == torch.sparse_coo else edges.to_sparse_csr())
    found = counted(module, torch.zeros(4, 8))
    assert (multiply_adds(found), found.uncounted) == (4 * 8 * 5 + 4 * 5, ())


def lengths(layout: torch.layout) -> Callable[..., torch.Tensor]:
    def nest(*sequences: torch.Tensor) -> torch.Tensor:
        return torch.nested.nested_tensor(list(sequences), layout=layout)

    return nest


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_sequences_of_different_lengths(layout: torch.layout) -> None:
    """Seven tokens in two sequences; each attends to those of its own."""

    def attend(linear: nn.Module, *sequences: torch.Tensor) -> Any:
        data = linear(lengths(layout)(*sequences))
        heads = data.view(2, -1, 2, 4).transpose(1, 2)
        heads = heads.contiguous() if layout == torch.strided else heads
        return nn.functional.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2)

    found = counted(Function(attend, nn.Linear(8, 8)), torch.zeros(4, 8), torch.zeros(3, 8))
    assert (multiply_adds(found), found.uncounted) == (7 * 8 * 8 + 2 * (4**2 + 3**2) * 8, ())


def test_derivatives_by_primitives_of_torch() -> None:
    """The derivative along a direction: torch multiplies the value, its tangent and one of zeros."""
    layer = nn.Linear(8, 4)

    def along(x: torch.Tensor) -> Any:
        return torch.func.jvp(layer, (x,), (x,))[1]

    found = counted(Function(lambda _, x: torch.func.vmap(along)(x), layer), torch.zeros(3, 8))
    assert (multiply_adds(found), found.uncounted) == (3 * 3 * 8 * 4, ())
