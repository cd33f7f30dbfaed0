"""The tracer against counts derived by hand, operator by operator. Skipped where torch is not installed."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwbench.api.counts import register_formula
from hwbench.errors import InputError
from hwbench.workload.formulas.cost import Cost
from hwbench.workload.layers import elementwise
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import AssumedAnswer, Op, Work

torch = pytest.importorskip("torch")
nn = torch.nn
functional = torch.nn.functional

from hwbench.workload.tracing import trace as torch_trace  # noqa: E402
from hwbench.workload.tracing.build import typed_input  # noqa: E402

BATCH = 2
IDS = "int64"


class Function(nn.Module):
    """A function of weights of the given shapes and of the inputs, as a module."""

    def __init__(self, function: Callable[..., Any], *weights: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(shape)) for shape in weights)

    def forward(self, *inputs: Any) -> Any:
        return self.function(*self.weights, *inputs)


def data(*shape: int, dtype: str = "float32") -> Any:
    """An input of one sample's shape, without data, for the whole batch."""
    return torch.empty(BATCH, *shape, dtype=getattr(torch, dtype), device="meta")


def traced(module: Any, *inputs: Any, names: tuple[str, ...] = (), **options: Any) -> Any:
    kwargs = dict(zip(names, inputs, strict=True)) if names else {}
    return torch_trace.trace(module, () if names else inputs, kwargs, batch=BATCH, **options)


def macs(trace: Any) -> int:
    return sum(op.macs for op in trace.ops)


def params(trace: Any) -> int:
    return trace.params.unclaimed + sum(op.params for op in trace.ops)


def one(trace: Any, kind: str) -> Op:
    """The only op of a kind."""
    (op,) = [op for op in trace.ops if op.kind == kind]
    return op


def kinds(trace: Any) -> list[str]:
    return [op.kind for op in trace.ops if op.kind != "fill"]


def attend(queries: int, keys: int, width: int) -> int:
    """Scores and their product with the values, over all heads."""
    return 2 * queries * keys * width


T, W, H = 10, 32, 4  # tokens, width, heads
PROJECTIONS = 4 * T * W * W
SELF_ATTENTION = PROJECTIONS + attend(T, T, W)
FEED_FORWARD = 2 * T * W * 64
IMAGE = (8, 16, 16)


