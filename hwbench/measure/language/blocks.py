"""Random weights in the blocks of GGUF's number formats: any bits, with scales that keep what a model computes finite.

Times depend on the layout of blocks alone, not on the values in them. A block's fields of 16 bits that hold scales are
given by their offsets in bytes (ggml/src/ggml-common.h of llama.cpp).
"""

import numpy as np

from hwbench.errors import InputError, nearest
from hwbench.workload.language.formats import BlockFormat, block_format

SCALES: dict[str, tuple[int, ...]] = {
    "q4_0": (0,), "q4_1": (0, 2), "q5_0": (0,), "q5_1": (0, 2), "q8_0": (0,), "q2_k": (80, 82), "q3_k": (108,),
    "q4_k": (0, 2), "q5_k": (0, 2), "q6_k": (208,), "iq2_xxs": (0,), "iq2_xs": (0,), "iq2_s": (0,), "iq3_xxs": (0,),
    "iq3_s": (0,), "iq1_s": (0,), "iq4_nl": (0,), "iq4_xs": (0,),
}  # fmt: skip
"""Offsets of the scales of a block, by format."""
_MAX_INTEGERS = {
    "q4_0": 8, "q4_1": 15, "q5_0": 16, "q5_1": 31, "q8_0": 127, "q2_k": 45, "q3_k": 128, "q4_k": 945, "q5_k": 1953,
    "q6_k": 4096, "iq4_nl": 127, "iq4_xs": 4096,
}  # fmt: skip
"""Largest value of a weight in units of its scale; 512 for formats that are not listed."""
PLAIN = ("f32", "f16", "bf16")


def random_blocks(name: str, count: int, largest: float, seed: int = 0) -> bytes:
    """Return `count` blocks of random weights of at most `largest`. Raises InputError for a format of other fields."""
    block = block_format(name)
    random = np.random.default_rng(seed)
    if name in PLAIN:
        return _plain(block, random.uniform(-largest, largest, count * block.values).astype(np.float32))
    if name not in SCALES:
        message = f"Random weights cannot be written in {name}."
        raise InputError(
            "not-written", message, field="weights", nearest=nearest(name, (*PLAIN, *SCALES)) or ("q4_0", "q8_0", "f16")
        )
    data = random.integers(0, 256, (count, block.size), np.uint8)
    scale = np.array([largest / _MAX_INTEGERS.get(name, 512)], np.float16).view(np.uint8)
    for offset in SCALES[name]:
        data[:, offset : offset + 2] = scale
    return data.tobytes()


def _plain(block: BlockFormat, values: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> bytes:
    if block.name == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return values.astype(np.float16 if block.name == "f16" else np.float32).tobytes()
