"""How long a kernel keeps a GPU: compute and memory side by side, in units of tiles, waves and bytes.

Formulas take floats with `scalar` as `xp`, or arrays with numpy. `GpuParameters` states the parameters and their units.
"""

from types import ModuleType

from hwbench.predict.model.hardware import Hardware, Rates
from hwbench.predict.model.launch import CONVOLUTIONS, TILED, Launch, Number
from hwbench.predict.model.parameters import GpuParameters

TILES = ((256, 128), (128, 256), (128, 128), (128, 64), (64, 128), (64, 64), (128, 32), (32, 128))
"""Rows and columns of the result that one thread block computes, from which libraries choose."""
SPLITS = ((64, 64), (8, 128))
SPLIT_DEPTH = 256.0
"""If there are fewer tiles than units, libraries divide the depth of SPLITS: down to so much for each block."""
MIN_WIDE_STEM = 256
MIN_RAGGED_GROUP = 16
STEP = 16
"""Depth that a matrix instruction sums over."""
MAX_INDEX = 2.0**31
REFERENCE_RATE = 512.0
RESIDENT = 1536.0
"""Threads that a unit holds at a time."""


def compute_time(xp: ModuleType, launch: Launch, hardware: Hardware, dtype: str, parameters: GpuParameters) -> Number:
    """Return the seconds that the units compute, 0 for kernels that only move and map elements."""
    rate = hardware.rates.get(dtype) or hardware.rates["fp32"]
    if launch.family in TILED:
        return _tiled(xp, launch, hardware, rate, parameters)
    if launch.family == "grouped":
        return _grouped(xp, launch, hardware, rate, parameters)
    if launch.family == "depthwise":
        return _depthwise(xp, launch, hardware, parameters)
    if launch.family == "attention":
        return _attention(xp, launch, hardware, rate, parameters)
    return _crowded(xp, launch, hardware, parameters)


def _crowded(xp: ModuleType, launch: Launch, hardware: Hardware, parameters: GpuParameters) -> Number:
    """Return the seconds of kernels without multiply-adds that have too few threads, or too many for their work."""
    elements = launch.counts.elements
    if launch.family == "row_norm":  # a block of threads a row, however short
        return parameters.row * elements / xp.maximum(launch.product.depth, 1.0) / hardware.units
    if launch.family == "pool":  # a thread interpolates one position of all images and channels
        positions = launch.layout.positions
        threads = xp.minimum(xp.maximum(positions, 1.0), hardware.units * RESIDENT)
        return xp.where(positions > 0, parameters.interpolation * launch.counts.elementwise_flops / threads, 0.0)
    return 0.0


def _tiled(xp: ModuleType, launch: Launch, hardware: Hardware, rate: Rates, parameters: GpuParameters) -> Number:
    """Return the seconds of a product of matrices in waves of tiles: all units wait for the last tile of a wave."""
    product, window = launch.product, launch.layout.window
    feed = parameters.feed * (rate.flops_per_cycle / REFERENCE_RATE) ** parameters.feed_growth
    lost = 2.0 * feed  # FLOP of a row and of a column of a tile while their operands arrive, for a step of depth
    best = None
    ramp = (1.0 + parameters.ramp) * xp.minimum(SPLIT_DEPTH / product.depth, 1.0)
    for rows, columns in SPLITS:
        waves = xp.ceil(product.rows / rows) * (xp.ceil(product.columns / columns) * product.groups) / hardware.units
        cost = (waves + ramp) * (2.0 * rows * columns + lost * (rows + columns))
        best = cost if best is None else xp.minimum(best, cost)
    for rows, columns in TILES:
        tiles = xp.ceil(product.rows / rows) * (xp.ceil(product.columns / columns) * product.groups)
        flops = 2.0 * rows * columns + lost * (rows + columns)
        cost = (xp.ceil(tiles / hardware.units) + parameters.ramp) * flops
        best = xp.minimum(best, cost)
    depth = xp.ceil(product.depth / STEP) * STEP + parameters.prologue
    speed = parameters.compute[launch.family] * hardware.headroom
    time = best * depth * hardware.units / (rate.flops_per_second * speed)
    if launch.family == "stem":
        time = time * xp.where(window > MIN_WIDE_STEM, parameters.wide_stem, 1.0)
    else:
        misaligned = (product.columns % 8 != 0) | ((product.depth / window) % 8 != 0)
        time = time * xp.where(misaligned, parameters.misaligned, 1.0)
    if not rate.matrix and launch.family == "conv":
        winograd = ((window == 9) | (window == 25)) & (launch.layout.stride == 1)
        time = time / xp.where(winograd, parameters.winograd, 1.0)
    return time