def conv_weight_first(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda weight, x: function(x, weight, **options)


def sdpa(**options: Any) -> Callable[..., Any]:
    return lambda *operands: functional.scaled_dot_product_attention(*operands, **options)


CASES: dict[str, tuple[Callable[[], Any], tuple[tuple[int, ...], ...], int]] = {
    # name: module, inputs of one sample, MACs of one sample
    "conv1d": (lambda: nn.Conv1d(8, 12, 5, padding=2), ((8, 20),), 12 * 20 * 8 * 5),
    "conv2d": (lambda: nn.Conv2d(8, 12, 3, padding=1), (IMAGE,), 12 * 256 * 8 * 9),
    "conv2d without bias": (lambda: nn.Conv2d(8, 12, 3, padding=1, bias=False), (IMAGE,), 12 * 256 * 8 * 9),
    "conv2d stride 2": (lambda: nn.Conv2d(8, 12, 3, stride=2, padding=1), (IMAGE,), 12 * 64 * 8 * 9),
    "conv2d without padding": (lambda: nn.Conv2d(8, 12, 3), (IMAGE,), 12 * 14 * 14 * 8 * 9),
    "conv2d dilation 2": (lambda: nn.Conv2d(8, 12, 3, dilation=2), (IMAGE,), 12 * 12 * 12 * 8 * 9),
    "conv2d padding same": (lambda: nn.Conv2d(8, 12, 5, padding="same"), (IMAGE,), 12 * 256 * 8 * 25),
    "conv2d padding reflect": (
        lambda: nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect"), (IMAGE,), 12 * 256 * 8 * 9,
    ),
    "conv2d 4 groups": (lambda: nn.Conv2d(8, 12, 3, padding=1, groups=4), (IMAGE,), 12 * 256 * 2 * 9),
    "conv2d depthwise": (lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8), (IMAGE,), 8 * 256 * 9),
    "conv2d pointwise": (lambda: nn.Conv2d(8, 12, 1), (IMAGE,), 12 * 256 * 8),
    "conv2d rectangular": (lambda: nn.Conv2d(8, 12, (1, 7), padding=(0, 3)), (IMAGE,), 12 * 256 * 8 * 7),
    "conv3d": (lambda: nn.Conv3d(2, 4, 3), ((2, 6, 7, 8),), 4 * 4 * 5 * 6 * 2 * 27),
    "functional conv2d": (
        lambda: Function(conv_weight_first(functional.conv2d, padding=1), (12, 8, 3, 3)), (IMAGE,), 12 * 256 * 8 * 9,
    ),
    "transposed conv stride 2": (lambda: nn.ConvTranspose2d(8, 12, 3, stride=2), (IMAGE,), 8 * 256 * 12 * 9),
    "transposed conv 4 groups": (
        lambda: nn.ConvTranspose2d(8, 12, 3, stride=2, groups=4), (IMAGE,), 8 * 256 * 3 * 9,
    ),
    "transposed conv1d output padding": (
        lambda: nn.ConvTranspose1d(8, 4, 5, stride=3, output_padding=1), ((8, 20),), 8 * 20 * 4 * 5,
    ),
    "linear 2-D": (lambda: nn.Linear(32, 48), ((32,),), 32 * 48),
    "linear 3-D": (lambda: nn.Linear(32, 48), ((T, 32),), T * 32 * 48),
    "linear 4-D without bias": (lambda: nn.Linear(16, 48, bias=False), (IMAGE,), 8 * 16 * 16 * 48),
    "functional linear": (
        lambda: Function(lambda weight, x: functional.linear(x, weight), (48, 32)), ((T, 32),), T * 32 * 48,
    ),
    "matmul operator": (lambda: Function(lambda weight, x: x @ weight, (32, 48)), ((T, 32),), T * 32 * 48),
    "matmul broadcast": (
        lambda: Function(torch.matmul, (3, 5, T)), ((1, T, 32),), 3 * 5 * T * 32,
    ),
    "matrix by vector": (lambda: Function(lambda weight, x: x @ weight, (32,)), ((T, 32),), T * 32),
    "bmm": (lambda: Function(torch.bmm), ((5, 6), (6, 7)), 5 * 6 * 7),
    "baddbmm": (lambda: Function(torch.baddbmm), ((5, 7), (5, 6), (6, 7)), 5 * 6 * 7),
    "addmm": (
        lambda: Function(lambda bias, weight, x: torch.addmm(bias, x, weight), (48,), (32, 48)), ((32,),), 32 * 48,
    ),
    "einsum product": (
        lambda: Function(lambda weight, x: torch.einsum("btw,wv->btv", x, weight), (32, 48)), ((T, 32),), T * 32 * 48,
    ),
    "einsum scores": (
        lambda: Function(lambda q, k: torch.einsum("bqhd,bkhd->bhqk", q, k)), ((T, 4, 8), (12, 4, 8)), 4 * T * 12 * 8,
    ),
    "einsum outer": (lambda: Function(lambda a, b: torch.einsum("bi,bj->bij", a, b)), ((5,), (7,)), 0),
    "einsum of three": (
        lambda: Function(lambda v, w, x: torch.einsum("bi,ij,jk->bk", x, v, w), (32, 48), (48, 5)), ((32,),),
        32 * 48 + 48 * 5,
    ),
    "tensordot": (
        lambda: Function(lambda weight, x: torch.tensordot(x, weight, dims=([2, 3], [0, 1])), (16, 16, 5)),
        (IMAGE,), 8 * 16 * 16 * 5,
    ),
    "attention 4-D": (lambda: Function(sdpa()), ((H, T, 8),) * 3, attend(T, T, W)),
    "attention 3-D": (lambda: Function(sdpa()), ((T, W),) * 3, attend(T, T, W)),
    "attention causal": (lambda: Function(sdpa(is_causal=True)), ((H, T, 8),) * 3, attend(T, T, W)),
    "attention cross": (lambda: Function(sdpa()), ((H, T, 8), (H, 15, 8), (H, 15, 8)), attend(T, 15, W)),
    "attention wide values": (
        lambda: Function(sdpa()), ((H, T, 8), (H, 15, 8), (H, 15, 20)), H * T * 15 * (8 + 20),
    ),
    "attention float mask": (lambda: Function(sdpa()), ((H, T, 8),) * 3 + ((1, T, T),), attend(T, T, W)),
    "attention grouped": (
        lambda: Function(sdpa(enable_gqa=True)), ((H, T, 8), (1, T, 8), (1, T, 8)), attend(T, T, W),
    ),
    "attention by hand": (
        lambda: Function(lambda q, k, v: torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v), ((H, T, 8),) * 3,
        attend(T, T, W),
    ),
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(W, H, 64, batch_first=True), ((T, W),), SELF_ATTENTION + FEED_FORWARD,
    ),
    "decoder layer": (
        lambda: nn.TransformerDecoderLayer(W, H, 64, batch_first=True), ((T, W), (15, W)),
        SELF_ATTENTION + 2 * T * W * W + 2 * 15 * W * W + attend(T, 15, W) + FEED_FORWARD,
    ),
    "encoder of three": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(W, H, 64, batch_first=True), 3, enable_nested_tensor=False
        ),
        ((T, W),), 3 * (SELF_ATTENTION + FEED_FORWARD),
    ),
    "transformer": (
        lambda: nn.Transformer(W, H, 1, 1, 64, batch_first=True), ((T, W), (T, W)),
        3 * SELF_ATTENTION + 2 * FEED_FORWARD,
    ),
    "lstm of two layers": (
        lambda: nn.LSTM(W, 64, 2, batch_first=True), ((T, W),), T * 4 * 64 * ((W + 64) + (64 + 64)),
    ),
    "lstm both ways": (
        lambda: nn.LSTM(W, 64, bidirectional=True, batch_first=True), ((T, W),), 2 * T * 4 * 64 * (W + 64),
    ),
    "lstm projected": (
        lambda: nn.LSTM(W, 64, proj_size=16, batch_first=True), ((T, W),), T * (4 * 64 * (W + 16) + 16 * 64),
    ),
    "gru": (lambda: nn.GRU(W, 64, batch_first=True), ((T, W),), T * 3 * 64 * (W + 64)),
    "rnn": (lambda: nn.RNN(W, 64, batch_first=True), ((T, W),), T * 64 * (W + 64)),
    "rnn with relu": (lambda: nn.RNN(W, 64, nonlinearity="relu", batch_first=True), ((T, W),), T * 64 * (W + 64)),
    "lstm cell": (lambda: nn.LSTMCell(W, 64), ((W,),), 4 * 64 * (W + 64)),
    "gru cell": (lambda: nn.GRUCell(W, 64), ((W,),), 3 * 64 * (W + 64)),
    # x1 against the 5 matrices of 6 × 7, then what is left against x2
    "bilinear": (lambda: nn.Bilinear(6, 7, 5), ((6,), (7,)), 5 * 6 * 7 + 5 * 7),
    "linear shared three times": (lambda: nn.Sequential(*[nn.Linear(W, W)] * 3), ((T, W),), 3 * T * W * W),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_macs(name: str) -> None:
    build, shapes, truth = CASES[name]
    module = build()
    found = traced(module, *(data(*shape) for shape in shapes))
    assert (macs(found), found.uncounted) == (truth, {})
    assert params(found) == sum(parameter.numel() for parameter in module.parameters())


