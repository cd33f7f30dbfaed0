"""Language models from files: GGUF, a configuration of the hub, or a folder with one and its weights."""

import os
import re
from typing import Any

from hwbench.errors import InputError, shown
from hwbench.notices import Notice, notice
from hwbench.workload.language import configuration, gguf, mixes, safetensors
from hwbench.workload.language.build import DEFAULT_WEIGHTS, model_of
from hwbench.workload.language.tensors import LanguageModel, Layer, Weight

_MAX_LAYERS, _MAX_VALUE = 4096, 1 << 32


def load(path: str, weights: str | None = None) -> LanguageModel:
    """Return the model in a file, or in a folder with `config.json`, in the format of its weights or in another one.

    Raises InputError.
    """
    if path.endswith(".gguf"):
        model = from_gguf(gguf.read(path))
        if weights is not None and mixes.weight_format(weights) != model.weights:
            message = f"The file holds {model.weights} weights; another format is that of another file."
            raise InputError("weights-of-file", message, field="weights", nearest=(model.weights,))
        return model
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    described = os.path.join(folder, "config.json")
    if path.endswith(".safetensors") and not os.path.isfile(described):
        message = "It states shapes but neither heads nor experts: its folder needs config.json too."
        raise InputError("no-configuration", message, file=path)
    read = configuration.read(described)
    files = [path] if path.endswith(".safetensors") else safetensors.files(folder)
    stored = safetensors.read(files) if files else None
    title = os.path.basename(os.path.normpath(os.path.abspath(folder)))
    chosen = weights or read.weights or (stored.format if stored else None) or DEFAULT_WEIGHTS
    notices = [*read.notices]
    model = model_of(title, title, read.blocks, chosen, tuple(notices), path)
    if stored and not read.weights and len(files) == stored.count and stored.params != model.params:
        notices.append(notice("parameters-differ", stored=stored.params, described=model.params))
        model = model_of(title, title, read.blocks, chosen, tuple(notices), path)
    return model


def from_gguf(header: gguf.GgufHeader) -> LanguageModel:
    """Return the model that a GGUF file's header describes. Raises InputError where a field that is needed is missing.

    Tensors of vision and audio towers (`v.`, `mm.`, `a.`) are left out, with a notice.
    """
    fields = _Fields(header)
    tensors = tuple(t for t in header.tensors if not t.name.startswith(("v.", "mm.", "a.")))
    left_out = sum(t.count for t in header.tensors) - sum(t.count for t in tensors)
    notices: list[Notice] = [notice("vision-left-out", params=left_out)] if left_out else []
    count = fields.whole("block_count")
    if count > _MAX_LAYERS:
        raise InputError("bad-gguf", f"It states {count} layers.", file=header.path)
    if not any(tensor.is_matrix and tensor.layer >= 0 for tensor in tensors):
        raise InputError("bad-gguf", "It holds no matrices of layers.", file=header.path)
    base = fields.text("general.basename") or fields.text("general.name") or os.path.basename(header.path)
    return LanguageModel(
        name=os.path.basename(header.path).removesuffix(".gguf"),
        title=shown(base, 80),
        weights=_label(header, tensors),
        width=fields.whole("embedding_length"),
        layers=tuple(_layer(fields, index) for index in range(count)),
        tensors=tensors,
        used_experts=fields.whole("expert_used_count", 0),
        context=fields.whole("context_length", 0) or None,
        notices=tuple(notices),
        path=header.path,
    )


