"""Which batch the inputs of a module are: as given, and at another size. Skipped where torch is not installed."""

from typing import Any

import pytest

import hwbench
from hwbench.errors import InputError

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional


def data(*shape: int, dtype: Any = None) -> Any:
    return torch.empty(*shape, dtype=dtype, device="meta")


class Graph(nn.Module):
    """A layer on nodes, summed along edges."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 32)

    def forward(self, edges: Any, nodes: Any) -> Any:
        features = self.layer(nodes)
        return torch.zeros_like(features).index_add(0, edges[1], features[edges[0]])


class Queries(nn.Module):
    """Learned queries, repeated to the batch, that attend to the input."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(10, 16))
        self.a, self.b = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)

    def forward(self, x: Any) -> Any:
        queries = self.a(self.queries.unsqueeze(0).repeat(x.shape[0], 1, 1))
        keys = self.b(x)
        return functional.scaled_dot_product_attention(queries[:, None], keys[:, None], keys[:, None])


class Pairs(nn.Module):
    """A product of every sample with every other."""

    def forward(self, x: Any) -> Any:
        return x @ x.T


class Memory(nn.Module):
    """A layer on the input and on 100 rows of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(100, 16))
        self.layer = nn.Linear(16, 8, bias=False)

    def forward(self, x: Any) -> Any:
        return self.layer(torch.cat([self.rows, x]))[100:]


class Last(nn.Module):
    """The last step of a recurrent layer whose steps come first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(64, 64)

    def forward(self, x: Any) -> Any:
        return self.layer(x)[0][-1]


AS_GIVEN: dict[str, tuple[Any, Any, int, int]] = {
    "rows": (lambda: nn.Linear(3, 4, bias=False), data(8, 3), 8 * 12, 8),
    "images": (lambda: nn.Conv2d(3, 8, 3), data(8, 3, 6, 6), 8 * 16 * 8 * 27, 8),
    "steps first": (lambda: nn.LSTM(64, 64), data(100, 1, 64), 100 * 4 * 64 * 128, 1),
    "steps first, the last": (Last, data(100, 3, 64), 3 * 100 * 4 * 64 * 128, 3),
    "steps second": (lambda: nn.LSTM(64, 64, batch_first=True), data(3, 100, 64), 3 * 100 * 4 * 64 * 128, 3),
    "tokens first": (lambda: nn.TransformerEncoderLayer(16, 2, 32), data(5, 3, 16), 0, 3),
    "without a batch": (lambda: nn.Conv1d(32, 32, 3, stride=2, padding=4), data(32, 128), 67 * 32 * 32 * 3, 1),
    "a graph": (Graph, (data(2, 500, dtype=torch.int64), data(100, 16)), 100 * 16 * 32, 1),
    "queries": (Queries, data(2, 10, 16), 2 * 8320, 2),
    "pairs": (Pairs, data(6, 4), 6 * 6 * 4, 1),
    "a memory": (Memory, data(6, 16), 106 * 16 * 8, 1),
}


@pytest.mark.parametrize("name", AS_GIVEN)
def test_what_is_given_is_counted(name: str) -> None:
    make, inputs, macs, batch = AS_GIVEN[name]
    answer = hwbench.count(make(), inputs)
    assert answer.batch == batch
    assert answer.macs == macs or not macs
    assert hwbench.estimate(make(), "rtx3090", inputs=inputs).flops == 2 * answer.macs


@pytest.mark.parametrize("name", ["rows", "images", "steps first", "steps second", "tokens first", "queries"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_another_batch_is_counted_as_if_it_were_given(name: str, mode: Any) -> None:
    make, inputs, _, batch = AS_GIVEN[name]
    each = hwbench.count(make(), inputs, batch=1, mode=mode)
    several = hwbench.count(make(), inputs, batch=7, mode=mode)
    assert (each.batch, several.batch) == (1, 7)
    assert several.macs == 7 * each.macs
    assert hwbench.count(make(), inputs, mode=mode).macs == batch * each.macs


@pytest.mark.parametrize("name", ["without a batch", "a graph", "pairs", "a memory"])
def test_an_unknown_batch_is_not_changed(name: str) -> None:
    make, inputs, _, _ = AS_GIVEN[name]
    with pytest.raises(InputError) as raised:
        hwbench.count(make(), inputs, batch=7)
    assert (raised.value.code, raised.value.field) == ("batch-unknown", "batch")


def test_a_dimension_may_be_stated() -> None:
    assert hwbench.count(Pairs(), data(6, 4), batch=7, batch_dim=0).macs == 7 * 7 * 4
    assert hwbench.count(Memory(), data(6, 16), batch=7, batch_dim=0).macs == 107 * 16 * 8
    assert hwbench.count(Memory(), data(6, 16), batch_dim=0).batch == 6
    answer = hwbench.count(nn.Linear(3, 4), data(5, 8, 3), batch=2, batch_dim=1)
    assert (answer.batch, answer.macs) == (2, 5 * 2 * 12)


@pytest.mark.parametrize(("name", "dim"), [("a graph", 0), ("rows", 2), ("queries", 2)])
def test_a_dimension_that_is_no_batch_is_refused(name: str, dim: int) -> None:
    make, inputs, _, _ = AS_GIVEN[name]
    with pytest.raises(InputError) as raised:
        hwbench.count(make(), inputs, batch=7, batch_dim=dim)
    assert raised.value.code in ("batch-dim", "batch-unknown", "not-traceable")


def test_an_estimate_at_several_batches_of_a_cost_that_is_no_multiple() -> None:
    answer = hwbench.estimate_all(Pairs(), "rtx3090", inputs=data(6, 4), batches=(2, 3), batch_dim=0)
    assert [row.flops for row in answer.estimates] == [2 * 16, 2 * 36]


def test_lazy_layers_take_their_shapes_from_the_inputs_and_stay_lazy() -> None:
    def net() -> Any:
        return nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10))

    lazy, run, inputs = net(), net(), data(4, 3, 16, 16)
    run(torch.zeros(4, 3, 16, 16))
    answer = hwbench.count(lazy, inputs)
    assert (answer.macs, answer.params, answer.batch) == (4 * (196 * 8 * 27 + 1568 * 10), 15930, 4)
    assert answer.layers == hwbench.count(run, inputs).layers
    assert lazy[0].has_uninitialized_params()
    with pytest.raises(InputError) as raised:
        hwbench.count(net(), data(4, 3))
    assert raised.value.code == "not-traceable"