TRAINABLE = [name for name, (build, _, _) in CASES.items() if next(build().parameters(), None) is not None]


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_training_step_multiplies_at_least_twice(name: str) -> None:
    """Backward is a product for each operand's gradient; inputs need none, so that a lone layer has two in all."""
    build, shapes, truth = CASES[name]
    found = torch_trace.trace(build(), tuple(data(*shape) for shape in shapes), batch=BATCH, training=True)
    assert found.uncounted == {}
    assert 1.9 * BATCH * truth <= macs(found) <= 3.5 * BATCH * truth


def test_multi_head_attention_in_every_form() -> None:
    for batch_first in (True, False):
        x = data(T, W) if batch_first else torch.empty(T, BATCH, W, device="meta")
        for need_weights in (True, False):
            module = nn.MultiheadAttention(W, H, batch_first=batch_first)
            for form in ((x, x, x, None, need_weights), None):
                kwargs = {"query": x, "key": x, "value": x, "need_weights": need_weights} if form is None else {}
                found = torch_trace.trace(module, form or (), kwargs, batch=BATCH)
                assert (macs(found), params(found), found.uncounted) == (SELF_ATTENTION, 4 * W * W + 4 * W, {})
                assert ("attention" in kinds(found)) is not need_weights


def test_boolean_masks() -> None:
    q, mask = data(H, T, 8), torch.ones(T, T, dtype=torch.bool)
    found = traced(Function(sdpa(attn_mask=None)), q, q, q)
    masked = traced(Function(lambda a, m: functional.scaled_dot_product_attention(a, a, a, m)), q, mask)
    assert macs(masked) == macs(found) == attend(T, T, W)
    assert one(masked, "attention").fixed_input_bytes == T * T // BATCH


def test_packed_sequence() -> None:
    packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(BATCH, T, W), [10, 6], batch_first=True)
    found = traced(nn.LSTM(W, 64, batch_first=True), packed)
    assert macs(found) == 16 * 4 * 64 * (W + 64) // BATCH  # 16 steps of the two sequences


