"""Small networks of one kind of convolution, with sizes drawn at random, and how sizes are drawn: see drawn_layers."""

import random
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from math import exp, log
from typing import Any

import torch
from torch import nn

from hwbench.workload.tracing.layer_zoo import Chain, Gated, Make, Squeeze, Unet

Shape = tuple[int, ...]
Drawn = tuple[Callable[[], nn.Module], Shape]
Layers = Callable[[], Iterable[nn.Module]]


class Draw:
    """Sizes drawn by a name: the same name draws the same ones."""

    def __init__(self, name: str) -> None:
        self.random = random.Random(name)
        self.budget = self.real(5e5, 6e8)

    def real(self, low: float, high: float) -> float:
        """Return a number whose logarithm is uniform."""
        return exp(self.random.uniform(log(low), log(high)))

    def size(self, low: float, high: float) -> int:
        """Return a whole number whose logarithm is uniform."""
        return round(self.real(low, high))

    def width(self, low: float, high: float) -> int:
        """Return a number of channels, mostly a multiple of 8 or 16."""
        step = int(self.pick(1, 4, 8, 8, 16, 16, 32))
        return max(round(self.real(low, high) / step), 1) * step

    def pick(self, *choices: Any) -> Any:
        """Return one of the choices."""
        return self.random.choice(choices)

    def side(self, macs: float, low: float = 4, high: float = 320, dimensions: int = 2) -> int:
        """Return the side of an image at which a network with so many MACs a position meets the drawn budget."""
        side: float = (self.budget / macs) ** (1 / dimensions)
        return round(min(max(side, low), high))

    def after(self, channels: int, dimensions: int = 2) -> list[nn.Module]:
        """Return what follows a convolution: nothing, an activation, or a norm and an activation."""
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dimensions - 1]
        function = self.pick(nn.ReLU, nn.ReLU, nn.SiLU, nn.GELU, nn.Hardswish, nn.LeakyReLU)
        return list(self.pick([], [function()], [norm(channels), function()], [norm(channels), function()]))


def convolutions(draw: Draw, a: int, count: int, kernel: Any, dimensions: int = 2, **options: Any) -> list[nn.Module]:
    """Return `count` convolutions of `a` channels that keep the size of the image."""
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
    options = {"padding": "same", "bias": draw.pick(True, False), **options}
    after = draw.after(a, dimensions)
    return [nn.Sequential(kind(a, a, kernel, **options), *after) for _ in range(count)]


def _conv(draw: Draw) -> Drawn:
    a, count, kernel = draw.width(16, 512), draw.size(1, 8), draw.pick(3, 3, 3, 3, 3, (1, 3), (3, 1), (1, 7), (7, 1))
    positions = kernel**2 if isinstance(kernel, int) else max(kernel)
    side = draw.side(a * a * positions * count, 4, 160)
    residual = draw.pick(False, False, True)
    return lambda: Chain(*convolutions(draw, a, count, kernel), residual=residual), (a, side, side)


def _few(draw: Draw) -> Drawn:
    a, b, kernel, count = draw.size(1, 16), draw.size(1, 24), draw.pick(3, 3, 5, 7), draw.size(1, 5)
    side = draw.side(count * a * b * kernel**2, 48, 384)

    def make() -> nn.Module:
        widths = (a, *(b if k % 2 else a for k in range(1, count + 1)))
        after = draw.pick(nn.Identity, nn.ReLU, nn.Sigmoid)
        return nn.Sequential(*(nn.Sequential(nn.Conv2d(x, y, kernel, padding="same"), after())
                               for x, y in pairwise(widths)))  # fmt: skip

    return make, (a, side, side)


def _large(draw: Draw) -> Drawn:
    a, kernel, count = draw.width(8, 128), draw.pick(5, 5, 7, 9, 11), draw.size(1, 4)
    side = draw.side(a * a * kernel**2 * count, 6, 160)
    return lambda: Chain(*convolutions(draw, a, count, kernel)), (a, side, side)


