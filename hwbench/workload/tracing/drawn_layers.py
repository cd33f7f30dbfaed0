"""Small networks of one kind of layer with sizes drawn at random, `layers:KIND-NUMBER`: the same for a name everywhere.

They populate each kind with sizes over decades, where the networks of `layer_zoo` are one or a few of each.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwbench.workload.tracing.drawn_convolutions import CONVOLUTIONS, Draw, Drawn, Shape, convolutions
from hwbench.workload.tracing.layer_zoo import Apply, Chain, Make, Recurrent, SelfAttention, Windows


def _recurrent(kind: type[nn.RNNBase], draw: Draw) -> Drawn:
    a, b, layers, both = draw.width(8, 512), draw.width(8, 768), draw.pick(1, 1, 2), draw.pick(False, False, True)
    steps = draw.side(4 * b * (a + b) * layers * (1 + both), 4, 400, 1)
    return lambda: Recurrent(kind, a, b, num_layers=layers, bidirectional=both), (steps, a)


class _Cross(nn.Module):
    """Attention of tokens to learned ones, by torch's module."""

    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(1, tokens, width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the learned tokens after one attention."""
        query = self.tokens.expand(x.shape[0], -1, -1)
        return self.attention(query, x, x, need_weights=False)[0]


def _attention(draw: Draw) -> Drawn:
    size, heads = draw.pick(16, 24, 32, 32, 64, 64, 128), draw.pick(1, 2, 3, 4, 6, 8, 12, 16)
    width, form, count = (
        size * heads,
        draw.pick("", "", "softmax", "linear", "causal", "shared", "cross"),
        draw.size(1, 6),
    )
    tokens = draw.side(4 * width * width * count, 8, 1200, 1)
    if form == "cross":
        return lambda: _Cross(width, heads, draw.size(1, 64)), (tokens, width)
    keys = 1 if form == "shared" else 0
    written = form if form in ("softmax", "linear") else ""
    make = partial(SelfAttention, width, heads, keys, form == "causal", written)
    return lambda: Chain(*(make() for _ in range(count)), residual=True), (tokens, width)


def _windows(draw: Draw) -> Drawn:
    side, heads, count = draw.pick(4, 7, 8, 14), draw.pick(2, 3, 4, 6, 8), draw.size(1, 4)
    width = heads * draw.pick(16, 32)
    image = max(round(draw.side(4 * width * width * count, 4, 112) / side), 1) * side
    return lambda: Chain(*(Windows(width, heads, side) for _ in range(count))), (image, image, width)


def _encoder(draw: Draw) -> Drawn:
    heads, count, first = draw.pick(1, 2, 4, 8, 12), draw.size(1, 6), draw.pick(True, False)
    width, grow = heads * draw.pick(16, 32, 64), draw.pick(2, 4)
    tokens = draw.side((4 + 2 * grow) * width * width * count, 4, 800, 1)
    make = partial(nn.TransformerEncoderLayer, width, heads, grow * width, batch_first=True, norm_first=first,
                   activation=draw.pick("relu", "gelu"))  # fmt: skip
    return lambda: Chain(*(make() for _ in range(count))), (tokens, width)


def _mlp(draw: Draw) -> Drawn:
    a, b, count = draw.width(16, 2048), draw.width(16, 4096), draw.size(1, 12)
    rows = draw.side(2 * a * b * count, 1, 2000, 1)
    function = draw.pick(nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh)
    norm = draw.pick(nn.Identity, nn.Identity, partial(nn.LayerNorm, a))
    make: Make = lambda: nn.Sequential(norm(), nn.Linear(a, b), function(), nn.Linear(b, a))  # noqa: E731
    return lambda: Chain(*(make() for _ in range(count)), residual=draw.pick(True, False)), (rows, a) if rows > 1 else (
        a,
    )


def _mixer(draw: Draw) -> Drawn:
    width, tokens, count = draw.width(16, 512), draw.pick(16, 49, 64, 196, 256), draw.size(1, 4)
    turn = Apply(partial(torch.transpose, dim0=1, dim1=2))

    def block() -> nn.Module:
        across = nn.Sequential(nn.LayerNorm(width), turn, nn.Linear(tokens, 2 * tokens), nn.GELU(),
                               nn.Linear(2 * tokens, tokens), turn)  # fmt: skip
        within = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        return Chain(across, within, residual=True)

    return lambda: Chain(*(block() for _ in range(count))), (tokens, width)


def _products(draw: Draw) -> Drawn:
    """Return products of two activations: correlations of tokens, or outer products of parts."""
    a, width, form = draw.size(4, 64), draw.width(8, 256), draw.pick("gram", "channels", "chain")
    tokens = draw.side(a * width * width, 8, 512, 1)
    functions = {
        "gram": lambda x: x @ x.transpose(-1, -2) @ x,
        "channels": lambda x: x @ (x.transpose(-1, -2) @ x).softmax(-1),
        "chain": lambda x: torch.einsum("bhtc,bhsc->bhts", x, x.relu()).sum(-1),
    }
    return lambda: Apply(functions[form]), (a, tokens, width)


def _norm(draw: Draw) -> Drawn:
    a, count = draw.pick(8, 16, 32, 48, 64, 96, 128, 256), draw.size(1, 6)
    form = draw.pick("layer", "layer", "group", "instance", "batch", "image", "rms")
    elements = draw.real(2e4, 2e6)
    if form in ("layer", "rms"):
        tokens = max(round(elements / (8 * a)), 1)
        make: Make = partial(nn.LayerNorm if form == "layer" else nn.RMSNorm, 8 * a)
        return lambda: Chain(*(make() for _ in range(count))), (tokens, 8 * a)
    side = max(round((elements / a) ** 0.5), 4)
    makes: dict[str, Make] = {
        "group": lambda: nn.GroupNorm(draw.pick(1, 4, 8), a),
        "instance": lambda: nn.InstanceNorm2d(a, affine=True),
        "batch": lambda: nn.Sequential(nn.BatchNorm2d(a), nn.ReLU()),
        "image": lambda: Apply(lambda x: functional.layer_norm(x.permute(0, 2, 3, 1), (a,)).permute(0, 3, 1, 2)),
    }
    return lambda: Chain(*(makes[form]() for _ in range(count))), (a, side, side)


def _activation(draw: Draw) -> Drawn:
    elements, count = draw.real(1e4, 2e6), draw.size(1, 6)
    if draw.pick(True, False, False):
        last = draw.size(8, 2048)
        return lambda: Chain(*(nn.Softmax(-1) for _ in range(count))), (max(round(elements / last), 1), last)
    some = (nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.ELU, nn.Softplus, nn.Mish, nn.ReLU6,
            nn.LeakyReLU, nn.PReLU)  # fmt: skip
    side = max(round((elements / 16) ** 0.5), 4)
    return lambda: Chain(*(draw.pick(*some)() for _ in range(count))), (16, side, side)


def _tiny(draw: Draw) -> Drawn:
    shape: Shape = draw.pick((16,), (256,), (8, 32), (16, 64), (64, 64), (8, 7, 7))
    steps: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda x: x * 1.01 + 0.1, torch.relu, torch.sigmoid, torch.tanh, lambda x: x - x.mean(-1, keepdim=True),
        lambda x: x.softmax(-1), lambda x: x / (1 + x * x), lambda x: torch.cat([x, x], -1)[..., : x.shape[-1]],
        lambda x: x.clamp(-1, 1), lambda x: torch.where(x > 0, x, 0.1 * x), lambda x: x.abs().sqrt(),
        lambda x: x.flip(-1), lambda x: x.transpose(-1, -2).reshape(x.shape) if x.ndim > 2 else x * x,
    )  # fmt: skip
    count = draw.size(10, 200)
    return lambda: nn.Sequential(*(Apply(draw.pick(*steps)) for _ in range(count))), shape


def _layers_tiny(draw: Draw) -> Drawn:
    """Return many small layers in a row: perceptrons or convolutions."""
    a, count = draw.width(4, 96), draw.size(8, 48)
    if draw.pick(True, False):
        function = draw.pick(nn.ReLU, nn.Tanh, nn.GELU)
        return lambda: nn.Sequential(*(nn.Sequential(nn.Linear(a, a), function()) for _ in range(count))), (a,)
    side = draw.pick(4, 7, 14)
    kernel, groups = draw.pick((3, 1), (1, 1), (3, a))
    return lambda: Chain(*convolutions(draw, a, count, kernel, groups=groups), residual=draw.pick(True, False)), (
        a,
        side,
        side,
    )


class _Cells(nn.Module):
    """Steps of a recurrent cell written out in a loop."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.cell, self.width = nn.GRUCell(a, b), b

    def forward(self, x: Tensor) -> Tensor:
        """Return the last state."""
        state = x.new_zeros(x.shape[0], self.width)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return state


def _cells(draw: Draw) -> Drawn:
    a, b, steps = draw.width(8, 256), draw.width(8, 256), draw.size(4, 40)
    return lambda: _Cells(a, b), (steps, a)


def _resample(draw: Draw) -> Drawn:
    a, elements = draw.width(3, 256), draw.real(1e4, 6e5)
    side = max(round((elements / a) ** 0.5) // 8, 1) * 8
    forms: dict[str, Make] = {
        "nearest": lambda: nn.Upsample(scale_factor=2),
        "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        "aligned": lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        "max": lambda: nn.MaxPool2d(2), "overlap": lambda: nn.MaxPool2d(3, 2, 1), "average": lambda: nn.AvgPool2d(2),
        "same": lambda: nn.AvgPool2d(3, 1, 1), "adaptive": lambda: nn.AdaptiveAvgPool2d(1),
        "shuffle": lambda: nn.PixelUnshuffle(2),
    }  # fmt: skip
    make = forms[draw.pick(*forms)]
    return lambda: nn.Sequential(make(), nn.ReLU()), (a, side, side)


def _moves(draw: Draw) -> Drawn:
    """Return layers that only move elements: permutations, shifts, joints, padding."""
    a, elements = draw.pick(4, 8, 16, 32, 64), draw.real(1e4, 1e6)
    side = max(round((elements / a) ** 0.5) // 4, 1) * 4
    steps: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda x: x.permute(0, 2, 3, 1).contiguous(), lambda x: x.transpose(-1, -2).contiguous(),
        lambda x: torch.roll(x, (1, 1), (-1, -2)), lambda x: torch.cat([x[:, ::2], x[:, 1::2]], 1),
        lambda x: functional.pad(x, (1, 1, 1, 1))[..., 1:, 1:] + 1, lambda x: torch.cat([x, x], 1),
        lambda x: x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2), lambda x: x.flip(-1),
    )  # fmt: skip

    def make() -> nn.Module:
        step = draw.pick(*steps)
        return Apply(lambda x: step(x) * 2.0)

    return make, (a, side, side)


def _reduction(draw: Draw) -> Drawn:
    a, elements = draw.pick(4, 16, 64, 256), draw.real(1e4, 2e6)
    side = max(round((elements / a) ** 0.5), 4)
    steps: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda x: x.mean((2, 3)), lambda x: x.sum(-1), lambda x: x.amax(1), lambda x: x.var((2, 3), keepdim=True),
        lambda x: x - x.mean(1, keepdim=True), lambda x: x / x.norm(dim=1, keepdim=True), lambda x: x.mean(1),
    )  # fmt: skip
    return lambda: Apply(draw.pick(*steps)), (a, side, side)


KINDS: dict[str, Callable[[Draw], Drawn]] = {
    **CONVOLUTIONS, "lstm": partial(_recurrent, nn.LSTM), "gru": partial(_recurrent, nn.GRU),
    "rnn": partial(_recurrent, nn.RNN), "attention": _attention, "windows": _windows, "encoder": _encoder, "mlp": _mlp,
    "mixer": _mixer, "products": _products, "norm": _norm, "activation": _activation, "tiny": _tiny,
    "small": _layers_tiny, "cells": _cells, "resample": _resample, "moves": _moves, "reduction": _reduction,
}  # fmt: skip


def drawn(name: str) -> tuple[Make, Shape] | None:
    """Return what makes the network of a name and the shape of one sample, None for a name of another form."""
    kind, _, number = name.partition("-")
    if kind not in KINDS or not (number.isdecimal() and number.isascii() and len(number) <= 5):
        return None

    def make() -> nn.Module:
        return KINDS[kind](Draw(name))[0]()

    return make, KINDS[kind](Draw(name))[1]