def test_int8_product() -> None:
    module = Function(lambda x: torch._int_mm(x[0], x[0].t()))
    x = torch.empty(BATCH, 32, 64, dtype=torch.int8, device="meta")
    assert macs(traced(module, x)) == 32 * 64 * 32 // BATCH


@pytest.mark.skipif(not hasattr(functional, "grouped_mm"), reason="this torch has no grouped_mm")
def test_mixture_of_experts() -> None:
    experts, rows = 8, 6
    module = Function(
        lambda weight, x, ends: functional.grouped_mm(x.flatten(0, 1), weight, offs=ends), (experts, W, 48)
    )
    ends = torch.empty(experts, dtype=torch.int32, device="meta")
    found = traced(module, data(rows, W), ends)
    op = one(found, "grouped_matmul")
    assert (op.macs, op.params) == (rows * W * 48, experts * W * 48)
    assert op.weight_elements == min(experts, rows) * W * 48  # a sample of six rows meets no more than six experts
    trained = torch_trace.trace(module, (data(rows, W), ends), batch=BATCH, training=True)
    assert macs(trained) == 2 * BATCH * rows * W * 48


def test_embeddings_read_only_what_is_looked_up() -> None:
    found = traced(nn.Embedding(1000, W), data(T, dtype=IDS))
    op = one(found, "embedding")
    assert (op.params, op.input_elements, op.output_elements, op.weight_elements) == (1000 * W, T * W, T * W, 0)
    assert op.fixed_input_bytes == 8 * T
    bag = one(traced(nn.EmbeddingBag(1000, W, mode="sum"), data(T, dtype=IDS)), "embedding")
    assert (bag.params, bag.input_elements, bag.elementwise_flops) == (1000 * W, T * W, T * W)


def test_fourier_transforms() -> None:
    real = one(traced(Function(torch.fft.rfft2), data(*IMAGE)), "fft")
    assert real.elementwise_flops == 2.5 * 8 * 256 * math.log2(256)
    assert real.fixed_output_bytes == 8 * 16 * 9 * 8
    whole = one(traced(Function(torch.fft.fft), data(3, 64, dtype="complex64")), "fft")
    assert whole.elementwise_flops == 5 * 3 * 64 * 6


def test_in_place_and_out_of_place_move_the_same() -> None:
    for module in (nn.ReLU(), nn.ReLU(inplace=True)):
        (op,) = traced(module, data(*IMAGE)).ops
        assert (op.input_elements, op.output_elements, op.elementwise_flops) == (2048, 2048, 2048)
    (op,) = traced(Function(lambda x: x.add_(1)), data(*IMAGE)).ops
    assert (op.input_elements, op.output_elements) == (2048, 2048)
    (op,) = traced(Function(lambda x, y: x + y), data(*IMAGE), data(*IMAGE)).ops
    assert (op.input_elements, op.output_elements) == (4096, 2048)


def test_views_are_free() -> None:
    def views(x: Any) -> Any:
        x = x.reshape(BATCH, 8, 256).transpose(1, 2).unsqueeze(1).expand(-1, 5, -1, -1)
        return x.chunk(2, dim=2)[0].permute(0, 2, 1, 3).narrow(1, 0, 3).detach()[:, 1:].squeeze()

    assert traced(Function(views), data(*IMAGE)).ops == []


def test_an_expanded_tensor_is_read_once() -> None:
    (op,) = traced(Function(lambda x, y: x.expand(-1, 8, -1) * y), data(1, 16), data(8, 16)).ops
    assert op.input_elements == 16 + 128


def test_copies_say_what_they_are() -> None:
    x = data(*IMAGE)
    assert kinds(traced(Function(lambda x: x.transpose(1, 2).contiguous()), x)) == ["copy"]
    assert kinds(traced(Function(lambda x: x[:, ::2].contiguous()), x)) == ["strided_copy"]
    assert kinds(traced(Function(lambda x: x.contiguous()), x)) == []
    assert kinds(traced(Function(lambda x: x.clone()), x)) == ["copy"]
    assert kinds(traced(Function(lambda x: x.double()), x)) == ["cast"]
    assert kinds(traced(Function(lambda x: x.float()), x)) == []


def test_joins_write_what_they_read() -> None:
    for module in (Function(lambda x, y: torch.cat([x, y], 1)), Function(lambda x, y: torch.stack([x, y], 1))):
        (op,) = traced(module, data(*IMAGE), data(*IMAGE)).ops
        assert (op.kind, op.input_elements, op.output_elements) == ("copy", 4096, 4096)


