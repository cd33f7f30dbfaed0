"""Formats of weights and caches: how many bytes a block of values takes, in GGUF files and in formats of the hub.

GGUF types are those of ggml (`ggml/src/ggml-common.h`); a test compares them with the package `gguf`.
"""

from typing import Literal

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown

Coding = Literal[
    "plain", "legacy", "legacy-single", "split", "split-single", "k", "k-split", "k-table", "i", "float"
]  # fmt: skip
"""How a value is decoded: not at all, scaled integers, those whose highest bit is apart, integers of two scales (of
them too some have their highest bit apart, or a table), by a table, or small floats. For `single` ones llama.cpp has
no kernel on CPUs that multiplies several tokens at once: it decodes the weights for each token."""


class BlockFormat(Struct, frozen=True):
    """A number format in blocks: `values` of them in `size` bytes; `number` is its GGUF type."""

    name: str
    values: int
    size: int
    coding: Coding = "plain"
    number: int | None = None

    @property
    def bits(self) -> float:
        """Bits of one value with its share of the block's scales."""
        return 8.0 * self.size / self.values

    def bytes_of(self, count: int) -> int:
        """Return the bytes of `count` values, whole blocks of them."""
        return -(-count // self.values) * self.size


_GGUF = (
    ("f32", 0, 1, 4, "plain"), ("f16", 1, 1, 2, "plain"), ("q4_0", 2, 32, 18, "legacy"),
    ("q4_1", 3, 32, 20, "legacy-single"), ("q5_0", 6, 32, 22, "split"), ("q5_1", 7, 32, 24, "split-single"),
    ("q8_0", 8, 32, 34, "legacy"), ("q8_1", 9, 32, 40, "legacy"), ("q2_k", 10, 256, 84, "k"),
    ("q3_k", 11, 256, 110, "k-split"), ("q4_k", 12, 256, 144, "k"), ("q5_k", 13, 256, 176, "k-split"),
    ("q6_k", 14, 256, 210, "k"), ("q8_k", 15, 256, 292, "k"),
    ("iq2_xxs", 16, 256, 66, "i"), ("iq2_xs", 17, 256, 74, "i"), ("iq3_xxs", 18, 256, 98, "i"),
    ("iq1_s", 19, 256, 50, "i"),
    ("iq4_nl", 20, 32, 18, "legacy"), ("iq3_s", 21, 256, 110, "i"), ("iq2_s", 22, 256, 82, "i"),
    ("iq4_xs", 23, 256, 136, "k-table"), ("i8", 24, 1, 1, "plain"), ("i16", 25, 1, 2, "plain"),
    ("i32", 26, 1, 4, "plain"),
    ("i64", 27, 1, 8, "plain"), ("f64", 28, 1, 8, "plain"), ("iq1_m", 29, 256, 56, "i"), ("bf16", 30, 1, 2, "plain"),
    ("tq1_0", 34, 256, 54, "k"), ("tq2_0", 35, 256, 66, "k"), ("mxfp4", 39, 32, 17, "float"),
    ("nvfp4", 40, 64, 36, "float"), ("q1_0", 41, 128, 18, "legacy"),
)  # fmt: skip
GGUF_TYPES: dict[int, BlockFormat] = {
    number: BlockFormat(name, values, size, coding, number)  # type: ignore[arg-type]
    for name, number, values, size, coding in _GGUF
}
"""The types of tensors in GGUF files by their number."""
_BY_NAME = {block.name: block for block in GGUF_TYPES.values()}
HUB_FORMATS: dict[str, BlockFormat] = {
    "fp32": _BY_NAME["f32"],
    "fp16": _BY_NAME["f16"],
    "fp8": BlockFormat("fp8", 1, 1, "float"),
    "int8": BlockFormat("int8", 128, 130, "legacy"),
    "int4-awq": BlockFormat("int4-awq", 128, 67, "legacy"),
    "gptq": BlockFormat("gptq", 128, 67, "legacy"),
    "nf4": BlockFormat("nf4", 64, 33, "float"),
}
"""Formats of the hub by name. The quantized ones have a scale, and where they are asymmetric a zero point, for 128
weights (int8, AWQ, GPTQ), or a scale of 8 bits for 64 (NF4 with double quantization). mxfp4, nvfp4 and bf16 are laid
out as in GGUF."""


def block_format(name: str) -> BlockFormat:
    """Return the format of a name. Raises InputError with the nearest names."""
    known = block_formats()
    key = name.lower()
    if key in known:
        return known[key]
    message = f"There is no number format '{shown(name, 40)}'."
    raise InputError("unknown-format", message, nearest=nearest(key, known) or ("f16", "q8_0", "q4_k"))


def block_formats() -> dict[str, BlockFormat]:
    """Return every format by name."""
    return _BY_NAME | HUB_FORMATS