def _point(draw: Draw) -> Drawn:
    a, b, count = draw.width(8, 1024), draw.width(8, 1024), draw.size(1, 8)
    side = draw.side(a * b * count, 3, 224)
    after = partial(draw.pick, nn.Identity, nn.ReLU, nn.SiLU)

    def make() -> nn.Module:
        widths = (a, *(b if k % 2 else a for k in range(1, count + 1)))
        return nn.Sequential(*(nn.Sequential(nn.Conv2d(x, y, 1), after()()) for x, y in pairwise(widths)))

    return make, (a, side, side)


def _strided(draw: Draw) -> Drawn:
    a, sizes = draw.pick(1, 3, 3, 16, 64), draw.pick((3, 2), (3, 2), (5, 2), (7, 2), (4, 4), (8, 8), (16, 16))
    kernel, stride = sizes
    b, count = draw.width(16, 384), draw.size(1, 4) if stride == 2 else 1
    side = max(draw.side((a + b * (count > 1)) * b * kernel**2 / stride**2, 32, 320) // stride * stride, 4 * stride)

    def make() -> nn.Module:
        widths = (a, *([b] * count))
        layers = (nn.Conv2d(x, y, kernel, stride, (kernel - 1) // 2 if kernel % 2 else 0) for x, y in pairwise(widths))
        return nn.Sequential(*(nn.Sequential(layer, nn.BatchNorm2d(b), nn.ReLU()) for layer in layers))

    return make, (a, side, side)


def _dilated(draw: Draw) -> Drawn:
    a, count, kernel = draw.width(8, 256), draw.size(1, 5), draw.pick(3, 3, 5)
    side = draw.side(a * a * kernel**2 * count, 8, 160)
    return lambda: Chain(*convolutions(draw, a, count, kernel, dilation=draw.pick(2, 3, 4, 8))), (a, side, side)


def _grouped(draw: Draw) -> Drawn:
    groups, each, kernel, count = (
        draw.pick(2, 3, 4, 8, 16, 32, 64),
        draw.size(2, 64),
        draw.pick(1, 3, 3, 3, 5),
        draw.size(1, 6),
    )
    a = groups * each
    side = draw.side(a * each * kernel**2 * count, 4, 160)
    return lambda: Chain(*convolutions(draw, a, count, kernel, groups=groups)), (a, side, side)


def _depthwise(draw: Draw) -> Drawn:
    a, kernel, count, stride = (
        draw.width(8, 1024),
        draw.pick(3, 3, 5, 7, 9, 13, 21),
        draw.size(1, 6),
        draw.pick(1, 1, 1, 2),
    )
    side = draw.side(20 * a * kernel**2 * count, 7, 224)
    if stride == 1:
        return lambda: Chain(*convolutions(draw, a, count, kernel, groups=a)), (a, side, side)
    layers: Layers = lambda: (nn.Conv2d(a, a, kernel, 2, kernel // 2, groups=a) for _ in range(min(count, 3)))  # noqa: E731
    return lambda: nn.Sequential(*layers(), nn.BatchNorm2d(a), nn.ReLU()), (a, max(side, 8), max(side, 8))


def _separable(draw: Draw) -> Drawn:
    a, kernel, count = draw.width(16, 512), draw.pick(3, 5, 7), draw.size(1, 6)
    side = draw.side(a * (a + 5 * kernel**2) * count, 5, 160)

    def block() -> nn.Module:
        return nn.Sequential(*convolutions(draw, a, 1, kernel, groups=a), *convolutions(draw, a, 1, 1))

    return lambda: Chain(*(block() for _ in range(count)), residual=draw.pick(True, False)), (a, side, side)


def _inverted(draw: Draw) -> Drawn:
    a, grow, count, kernel = draw.width(8, 192), draw.pick(2, 4, 6), draw.size(1, 6), draw.pick(3, 3, 5)
    inner, squeeze = a * grow, draw.pick(True, False)
    side = draw.side(2 * a * inner * count, 5, 128)

    def block() -> nn.Module:
        middle = [Squeeze(inner, max(a // 4, 4))] if squeeze else []
        last = [nn.Conv2d(inner, a, 1, bias=False), nn.BatchNorm2d(a)]
        first = [nn.Conv2d(a, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.SiLU()]
        return nn.Sequential(*first, *convolutions(draw, inner, 1, kernel, groups=inner), *middle, *last)

    return lambda: Chain(*(block() for _ in range(count)), residual=True), (a, side, side)


def _transposed(draw: Draw) -> Drawn:
    kernel, stride, padding = draw.pick(
        (2, 2, 0), (2, 2, 0), (4, 2, 1), (4, 2, 1), (3, 1, 1), (5, 2, 2), (4, 4, 0), (8, 4, 2), (6, 3, 1)
    )
    a, b, count = draw.width(4, 320), draw.width(3, 160), draw.size(1, 3)
    groups = draw.pick(1, 1, 1, 1, 4)
    a, b = (a, b) if groups == 1 else (max(a // groups, 1) * groups, max(b // groups, 1) * groups)
    side = draw.side((a + (stride**2 + 1) * b * (count > 1)) * b * kernel**2 / groups, 3, 96)

    def make() -> nn.Module:
        widths = (a, *([b] * count))
        layers = (nn.ConvTranspose2d(x, y, kernel, stride, padding, groups=groups) for x, y in pairwise(widths))
        return nn.Sequential(*(nn.Sequential(layer, *draw.after(b)) for layer in layers))

    return make, (a, side, side)


def _signal(draw: Draw) -> Drawn:
    a, kernel, count, form = (
        draw.width(4, 512),
        draw.pick(1, 3, 3, 5, 9, 15, 31),
        draw.size(1, 8),
        draw.pick(*"ccdgstt"),
    )
    if form == "d":
        length = draw.side(20 * a * kernel * count, 32, 16000, 1)
        return lambda: Chain(*convolutions(draw, a, count, kernel, 1, groups=a)), (a, length)
    length = draw.side(a * a * kernel * count, 32, 16000, 1)
    if form == "g":
        gated: Make = lambda: Gated(lambda: convolutions(draw, a, 1, kernel, 1)[0], torch.sigmoid)  # noqa: E731
        return lambda: Chain(*(gated() for _ in range(count)), residual=True), (a, length)
    if form == "s":
        widths = (1, *(max(a >> count >> 1, 4) << k for k in range(count)))
        layers: Layers = lambda: (nn.Sequential(nn.Conv1d(x, y, 9, 2, 4), nn.ReLU()) for x, y in pairwise(widths))  # noqa: E731
        return lambda: nn.Sequential(*layers()), (1, max(length, 1024))
    if form == "t":
        return lambda: nn.Sequential(nn.ConvTranspose1d(a, max(a // 2, 1), 8, 4, 2), nn.GELU()), (a, length)
    return lambda: Chain(*convolutions(draw, a, count, kernel, 1, dilation=draw.pick(1, 1, 2, 8))), (a, length)


def _volume(draw: Draw) -> Drawn:
    a, count, form = draw.width(2, 128), draw.size(1, 4), draw.pick("c", "c", "c", "1", "d", "t", "s")
    kernel = {"c": 3, "1": 1, "d": 3, "t": 2, "s": 3}[form]
    if form == "s":
        side = draw.side(3 * a * 27 + a * a * 27 / 8, 8, 48, 3)
        second = [nn.Conv3d(a, a, 3, 2, 1), nn.ReLU()]
        return lambda: nn.Sequential(nn.Conv3d(3, a, 3, padding=1), nn.ReLU(), *second, nn.MaxPool3d(2)), (
            3,
            side,
            side,
            side,
        )
    side = draw.side((20 * a if form == "d" else a * a) * kernel**3 * count, 4, 40, 3)
    if form == "t":
        return lambda: nn.Sequential(nn.ConvTranspose3d(a, max(a // 2, 1), 2, 2), nn.ReLU()), (a, side, side, side)
    groups = a if form == "d" else 1
    return lambda: Chain(*convolutions(draw, a, count, kernel, 3, groups=groups)), (a, side, side, side)


def _dense(draw: Draw) -> Drawn:
    a, grow, count = draw.width(8, 128), draw.pick(4, 8, 12, 16, 32), draw.size(3, 10)
    side = draw.side(9 * grow * (a + grow * count / 2) * count, 5, 96)

    def layer(inputs: int) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, grow, 3, padding=1, bias=False))

    layers: Layers = lambda: (layer(a + grow * k) for k in range(count))  # noqa: E731
    return lambda: Chain(*layers(), dense=True), (a, side, side)


def _unet(draw: Draw) -> Drawn:
    width, depth, form = draw.width(4, 32), draw.pick(2, 3, 4), draw.pick("transposed", "nearest", "bilinear")
    side = max(draw.side(60 * width * width * depth, 32, 224) // 16, 2) * 16
    up = {"transposed": lambda b: nn.ConvTranspose2d(b, b, 2, 2)}
    other = lambda _: nn.Upsample(scale_factor=2, mode=form)  # noqa: E731
    return lambda: Unet(3, width, depth, up.get(form, other)), (3, side, side)


def _resolution(draw: Draw) -> Drawn:
    width, factor, count = draw.width(4, 64), draw.pick(2, 3, 4), draw.size(1, 6)
    side = draw.side(9 * width * width * count + 27 * width * factor**2, 16, 224)
    last: Layers = lambda: (nn.Conv2d(width, 3 * factor**2, 3, padding=1), nn.PixelShuffle(factor))  # noqa: E731
    return lambda: nn.Sequential(
        nn.Conv2d(3, width, 5, padding=2), nn.Tanh(), *convolutions(draw, width, count, 3), *last()
    ), (3, side, side)


def _network(draw: Draw) -> Drawn:
    """Return a small classifier of images of its own design."""
    width, stages, each = draw.width(8, 64), draw.pick(2, 3, 4), draw.size(1, 3)
    form, kernel = draw.pick("plain", "plain", "residual", "depthwise"), draw.pick(3, 3, 5)
    side = draw.side(2 * width * width * kernel**2 * stages * each, 28, 224)

    def make() -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, draw.pick(1, 2), 1), nn.ReLU()]
        for k in range(stages):
            a = width << k
            groups = a if form == "depthwise" else 1
            pairs = [
                (convolutions(draw, a, 1, kernel, groups=groups), convolutions(draw, a, 1, 1)) for _ in range(each)
            ]
            layers.append(
                Chain(*(nn.Sequential(*window, *point) for window, point in pairs), residual=form == "residual")
            )
            layers += [nn.Conv2d(a, 2 * a, 3, 2, 1), nn.BatchNorm2d(2 * a), nn.ReLU()]
        pool = draw.pick(lambda: nn.AdaptiveAvgPool2d(1), lambda: nn.AdaptiveMaxPool2d(2))
        return nn.Sequential(*layers, pool(), nn.Flatten())

    return make, (3, side, side)


CONVOLUTIONS: dict[str, Callable[[Draw], Drawn]] = {
    "conv": _conv, "few": _few, "large": _large, "point": _point, "strided": _strided, "dilated": _dilated,
    "grouped": _grouped, "depthwise": _depthwise, "separable": _separable, "inverted": _inverted,
    "transposed": _transposed, "signal": _signal, "volume": _volume, "dense": _dense, "unet": _unet,
    "resolution": _resolution, "network": _network,
}  # fmt: skip