ELEMENTWISE: dict[str, tuple[Callable[[], Any], str, int, int]] = {
    # name: module, kind, elementwise operations, elements written, all of one 8 × 16 × 16 image
    "relu": (nn.ReLU, "elementwise", 2048, 2048),
    "gelu": (nn.GELU, "elementwise", 5 * 2048, 2048),
    "silu": (nn.SiLU, "elementwise", 5 * 2048, 2048),
    "sigmoid": (nn.Sigmoid, "elementwise", 4 * 2048, 2048),
    "softmax": (lambda: nn.Softmax(-1), "softmax", 5 * 2048, 2048),
    "max pool": (lambda: nn.MaxPool2d(2), "max_pool", 3 * 512, 512),
    "avg pool": (lambda: nn.AvgPool2d(2), "avg_pool", 4 * 512, 512),
    "global avg pool": (lambda: nn.AdaptiveAvgPool2d(1), "reduction", 2048, 8),
    "adaptive avg pool": (lambda: nn.AdaptiveAvgPool2d(4), "avg_pool", 2048, 128),
    "nearest": (lambda: nn.Upsample(scale_factor=2), "upsample", 0, 8192),
    "bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), "upsample", 9 * 8192, 8192),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), "copy", 0, 2048),
    "pad": (lambda: nn.ZeroPad2d(1), "copy", 0, 8 * 18 * 18),
    "batch norm": (lambda: nn.BatchNorm2d(8), "batch_norm", 2 * 2048, 2048),
    "layer norm": (lambda: nn.LayerNorm(16), "layer_norm", 7 * 2048, 2048),
    "group norm": (lambda: nn.GroupNorm(2, 8), "group_norm", 7 * 2048, 2048),
    "instance norm": (lambda: nn.InstanceNorm2d(8), "batch_norm", 2 * 2048, 2048),
    "sum": (lambda: Function(lambda x: x.sum((1, 2, 3))), "reduction", 2048, 1),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str) -> None:
    build, kind, operations, written = ELEMENTWISE[name]
    found = traced(build(), data(*IMAGE))
    op = one(found, kind)
    assert (macs(found), op.elementwise_flops, op.output_elements) == (0, operations, written)
    assert (op.input_elements, found.uncounted) == (2048, {})


def test_rms_norm() -> None:
    found = traced(nn.RMSNorm(16), data(*IMAGE))
    assert (macs(found), params(found), found.uncounted) == (0, 16, {})
    assert sum(op.elementwise_flops for op in found.ops) >= 4 * 2048


def test_dropout_and_identity_are_nothing_at_inference() -> None:
    assert traced(nn.Sequential(nn.Dropout(0.5), nn.Identity(), nn.Flatten()), data(*IMAGE)).ops == []


def test_autocast_casts_and_computes_in_its_dtype() -> None:
    module = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.Flatten(), nn.Softmax(-1))
    found = traced(module, data(*IMAGE), autocast=torch.float16)
    assert kinds(found) == ["cast", "cast", "cast", "conv", "softmax"]  # input, weight, bias
    conv, softmax = one(found, "conv"), one(found, "softmax")  # which reads fp16 and writes fp32
    assert (conv.dtype, conv.macs, softmax.fixed_input_bytes) == ("fp16", 12 * 256 * 8 * 9, 2 * 12 * 256)
    assert (conv.fixed_input_bytes, conv.fixed_weight_bytes) == (2 * 2048, 2 * (12 * 72 + 12))
    assert (conv.fixed_output_bytes, softmax.fixed_output_bytes) == (2 * 12 * 256, 4 * 12 * 256)
    assert (conv.input_elements, params(found)) == (0, 12 * 72 + 12)


def test_autocast_reaches_attention() -> None:
    q = data(H, T, 8)
    op = one(traced(Function(sdpa()), q, q, q, autocast=torch.bfloat16), "attention")
    assert (op.dtype, op.fixed_output_bytes) == ("bf16", 2 * T * W)


def test_indexing_under_autocast_is_what_it_is_without() -> None:
    """A torch built without CUDA cannot index tensors that say they are there: the tracer does it."""

    def indexed(x: Any, i: Any) -> Any:
        y = x.clone()
        y[..., 1:3] = x[..., :2]
        y[:, i] = x[:, i]
        return (
            x[0], x[-1, ..., 2], x[:, None], x[..., None, :], x[:, 1:-1:2, :4], x[i], x[:, i, 3], x[None, ..., i],
            x[...], y,
        )  # fmt: skip

    x, index = data(*IMAGE), torch.empty(5, dtype=torch.int64, device="meta")
    plain, autocast = (traced(Function(indexed), x, index, **options) for options in ({}, {"autocast": torch.float16}))
    for ours, truth in zip(autocast.output, plain.output, strict=True):
        assert (ours.shape, ours.stride()) == (truth.shape, truth.stride())
    assert kinds(autocast) == kinds(plain)
    listed = traced(Function(lambda x: x[:, [0, 2]]), x, autocast=torch.float16)
    assert listed.output.shape == (BATCH, 2, 16, 16)


