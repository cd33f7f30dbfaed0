"""How long an op keeps the cores of a CPU: products on vectors, streams from caches or memory, teams of threads.

Formulas take floats with `scalar` as `xp`, or arrays with numpy. `CpuParameters` states the parameters and their units.
"""

from types import ModuleType

from hwbench.predict.model.hardware import Hardware
from hwbench.predict.model.launch import CONVOLUTIONS, HEAVY, Launch, Number
from hwbench.predict.model.parameters import CpuParameters

CHUNK_POSITIONS = 14.0
"""Output positions that a core takes at a time, with one vector of channels each."""
PACKED_ROWS = 64.0
"""Rows of a product from which its weights are packed: fewer do not pay for the copy."""
ITEM = 4.0
"""Bytes of an element of a scratch matrix."""
ALIGNED = 4
"""Channels of which a number must be a multiple for kernels on blocks of channels."""
STREAMED = 0.5
"""Share of the cache beyond which an op's own activations stream from memory."""


def compute_time(xp: ModuleType, launch: Launch, hardware: Hardware, dtype: str, parameters: CpuParameters) -> Number:
    """Return the seconds that the cores compute."""
    counts, product = launch.counts, launch.product
    if launch.family not in HEAVY:
        return _elementwise_time(xp, launch, hardware, parameters)
    rate = (hardware.rates.get(dtype) or hardware.rates["fp32"]).flops_per_second * _own(parameters.compute, launch)
    chunks = xp.maximum(counts.elements / (hardware.lanes * CHUNK_POSITIONS), 1.0)
    flops = counts.flops * (1.0 + parameters.uneven * hardware.units / chunks)
    if launch.family == "attention":
        scores = parameters.per_element.get("attention", 0.0) / hardware.units * _scores(launch)
        return flops * (1.0 + parameters.prologue / product.depth) / rate + scores
    window, transposed = launch.layout.window, launch.variant.startswith("transposed")
    unfolded = flops / rate + _unfold(launch, parameters) / hardware.units * _unfolded(launch)
    if launch.variant in parameters.unfold:
        return unfolded
    apart = _is_unfolded(launch, hardware, parameters)
    flops = flops * launch.layout.inside**parameters.clipped
    if launch.family == "depthwise":
        return xp.where(apart, unfolded, flops / rate)
    flops = flops * (1.0 + parameters.prologue / product.depth)
    if launch.family not in CONVOLUTIONS:
        return flops / rate
    columns = product.columns / window if transposed else product.columns
    padding = _padding(xp, columns, hardware.lanes)
    if launch.family != "stem":
        inputs = product.depth if transposed else product.depth / window
        padding = padding * _padding(xp, inputs, hardware.lanes) ** parameters.ragged_inputs
    thin = 1.0 + parameters.thin / xp.ceil(columns / hardware.lanes)
    return xp.where(apart, unfolded, flops / rate * padding**parameters.ragged * thin)


def _is_unfolded(launch: Launch, hardware: Hardware, parameters: CpuParameters) -> Number:
    """Return whether a convolution multiplies the matrix of its windows: small ones, or channels of no even number."""
    if launch.family not in CONVOLUTIONS:
        return False
    apart = launch.plain if "plain" in parameters.unfold else False
    if "unaligned" not in parameters.unfold:
        return apart
    channels = launch.product.depth / launch.layout.window * launch.product.groups
    return apart | ((channels % ALIGNED != 0) & (channels >= hardware.lanes))


def _unfold(launch: Launch, parameters: CpuParameters) -> float:
    """Return the seconds for each element of a convolution's windows as a matrix."""
    table = parameters.unfold
    first = "plain_volume" if launch.variant == "volume" else launch.variant
    return table.get(first, table.get("plain", table.get("unaligned", 0.0)))


def _unfolded(launch: Launch) -> Number:
    """Return the elements of the matrix whose rows are the windows of a convolution, which a point is already."""
    product, transposed = launch.product, launch.variant.startswith("transposed")
    wide = product.columns if transposed else product.depth
    return product.rows * wide * product.groups * (launch.layout.window > 1)


def _scores(launch: Launch) -> Number:
    """Return the scores of an attention, each of which is a product over the width of a head; the other half weighs."""
    product = launch.product
    return 0.5 * product.rows * product.columns * product.groups


def _elementwise_time(xp: ModuleType, launch: Launch, hardware: Hardware, parameters: CpuParameters) -> Number:
    """Return the seconds of arithmetic on vectors, and of what each element takes that is not vectorized."""
    simple = launch.family == "map"  # one vector instruction an element, or few, whatever FLOP are counted
    work = launch.counts.elements if simple else launch.counts.elementwise_flops
    time = work / (hardware.vector.flops_per_second * parameters.lane)
    slow: Number = _own(parameters.per_element, launch, 0.0)
    if launch.family == "row_norm":  # rows that are the channels of an image are not contiguous
        apart = (launch.layout.channels_last != 0) & (launch.layout.strided == 0)
        slow = xp.where(apart, parameters.per_element["image_norm"], slow)
    elements = launch.counts.elements * launch.layout.window if launch.family == "pool" else launch.counts.elements
    if launch.family == "reduce":
        slow = parameters.per_element.get("reduce", 0.0)
        read = parameters.per_element.get("moment" if launch.variant == "moment" else "read", 0.0)
        time = time + read / hardware.units * (launch.counts.input_bytes / ITEM)
    if launch.family in ("row_norm", "softmax"):
        rows = launch.counts.elements / xp.maximum(launch.product.depth, 1.0)
        time = time + parameters.row / hardware.units * rows
    return time + slow / hardware.units * elements


