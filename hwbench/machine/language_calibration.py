"""What `hwbench calibrate` keeps of a device that runs language models."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hwbench.machine.parts import Count, Factor, Name


class LanguageFactor(Struct, frozen=True, forbid_unknown_fields=True):
    """Measured over expected time of `timings` rows; 80 % of the logarithmic errors left are within ±`spread`."""

    factor: Factor
    spread: Annotated[float, Meta(ge=0, le=10)]
    timings: Count


class LanguageCalibration(Struct, frozen=True, forbid_unknown_fields=True):
    """What one device does differently from the model of llama.cpp: factors by kind of time, and by kind and coding.

    Kinds are `prompt`, `generation` and `batched`; `prompt k` is that of k-quantized weights. `source` is what was
    measured, `created` when (UTC).
    """

    device: Name
    created: Name
    source: Name
    factors: Annotated[dict[Name, LanguageFactor], Meta(min_length=1, max_length=30)]
    schema: Literal["hwbench.language-calibration/1"] = "hwbench.language-calibration/1"