def test_a_half_precision_model_keeps_its_own_dtype() -> None:
    op = one(traced(nn.Conv2d(8, 12, 1).half(), data(*IMAGE, dtype="float16")), "pointwise_conv")
    assert (op.dtype, op.fixed_input_bytes, op.input_elements) == ("fp16", 4096, 0)


def test_channels_last_needs_no_copies() -> None:
    module = nn.Sequential(nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 4, 1))
    found = traced(module, data(*IMAGE), channels_last=True)
    assert kinds(found) == ["conv", "batch_norm", "elementwise", "pointwise_conv"]
    flat = nn.Sequential(nn.Conv2d(8, 12, 3), nn.Flatten())  # channels last, flattening must copy
    assert kinds(traced(flat, data(*IMAGE), channels_last=True)) == ["conv", "copy"]


def test_training_step() -> None:
    """Three times the forward pass, less the gradient of the input, which nobody asks for."""
    first, second, last = 12 * 256 * 8 * 9, 4 * 256 * 12 * 9, 1024 * 10
    module = nn.Sequential(
        nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 4, 3, padding=1), nn.Flatten(), nn.Linear(1024, 10)
    )
    found = torch_trace.trace(module, (data(*IMAGE),), batch=BATCH, training=True)
    assert macs(found) == BATCH * (2 * first + 3 * second + 3 * last)
    assert params(found) == sum(parameter.numel() for parameter in module.parameters())


def test_a_training_step_of_attention_keeps_its_operands() -> None:
    module = Function(lambda weight, x: sdpa()(x * weight, x * weight, x * weight), (8,))
    found = torch_trace.trace(module, (data(H, T, 8),), batch=BATCH, training=True)
    one, rows = BATCH * H * T * 8, BATCH * H * T
    # Input, three products, output and logarithms of its sums; three gradients; the loss and its own.
    assert found.passes.elements == one * (5 + 3) + rows + 2


def test_training_attention() -> None:
    """Five products backward for two forward: the scores are computed again."""
    module = Function(lambda weight, x: sdpa()(x * weight, x * weight, x * weight), (8,))
    found = torch_trace.trace(module, (data(H, T, 8),), batch=BATCH, training=True)
    assert macs(found) == BATCH * attend(T, T, W) * 7 // 2