def _grouped(xp: ModuleType, launch: Launch, hardware: Hardware, rate: Rates, parameters: GpuParameters) -> Number:
    """Return the seconds of many small products, which fill the matrix engine the less the narrower they are."""
    width = xp.minimum(launch.product.columns, launch.product.depth / launch.layout.window)
    narrow = xp.maximum(1.0, parameters.group_width / width) ** parameters.group_power
    odd = (width % MIN_RAGGED_GROUP != 0) & (width > MIN_RAGGED_GROUP)
    narrow = narrow * xp.where(odd & (launch.layout.channels_last != 0), parameters.ragged_group, 1.0)
    return launch.counts.flops * narrow / (rate.flops_per_second * parameters.compute["grouped"] * hardware.headroom)


def _depthwise(xp: ModuleType, launch: Launch, hardware: Hardware, parameters: GpuParameters) -> Number:
    """Return the seconds of a window a channel, computed on the vector lanes in every dtype."""
    window = launch.layout.window
    size = xp.maximum(window / 9.0, 0.3)
    last = size ** (parameters.window_last - 1.0) / parameters.compute["depthwise_last"]
    last = last * xp.where(window > 49, parameters.wide_window, 1.0)
    first = size ** (parameters.window_first - 1.0) / parameters.compute["depthwise_first"]
    slowdown = xp.where(launch.layout.channels_last, last, first)
    return launch.counts.flops * slowdown / (hardware.vector.flops_per_second * hardware.headroom)


def _attention(xp: ModuleType, launch: Launch, hardware: Hardware, rate: Rates, parameters: GpuParameters) -> Number:
    """Return the seconds of fused attention on blocks of 64 queries and 64 keys.

    In more than four dimensions attention is not fused, and its scores reach memory.
    """
    product = launch.product
    queries = product.rows / 2  # two products
    blocks = (
        xp.ceil(queries / 64) * 64.0 * (xp.ceil(product.columns / 64) * 64.0) * (xp.ceil(product.depth / 32) * 32.0)
    )
    speed = parameters.compute["attention"] * hardware.headroom * xp.where(launch.masked, parameters.masked, 1.0)
    passes = xp.where(launch.backward, 2.5, 1.0)
    fused = passes * 4.0 * blocks * product.groups / (rate.flops_per_second * speed)
    scores = parameters.score_bytes * queries * product.columns * product.groups / hardware.bandwidth
    return xp.where(launch.unfused, scores, fused)


def memory_time(
    xp: ModuleType, launch: Launch, hardware: Hardware, parameters: GpuParameters, weights: Number, fuses: bool = False
) -> Number:
    """Return the seconds in which the kernel reads and writes, some of it from the last-level cache.

    Activations come from the cache if they fit, weights if all of the network's `weights` bytes fit with them.
    """
    counts = launch.counts
    moved = counts.input_bytes + counts.output_bytes
    if fuses:
        moved = xp.maximum(moved - parameters.fusion * counts.saved_bytes, 0.0)
    largest = xp.maximum(counts.input_bytes, counts.output_bytes)
    if launch.family == "depthwise":
        huge = (largest > 2 * MAX_INDEX) & (launch.layout.channels_last != 0)
        moved = moved * xp.where(huge, parameters.wide_tensor, 1.0)
    share = parameters.memory.get(launch.family, parameters.memory["unknown"])
    cache = parameters.cache_share * hardware.cache
    far = moved * _missed(largest / cache) + counts.weight_bytes * _missed((weights + largest) / cache)
    near = moved + counts.weight_bytes - far
    return (far / share + near / parameters.cache_speed) / hardware.bandwidth


def copy_time(xp: ModuleType, launch: Launch, hardware: Hardware, parameters: GpuParameters, fuses: bool) -> Number:
    """Return the seconds of what else reads and writes the tensors of an op: copies between layouts, adding a bias."""
    if launch.family not in CONVOLUTIONS and launch.family != "group_norm":
        return 0.0
    counts = launch.counts
    moved = _transposed_bytes(xp, launch, parameters)
    if not fuses and launch.family != "depthwise":
        moved = moved + parameters.bias * counts.biased_bytes
    largest = xp.maximum(counts.input_bytes, counts.output_bytes)
    far = moved * _missed(largest / (parameters.cache_share * hardware.cache))
    return (far + (moved - far) / parameters.cache_speed) / hardware.bandwidth


def _missed(fill: Number) -> Number:
    """Return the share that comes from memory if the cache would be filled so many times."""
    square = fill * fill
    return square / (1.0 + square)


def _transposed_bytes(xp: ModuleType, launch: Launch, parameters: GpuParameters) -> Number:
    """Return the bytes of hidden copies from channels first to channels last, which matrix engines need, and back."""
    counts, layout = launch.counts, launch.layout
    mixed = parameters.transpose_mixed * counts.input_bytes * xp.where(layout.strided, 1.0, 0.0)
    if launch.family in ("depthwise", "group_norm"):
        return mixed
    own = {"pointwise": parameters.transpose_point, "grouped": parameters.transpose_grouped}
    copies = own.get(launch.family, parameters.transpose_window)
    first = xp.where(layout.half & (layout.channels_last == 0), copies, 0.0)
    return mixed + first * (counts.input_bytes + counts.output_bytes)
