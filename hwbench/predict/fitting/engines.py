"""Priors of the runtimes that were timed on one core of a CPU, and which of their parameters are fitted.

Shares and times are what kernels of each sort usually reach; convolutions of volumes and signals begin as those of
images do. What teams of threads add, one core cannot tell: those parameters are of code that torch 2.4 compiled.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from hwbench.predict.fitting.priors import CPU, EARLY_COMPILED, UNTESTED
from hwbench.predict.fitting.problem import Free
from hwbench.predict.model.parameters import CpuParameters, Runtime

FEW = 60.0
"""`Spread.few` of these runtimes, which were timed on networks of hundreds of launches and on some of one or two."""
_TEAMS = ("memory", "team_heavy", "team_light", "grain")
"""Parameters of several threads, of which one core tells nothing."""
_DEFAULTS = dict(
    zip(reversed(CpuParameters.__struct_fields__), reversed(CpuParameters.__struct_defaults__), strict=False)
)
_DEVIATIONS = {"compute": 0.3, "per_element": 0.6, "calls": 0.6, "unfold": 0.6, "moves": 0.3, "epilogue": 0.6}
"""Of the logarithms of what families and variants have each; of the others it is 0.5."""
_SHARES = ("compute", "epilogue", "fusion")
"""Parameters that do not exceed 1."""
_COMMON: dict[str, Any] = {
    "prologue": 12.0, "ragged": 1.0, "uneven": 1.0, "cached_weights": 30.0, "cached_activations": 25.0, "reorder": 1.0,
    "reorder_spilled": 4.0, "reorder_point_spilled": 4.0, "packed_spilled": 0.5, "spill_share": 0.5,
    "resident_share": 1.0, "lane": 0.1, "packed": 1.0, "rereads": 0.5,
    "moves": {"depthwise": 1.0, "pointwise": 1.0}, **{name: getattr(CPU, name) for name in _TEAMS},
}  # fmt: skip
_FOLDED = {"batch_norm": 0.03, "map": 0.3, "exp": 0.6, "erf": 0.6, "broadcast": 0.5}
"""Share that is left of ops after a product: engines put norms into weights, most maps into the product's kernel."""
_EAGER = CpuParameters(
    compute={
        "conv": 0.95, "pointwise": 0.9, "linear": 0.75, "batched": 0.85, "stem": 0.65, "grouped": 0.85, "narrow": 0.6,
        "attention": 0.7, "depthwise": 0.5, "recurrent": 0.6, "transposed": 0.7, "transposed_narrow": 0.5,
        "multiplied": 0.05, "wide": 0.4,
        "signal": 0.7, "volume": 0.5,
    },
    per_element={
        "group_norm": 2e-9, "image_norm": 4e-9, "row_norm": 3e-10, "softmax": 9e-10, "reduce": 1e-9, "read": 3e-10,
        "moment": 2e-9, "turned": 2e-9, "strided": 6e-10,
        "shuffled": 2e-9, "max_pool": 1.5e-9, "avg_pool": 1.5e-9, "upsample": 1e-9, "interpolated": 2e-9,
        "attention": 5e-10,
        "copy": 1e-9, "map": 1.2e-10, "exp": 8e-10, "log": 4e-9, "erf": 1.5e-9, "batch_norm": 8e-10,
        "broadcast": 2.5e-10,
    },
    **_COMMON | {
        "ragged": 0.6, "reorder": 2.0,
        "moves": dict.fromkeys(("conv", "stem", "grouped", "narrow", "signal", "volume", "depthwise", "pointwise",
                                "transposed"), 1.0),
    },
    launch_convolution=2e-5, launch_product=7e-6, launch_light=3e-6, fresh=3e-10, recycled=1e6, grown=0.2,
    unfold={"plain": 2e-9, "plain_volume": 1e-9}, clipped=0.8, thin=0.1, row=1e-8, ragged_inputs=0.8,
    calls={
        "plain": 8e-6, "pointwise": 8e-6, "depthwise": 2e-5, "transposed": 2e-5, "batched": 1e-5, "attention": 2e-5,
        "lstm": 6e-7, "gru": 8e-6, "rnn": 4e-6, "cell": 2e-5, "row_norm": 6e-6, "group_norm": 1e-5, "batch_norm": 6e-6,
        "softmax": 4e-6, "reduce": 5e-6, "pool": 5e-6, "copy": 4e-6, "strided": 4e-6,
    },
)  # fmt: skip
_ONNXRUNTIME = CpuParameters(
    compute={
        "conv": 0.95, "pointwise": 0.95, "linear": 0.9, "batched": 0.85, "stem": 0.8, "grouped": 0.95, "narrow": 0.6,
        "attention": 0.55, "depthwise": 0.8, "recurrent": 0.8, "transposed": 0.6, "transposed_narrow": 0.5,
        "multiplied": 0.05, "wide": 0.4,
        "signal": 0.8, "volume": 0.6,
    },
    per_element={
        "group_norm": 2e-9, "image_norm": 3e-9, "row_norm": 3e-10, "softmax": 6e-10, "reduce": 1e-9, "read": 3e-10,
        "moment": 2e-9, "turned": 2e-9, "strided": 5e-10,
        "shuffled": 2e-9, "max_pool": 3e-10, "avg_pool": 3e-10, "upsample": 5e-10, "interpolated": 2e-9,
        "attention": 5e-10,
        "copy": 6e-10, "map": 8e-11, "exp": 8e-10, "log": 4e-9, "erf": 6e-10, "batch_norm": 2e-10,
        "broadcast": 2e-10,
    },
    **_COMMON, epilogue=_FOLDED, launch_convolution=2e-6, launch_product=1e-6, launch_light=6e-7, edge=4e-10,
    clipped=0.3, scores=3.0,
    unfold=dict.fromkeys(("transposed", "transposed_narrow", "signal", "volume", "narrow", "unaligned"), 5e-10),
    row=1e-8,
    ragged_inputs=0.1,
    calls={
        "batched": 2e-6, "attention": 4e-6, "lstm": 3e-7, "gru": 3e-7, "rnn": 5e-6, "cell": 8e-6, "row_norm": 1e-6,
        "group_norm": 3e-6, "softmax": 1e-6, "reduce": 2e-6, "pool": 2e-6, "copy": 1e-6, "strided": 1e-6,
        "transposed": 4e-6, "depthwise": 2e-6,
    },
)  # fmt: skip
_OPENVINO = CpuParameters(
    compute={
        "conv": 0.95, "pointwise": 0.95, "linear": 0.9, "batched": 0.85, "stem": 0.7, "grouped": 0.95, "narrow": 0.8,
        "attention": 0.55, "depthwise": 0.8, "recurrent": 0.8, "transposed": 0.8, "transposed_narrow": 0.5,
        "multiplied": 0.05, "wide": 0.4,
        "signal": 0.8, "volume": 0.8,
    },
    per_element={
        "group_norm": 1.5e-9, "image_norm": 2e-9, "row_norm": 3e-10, "softmax": 6e-10, "reduce": 1e-9, "read": 2e-10,
        "moment": 1e-9, "turned": 1e-9,
        "strided": 4e-10, "shuffled": 2e-9, "max_pool": 3e-10, "avg_pool": 3e-10, "upsample": 5e-10,
        "interpolated": 2e-9, "attention": 5e-10,
        "copy": 6e-10, "map": 1e-10, "exp": 4e-10, "log": 8e-10, "erf": 5e-10,
        "batch_norm": 1.5e-10, "broadcast": 2.5e-10,
    },
    **_COMMON, epilogue=_FOLDED, launch_convolution=2e-6, launch_product=1e-6, launch_light=1e-6, fusion=0.8,
    edge=1e-9, clipped=0.8, scores=3.0,
    thin=0.1, row=1e-8,
    calls={
        "batched": 2e-6, "attention": 3e-6, "lstm": 4e-7, "gru": 5e-7, "rnn": 1e-6, "cell": 3e-6, "row_norm": 1e-6,
        "group_norm": 3e-6, "softmax": 1e-6, "reduce": 1e-6, "pool": 2e-6, "copy": 1e-6, "strided": 1e-6,
        "transposed": 4e-6, "depthwise": 2e-6,
    },
)  # fmt: skip

