"""The parameters of a model beyond its name."""

from typing import Literal

from msgspec import Struct

Phase = Literal["prefill", "decode"]


class ModelRequest(Struct, frozen=True):
    """A model's name and how to run it.

    `input` is a shape such as `2x3x224x224` or `2x128:int64` whose first dimension is the batch. A language model's
    `phase` is `prefill` (a prompt of `context` tokens) or `decode` (one token against a cache of `context`).
    `autocast` is `fp16` or `bf16` for mixed precision as CUDA does it. A training step is traced at `batch`.
    """

    model: str
    input: str | None = None
    image_size: int | None = None
    phase: Phase | None = None
    context: int | None = None
    training: bool = False
    autocast: str | None = None
    channels_last: bool = False
    batch: int = 1
