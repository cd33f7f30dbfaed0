"""Functions that networks use, forward and in a training step: nothing is left out; FlopCounterMode's sums are ours."""

import random
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from hwbench.workload.tracing import trace as torch_trace  # noqa: E402
from hwbench.workload.tracing.stand_ins import Forms, form_key  # noqa: E402
from hwbench.workload.tracing.twins import address  # noqa: E402
from hwbench.workload.tracing.twins import tensors as tensors_of  # noqa: E402


class Function(nn.Module):
    """A function of a convolution's output, so that there is a weight to train."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.first = nn.Conv2d(4, 4, 1)

    def forward(self, image: Any) -> Any:
        return self.function(self.first(image))


def mask(x: Any) -> Any:
    return torch.zeros_like(x, dtype=torch.bool)


def integers(*shape: int) -> Any:
    return torch.zeros(shape, dtype=torch.int64)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "masked_fill_": lambda x: (x + 0).masked_fill_(mask(x), 0.0),
    "masked_fill by a tensor": lambda x: x.masked_fill(mask(x), torch.zeros(())),
    "masked_select, where": lambda x: torch.where(mask(x), x, -x),
    "in place": lambda x: (x + 0).mul_(2).relu_() + x.detach().clone().abs_().copysign_(x.detach()).clamp_(0, 1),
    "comparisons in place": lambda x: x * (x + 0).detach().eq_(1).ge_(0).gt_(0).le_(0).lt_(0).ne_(0),
    "integers in place": lambda x: x * integers(1).gcd_(integers(1)).lcm_(integers(1)).sum(),
    "threshold_": lambda x: F.threshold_(x + 0, 0.1, 20.0),
    "normalize": lambda x: F.normalize(x, dim=1),
    "PReLU": lambda x: F.prelu(x, torch.ones(4)),
    "GLU": lambda x: F.glu(x, 1),
    "RReLU": lambda x: F.rrelu(x, training=True),
    "CELU, SELU, ELU": lambda x: F.celu(x) + F.selu(x) + F.elu(x),
    "hard": lambda x: F.relu6(x) + F.hardswish(x) + F.hardsigmoid(x) + F.hardtanh(x) + F.hardshrink(x),
    "soft": lambda x: F.softplus(x) + F.softshrink(x) + F.softsign(x) + F.logsigmoid(x) + F.tanhshrink(x) + F.mish(x),
    "leaky_relu": lambda x: F.leaky_relu(x) + F.gelu(x) + F.gelu(x, approximate="tanh") + F.silu(x),
    "nearest": lambda x: F.interpolate(x, scale_factor=2) + F.interpolate(x, scale_factor=2, mode="nearest-exact"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", antialias=True),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "linear": lambda x: F.interpolate(x.flatten(2), scale_factor=2, mode="linear"),
    "trilinear": lambda x: F.interpolate(x[:, :, None], scale_factor=2, mode="trilinear"),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "replicate": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "reflect 1-D": lambda x: F.pad(x.flatten(2), (1, 1), mode="reflect"),
    "reflect 3-D": lambda x: F.pad(x, (1, 1) * 3, mode="reflect"),
    "pools": lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 2) + F.adaptive_avg_pool2d(x, 4) + F.lp_pool2d(x, 2, 2),
    "adaptive_max_pool, unpool": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "grid_sample": lambda x: F.grid_sample(x, F.affine_grid(torch.zeros(2, 2, 3), x.shape, False), align_corners=False),
    "cross_entropy": lambda x: F.cross_entropy(x.flatten(1), integers(2)) + F.cross_entropy(x, integers(2, 8, 8)),
    "mse, l1": lambda x: F.mse_loss(x, x.detach()) + F.l1_loss(x, x.detach()),
    "huber": lambda x: F.smooth_l1_loss(x, x.detach()) + F.huber_loss(x, x.detach()),
    "binary": lambda x: F.binary_cross_entropy(x.sigmoid(), mask(x).float()) + F.binary_cross_entropy_with_logits(x, x),
    "kl_div": lambda x: F.kl_div(x.log_softmax(1), x.softmax(1), reduction="batchmean"),
    "margins": lambda x: F.soft_margin_loss(x, x.detach()) + F.hinge_embedding_loss(x, x.detach()),
    "triplet": lambda x: F.triplet_margin_loss(x.flatten(1), -x.flatten(1), 2 * x.flatten(1)),
    "cosine": lambda x: F.cosine_embedding_loss(x.flatten(1), -x.flatten(1), torch.ones(2)),
    "polar, complex": lambda x: torch.view_as_real(torch.polar(x, x) * torch.complex(x, x)),
    "cross, diag_embed": lambda x: torch.linalg.cross(x[..., :3], x[..., 1:4]).diag_embed(),
    "cdist": lambda x: torch.cdist(x.flatten(2), x.flatten(2)) + torch.cdist(x.flatten(2), x.flatten(2), p=1),
    "addr, outer": lambda x: torch.addr(x[0, 0], x[0, 0, 0], x[0, 0, 1]) + torch.outer(x[0, 0, 0], x[0, 0, 1]),
    "cholesky": lambda x: torch.linalg.cholesky(x @ x.mT),
    "inverse, solve, det": lambda x: torch.linalg.inv(x).sum() + torch.linalg.solve(x, x).sum() + torch.linalg.det(x),
    "embedding_bag": lambda x: F.embedding_bag(integers(2, 3), x[0, 0], mode="sum"),
    "index_add, scatter": lambda x: x.index_add(0, integers(2), x).scatter_add(0, integers(*x.shape), x),
    "cumulative": lambda x: x.cumsum(-1) + x.logcumsumexp(-1) + x.cumprod(-1) + x.cummax(-1).values,
    "sort": lambda x: x.sort(-1).values + x.topk(8).values + x.msort(),
    "fold": lambda x: F.fold(F.unfold(x, 3, padding=1), (8, 8), 3, padding=1),
    "dropout": lambda x: F.dropout(x) + F.alpha_dropout(x) + F.dropout2d(x),
    "norms": lambda x: F.layer_norm(x, (8, 8)) + F.group_norm(x, 2) + F.instance_norm(x) + F.local_response_norm(x, 3),
    "weight_norm": lambda x: torch._weight_norm(x, x[:, :1, :1, :1]),
    "foreach": lambda x: torch._foreach_mul(torch._foreach_add([x, x], 1), 2)[0],
}  # fmt: skip


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_is_left_out(name: str, training: bool) -> None:
    image = torch.empty(2, 4, 8, 8, device="meta")
    trace = torch_trace.trace(Function(FUNCTIONS[name]), (image,), training=training, whole=True)
    assert trace.uncounted == {}


class Random(nn.Module):
    """Layers drawn at random, which keep `(batch, 8, 6, 6)` or `(batch, 10, 8)`."""

    def __init__(self, seed: int, training: bool) -> None:
        super().__init__()
        draw = random.Random(seed)
        width, kernel, bias, heads = (draw.choice(values) for values in ((8, 16), (1, 3, 5), (True, False), (1, 2, 4)))
        groups = 1 if training else draw.choice((1, 2, 8))  # FlopCounterMode's gradient of grouped weights is wrong
        choices = [
            lambda: nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups, bias=bias),
            lambda: nn.Sequential(nn.ConvTranspose2d(8, width, 2, stride=2), nn.Conv2d(width, 8, 3, 2, 1)),
            lambda: nn.Sequential(nn.BatchNorm2d(8), draw.choice((nn.ReLU, nn.GELU, nn.Hardswish, nn.ELU))()),
            lambda: nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 6, bias=bias)),
            lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(8, 8, 3, padding=1), nn.Unflatten(2, (6, 6))),
            lambda: nn.Sequential(
                nn.Flatten(2), nn.TransformerEncoderLayer(36, heads, width), nn.Unflatten(2, (6, 6))
            ),
            lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.MaxPool2d(2)),
        ]  # fmt: skip
        self.layers = nn.Sequential(*(draw.choice(choices)() for _ in range(draw.randint(1, 5))))
        self.matrix = nn.Parameter(torch.empty(6, 6)) if training or draw.random() < 0.5 else None

    def forward(self, x: Any) -> Any:
        x = self.layers(x)
        if self.matrix is None:
            return x
        x = x @ self.matrix
        return F.scaled_dot_product_attention(x, torch.einsum("bchw,wv->bchv", x, self.matrix), x)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("start", range(0, 200, 20))
def test_random_modules_as_flop_counter_mode_counts_them(start: int, training: bool) -> None:
    """Without data it takes attention apart, whose backward pass then need not make the scores again: a fifth less."""
    for seed in range(start, start + 20):
        with torch.device("meta"):
            module = Random(seed, training)
            data = torch.empty(3, 8, 6, 6)
        ours = torch_trace.trace(module, (data,), training=training, whole=True)
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
            output = module(data)
            if training:
                output.sum().backward()
        again = sum(op.macs // 5 for op in ours.ops if op.kind == "attention_backward")
        assert 2 * (sum(op.macs for op in ours.ops) - again) == counter.get_total_flops(), (seed, module)


def test_results_whose_form_is_known_have_the_form_that_torch_finds() -> None:
    """Broadcast, promoted, transposed, with numbers of each kind, written in place: run twice, each a new tensor."""
    aten = torch.ops.aten
    tensors = [
        torch.empty(4, 6, device="meta"),
        torch.empty(6, 4, device="meta").t(),
        torch.empty(4, 1, dtype=torch.int64, device="meta"),
        torch.empty(6, dtype=torch.bfloat16, device="meta"),
        torch.empty((), dtype=torch.float64, device="meta"),
        torch.nn.Parameter(torch.empty(6, device="meta")),
    ]
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (func, (a, b)) for a in tensors for b in (*tensors, 2, 2.0, True) for func in (aten.mul.Tensor, aten.lt.Tensor)
        if isinstance(b, torch.Tensor) or func is aten.mul.Tensor
    ]  # fmt: skip
    calls += [(aten.exp.default, (a,)) for a in tensors]
    image, weight = torch.empty(2, 6, 4, 4, device="meta"), torch.empty(3, 6, 1, 1, device="meta")
    last = image.contiguous(memory_format=torch.channels_last)
    calls += [
        (aten.convolution.default, (x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)) for x in (image, last)
    ]
    calls += [(aten.native_layer_norm.default, (x, [6], tensors[5], None, 1e-5)) for x in tensors[:2]]
    calls += [
        (aten.mm.default, (tensors[0], tensors[0].t())),
        (aten.mm.default, (tensors[0], tensors[1].contiguous().t())),
    ]
    calls += [(aten.transpose.int, (image, 1, 2)), (aten._unsafe_view.default, (image, [12, 16]))]
    forms = Forms()

    def run(func: Any, *args: Any) -> Any:
        return forms.run(func, args, {}, form_key(args, {}))

    for func, args in calls * 2:
        pairs = list(zip(tensors_of(run(func, *args)), tensors_of(func(*args)), strict=True))
        for found, right in pairs:
            assert (found.shape, found.stride(), found.dtype) == (right.shape, right.stride(), right.dtype), (
                func,
                args,
            )
            assert found.is_meta
        assert pairs
    data = torch.empty(4, 6, device="meta")
    assert run(aten.add_.Tensor, data, 1) is run(aten.add_.Tensor, data, 1) is data
    assert [run(aten.exp.default, torch.zeros(2)).tolist() for _ in range(2)] == [[1, 1]] * 2


def test_a_view_that_torch_declares_new_stays_one() -> None:
    """As `_unsafe_view`: its memory is that of its input, each time."""
    data, forms = torch.empty(4, 6, device="meta"), Forms()
    key = form_key((data, [24]), {})
    for _ in range(2):
        assert address(forms.run(torch.ops.aten._unsafe_view.default, (data, [24]), {}, key)) == address(data)


class Repeated(nn.Module):
    """The same operator on tensors of one form that differ in what they hold, and in what wrote them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.bias = nn.Parameter(torch.empty(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add a vector of weights to a product, to data and to weights; multiply weights by weights."""
        y = self.first(x) + self.bias
        y = y + self.bias
        y = self.second(y) + self.bias
        own = self.first.weight @ self.second.weight
        return y @ own + (x @ y.t()) @ y


def test_ops_that_are_alike_are_told_apart_by_what_they_read() -> None:
    """The bias of a product is no arithmetic of its own, a product of weights is constant, parameters count once."""
    with torch.device("meta"):
        ops = torch_trace.trace(Repeated(), (torch.empty(8, 8),), batch=8).ops
    assert [op.bias_adds for op in ops if op.name == "add"][:3] == [8, 0, 8]
    assert [op.elementwise_flops for op in ops if op.name == "add"][:3] == [0, 8, 0]
    assert [op.constant for op in ops if op.name == "mm"] == [True, False, False, False]
    assert sum(op.params for op in ops) == 8 * 8 * 2 + 8


class OfConstants(nn.Module):
    """Numbers that the module makes for one operator each, whose memory is free again afterwards."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale twenty times."""
        for number in range(20):
            x = x * torch.tensor([float(number)])
        return x


@pytest.mark.parametrize("real", [False, True])
def test_tensors_that_follow_each_other_in_memory_are_told_apart(real: bool) -> None:
    nodes = torch_trace.trace(OfConstants(), (torch.empty(8, 8),), real=real).nodes
    factors = [node.reads[1].tensor for node in nodes if len(node.reads) == 2]
    assert len(factors) == len(set(factors)) == 20
