"""Number formats: the bits of an element in memory, and the format in which multiply-adds are computed."""

from typing import Literal

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown

DtypeName = Literal["fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8", "int4"]
"""Formats that a device has rates for."""

BITS: dict[str, int] = {
    "fp64": 64, "fp32": 32, "tf32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "fp6": 6, "fp4": 4, "int8": 8, "int4": 4,
}  # fmt: skip
"""Bits that one element takes in memory (a tf32 value is stored as fp32)."""

MIXED = "amp"
"""Mixed precision: weights in fp32, each op of a traced model in the format that autocast to fp16 gives it."""


QUANTIZED = ("q4_0", "q8_0", "q4_k")
"""Formats of weights in blocks, as in GGUF files, whose products with a vector `bench matmul` measures on request."""


class Dtype(Struct, frozen=True):
    """A number format of a run: elements take `bits` each, products are computed in the format `computes_in`."""

    name: str
    bits: int
    computes_in: str

    @property
    def autocast(self) -> str | None:
        """Format that a mixed-precision run casts to, None for other runs."""
        return self.computes_in if self.name == MIXED else None


ALIASES = {
    "float64": "fp64", "double": "fp64", "float32": "fp32", "float": "fp32", "single": "fp32", "float16": "fp16",
    "half": "fp16", "bfloat16": "bf16", "float8": "fp8", "float4": "fp4", "mixed": MIXED, "autocast": MIXED,
}  # fmt: skip
"""What frameworks call the formats."""
_KNOWN = {name: Dtype(name, bits, name) for name, bits in BITS.items()} | {MIXED: Dtype(MIXED, BITS["fp32"], "fp16")}


def measured_dtype(name: str) -> str:
    """Return what `bench` takes for a dtype: one as hwbench spells it, or a format of quantized weights."""
    key = name.strip().lower() if isinstance(name, str) else ""
    if key in QUANTIZED:
        return key
    try:
        return dtype(name).name
    except InputError as error:
        if not key.startswith(("q", "iq")):
            raise
        raise InputError(error.code, error.message, field=error.field, nearest=QUANTIZED) from None


def dtype(name: str) -> Dtype:
    """Return the format of a name such as `fp16`, `float16` or `amp`. Raises InputError with the nearest names."""
    key = name.strip().lower().removeprefix("torch.") if isinstance(name, str) else ""
    known = _KNOWN.get(ALIASES.get(key, key))
    if known is None:
        close = [ALIASES.get(choice, choice) for choice in nearest(str(name), (*_KNOWN, *ALIASES))]
        choices = tuple(dict.fromkeys(close)) or tuple(_KNOWN)
        raise InputError("unknown-dtype", f"There is no dtype '{shown(name)}'.", field="dtype", nearest=choices)
    return known