START: dict[str, Runtime] = {
    "torch-eager-cpu": Runtime(how="priors", spread=UNTESTED, cpu=_EAGER),
    "onnxruntime-cpu": Runtime(how="priors", spread=UNTESTED, cpu=_ONNXRUNTIME),
    "openvino-cpu": Runtime(how="priors", spread=UNTESTED, fuses=True, cpu=_OPENVINO),
    "torch-compile-cpu": Runtime(how="priors", spread=UNTESTED, fuses=True, cpu=_OPENVINO),
}
"""In the order in which they are fitted."""
LIKE = {"torch-compile-cpu": "openvino-cpu"}
"""Runtimes whose priors are what was fitted of another, timed more often, whose kernels are the same library's."""


def beginning(name: str, known: Mapping[str, Runtime]) -> Runtime:
    """Return what the fit of a runtime starts from, with what `known` ones tell of kernels, threads and devices."""
    start = START[name]
    first = known[LIKE[name]].cpu if name in LIKE else start.cpu
    compiled = known[EARLY_COMPILED]
    assert first is not None  # a CPU's, as all of START are
    teams = {each: getattr(compiled.cpu, each) for each in _TEAMS}
    spread = replace(start.spread, device=compiled.spread.device, timed=compiled.spread.timed, few=FEW)
    return replace(start, cpu=replace(first, **teams), spread=spread)


def free(start: CpuParameters) -> Iterator[Free]:
    """Yield the parameters of a runtime that it has and one core tells, from where the fit starts."""
    for name in CpuParameters.__struct_fields__:
        value, ceiling = getattr(start, name), 1.0 if name in _SHARES else float("inf")
        if isinstance(value, dict):
            yield from (Free(f"{name}.{key}", each, _DEVIATIONS[name], ceiling) for key, each in value.items())
        elif name not in _TEAMS and (name == "packed" or value != _DEFAULTS.get(name)):
            yield Free(name, value, 0.5, ceiling)
