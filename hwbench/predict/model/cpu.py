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
    if launch.variant == "volume":
        flops = flops * xp.where(launch.plain, parameters.plain, 1.0)
    if launch.family == "depthwise":
        return flops / rate
    flops = flops * (1.0 + parameters.prologue / product.depth)
    if launch.family in CONVOLUTIONS:
        padding = _padding(xp, product.columns, hardware.lanes)
        if launch.family != "stem":
            padding = padding * _padding(xp, product.depth / launch.layout.window, hardware.lanes)
        flops = flops * padding**parameters.ragged
    return flops / rate


def _elementwise_time(xp: ModuleType, launch: Launch, hardware: Hardware, parameters: CpuParameters) -> Number:
    """Return the seconds of arithmetic on vectors, and of what each element takes that is not vectorized."""
    simple = launch.family == "map"  # one vector instruction an element, or few, whatever FLOP are counted
    work = launch.counts.elements if simple else launch.counts.elementwise_flops
    time = work / (hardware.vector.flops_per_second * parameters.lane)
    slow: Number = _own(parameters.per_element, launch, 0.0)
    if launch.family == "row_norm":  # rows that are the channels of an image are not contiguous
        apart = (launch.layout.channels_last != 0) & (launch.layout.strided == 0)
        slow = xp.where(apart, parameters.per_element["image_norm"], slow)
    if launch.family == "pool":
        return time + slow / hardware.units * launch.counts.elements * launch.layout.window
    return time + slow / hardware.units * launch.counts.elements


def _own(table: dict[str, float], launch: Launch, default: float = 1.0) -> float:
    """Return the value of a launch's variant, else of its family."""
    return table.get(launch.variant, table.get(launch.family, default))


def left(xp: ModuleType, launch: Launch, parameters: CpuParameters) -> Number:
    """Return the share of an op's time that is left where it may map the result of a product before it is stored."""
    return xp.where(launch.epilogue, _own(parameters.epilogue, launch), 1.0)


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
    constant = counts.weight_bytes * ((1.0 - resident) * reads / memory + resident * reads / weight_rate)
    moved = (counts.input_bytes + counts.output_bytes) * _own(parameters.moves, launch)
    if fuses:
        moved = xp.maximum(moved - parameters.fusion * counts.saved_bytes, 0.0)
    fill = moved / (STREAMED * hardware.cache)
    near = 1.0 / (1.0 + fill * fill)
    new_pages = counts.output_bytes / (counts.output_bytes + parameters.recycled + parameters.grown * weights)
    fresh = parameters.fresh / hardware.units * counts.output_bytes * new_pages
    return constant + fresh + moved * ((1.0 - near) / memory + near / activation_rate)


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
    together = launch.counts.elements / (launch.counts.elements + parameters.grain)
    team = parameters.team_heavy if heavy else parameters.team_light
    crowd = xp.maximum(hardware.units - 1.0, 0.0) / (hardware.units + 1.0)
    time = call + team * together * crowd
    if fuses and not heavy:
        time = time * xp.where(launch.fused, 0.0, 1.0)
    return time
