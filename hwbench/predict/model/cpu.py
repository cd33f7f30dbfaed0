"""How long an op keeps the cores of a CPU: products on vectors, streams from caches or memory, teams of threads.

Every formula serves single numbers and arrays alike (see numbers.py). What each parameter means, and in which unit,
stands in parameters.py.
"""

from typing import Any

from hwbench.predict.model.hardware import Hardware
from hwbench.predict.model.launch import CONVOLUTIONS, HEAVY, Launch
from hwbench.predict.model.parameters import CpuParameters
from hwbench.predict.model.scalar import Numbers

CHUNK_POSITIONS = 14.0
"""Output positions that a core takes at a time, with one vector of channels each."""
RECYCLED = 8.0 * 2**20
"""Bytes of a result from which its memory comes of the system each time, in pages that are empty."""
STREAMED = 0.5
"""Share of the cache beyond which an op's own activations stream from memory."""


def times(
    n: Numbers, k: Launch, m: Hardware, dtype: str, p: CpuParameters, weights: Any, fused: bool = False
) -> tuple[Any, Any]:
    """Seconds of compute and of memory of one op; `weights` are the bytes of all of the network's."""
    return compute_time(n, k, m, dtype, p), memory_time(n, k, m, p, weights, fused)


def compute_time(n: Numbers, k: Launch, m: Hardware, dtype: str, p: CpuParameters) -> Any:
    """Seconds that the cores compute."""
    if k.family not in HEAVY:
        time = k.elementwise_flops / (m.vector.flops_per_second * p.lane)
        slow: Any = p.per_element.get(k.family, 0.0)
        if k.family == "row_norm":  # rows that are the channels of an image do not lie in one piece
            slow = n.choose(k.channels_last, p.per_element["image_norm"], slow)
        if k.family == "pool":
            return time + slow / m.units * k.elements * k.window
        return time + slow / m.units * k.elements
    rate = (m.rates.get(dtype) or m.rates["fp32"]).flops_per_second * p.compute[k.family]
    chunks = n.most(k.elements / (m.lanes * CHUNK_POSITIONS), 1.0)
    work = k.flops * (1.0 + p.uneven * m.units / chunks)
    if k.family == "depthwise":
        return work / rate
    work = work * (1.0 + p.prologue / k.depth)
    if k.family in CONVOLUTIONS:
        padding = _padding(n, k.columns, m.lanes)
        if k.family != "stem":
            padding = padding * _padding(n, k.depth / k.window, m.lanes)
        work = work * padding**p.ragged
    return work / rate


def _padding(n: Numbers, channels: Any, lanes: Any) -> Any:
    """Channels as vectors hold them, over channels."""
    return n.ceil(channels / lanes) * lanes / channels


def memory_time(n: Numbers, k: Launch, m: Hardware, p: CpuParameters, weights: Any, fused: bool = False) -> Any:
    """Seconds that weights and activations take to come and go, from memory or from the caches."""
    memory = m.bandwidth * (1.0 if "bandwidth" in m.measured else p.memory)
    share = weights / (p.resident_share * m.cache)
    resident = 1.0 / (1.0 + share * share)
    read: Any = 1.0
    if k.family in CONVOLUTIONS:
        own = k.weight_bytes / (p.spill_share * m.cache)
        spilled = own * own / (1.0 + own * own)
        read = p.reorder * (1.0 + p.reorder_spilled * spilled)
    constant = k.weight_bytes * ((1.0 - resident) * read / memory + resident * read / (m.cycles * p.cached_weights))
    moved = k.input_bytes + k.output_bytes
    if fused:
        moved = n.most(moved - p.fusion * k.saved_bytes, 0.0)
    fill = moved / (STREAMED * m.cache)
    kept = 1.0 / (1.0 + fill * fill)
    fresh = p.fresh / m.units * k.output_bytes * (k.output_bytes / (k.output_bytes + RECYCLED))
    return constant + fresh + moved * ((1.0 - kept) / memory + kept / (m.cycles * p.cached_activations))


def overhead(n: Numbers, k: Launch, m: Hardware, p: CpuParameters, fused: bool = False) -> Any:
    """Seconds that the framework and the team of threads take beside the work."""
    heavy = k.family in HEAVY
    launch = p.launch_light
    if heavy:
        launch = p.launch_convolution if k.family in CONVOLUTIONS else p.launch_product
    together = k.elements / (k.elements + p.grain)
    team = p.team_heavy if heavy else p.team_light
    crowd = n.most(m.units - 1.0, 0.0) / (m.units + 1.0)
    own = launch + team * together * crowd
    if fused and not heavy:
        own = own * n.choose(k.fused, 0.0, 1.0)
    return own