class Tied(nn.Module):
    """Two layers with one weight, a layer that never runs, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, W)
        self.block = nn.ModuleDict({"inner": nn.Linear(W, W)})
        self.head = nn.Linear(W, 100, bias=False)
        self.head.weight = self.embed.weight
        self.unused = nn.Linear(W, 7)
        self.register_buffer("scale", torch.ones(W))
        self.calls = 0
        self.seen: Any = None

    def forward(self, ids: Any, fail: bool = False) -> Any:
        self.calls += 1
        self.seen = self.embed(ids)
        if fail:
            raise ValueError("as asked")
        return self.head(self.block["inner"](self.seen * self.scale))


def test_parameters_count_once_and_buffers_do_not() -> None:
    found = traced(Tied(), data(T, dtype=IDS))
    assert params(found) == 100 * W + W * W + W + 7 * (W + 1)
    assert found.params.unclaimed == 7 * (W + 1)
    assert one(found, "elementwise").weight_elements == W
    assert macs(found) == T * W * W + T * W * 100


def test_names_are_paths_of_modules() -> None:
    assert [op.name for op in traced(Tied(), data(T, dtype=IDS)).ops] == [
        "embed:embedding", "mul", "block.inner:addmm", "head:mm",
    ]  # fmt: skip


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("options", [{}, {"training": True}, {"autocast": "fp16"}, {"channels_last": True}])
def test_the_model_and_torch_are_left_as_found(fail: bool, options: dict[str, Any]) -> None:
    model = Tied()
    model.head.weight.requires_grad_(False)
    model.block.eval()
    model.register_forward_hook(lambda *_: None)
    state = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
    before = [dict(vars(module)) for module in model.modules()]
    training = [module.training for module in model.modules()]
    machine = _switches()
    options = {key: torch.float16 if key == "autocast" else value for key, value in options.items()}
    if fail:
        with pytest.raises(InputError, match="ValueError: as asked"):
            traced(model, data(T, dtype=IDS), True, **options)
    else:
        traced(model, data(T, dtype=IDS), **options)
    after = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
    assert all(after[key] is value for key, value in state.items())
    assert [dict(vars(module)) for module in model.modules()] == before
    assert [module.training for module in model.modules()] == training
    assert not model.head.weight.requires_grad
    assert model.block["inner"].weight.grad is None
    assert (model.calls, model.seen) == (0, None)
    assert _switches() == machine
    model(torch.zeros(1, 3, dtype=torch.int64))  # still runs on real data


def _switches() -> tuple[Any, ...]:
    from torch.nn.modules import module as hooks
    from torch.utils._python_dispatch import _get_current_dispatch_mode

    return (
        torch.is_grad_enabled(), torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda"),
        torch.backends.mha.get_fastpath_enabled(), torch.get_default_device(), torch.get_default_dtype(),
        len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks), _get_current_dispatch_mode(),
        torch.cuda.get_device_capability, functional.scaled_dot_product_attention,
    )  # fmt: skip


def test_real_weights_are_not_touched() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    torch_trace.trace(module, (torch.zeros(2, 4),), batch=BATCH, training=True)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_weights_take_no_memory() -> None:
    with torch.device("meta"):
        module = nn.Linear(10**6, 10**6)  # four terabytes
    assert macs(traced(module, data(10**6))) == 10**12


def test_an_unknown_operator_is_reported_until_it_is_registered() -> None:
    library = torch.library.Library("hwbench_test", "FRAGMENT")
    library.define("mix(Tensor x) -> Tensor")
    library.impl("mix", torch.empty_like, "Meta")
    module = Function(torch.ops.hwbench_test.mix)
    found = traced(module, data(T, W))
    assert (found.uncounted, macs(found)) == ({"hwbench_test.mix": 1}, 0)
    assert one(found, "uncounted").output_elements == T * W  # its traffic is known all the same
    with register_formula("hwbench_test.mix", lambda call: Cost("mix", macs=W * call.written)):
        known = traced(module, data(T, W))
    assert (known.uncounted, macs(known), kinds(known)) == ({}, T * W * W, ["mix"])


def test_what_depends_on_data_is_a_clear_error() -> None:
    for module in (Function(lambda x: x[int(x.sum())]), nn.LazyLinear(4)):
        with pytest.raises(InputError) as raised:
            traced(module, data(T))
        assert raised.value.code == "not-traceable"


def test_checks_of_the_data_hold() -> None:
    def checked(x: Any) -> Any:
        assert torch.isfinite(x).all()
        return x + 1 if torch.isnan(x).any() else x * 2

    assert "mul" in traced(Function(checked), data(T)).ops[-1].name


def test_nothing_to_train() -> None:
    with pytest.raises(InputError) as raised:
        traced(nn.ReLU(), data(T), training=True)
    assert raised.value.code == "nothing-to-train"


def test_alike_ops_fold_into_one() -> None:
    found = traced(nn.Sequential(*(nn.Linear(W, W) for _ in range(5))), data(T, W))
    folded = found.folded()
    assert [(op.count, op.name) for op in folded if op.macs] == [(5, "0:addmm")]
    assert sum(op.macs * op.count for op in folded) == macs(found)


def test_inputs_as_text() -> None:
    assert tuple(typed_input("2x8x16x16").shape) == (2, 8, 16, 16)
    assert typed_input("2x7:int64").dtype is torch.int64
    for wrong in ("", "2x", "axb", "2x0x3", "2x3:complex", "9" * 100):
        with pytest.raises(InputError):
            typed_input(wrong)


Layer = tuple[Any, Op]


@st.composite
def conv_layers(draw: st.DrawFn, shape: tuple[int, ...]) -> Layer:
    groups = draw(st.sampled_from([g for g in (1, 2, 3, shape[0]) if shape[0] % g == 0]))
    kernel, stride = draw(st.integers(1, min(3, shape[1]))), draw(st.integers(1, 2))
    options = {"stride": stride, "padding": draw(st.integers(0, 2)), "groups": groups, "bias": draw(st.booleans())}
    channels = groups * draw(st.integers(1, 4))
    return nn.Conv2d(shape[0], channels, kernel, **options), layers.conv(
        shape, channels=channels, kernel=kernel, **options
    )


@st.composite
def networks(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Layer]]:
    """A convolutional network with a classifier, and each layer's closed form."""
    start = shape = (draw(st.integers(1, 6)), draw(st.integers(3, 12)), draw(st.integers(3, 12)))
    found: list[Layer] = []
    for kind in draw(st.lists(st.sampled_from(["conv", "relu", "max_pool", "batch_norm"]), min_size=1, max_size=6)):
        if min(shape[1:]) < 3:
            break
        if kind == "conv":
            found.append(draw(conv_layers(shape)))
        elif kind == "relu":
            found.append((nn.ReLU(inplace=draw(st.booleans())), elementwise.relu(shape)))
        elif kind == "batch_norm":
            found.append((nn.BatchNorm2d(shape[0]), elementwise.batch_norm(shape)))
        else:
            found.append((nn.MaxPool2d(2), layers.max_pool(shape, kernel=2)))
        shape = found[-1][1].output_shape
    found.append((nn.Flatten(), elementwise.copy((math.prod(shape),))))
    width = math.prod(shape)
    for _ in range(draw(st.integers(0, 2))):
        features, bias = draw(st.integers(1, 20)), draw(st.booleans())
        found.append((nn.Linear(width, features, bias=bias), layers.linear((width,), features=features, bias=bias)))
        width = features
    return start, found


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(networks())
def test_random_networks_equal_their_closed_forms(drawn: tuple[tuple[int, ...], list[Layer]]) -> None:
    shape, parts = drawn
    found = traced(nn.Sequential(*(module for module, _ in parts)), data(*shape))
    expected = [op for module, op in parts if not isinstance(module, nn.Flatten)]
    assert len(found.ops) == len(expected)
    for ours, truth in zip(found.ops, expected, strict=True):
        assert (ours.macs, ours.bias_adds, ours.params) == (truth.macs, truth.bias_adds, truth.params)
        assert ours.elementwise_flops == truth.elementwise_flops
        assert (ours.input_elements, ours.output_elements) == (truth.input_elements, truth.output_elements)
        assert ours.weight_elements == truth.weight_elements
        assert ours.output_shape == truth.output_shape
        assert (ours.kind == truth.kind) or truth.kind == "relu"


