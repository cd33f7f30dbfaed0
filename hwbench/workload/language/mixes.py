"""Which format each tensor gets: llama.cpp's mixes of types (`q4_k_m`), and formats of the hub.

The rules are those of `llama_tensor_get_type_impl` in llama.cpp's src/llama-quant.cpp (commit 007dbbf), without its
exceptions for Falcon, with an importance matrix for the iq mixes, as published files have, and without one for the
others. Tests compare them with the sizes of published files.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.language.formats import HUB_FORMATS, block_format
from hwbench.workload.language.tensors import EMBEDDING, HEAD, Weight

_BASES = {
    "q2_k_s": "q2_k", "q3_k_s": "q3_k", "q3_k_m": "q3_k", "q3_k_l": "q3_k", "q4_k_s": "q4_k", "q4_k_m": "q4_k",
    "q5_k_s": "q5_k", "q5_k_m": "q5_k", "iq2_s": "iq2_xs", "iq2_m": "iq2_s", "iq3_xs": "iq3_s", "iq3_m": "iq3_s",
    "mxfp4_moe": "mxfp4",
}  # fmt: skip
_SIMPLE = (
    "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q6_k", "iq2_xxs", "iq2_xs", "iq3_xxs",
    "iq1_s", "iq1_m", "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0",
)  # fmt: skip
_NARROWER = {
    **dict.fromkeys(("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl"),
    **dict.fromkeys(("q2_k", "q3_k", "tq1_0", "tq2_0"), "q4_0"), "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0",
}  # fmt: skip
"""What replaces a type of 256 weights where rows are no multiple of that."""
_TWO_BITS = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m")
HUB = (*(name for name in HUB_FORMATS if name not in ("fp32", "fp16")), "mxfp4", "nvfp4")
SYNONYMS = {"fp32": "f32", "fp16": "f16", "awq": "int4-awq", "int4": "int4-awq", "q3_k": "q3_k_m", "q4_k": "q4_k_m",
            "q5_k": "q5_k_m"}  # fmt: skip
MIXES = (*_SIMPLE, *_BASES)


class _Place(NamedTuple):
    """Where a tensor is: among the `total` of its kind the one at `position`; and what its model is like."""

    position: int
    total: int
    groups: int
    experts: int
    is_70b: bool

    @property
    def needs_more_bits(self) -> bool:
        """True for the first and last eighth, and every third in between."""
        first = self.total // 8
        return self.position < first or self.position >= 7 * self.total // 8 or (self.position - first) % 3 == 2

    @property
    def is_early(self) -> bool:
        """True for the first eighth."""
        return self.position < self.total // 8


def weight_format(name: str) -> str:
    """Return a format of weights by its usual name. Raises InputError with the nearest names."""
    key = name.strip().lower().replace("-", "_") if name.lower() != "int4-awq" else "int4-awq"
    key = SYNONYMS.get(key, key)
    if key in MIXES or key in HUB:
        return key
    message = f"There is no format of weights '{shown(name, 40)}'."
    raise InputError("unknown-format", message, field="weights", nearest=nearest(key, (*MIXES, *HUB)) or ("q4_k_m",))


def formatted(tensors: Iterable[Weight], weights: str, groups: int) -> Iterator[Weight]:
    """Yield the tensors of a model in a format of weights; `groups` is its query heads for one of keys."""
    every = tuple(tensors)
    if weights in ("f32", "f16", "bf16"):
        yield from (replace(t, format=weights if t.is_matrix and _may_shrink(t) else "f32") for t in every)
    elif weights in HUB:
        outside = (EMBEDDING, HEAD)
        for tensor in every:
            quantized = tensor.is_matrix and _may_shrink(tensor) and tensor.name not in outside
            yield replace(tensor, format=_fitting(weights, tensor.columns) if quantized else "bf16")
    else:
        yield from _mixed(every, weights, groups)


def _mixed(every: tuple[Weight, ...], mix: str, groups: int) -> Iterator[Weight]:
    tied = not any(tensor.name == HEAD for tensor in every)
    experts = max((tensor.experts for tensor in every), default=1)
    totals: dict[str, int] = {}
    for tensor in every:
        totals[_category(tensor)] = totals.get(_category(tensor), 0) + 1
    is_70b = totals.get("ffn_down") == 80 and groups == 8
    seen: dict[str, int] = {}
    for tensor in every:
        category = _category(tensor)
        index = seen.get(category, 0)
        seen[category] = index + 1
        if not tensor.is_matrix or not _may_shrink(tensor):
            yield replace(tensor, format="f32")
            continue
        if category == "head" or (tied and category == "embedding"):
            chosen = _head(mix, tensor)
        else:
            rule = _RULES.get(category, _plain)
            chosen = rule(mix, _Place(index, totals[category], groups, experts, is_70b))
            if mix == "mxfp4_moe" and tensor.experts == 1:
                chosen = "q8_0"
        yield replace(tensor, format=_fitting(chosen, tensor.columns))


def _category(tensor: Weight) -> str:
    if tensor.name == HEAD:
        return "head"
    if tensor.name == EMBEDDING:
        return "embedding"
    kind = tensor.kind.removesuffix("_exps").removesuffix("_shexp")
    suffix = "" if tensor.is_matrix else " vector"
    return ("attn_v" if kind in ("attn_kv_b", "attn_v_b") else kind) + suffix


def _may_shrink(tensor: Weight) -> bool:
    return not any(part in tensor.name for part in ("_norm.", "ffn_gate_inp", "ssm_conv1d"))


def _fitting(name: str, columns: int) -> str:
    """Return a format, or the one that replaces it where a row is not a whole number of its blocks."""
    if columns % block_format(name).values == 0 or name in HUB_FORMATS:
        return name
    other = _NARROWER.get(name, "f16")
    return other if columns % block_format(other).values == 0 else "f16"


def _head(mix: str, tensor: Weight) -> str:
    base = _BASES.get(mix, mix)
    if mix == "mxfp4_moe" or tensor.columns % block_format(base).values:
        return "q8_0"
    if mix in _TWO_BITS or mix == "iq3_xxs":
        return "q5_k"
    return "q8_0" if base == "q8_0" else "q6_k"


def _plain(mix: str, _place: _Place) -> str:
    return _BASES.get(mix, mix)


def _embedding(mix: str, _place: _Place) -> str:
    if mix in ("iq2_s", "iq2_m", "iq3_xxs"):
        return "iq3_s"
    if mix in _TWO_BITS:
        return "q2_k"
    return "q4_k" if mix in ("tq1_0", "tq2_0") else _BASES.get(mix, mix)


def _value(mix: str, place: _Place) -> str:
    grouped = place.groups >= 4
    if mix in _TWO_BITS:
        return "q4_k" if grouped or place.experts >= 4 else "iq3_s" if mix in ("iq2_s", "iq2_m") else "q2_k"
    chosen = {
        "q2_k": "q4_k" if grouped else "q3_k", "q2_k_s": "q4_k" if grouped else "q2_k", "iq3_m": "q4_k",
        "iq3_xxs": "q4_k" if grouped else "iq3_xxs", "iq3_xs": "q4_k" if grouped else "iq3_s",
        "iq3_s": "q4_k" if grouped else "iq3_s", "q3_k_m": "q5_k" if place.position < 2 else "q4_k", "q3_k_l": "q5_k",
        "iq4_nl": "q5_k" if grouped else "iq4_nl", "iq4_xs": "q5_k" if grouped else "iq4_xs",
        "q4_k_m": "q6_k" if place.needs_more_bits else "q4_k", "q5_k_m": "q6_k" if place.needs_more_bits else "q5_k",
        "q4_k_s": "q5_k" if place.position < 4 else "q4_k",
    }.get(mix, _BASES.get(mix, mix))  # fmt: skip
    if place.is_70b and chosen in ("q3_k", "q4_k"):
        chosen = "q5_k"
    return "q8_0" if place.experts == 8 else chosen


def _key(mix: str, place: _Place) -> str:
    if place.experts == 8:
        return "q4_k" if mix in _TWO_BITS else "q8_0"
    return _query(mix, place)


def _query(mix: str, _place: _Place) -> str:
    return {"iq3_xs": "iq3_xxs", "iq3_xxs": "iq2_s"}.get(mix, _BASES.get(mix, mix))


def _down(mix: str, place: _Place) -> str:
    base = _BASES.get(mix, mix)
    if mix in _TWO_BITS:
        return ("iq3_s" if mix in ("iq2_s", "iq2_m") else "q2_k") if place.is_early else base
    more = place.needs_more_bits
    return {
        "q2_k": "q3_k", "q2_k_s": "q4_k" if place.is_early else base, "q3_k_l": "q5_k",
        "q3_k_m": "q5_k" if place.position < place.total // 16 else "q4_k",
        "iq3_m": "q4_k" if place.is_early or (place.experts == 8 and more) else base,
        "q4_k_m": "q6_k" if more else base, "q5_k_m": "q6_k" if more else base,
        "q4_k_s": "q5_k" if place.is_early else base,
    }.get(mix, base)  # fmt: skip


def _output(mix: str, place: _Place) -> str:
    base = _BASES.get(mix, mix)
    if place.experts == 8:
        wide = (
            "q4_0",
            "q4_1",
            "q5_0",
            "q5_1",
            "q8_0",
            "q5_k_s",
            "q5_k_m",
            "q6_k",
            "q3_k_l",
            "q2_k_s",
            "tq1_0",
            "tq2_0",
        )
        return base if mix in wide else "q5_k"
    if mix in _TWO_BITS:
        return {"iq1_s": "iq2_xxs", "iq1_m": "iq2_xxs", "iq2_s": "iq3_s", "iq2_m": "iq3_s"}.get(mix, base)
    return {"q2_k": "q3_k", "iq3_xxs": "iq3_s", "q3_k_m": "q4_k", "q3_k_l": "q5_k", "iq3_m": "q4_k"}.get(mix, base)


def _middle(mix: str, place: _Place) -> str:
    """Return the type of the matrices into the feed-forward layer, narrower away from the first and last eighth."""
    middle = place.total // 8 <= place.position < 7 * place.total // 8
    return "iq3_xxs" if mix == "iq3_xs" and middle else _BASES.get(mix, mix)


def _fused(mix: str, _place: _Place) -> str:
    wider = {"q3_k_m": "q4_k", "q3_k_l": "q4_k", "iq3_m": "q4_k", "q4_k_m": "q5_k", "q5_k_m": "q6_k"}
    return wider.get(mix, _BASES.get(mix, mix))


_RULES: dict[str, Callable[[str, _Place], str]] = {
    "embedding": _embedding, "attn_v": _value, "attn_k": _key, "attn_q": _query, "ffn_down": _down,
    "attn_output": _output, "attn_qkv": _fused, "ffn_gate": _middle, "ffn_up": _middle,
}  # fmt: skip
