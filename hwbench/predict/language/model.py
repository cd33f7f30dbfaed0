"""The time of steps of a language model in llama.cpp: reading and decoding weights, cache, arithmetic, launches.

    generation = (reading ** p + decoding ** p) ** (1 / p) + arithmetic + cache + launches
    prompt     = (arithmetic ** q + reading ** q) ** (1 / q) + decoding + scores + launches

Reading is bytes over a share of the bandwidth; decoding is weights over weights a cycle, units and clock; arithmetic
is operations over a share of the rate.
"""

import math

from msgspec import Struct

from hwbench.predict.language.hardware import Accelerator
from hwbench.predict.language.parameters import RuntimeParameters
from hwbench.workload.language.work import StepWork

READING = 0.95
"""Share of the bandwidth at which weights are read during products of many tokens."""

PIPELINED = 4.0
"""Passes that follow each other through several devices before all of them wait: llama.cpp submits 2048 tokens at once,
in passes of 512."""


EXCHANGED, HANDSHAKE = 4.0, 5e-6
"""Bytes of a number that devices add up, and seconds of a step of the tree in which they do: assumptions."""


class Parts(Struct, frozen=True):
    """Seconds of a time by what they are spent on; they add up to it.

    `weights` is reading and `decoding` is decoding them, `cache` reads and writes past tokens, with the scores of
    attention that are written out; `launches` includes handing over to another device, `link` is what devices that
    share every layer take to add up their results.
    """

    weights: float
    decoding: float
    arithmetic: float
    cache: float
    launches: float
    link: float = 0.0

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.weights + self.decoding + self.arithmetic + self.cache + self.launches + self.link

    @property
    def largest(self) -> str:
        """The name of the part that takes longest."""
        return max(self.__struct_fields__, key=lambda name: getattr(self, name))


def generation_time(
    step: StepWork, device: Accelerator, known: RuntimeParameters, devices: int = 1, fused_attention: bool = False
) -> Parts:
    """Return the time of a step that adds a token to each sequence, in s; layers are split between `devices`.

    The products of one token are part of decoding its weights; those of a few take their own time.
    """
    padded = step.flops * (1 + known.tile / step.tokens) if step.tokens > step.passes else 0.0
    share = known.fused_cache if fused_attention else known.cache
    reading = step.weight_bytes / (known.stream * device.bandwidth)
    decoding = sum(count / by_coding(known.decode, coding) for coding, count in step.decoded.items()) / device.cycles
    reading, decoding = _joined(reading, decoding, known.power)
    return Parts(
        weights=reading,
        decoding=decoding,
        arithmetic=padded / (known.batched_compute * device.rate),
        cache=(step.cache_bytes + step.masked_bytes) / (share * device.bandwidth),
        launches=known.layer * step.layers * step.passes + known.hop * (devices - 1) * step.passes,
    )


def prompt_time(
    step: StepWork, device: Accelerator, known: RuntimeParameters, devices: int = 1, fused_attention: bool = False
) -> Parts:
    """Return the time of the steps that read a prompt, in s.

    Passes go through `devices` one behind the other, PIPELINED at a time: m of them take at least (m + devices - 1) /
    (m devices) of the time of one device. Fused attention writes no scores.
    """
    reading = step.weight_bytes / (READING * device.bandwidth)
    attention = known.attention if fused_attention else None
    products = _arithmetic(step, device, known, attention) + known.output * step.outputs / device.cycles
    arithmetic, reading = _joined(products, reading, known.prompt_power)
    quantized = sum(count for coding, count in step.decoded.items() if coding != "plain")
    together = min(step.passes, PIPELINED)
    overlap = 1.0 - known.overlap * (1.0 - (together + devices - 1) / (together * devices))
    scores = 0.0 if fused_attention else known.score * step.scores / device.bandwidth
    launches = known.layer * step.layers * step.passes + known.token * step.layers * step.tokens
    return Parts(
        weights=reading * overlap,
        decoding=overlap * quantized / (known.dequantize * device.cycles) if known.dequantize else 0.0,
        arithmetic=arithmetic * overlap,
        cache=scores * overlap,
        launches=launches * overlap + known.hop * (devices - 1),
    )


def link_time(step: StepWork, width: int, devices: int, link: float) -> float:
    """Return the time that devices which share every layer take to add up their results, in s.

    That is twice a layer, `width` numbers a token in EXCHANGED bytes: in a ring at `link` B/s, after steps of a tree.
    """
    ring = 2.0 * (devices - 1) / devices * EXCHANGED * width / link
    return 2.0 * step.layers * (step.passes * HANDSHAKE * math.ceil(math.log2(devices)) + step.tokens * ring)


def by_coding(values: dict[str, float], coding: str) -> float:
    """Return the value of a coding, or that of quantized formats."""
    return values.get(coding, values["quantized"])


def _arithmetic(step: StepWork, device: Accelerator, known: RuntimeParameters, attention: float | None) -> float:
    """Return the time of all products, weights of each coding at its own share of the rate, `attention` at its own."""
    every = sum(step.decoded.values())
    slowness = sum(count / by_coding(known.compute, coding) for coding, count in step.decoded.items()) / every
    if attention is None:
        return step.flops * slowness / device.rate
    return 2.0 * (step.weight_macs * slowness + step.attention_macs / attention) / device.rate


def _joined(first: float, second: float, power: float) -> tuple[float, float]:
    """Return the shares that two times have in (first ** power + second ** power) ** (1 / power)."""
    longer = max(first, second)
    if not longer:
        return 0.0, 0.0
    a, b = (first / longer) ** power, (second / longer) ** power
    total = longer * (a + b) ** (1 / power)
    return total * a / (a + b), total * b / (a + b)