class _Fields:
    """The fields of a header by the names that they have without the architecture's."""

    def __init__(self, header: gguf.GgufHeader) -> None:
        self.fields, self.path = header.fields, header.path
        self.architecture = self.text("general.architecture")
        self.linear = {t.layer for t in header.tensors if t.kind in ("ssm_in", "ssm_out", "ssm_conv1d")}
        self.attending = {t.layer for t in header.tensors if t.kind in ("attn_q", "attn_qkv", "attn_q_a", "attn_k")}

    def text(self, name: str) -> str:
        """Return a text, empty where there is none."""
        value = self.fields.get(name, "")
        return value if isinstance(value, str) else ""

    def get(self, name: str, index: int = 0) -> Any:
        """Return a value of the architecture's, that of one layer where it has one for each."""
        value = self.fields.get(f"{self.architecture}.{name}")
        if isinstance(value, list):
            return value[index] if index < len(value) else None
        return value

    def whole(self, name: str, default: int | None = None, index: int = 0) -> int:
        """Return a whole number of the architecture's. Raises InputError where it is missing or out of range."""
        value = self.get(name, index)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_VALUE:
            message = f"The field '{shown(self.architecture, 40)}.{name}' is {shown(value, 40)}, not a whole number."
            raise InputError("bad-gguf", message, file=self.path)
        return value


def _layer(fields: _Fields, index: int) -> Layer:
    heads = fields.whole("attention.head_count", 0, index)
    width = fields.whole("embedding_length")
    if index in fields.linear:
        inner, size = fields.whole("ssm.inner_size", 0), fields.whole("ssm.state_size", 0)
        kernel = fields.whole("ssm.conv_kernel", 1)
        state = inner * size + max(kernel - 1, 0) * (inner + 2 * fields.whole("ssm.group_count", 0) * size)
        if index not in fields.attending:
            return Layer(state=state)
    else:
        state = 0
    if not heads:
        return Layer(state=state)
    if rank := fields.whole("attention.kv_lora_rank", 0):
        rope = fields.whole("rope.dimension_count", 64)
        return Layer(rank + rope, state=state, heads=heads, score_macs=heads * (2 * rank + rope))
    kv_heads = fields.whole("attention.head_count_kv", heads, index)
    key = fields.whole("attention.key_length", width // heads)
    value = fields.whole("attention.value_length", key)
    window = fields.whole("attention.sliding_window", 0) or None
    windowed = _is_windowed(fields, index)
    return Layer(kv_heads * (key + value), window if windowed else None, state, heads, heads * (key + value))


_FULL = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4, "llama4": 4, "exaone4": 4, "olmo2": 4, "smallthinker": 4}
"""Every how many layers attend to all tokens, of architectures whose files have no such field (llama.cpp's
`set_swa_pattern`); those of other architectures use their window in every layer."""


def _is_windowed(fields: _Fields, index: int) -> bool:
    pattern = fields.get("attention.sliding_window_pattern", index)
    if isinstance(pattern, bool):
        return pattern
    full = pattern if isinstance(pattern, int) and pattern > 0 else _FULL.get(fields.architecture, 0)
    return not (full and (index + 1) % full == 0)


_FILE_TYPES = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 10: "q2_k", 11: "q3_k_s", 12: "q3_k_m",
    13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s", 17: "q5_k_m", 18: "q6_k", 19: "iq2_xxs", 20: "iq2_xs",
    21: "q2_k_s", 22: "iq3_xs", 23: "iq3_xxs", 24: "iq1_s", 25: "iq4_nl", 26: "iq3_s", 27: "iq3_m", 28: "iq2_s",
    29: "iq2_m", 30: "iq4_xs", 31: "iq1_m", 32: "bf16", 36: "tq1_0", 37: "tq2_0", 38: "mxfp4_moe",
}  # fmt: skip
"""Mixes by `general.file_type` (llama.cpp's include/llama.h)."""


def _label(header: gguf.GgufHeader, tensors: tuple[Weight, ...]) -> str:
    """Return the mix that a file states, else that of its name, else the format of most of its bytes."""
    stated = header.fields.get("general.file_type")
    if isinstance(stated, int) and stated in _FILE_TYPES:
        return _FILE_TYPES[stated]
    name = os.path.basename(header.path).lower()
    for mix in sorted(mixes.MIXES, key=len, reverse=True):
        if re.search(rf"(^|[^a-z0-9]){mix}([^a-z0-9]|$)", name):
            return mix
    sizes: dict[str, int] = {}
    for tensor in tensors:
        sizes[tensor.format] = sizes.get(tensor.format, 0) + tensor.size
    return max(sizes, key=lambda name: sizes[name], default="f32")