def _own(table: dict[str, float], launch: Launch, default: float = 1.0) -> float:
    """Return the value of a launch's variant, else of its family."""
    return table.get(launch.variant, table.get(launch.family, default))


def left(xp: ModuleType, launch: Launch, parameters: CpuParameters, fuses: bool = False) -> Number:
    """Return the share of an op's time that is left where it maps the result of a product, or another's if `fuses`."""
    return xp.where(launch.epilogue | (launch.fused if fuses else False), _own(parameters.epilogue, launch), 1.0)


def _padding(xp: ModuleType, channels: Number, lanes: Number) -> Number:
    """Return the channels that whole vectors hold, over the channels that are there."""
    return xp.ceil(channels / lanes) * lanes / channels


def memory_time(
    xp: ModuleType, launch: Launch, hardware: Hardware, parameters: CpuParameters, weights: Number, fuses: bool = False
) -> Number:
    """Return the seconds in which weights and activations come and go, from memory or from the caches.

    `weights` are the bytes of all of the network's.
    """
    counts = launch.counts
    memory = hardware.bandwidth * (1.0 if "bandwidth" in hardware.measured else parameters.memory)
    share = weights / (parameters.resident_share * hardware.cache)
    resident = 1.0 / (1.0 + share * share)
    reads = _weight_reads(xp, launch, hardware, parameters)
    weight_rate = xp.maximum(hardware.cycles * parameters.cached_weights, memory)  # no cache is slower than memory
    activation_rate = xp.maximum(hardware.cycles * parameters.cached_activations, memory)
    farther = _farther(hardware, weights)
    cached_weights = xp.minimum(reads / weight_rate + farther, reads / memory)
    constant = counts.weight_bytes * ((1.0 - resident) * reads / memory + resident * cached_weights)
    moved = (counts.input_bytes + counts.output_bytes) * _own(parameters.moves, launch)
    if launch.family == "attention":
        moved = moved + parameters.scores * ITEM * _scores(launch)
    if fuses:
        moved = xp.maximum(moved - parameters.fusion * counts.saved_bytes, 0.0)
    written = counts.output_bytes
    if launch.family in CONVOLUTIONS and launch.family != "pointwise":  # next to copies in another order
        copied = counts.input_bytes + counts.output_bytes
        unfolded = ITEM * _unfolded(launch)
        written = written + xp.where(launch.plain, unfolded, copied)
        moved = moved + xp.where(launch.plain, 2.0 * unfolded, 0.0) * ("plain" in parameters.unfold)
    fill = moved / (STREAMED * hardware.cache)
    near = 1.0 / (1.0 + fill * fill)
    new_pages = written / (written + parameters.recycled + parameters.grown * weights)
    fresh = parameters.fresh / hardware.units * written * new_pages
    edge = parameters.edge / hardware.units * launch.edge
    saved = parameters.fusion * counts.saved_bytes if fuses else 0.0
    once = xp.maximum(counts.input_bytes + counts.output_bytes - saved, 0.0)
    cached = xp.minimum(moved / activation_rate + once * _farther(hardware, once), moved / memory)
    return constant + fresh + edge + (1.0 - near) * moved / memory + near * cached


def _farther(hardware: Hardware, size: Number) -> Number:
    """Return the seconds a byte of so many that the last level of cache takes longer than the level before it.

    What does not exceed the level before takes none more. Each byte comes from the last once, and no slower than from
    memory.
    """
    beyond = size / (STREAMED * hardware.inner)
    beyond = beyond * beyond
    return hardware.step * beyond / (1.0 + beyond)


def _weight_reads(xp: ModuleType, launch: Launch, hardware: Hardware, parameters: CpuParameters) -> Number:
    """Return how often weights are read: libraries reorder or pack them first, and more if they spill the caches.

    For a few rows they are not packed, but multiplied as they are read.
    """
    if launch.family not in CONVOLUTIONS and launch.family != "linear":
        return 1.0 + parameters.rereads * xp.maximum(launch.steps - 1.0, 0.0)
    fill = launch.counts.weight_bytes / (parameters.spill_share * hardware.cache)
    spilled = fill * fill / (1.0 + fill * fill)
    if launch.family == "linear":
        packed = parameters.packed * (1.0 + parameters.packed_spilled * spilled)
        return 1.0 + (packed - 1.0) * (launch.product.rows - 1.0) / (launch.product.rows + PACKED_ROWS)
    point = launch.family == "pointwise"
    more = parameters.reorder_point_spilled if point else parameters.reorder_spilled
    return parameters.reorder * (1.0 + more * spilled)


def overhead(
    xp: ModuleType, launch: Launch, hardware: Hardware, parameters: CpuParameters, fuses: bool = False
) -> Number:
    """Return the seconds that the framework and the team of threads take in addition to the work."""
    heavy = launch.family in HEAVY
    call = parameters.launch_light
    if heavy:
        call = parameters.launch_convolution if launch.family in CONVOLUTIONS else parameters.launch_product
    call = _own(parameters.calls, launch, call)
    if "plain" in parameters.calls:
        call = xp.where(launch.plain, parameters.calls["plain"], call)
    if launch.family == "recurrent" and parameters.calls:  # which are those of a cell's steps; compiled code has none
        call = call * xp.maximum(launch.steps * launch.product.groups, 1.0)
    together = launch.counts.elements / (launch.counts.elements + parameters.grain)
    team = parameters.team_heavy if heavy else parameters.team_light
    crowd = xp.maximum(hardware.units - 1.0, 0.0) / (hardware.units + 1.0)
    time = call + team * together * crowd
    if fuses and not heavy and not parameters.epilogue:
        time = time * xp.where(launch.fused, 0.0, 1.0)
    return time
