"""Every layer kind of a network file as a torch module with random weights.

A factory takes the kind's checked options, the input shape of one sample and the counted op. The first dimension of a
module's input is the batch. `inplace` activations overwrite an input that nobody else reads.
"""

import functools
import operator
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from hwbench.errors import InputError
from hwbench.workload.ops import Op, Shape
from hwbench.workload.shapes import each

Options = dict[str, Any]


class Second(nn.Module):
    """Applies `operation` to the input and `count` further activations of `shape`, which a list of layers cannot name.

    These are random tensors, one a sample, created for the first batch; they are data, not parameters.
    """

    def __init__(self, shape: Shape, operation: Callable[..., Any], count: int = 1) -> None:
        super().__init__()
        self.shape, self.operation, self.count = shape, operation, count
        self.others: tuple[Any, ...] = ()

    def forward(self, data: Any) -> Any:
        """Apply the operation to a batch."""
        like = (data.shape[0], data.dtype, data.device)
        if not self.others or (self.others[0].shape[0], self.others[0].dtype, self.others[0].device) != like:
            others = [torch.rand(data.shape[0], *self.shape, device=data.device) for _ in range(self.count)]
            self.others = tuple(tensor.to(data.dtype) for tensor in others)
        return self.operation(data, *self.others)


class Attention(nn.Module):
    """Fused self-attention over `(tokens, q + k + v)`."""

    def __init__(self, heads: int, kv_heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.width = heads, kv_heads, width

    def forward(self, packed: Any) -> Any:
        """Return a batch of `(tokens, heads × width)`."""
        batch, tokens, _ = packed.shape
        heads = (self.heads, self.kv_heads, self.kv_heads)
        split = packed.split([count * self.width for count in heads], dim=-1)
        parts = [part.view(batch, tokens, -1, self.width).transpose(1, 2) for part in split]
        grouped = {"enable_gqa": True} if self.kv_heads != self.heads else {}
        mixed = nn.functional.scaled_dot_product_attention(*parts, **grouped)
        return mixed.transpose(1, 2).reshape(batch, tokens, -1)


class Applied(nn.Module):
    """A function without weights, of a batch or, where branches join, of a list of batches."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, data: Any) -> Any:
        """Apply the function."""
        return self.function(data)


class Lookup(nn.Module):
    """An embedding of its own indices, positions modulo rows, until `take_input` makes it read the network's input."""

    def __init__(self, rows: int, width: int, shape: Shape) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, width)
        self.register_buffer("own", (torch.arange(prod(shape)) % rows).view(shape), persistent=False)

    def take_input(self) -> int:
        """Look up the input from now on; return the number of rows."""
        self.own = None
        return int(self.table.num_embeddings)

    def forward(self, indices: Any) -> Any:
        """Return rows of the table, one an index."""
        return self.table(indices if self.own is None else self.own.expand(indices.shape))


class ClassToken(nn.Module):
    """A learned vector before a sequence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)

    def forward(self, data: Any) -> Any:
        """Return a batch of sequences that are one longer."""
        return torch.cat([self.token.expand(data.shape[0], -1, -1), data], dim=1)


class Positions(nn.Module):
    """A learned value for every element, added."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.randn(1, *shape) * 0.02)

    def forward(self, data: Any) -> Any:
        """Add the values to a batch."""
        return data + self.values


class Scale(nn.Module):
    """A learned scale and shift of each channel."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        each_channel = (shape[0], *(1 for _ in shape[1:]))
        self.weight, self.bias = nn.Parameter(torch.ones(each_channel)), nn.Parameter(torch.zeros(each_channel))

    def forward(self, data: Any) -> Any:
        """Scale and shift a batch."""
        return data * self.weight + self.bias


def of_dimensions(stem: str, count: int) -> Any:
    """Return torch's class for 1 to 3 spatial dimensions. Raises InputError for more."""
    if count > 3:
        raise InputError("not-runnable", f"{stem} of {count} spatial dimensions does not exist in torch.")
    return getattr(nn, f"{stem}{max(count, 1)}d")


