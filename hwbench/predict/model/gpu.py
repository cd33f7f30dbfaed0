"""How long a kernel keeps a GPU: compute and memory side by side, in units of tiles, waves and bytes.

Every formula serves single numbers and arrays alike (see numbers.py). What each parameter means, and in which unit,
stands in parameters.py.
"""

from typing import Any

from hwbench.predict.model.hardware import Hardware, Rates
from hwbench.predict.model.launch import CONVOLUTIONS, TILED, Launch
from hwbench.predict.model.parameters import GpuParameters
from hwbench.predict.model.scalar import Numbers

TILES = ((256, 128), (128, 256), (128, 128), (128, 64), (64, 128), (64, 64), (128, 32), (32, 128))
"""Rows and columns of the result that one thread block computes, from which libraries choose."""
SPLITS = ((64, 64), (8, 128))
SPLIT_DEPTH = 256.0
"""Where there are fewer tiles than units, libraries share out the depth of such tiles down to so much a block."""
WIDEST_STEM = 256
GROUP_STEP = 16
STEP = 16
"""Depth that a matrix instruction sums over."""
LARGEST_INDEX = 2.0**31
REFERENCE_RATE = 512.0
RESIDENT = 1536.0
"""Threads that a unit holds at a time."""


def times(
    n: Numbers, k: Launch, m: Hardware, dtype: str, p: GpuParameters, weights: Any, fused: bool = False
) -> tuple[Any, Any]:
    """Seconds of compute and of memory of one launch; `weights` are the bytes of all of the network's."""
    return compute_time(n, k, m, dtype, p), memory_time(n, k, m, p, weights, fused)


def compute_time(n: Numbers, k: Launch, m: Hardware, dtype: str, p: GpuParameters) -> Any:
    """Seconds that the units compute; 0 for kernels that only move and map elements."""
    rate = m.rates.get(dtype) or m.rates["fp32"]
    if k.family in TILED:
        return _tiled(n, k, m, rate, p)
    if k.family == "grouped":
        return _grouped(n, k, m, rate, p)
    if k.family == "depthwise":
        return _depthwise(n, k, m, p)
    if k.family == "attention":
        return _attention(n, k, m, rate, p)
    return _crowded(n, k, m, p)


def _crowded(n: Numbers, k: Launch, m: Hardware, p: GpuParameters) -> Any:
    """Seconds of kernels without multiply-adds whose threads are too few, or too many for what each has to do."""
    if k.family == "row_norm":  # a block of threads a row, however short
        return p.row * k.elements / n.most(k.depth, 1.0) / m.units
    if k.family == "pool":  # a thread interpolates one position of all images and channels
        threads = n.least(n.most(k.positions, 1.0), m.units * RESIDENT)
        return n.choose(k.positions > 0, p.interpolation * k.elements / threads, 0.0)
    return 0.0


def _tiled(n: Numbers, k: Launch, m: Hardware, rate: Rates, p: GpuParameters) -> Any:
    """A product of matrices in waves of tiles: all units wait for the last tile of a wave."""
    feed = p.feed * (rate.flops_per_cycle / REFERENCE_RATE) ** p.feed_growth
    best = None
    for rows, columns in SPLITS:
        spread = n.ceil(k.rows / rows) * (n.ceil(k.columns / columns) * k.groups) / m.units
        cost = (spread + (1.0 + p.ramp) * n.least(SPLIT_DEPTH / k.depth, 1.0)) * _tile(rows, columns, feed)
        best = cost if best is None else n.least(best, cost)
    for rows, columns in TILES:
        waves = n.ceil(n.ceil(k.rows / rows) * (n.ceil(k.columns / columns) * k.groups) / m.units)
        best = n.least(best, (waves + p.ramp) * _tile(rows, columns, feed))
    depth = n.ceil(k.depth / STEP) * STEP + p.prologue
    speed = p.compute[k.family] * m.headroom
    time = best * depth * m.units / (rate.flops_per_second * speed)
    if k.family == "stem":
        time = time * n.choose(k.window > WIDEST_STEM, p.wide_stem, 1.0)
    else:
        time = time * n.choose(_odd(k), p.misaligned, 1.0)
    if not rate.matrix and k.family == "conv":
        direct = n.choose(((k.window == 9) | (k.window == 25)) & (k.stride == 1), p.winograd, 1.0)
        time = time / direct
    return time


