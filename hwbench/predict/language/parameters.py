"""The numbers of the time model of llama.cpp, a set for each class of device, read from `parameters.json`.

`benchmarks/language.py fit` writes that file. No number is for one model or one device.
"""

import math
import os
from functools import lru_cache

import msgspec
from msgspec import Struct

from hwbench.files.content import read_bytes

PATH = os.path.join(os.path.dirname(__file__), "parameters.json")
SCHEMA = "hwbench.language-parameters/1"


class ErrorBand(Struct, frozen=True, forbid_unknown_fields=True):
    """Logarithms of measured over expected time between which a share `level` of devices lies that were held out."""

    low: float
    high: float

    def times(self, factor: float) -> "ErrorBand":
        """Return a band that is so many times as wide."""
        return ErrorBand(factor * self.low, factor * self.high)


UNFITTED = ErrorBand(-math.log(2.0), math.log(2.0))
"""The interval of times that nothing was fitted to: a factor of two."""


class RuntimeParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How llama.cpp uses a class of devices. Shares are of the data sheet's bandwidth and rate, times in seconds.

    `stream`: share of the bandwidth at which weights are read, `decode`: weights that a unit decodes in a cycle for one
    token, by the coding of their format (`quantized` for those without an entry); the slower of both limits, joined by
    the `power`. `cache`: share of the bandwidth for the cache, `fused_cache` with fused attention. `layer` is what the
    launches of a layer take in each pass, `hop` what each further device takes. `compute` is the share of the rate that
    products reach, by coding; `prompt_power` joins them with reading. `batched_compute` is that of products of a few
    tokens, which take as long as `tile` tokens more. `dequantize`: weights that a unit decodes in a cycle for a product
    of many tokens, 0 where products decode as they go. `score` is the traffic in bytes of a score of attention, `token`
    the time of a layer for each token of a prompt, `output` the cycles of a unit for each output of its products.
    `overlap` is the share of the time that passes through several devices could save at most and do. `attention` is the
    share of the rate that fused attention reaches in a prompt, None for that of other products.
    `generation`, `prompt` and `batched` are the spreads of these times, `several` that of prompts on several devices,
    `fused` with fused attention; `calibrated` are the half-widths that are left where a device has a measurement of its
    own of that format and kind. Spreads are twice as wide for other `architectures` than those that were measured.
    """

    how: str
    devices: tuple[str, ...]
    stream: float
    decode: dict[str, float]
    power: float
    cache: float
    fused_cache: float
    layer: float
    hop: float
    compute: dict[str, float]
    batched_compute: float
    tile: float
    prompt_power: float
    dequantize: float
    score: float
    token: float
    output: float
    generation: ErrorBand
    prompt: ErrorBand
    batched: ErrorBand
    calibrated: dict[str, float] = {}
    architectures: tuple[str, ...] = ()
    overlap: float = 1.0
    attention: float | None = None
    several: ErrorBand | None = None
    fused: ErrorBand | None = None


class LanguageParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """The file: a set by class of device, and the share of devices that intervals are made for."""

    families: dict[str, RuntimeParameters]
    level: float = 0.8
    schema: str = SCHEMA


@lru_cache(maxsize=1)
def shipped() -> LanguageParameters:
    """Return the parameters that ship with hwbench."""
    return msgspec.json.decode(read_bytes(PATH, 1 << 20), type=LanguageParameters)
