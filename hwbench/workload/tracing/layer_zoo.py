"""Small networks of one kind of layer each, `layers:NAME`: what published networks have little of.

The word before the first dash is the kind, which is held out of fits as a family. Each takes some milliseconds on a
core, and repeats its layer, as networks do.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Make = Callable[[], nn.Module]


class Chain(nn.Module):
    """Layers in a row; the input of each is added to its output (`residual`) or goes on next to it (`dense`)."""

    def __init__(self, *layers: nn.Module, residual: bool = False, dense: bool = False) -> None:
        super().__init__()
        self.layers, self.residual, self.dense = nn.ModuleList(layers), residual, dense

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last layer."""
        for layer in self.layers:
            y = layer(x)
            x = x + y if self.residual else torch.cat([x, y], 1) if self.dense else y
        return x


class Apply(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return the function's result."""
        return self.function(x)


class SelfAttention(nn.Module):
    """Self-attention over tokens: with torch's function, or written out; `keys` heads of keys and values."""

    def __init__(self, width: int, heads: int, keys: int = 0, causal: bool = False, written: str = "") -> None:
        super().__init__()
        self.heads, self.keys, self.causal, self.written = heads, keys or heads, causal, written
        self.size = width // heads
        self.qkv = nn.Linear(width, width + 2 * self.keys * self.size)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens after one attention."""
        batch, tokens, width = x.shape
        parts = self.qkv(x).split([width, self.keys * self.size, self.keys * self.size], 2)
        q, k, v = (part.view(batch, tokens, -1, self.size).transpose(1, 2) for part in parts)
        if self.keys < self.heads:
            k, v = (part.repeat_interleave(self.heads // self.keys, 1) for part in (k, v))
        if self.written == "linear":
            y = q.softmax(-1) @ (k.softmax(-2).transpose(2, 3) @ v)
        elif self.written:
            y = (q @ k.transpose(2, 3) * self.size**-0.5).softmax(-1) @ v
        else:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(batch, tokens, width))


class Windows(nn.Module):
    """Attention within square windows of an image whose channels come last."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.attention, self.norm, self.side = SelfAttention(width, heads), nn.LayerNorm(width), side

    def forward(self, x: Tensor) -> Tensor:
        """Return the image after one attention."""
        b, h, w, c = x.shape
        s = self.side
        y = self.norm(x).view(b, h // s, s, w // s, s, c).transpose(2, 3).reshape(-1, s * s, c)
        y = self.attention(y).view(b, h // s, w // s, s, s, c).transpose(2, 3)
        return x + y.reshape(b, h, w, c)


class Recurrent(nn.Module):
    """A recurrent layer and the last of its states."""

    def __init__(self, kind: type[nn.RNNBase], *sizes: int, **options: Any) -> None:
        super().__init__()
        self.layer = kind(*sizes, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        """Return the state after the last step."""
        return self.layer(x)[0][:, -1]


class Gated(nn.Module):
    """Two layers in parallel, one of which gates the other."""

    def __init__(self, layer: Make, gate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.value, self.scale, self.gate = layer(), layer(), gate

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated values."""
        return self.value(x) * self.gate(self.scale(x))


class Squeeze(nn.Module):
    """Channels scaled by a small network of their means."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled image."""
        return x * torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Unet(nn.Module):
    """Convolutions at halved sizes and back, `up` doubling the image, each beside what had its size before."""

    def __init__(self, channels: int, width: int, depth: int, up: Callable[[int], nn.Module]) -> None:
        super().__init__()
        widths = [width << level for level in range(depth)]
        inputs = [channels, *widths]
        self.down = nn.ModuleList(_block(a, b) for a, b in zip(inputs, widths, strict=False))
        self.ups = nn.ModuleList(up(b) for b in widths[:0:-1])
        self.back = nn.ModuleList(_block(a + b, a) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the input's size."""
        sizes: list[Tensor] = []
        for layer in self.down:
            x = layer(functional.max_pool2d(x, 2) if sizes else x)
            sizes.append(x)
        for up, layer, other in zip(self.ups, self.back, sizes[-2::-1], strict=True):
            x = layer(torch.cat([up(x), other], 1))
        return self.head(x)


class Recommender(nn.Module):
    """Rows of embeddings for categories, multiplied with each other, and a small network."""

    def __init__(self, tables: int, rows: int, width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(rows, width) for _ in range(tables))
        self.head = nn.Sequential(nn.Linear(tables * tables, 256), nn.ReLU(), nn.Linear(256, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for a row of category numbers."""
        rows = torch.stack([table(x[:, k]) for k, table in enumerate(self.tables)], 1)
        return self.head((rows @ rows.transpose(1, 2)).flatten(1))


def _block(a: int, b: int, kernel: int = 3, **options: Any) -> nn.Sequential:
    """Return convolution, norm and activation."""
    options = {"padding": kernel // 2, "bias": False, **options}
    return nn.Sequential(nn.Conv2d(a, b, kernel, **options), nn.BatchNorm2d(b), nn.ReLU())


def _many(count: int, layer: Make, **how: bool) -> Make:
    return lambda: Chain(*(layer() for _ in range(count)), **how)


def _conv(width: int, kernel: int = 3, count: int = 4, **options: Any) -> Make:
    return _many(count, lambda: _block(width, width, kernel, **options))


def _separable(width: int, kernel: int, **options: Any) -> nn.Module:
    return Chain(_block(width, width, kernel, groups=width, **options), _block(width, width, 1))


def _inverted(width: int, grow: int, squeeze: bool) -> nn.Module:
    inner = width * grow
    middle = [Squeeze(inner, width)] if squeeze else []
    point = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width))
    return nn.Sequential(_block(width, inner, 1), _block(inner, inner, groups=inner), *middle, point)


def _shuffle(groups: int) -> nn.Module:
    return Apply(lambda x: x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2))


def _upsample(mode: str) -> Callable[[int], nn.Module]:
    return lambda _: nn.Upsample(scale_factor=2, mode=mode)


def _encoder(width: int, heads: int, **options: Any) -> Make:
    return lambda: nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True, **options)


def _generator() -> nn.Module:
    widths = (100, 256, 128, 64, 3)
    steps = zip(widths, widths[1:], (1, 2, 2, 2), (0, 1, 1, 1), strict=False)
    return nn.Sequential(*(_transposed(a, b, 4, s, p) for a, b, s, p in steps))


def _transposed(a: int, b: int, kernel: int, stride: int, padding: int = 0, **options: Any) -> nn.Module:
    layer = nn.ConvTranspose2d(a, b, kernel, stride, padding, bias=False, **options)
    return nn.Sequential(layer, nn.BatchNorm2d(b), nn.ReLU())


def _signal(a: int, b: int, kernel: int, **options: Any) -> nn.Module:
    return nn.Sequential(nn.Conv1d(a, b, kernel, padding="same", **options), nn.BatchNorm1d(b), nn.ReLU())


def _volume(a: int, b: int, kernel: Any, padding: Any, **options: Any) -> nn.Module:
    return nn.Sequential(nn.Conv3d(a, b, kernel, padding=padding, **options), nn.BatchNorm3d(b), nn.ReLU())


def _mlp(width: int, inner: int, activation: type[nn.Module] = nn.GELU) -> nn.Module:
    return nn.Sequential(nn.Linear(width, inner), activation(), nn.Linear(inner, width))


def _mixer(tokens: int, width: int) -> nn.Module:
    turn = partial(torch.transpose, dim0=1, dim1=2)
    across = nn.Sequential(nn.LayerNorm(width), Apply(turn), _mlp(tokens, 2 * tokens), Apply(turn))
    within = nn.Sequential(nn.LayerNorm(width), _mlp(width, 4 * width))
    return Chain(across, within, residual=True)


def _wave(dilation: int) -> nn.Module:
    layer = partial(nn.Conv1d, 64, 64, 3, padding=dilation, dilation=dilation)
    return nn.Sequential(Gated(layer, torch.sigmoid), nn.Conv1d(64, 64, 1))


def _super_resolution(width: int, factor: int) -> nn.Module:
    body = [_block(width, width) for _ in range(3)]
    return nn.Sequential(_block(3, width, 5), *body, nn.Conv2d(width, 3 * factor**2, 3, padding=1),
                         nn.PixelShuffle(factor))  # fmt: skip


def _pyramid(width: int) -> nn.Module:
    rates = (1, 2, 4, 8)
    return Chain(*(_block(width * (k + 1), width, dilation=d, padding=d) for k, d in enumerate(rates)), dense=True)


def _tiny_ops(x: Tensor) -> Tensor:
    for step in range(60):
        x = (x * 1.01 + 0.1).relu() if step % 2 else x - x.mean(-1, keepdim=True)
    return x


LAYERS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "conv-wide": (_conv(256), (256, 14, 14)),
    "conv-deep": (_conv(512, count=3), (512, 7, 7)),
    "conv-middle": (_conv(64), (64, 56, 56)),
    "conv-odd": (_conv(50), (50, 28, 28)),
    "conv-rect": (lambda: Chain(*(nn.Conv2d(96, 96, (1, 7) if k % 2 else (7, 1), padding=(0, 3) if k % 2 else (3, 0))
                                  for k in range(6))), (96, 17, 17)),
    "few-three": (_conv(3, count=6), (3, 224, 224)),
    "few-eight": (_conv(8), (8, 224, 224)),
    "few-sixteen": (_conv(16), (16, 160, 160)),
    "few-twelve": (_conv(12, 5), (12, 128, 128)),
    "large-five": (_conv(48, 5), (48, 28, 28)),
    "large-seven": (_conv(32, 7), (32, 28, 28)),
    "large-eleven": (_conv(16, 11, 3), (16, 48, 48)),
    "point-wide": (_conv(512, 1), (512, 14, 14)),
    "point-narrow": (_conv(32, 1, 6), (32, 112, 112)),
    "point-odd": (_conv(100, 1, 6), (100, 28, 28)),
    "point-small": (_conv(960, 1), (960, 7, 7)),
    "strided-chain": (lambda: Chain(*(_block(16 << k, 32 << k, stride=2) for k in range(5))), (16, 128, 128)),
    "strided-patches": (lambda: nn.Sequential(nn.Conv2d(3, 384, 16, 16), nn.Conv2d(384, 384, 2, 2)), (3, 384, 384)),
    "dilated-two": (_conv(64, dilation=2, padding=2), (64, 40, 40)),
    "dilated-eight": (_conv(96, dilation=8, padding=8), (96, 28, 28)),
    "dilated-pyramid": (lambda: _pyramid(48), (48, 40, 40)),
    "grouped-two": (_conv(128, groups=2), (128, 28, 28)),
    "grouped-four": (_conv(160, groups=4), (160, 28, 28)),
    "grouped-many": (_conv(256, groups=32), (256, 28, 28)),
    "grouped-pairs": (_conv(128, groups=64), (128, 28, 28)),
    "grouped-stages": (_many(3, lambda: nn.Sequential(_block(128, 256, 1), _block(256, 256, groups=16),
                                                      _block(256, 128, 1)), residual=True), (128, 14, 14)),
    "grouped-shuffle": (_many(4, lambda: nn.Sequential(_block(240, 240, 1, groups=3), _shuffle(3),
                                                       _block(240, 240, groups=240))), (240, 28, 28)),
    "depthwise-three": (_conv(192, 3, 6, groups=192), (192, 28, 28)),
    "depthwise-large": (_conv(96, 13, groups=96), (96, 28, 28)),
    "depthwise-map": (_conv(24, 5, groups=24), (24, 112, 112)),
    "depthwise-double": (lambda: Chain(_block(48, 96, groups=48), _block(96, 192, groups=96, stride=2)), (48, 80, 80)),
    "separable-three": (_many(5, lambda: _separable(128, 3)), (128, 28, 28)),
    "separable-seven": (_many(4, lambda: _separable(96, 7)), (96, 28, 28)),
    "inverted-plain": (_many(4, lambda: _inverted(32, 6, False), residual=True), (32, 28, 28)),
    "inverted-squeeze": (_many(4, lambda: _inverted(40, 4, True), residual=True), (40, 28, 28)),
    "transposed-two": (lambda: Chain(_transposed(128, 64, 2, 2), _transposed(64, 32, 2, 2)), (128, 28, 28)),
    "transposed-four": (lambda: Chain(_transposed(96, 48, 4, 2, 1), _transposed(48, 24, 4, 2, 1)), (96, 28, 28)),
    "transposed-plain": (_many(3, lambda: _transposed(64, 64, 3, 1, 1)), (64, 28, 28)),
    "transposed-groups": (_many(2, lambda: _transposed(64, 64, 4, 2, 1, groups=4)), (64, 20, 20)),
    "transposed-generator": (_generator, (100, 4, 4)),
    "signal-waves": (_many(1, lambda: Chain(*(_wave(1 << k) for k in range(6)), residual=True)), (64, 1024)),
    "signal-wide": (_many(4, lambda: _signal(128, 128, 9)), (128, 512)),
    "signal-raw": (lambda: Chain(nn.Conv1d(1, 64, 80, 4), nn.ReLU(), nn.MaxPool1d(4), _signal(64, 128, 3),
                                 nn.MaxPool1d(4), _signal(128, 256, 3)), (1, 16000)),
    "signal-depthwise": (_many(4, lambda: nn.Sequential(_signal(256, 256, 31, groups=256), _signal(256, 256, 1))),
                         (256, 200)),
    "signal-points": (lambda: Chain(_signal(3, 64, 1), _signal(64, 128, 1), _signal(128, 512, 1),
                                    nn.AdaptiveMaxPool1d(1)), (3, 1024)),
    "volume-three": (lambda: Chain(_volume(3, 16, 3, 1), _volume(16, 32, 3, 1, stride=2), _volume(32, 32, 3, 1)),
                     (3, 16, 40, 40)),
    "volume-split": (_many(3, lambda: nn.Sequential(_volume(32, 48, (1, 3, 3), (0, 1, 1)),
                                                    _volume(48, 32, (3, 1, 1), (1, 0, 0)))), (32, 8, 28, 28)),
    "volume-point": (_many(3, lambda: _volume(64, 64, 1, 0)), (64, 8, 28, 28)),
    "lstm-small": (lambda: Recurrent(nn.LSTM, 64, 64), (100, 64)),
    "lstm-wide": (lambda: Recurrent(nn.LSTM, 512, 512), (32, 512)),
    "lstm-both": (lambda: Recurrent(nn.LSTM, 128, 128, num_layers=2, bidirectional=True), (64, 128)),
    "gru-middle": (lambda: Recurrent(nn.GRU, 128, 256), (80, 128)),
    "gru-long": (lambda: Recurrent(nn.GRU, 40, 32), (400, 40)),
    "rnn-plain": (lambda: Recurrent(nn.RNN, 128, 256, num_layers=2), (64, 128)),
    "attention-short": (_many(4, lambda: SelfAttention(256, 4), residual=True), (64, 256)),
    "attention-long": (_many(2, lambda: SelfAttention(128, 4), residual=True), (1024, 128)),
    "attention-heads": (_many(3, lambda: SelfAttention(256, 16), residual=True), (196, 256)),
    "attention-shared": (_many(3, lambda: SelfAttention(256, 8, keys=2), residual=True), (196, 256)),
    "attention-causal": (_many(3, lambda: SelfAttention(256, 4, causal=True), residual=True), (256, 256)),
    "attention-written": (_many(3, lambda: SelfAttention(192, 3, written="softmax"), residual=True), (196, 192)),
    "attention-linear": (_many(3, lambda: SelfAttention(192, 3, written="linear"), residual=True), (784, 192)),
    "windows-seven": (_many(3, lambda: Windows(96, 3, 7)), (28, 28, 96)),
    "windows-large": (_many(2, lambda: Windows(128, 4, 14)), (28, 28, 128)),
    "encoder-small": (_many(3, _encoder(128, 4)), (64, 128)),
    "encoder-first": (_many(2, _encoder(256, 8, norm_first=True, activation="gelu")), (128, 256)),
    "mlp-wide": (lambda: _mlp(1024, 4096), (8, 1024)),
    "mlp-vector": (_many(4, lambda: _mlp(512, 512, nn.ReLU)), (512,)),
    "mlp-narrow": (_many(16, lambda: _mlp(64, 64, nn.ReLU)), (64,)),
    "mlp-gated": (_many(3, lambda: nn.Sequential(Gated(partial(nn.Linear, 256, 688), functional.silu),
                                                 nn.Linear(688, 256)), residual=True), (128, 256)),
    "mixer-small": (_many(3, lambda: _mixer(196, 128)), (196, 128)),
    "embedding-recommender": (lambda: Recommender(26, 5000, 16), (26,)),
    "norm-group": (_many(3, lambda: nn.Sequential(nn.Conv2d(64, 64, 1), nn.GroupNorm(8, 64), nn.SiLU())), (64, 56, 56)),
    "norm-instance": (_many(4, lambda: nn.Sequential(nn.InstanceNorm2d(32), nn.LeakyReLU(0.1))), (32, 96, 96)),
    "norm-layer": (_many(8, lambda: nn.LayerNorm(384)), (196, 384)),
    "activation-maps": (lambda: Chain(nn.GELU(), nn.Hardswish(), nn.Sigmoid(), nn.Tanh(), nn.ELU(), nn.Mish()),
                        (32, 112, 112)),
    "activation-softmax": (_many(4, lambda: nn.Softmax(-1)), (64, 64, 128)),
    "tiny-ops": (lambda: Apply(_tiny_ops), (256,)),
    "tiny-convs": (_conv(16, 3, 24), (16, 7, 7)),
    "tiny-blocks": (_many(12, lambda: _inverted(16, 2, True), residual=True), (16, 7, 7)),
    "dense-block": (lambda: Chain(*(_block(32 + 16 * k, 16) for k in range(8)), dense=True), (32, 28, 28)),
    "unet-transposed": (lambda: Unet(3, 16, 4, lambda b: nn.ConvTranspose2d(b, b, 2, 2)), (3, 96, 96)),
    "unet-nearest": (lambda: Unet(1, 12, 4, _upsample("nearest")), (1, 128, 128)),
    "unet-bilinear": (lambda: Unet(3, 16, 3, _upsample("bilinear")), (3, 96, 96)),
    "resample-down": (_many(3, lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), _block(32, 32, 1))), (32, 160, 160)),
    "resample-up": (_many(2, lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), _block(24, 24, 1))),
                    (24, 40, 40)),
    "resample-average": (_many(6, lambda: nn.AvgPool2d(3, 1, 1)), (64, 56, 56)),
    "resolution-double": (lambda: _super_resolution(32, 2), (3, 72, 72)),
    "resolution-narrow": (lambda: _super_resolution(12, 3), (3, 128, 128)),
    "squeeze-maps": (_many(6, lambda: Squeeze(128, 32)), (128, 28, 28)),
    "residual-blocks": (_many(3, lambda: nn.Sequential(_block(96, 96), nn.Conv2d(96, 96, 3, padding=1)),
                              residual=True), (96, 28, 28)),
}  # fmt: skip
"""What makes each network, and the shape of one sample."""
INDICES = {"embedding-recommender": 5000}
"""Networks whose input are numbers below this one."""