def _tile(rows: int, columns: int, feed: Any) -> Any:
    """FLOP that a tile takes the time of, a step of depth: its own, and those lost while its operands arrive."""
    return 2.0 * rows * columns + 2.0 * feed * (rows + columns)


def _odd(k: Launch) -> Any:
    """Whether channels are no multiple of 8."""
    return (k.columns % 8 != 0) | ((k.depth / k.window) % 8 != 0)


def _grouped(n: Numbers, k: Launch, m: Hardware, rate: Rates, p: GpuParameters) -> Any:
    """Many small products, which fill the matrix engine the less the narrower they are."""
    width = n.least(k.columns, k.depth / k.window)
    narrow = n.most(1.0, p.group_width / width) ** p.group_power
    ragged = (width % GROUP_STEP != 0) & (width > GROUP_STEP) & (k.channels_last != 0)
    narrow = narrow * n.choose(ragged, p.ragged_group, 1.0)
    return k.flops * narrow / (rate.flops_per_second * p.compute["grouped"] * m.headroom)


def _depthwise(n: Numbers, k: Launch, m: Hardware, p: GpuParameters) -> Any:
    """A window a channel, on the vector lanes whatever the dtype."""
    size = n.most(k.window / 9.0, 0.3)
    last = size ** (p.window_last - 1.0) / p.compute["depthwise_last"] * n.choose(k.window > 49, p.wide_window, 1.0)
    first = size ** (p.window_first - 1.0) / p.compute["depthwise_first"]
    return k.flops * n.choose(k.channels_last, last, first) / (m.vector.flops_per_second * m.headroom)


def _attention(n: Numbers, k: Launch, m: Hardware, rate: Rates, p: GpuParameters) -> Any:
    """Fused attention on blocks of 64 queries and 64 keys; in more than four dimensions its scores reach memory."""
    queries = k.rows / 2  # two products
    blocks = n.ceil(queries / 64) * 64.0 * (n.ceil(k.columns / 64) * 64.0) * (n.ceil(k.depth / 32) * 32.0)
    speed = p.compute["attention"] * m.headroom * n.choose(k.masked, p.masked, 1.0)
    passes = n.choose(k.backward, 2.5, 1.0)
    fused = passes * 4.0 * blocks * k.groups / (rate.flops_per_second * speed)
    return n.choose(k.unfused, p.score_bytes * queries * k.columns * k.groups / m.bandwidth, fused)


def memory_time(n: Numbers, k: Launch, m: Hardware, p: GpuParameters, weights: Any, fused: bool = False) -> Any:
    """Seconds that the memory moves what the kernel reads and writes, some of it from the last-level cache.

    Activations come from the cache where they fit, weights where all of the network's do beside them.
    """
    moved = k.input_bytes + k.output_bytes
    if fused:
        moved = n.most(moved - p.fusion * k.saved_bytes, 0.0)
    largest = n.most(k.input_bytes, k.output_bytes)
    if k.family in CONVOLUTIONS or k.family == "group_norm":
        moved = moved + _transposed(n, k, p)
        if k.family == "depthwise":
            huge = (largest > 2 * LARGEST_INDEX) & (k.channels_last != 0)
            moved = moved * n.choose(huge, p.wide_tensor, 1.0)
    share = p.memory.get(k.family) or p.memory["unknown"]
    missed = _missed(largest / (p.cache_share * m.cache))
    forgotten = _missed((weights + largest) / (p.cache_share * m.cache))
    far = moved * missed + k.weight_bytes * forgotten
    near = moved + k.weight_bytes - far
    return (far / share + near / p.cache_speed) / m.bandwidth


def _missed(fill: Any) -> Any:
    """The share that comes from memory where so many times the cache's share is asked of it."""
    square = fill * fill
    return square / (1.0 + square)


def _transposed(n: Numbers, k: Launch, p: GpuParameters) -> Any:
    """Bytes of hidden copies between channels first and channels last, which matrix engines want."""
    mixed = p.transpose_mixed * k.input_bytes * n.choose(k.strided, 1.0, 0.0)
    if k.family in ("depthwise", "group_norm"):
        return mixed
    times = p.transpose_point if k.family == "pointwise" else p.transpose_window
    first = n.choose(k.half & (k.channels_last == 0), times, 0.0)
    return mixed + first * (k.input_bytes + k.output_bytes)