def test_a_question_about_values_is_answered_and_told() -> None:
    class Careful(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            if torch.isnan(x).any():
                raise ValueError("not a number")
            return x @ x.transpose(-1, -2) if (x == x).all() else x

    found = traced(Careful(), data(3, 4))
    assert [*found.assumed] == [AssumedAnswer("any", "", False), AssumedAnswer("all", "", True)]
    assert sum(op.macs for op in found.ops) == 3 * 4 * 3
    assert traced(torch.nn.Linear(4, 4), data(3, 4)).assumed == {}


def test_autocast_of_views_and_masks_needs_no_cuda() -> None:
    """A torch built without CUDA copies nothing that says it is there: the tracer has it done another way."""
    conv = torch.nn.Conv2d(16, 16, 3, 1, 1, groups=16)

    class Mixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: Any, mask: Any) -> Any:
            image = self.conv(x.transpose(1, 2).view(BATCH, 16, 8, 8))
            return image.masked_fill(~mask, -1e4).transpose(2, 3).contiguous()

    operands = data(64, 16), data(1, 8, 8, dtype="bool")
    plain, mixed = (traced(Mixed(), *operands, **options) for options in ({}, {"autocast": torch.float16}))
    assert sum(op.macs for op in mixed.ops) == sum(op.macs for op in plain.ops) == 16 * 64 * 9
    assert [op.kind for op in mixed.ops if op.kind != "cast"] == [op.kind for op in plain.ops]
    assert mixed.output.shape == plain.output.shape


def test_constants_that_are_freed_are_not_mistaken_for_later_ones() -> None:
    found = traced(Function(lambda x: [x + torch.ones(W) for _ in range(50)][-1]), data(T, W))
    constants = [access.tensor for node in found.nodes if node.kind == "fill" for access in node.writes]
    assert len(constants) == len(set(constants)) == 50


def test_operations_on_integers_stand_apart() -> None:
    class Quantized(nn.Module):
        def forward(self, x: Any) -> Any:
            scores = torch._int_mm(x, torch.ones(16, 8, dtype=torch.int8))
            return scores.float() * 2, torch.arange(8) + 1

    found, total = torch_trace.trace(Quantized(), (torch.ones(24, 16, dtype=torch.int8),)), Work()
    (product,) = (op for op in found.ops if op.macs)
    for op in found.ops:
        total += op.work(32)
    assert (product.dtype, product.integer) == ("int8", True)
    assert (total.integer_ops, total.floating.flops) == (2 * 24 * 16 * 8, 0)
    assert (total.elementwise_integer_ops, total.floating.elementwise_flops) == (8, 24 * 8)