def conv(options: Options, shape: Shape, op: Op) -> Any:
    """Return a convolution; where `same` padding is odd, more of it goes to the end, as in TensorFlow."""
    kind, n = of_dimensions("Conv", len(shape) - 1), len(shape) - 1
    rest = {"padding": 0, **options}
    channels, kernel, padding = rest.pop("channels"), rest.pop("kernel"), rest.pop("padding")
    if padding != "same":
        return kind(shape[0], channels, kernel, padding=padding, **rest)
    stride, dilation = each(rest.get("stride", 1), n, "stride"), each(rest.get("dilation", 1), n, "dilation")
    sides = zip(shape[1:], op.output_shape[1:], each(kernel, n, "kernel"), stride, dilation, strict=True)
    totals = [max((o - 1) * s + d * (k - 1) + 1 - i, 0) for i, o, k, s, d in sides]
    if not any(total % 2 for total in totals):
        return kind(shape[0], channels, kernel, padding=tuple(total // 2 for total in totals), **rest)
    padding = tuple(side for total in reversed(totals) for side in (total // 2, total - total // 2))
    pad = of_dimensions("ConstantPad", n)(padding, 0.0)
    return nn.Sequential(OrderedDict(pad=pad, convolution=kind(shape[0], channels, kernel, **rest)))


def transposed_conv(options: Options, shape: Shape, _: Op) -> Any:
    """Return a transposed convolution."""
    rest = dict(options)
    kind = of_dimensions("ConvTranspose", len(shape) - 1)
    return kind(shape[0], rest.pop("channels"), rest.pop("kernel"), **rest)


def attention(options: Options, _: Shape, op: Op) -> Any:
    """Return self-attention."""
    heads = options["heads"]
    return Attention(heads, options.get("kv_heads") or heads, op.output_shape[-1] // heads)


def _pool(stem: str) -> Callable[[Options, Shape, Op], Any]:
    def pool(options: Options, shape: Shape, _: Op) -> Any:
        filled = {"stride": options["kernel"], "padding": 0, **options}
        kind = of_dimensions(stem, len(shape) - 1)
        return kind(filled["kernel"], filled["stride"], filled["padding"], ceil_mode=filled.get("ceil", False))

    return pool


def total(parts: Sequence[Any], inplace: bool) -> Any:
    """Return the sum of equal shapes; `inplace` overwrites the first."""
    first = parts[0].add_(parts[1]) if inplace else parts[0] + parts[1]
    return functools.reduce(operator.iadd, parts[2:], first)


FACTORIES: dict[str, Callable[[Options, Shape, Op], Any]] = {
    "conv": conv,
    "transposed_conv": transposed_conv,
    "linear": lambda options, shape, _: nn.Linear(shape[-1], options["features"], bias=options.get("bias", True)),
    "matmul": lambda options, shape, _: Second((*shape[:-2], shape[-1], options["columns"]), torch.matmul),
    "attention": attention,
    "max_pool": _pool("MaxPool"),
    "avg_pool": _pool("AvgPool"),
    "global_avg_pool": lambda *_: Applied(lambda data: data.mean(dim=tuple(range(2, data.dim())))),
    "local_response_norm": lambda options, _shape, _op: nn.LocalResponseNorm(options.get("size", 5)),
    "batch_norm": lambda _options, shape, _op: of_dimensions("BatchNorm", len(shape) - 1)(shape[0]),
    "layer_norm": lambda _options, shape, _op: nn.LayerNorm(shape[-1]),
    "softmax": lambda *_: nn.Softmax(dim=-1),
    "relu": lambda *_: nn.ReLU(),
    "relu6": lambda *_: nn.ReLU6(),
    "sigmoid": lambda *_: nn.Sigmoid(),
    "tanh": lambda *_: nn.Tanh(),
    "gelu": lambda *_: nn.GELU(),
    "silu": lambda *_: nn.SiLU(),
    "scale": lambda _options, shape, _op: Scale(shape),
    "add": lambda options, shape, _: Second(shape, lambda *parts: total(parts, False), options.get("inputs", 2) - 1),
    "copy": lambda *_: Applied(torch.clone),
    "embedding": lambda options, shape, _: Lookup(options["rows"], options["width"], shape),
    "class_token": lambda _options, shape, _op: ClassToken(shape[-1]),
    "position_embedding": lambda _options, shape, _op: Positions(shape),
}
"""The factory of each kind in `layers.KINDS`."""

IN_PLACE = ("relu", "relu6", "silu")
"""Kinds whose modules can overwrite their input."""
