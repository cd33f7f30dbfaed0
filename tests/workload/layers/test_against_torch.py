"""Shapes, parameters and MACs against torch's own layers on random options. Skipped where torch is not installed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwbench.workload.layers import elementwise
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import Op

torch = pytest.importorskip("torch")
flop_counter = pytest.importorskip("torch.utils.flop_counter")

numbers = st.integers(1, 5)
sizes = st.integers(1, 24)
Counted = tuple[tuple[int, ...], int, int]


def counted(build: Callable[[], Any], shape: tuple[int, ...]) -> Counted:
    """Output shape, parameters and MACs of a torch layer; the example is dropped where torch refuses it."""
    with torch.device("meta"):
        try:
            layer = build()
            with flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
                output = layer(torch.empty(1, *shape))
        except (RuntimeError, ValueError):
            assume(False)
        assume(output.numel() > 0)  # torch lets padding eat a transposed convolution's whole output
    params = sum(p.numel() for p in layer.parameters())
    return tuple(output.shape[1:]), params, counter.get_total_flops() // 2


def ours(op: Op) -> Counted:
    return op.output_shape, op.params, op.macs


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_conv(data: st.DataObject) -> None:
    draw = data.draw
    n = draw(st.integers(1, 3))
    groups, kernel = draw(numbers), tuple(draw(numbers) for _ in range(n))
    inputs, channels = groups * draw(numbers), groups * draw(numbers)
    shape = (inputs, *(draw(sizes) for _ in range(n)))
    options: dict[str, Any] = {
        "stride": tuple(draw(numbers) for _ in range(n)),
        "padding": tuple(draw(st.integers(0, 3)) for _ in range(n)),
        "dilation": tuple(draw(numbers) for _ in range(n)),
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    kind = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)[n - 1]
    theirs = counted(lambda: kind(inputs, channels, kernel, **options), shape)
    assert ours(layers.conv(shape, channels=channels, kernel=kernel, **options)) == theirs


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@settings(deadline=None)
@given(numbers, numbers, sizes, sizes, numbers, numbers)
def test_conv_padded_to_the_same_size(
    inputs: int, channels: int, height: int, width: int, kernel: int, dilation: int
) -> None:
    options: dict[str, Any] = {"padding": "same", "dilation": dilation}
    theirs = counted(lambda: torch.nn.Conv2d(inputs, channels, kernel, **options), (inputs, height, width))
    op = layers.conv((inputs, height, width), channels=channels, kernel=kernel, padding="same", dilation=dilation)
    assert (op.output_shape, op.params) == theirs[:2]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_transposed_conv(data: st.DataObject) -> None:
    draw = data.draw
    n = draw(st.integers(1, 3))
    groups, kernel = draw(numbers), tuple(draw(numbers) for _ in range(n))
    inputs, channels = groups * draw(numbers), groups * draw(numbers)
    shape = (inputs, *(draw(st.integers(1, 12)) for _ in range(n)))
    stride, dilation = (tuple(draw(numbers) for _ in range(n)) for _ in range(2))
    options: dict[str, Any] = {
        "stride": stride,
        "padding": tuple(draw(st.integers(0, 3)) for _ in range(n)),
        "output_padding": tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)),
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    kind = (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)[n - 1]
    theirs = counted(lambda: kind(inputs, channels, kernel, **options), shape)
    assert ours(layers.transposed_conv(shape, channels=channels, kernel=kernel, **options)) == theirs


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_pooling(data: st.DataObject) -> None:
    draw = data.draw
    n = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 7)) for _ in range(n))
    shape = (draw(numbers), *(draw(sizes) for _ in range(n)))
    options: dict[str, Any] = {
        "stride": tuple(draw(numbers) for _ in range(n)),
        "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel),
    }
    ceil = draw(st.booleans())
    for pool, name in ((layers.max_pool, "MaxPool"), (layers.avg_pool, "AvgPool")):
        kind = getattr(torch.nn, f"{name}{n}d")
        theirs = counted(partial(kind, kernel, ceil_mode=ceil, **options), shape)
        assert ours(pool(shape, kernel=kernel, ceil=ceil, **options)) == theirs


@settings(deadline=None)
@given(st.lists(sizes, max_size=3), sizes, sizes, st.booleans())
def test_linear(leading: list[int], inputs: int, features: int, bias: bool) -> None:
    theirs = counted(lambda: torch.nn.Linear(inputs, features, bias=bias), (*leading, inputs))
    assert ours(layers.linear((*leading, inputs), features=features, bias=bias)) == theirs


@pytest.mark.slow
@settings(deadline=None)
@given(sizes, sizes, sizes)
def test_norms_and_embeddings(channels: int, height: int, width: int) -> None:
    shape = (channels, height, width)
    assert ours(elementwise.batch_norm(shape)) == counted(lambda: torch.nn.BatchNorm2d(channels).eval(), shape)
    assert ours(elementwise.layer_norm(shape)) == counted(lambda: torch.nn.LayerNorm(width), shape)
    table = torch.nn.Embedding(height, width, device="meta")
    found = table(torch.zeros(1, channels, dtype=torch.int64, device="meta"))
    op = layers.embedding((channels,), rows=height, width=width)
    assert (op.output_shape, op.params) == (tuple(found.shape[1:]), table.weight.numel())


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(1, 16), st.integers(1, 4), st.integers(1, 8))
def test_attention(tokens: int, heads: int, width: int) -> None:
    query = torch.empty(1, heads, tokens, width, device="meta")
    with flop_counter.FlopCounterMode(display=False) as counter:
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    op = layers.attention((tokens, 3 * heads * width), heads=heads)
    assert op.macs == counter.get_total_flops() // 2
