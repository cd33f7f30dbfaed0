"""Priors of the parameters from physics and vendors' papers, and which parameters are fitted.

Shares of compute are of the printed boost clock. Consumer cards run about 12 % above it, so a share may exceed 1.
"""

from collections.abc import Callable, Mapping

from msgspec import to_builtins
from msgspec.structs import replace

from hwbench.predict.fitting.problem import Free
from hwbench.predict.model.parameters import EARLIER, CpuParameters, GpuParameters, Runtime, Spread

_, EARLY_COMPILED = EARLIER["torch-compile-cpu"]
"""Parameters of compiled code on CPUs under torch 2.4, which other people timed on whole processors."""
CEILING = 0.97
LOOSE_CEILING = 1.25
"""Ceiling of batch norms and casts, which read what was just written; why they exceed 1 is not known."""
LOOSE = ("batch_norm", "cast")
UNTESTED = Spread(
    level=0.8,
    low=0.3,
    high=0.3,
    device=0.3,
    timed=0.1,
    power=0.4,
    unmeasured=0.2,
    foreign=0.4,
    assumed=0.15,
    unknown=0.5,
    overhead=0.4,
)
"""Spread of runtimes without measurements: a wide estimate."""

GPU = GpuParameters(
    compute={
        "conv": 1.1, "pointwise": 1.1, "linear": 1.1, "batched": 0.8, "stem": 0.45, "grouped": 0.6, "attention": 0.55,
        "depthwise_last": 0.22, "depthwise_first": 0.14, "recurrent": 0.8,
    },
    memory={
        "conv": 0.75, "stem": 0.75, "grouped": 0.75, "pointwise": 0.85, "linear": 0.85, "batched": 0.85,
        "attention": 0.85, "depthwise": 0.7, "map": 0.92, "exp": 0.92, "broadcast": 0.85, "erf": 0.7,
        "batch_norm": 0.92, "cast": 0.92, "copy": 0.8, "strided": 0.6, "row_norm": 0.8, "group_norm": 0.65,
        "softmax": 0.8, "pool": 0.5, "reduce": 0.85, "recurrent": 0.85, "unknown": 0.6,
    },
    prologue=25.0, ramp=0.7, feed=5.0, feed_growth=0.75, misaligned=1.15, group_width=30.0, group_power=0.8,
    ragged_group=2.0, wide_stem=2.0, row=1e-8,
    window_last=1.5, window_first=1.5, wide_window=4.0, wide_tensor=4.0, masked=0.75,
    transpose_window=1.5, transpose_point=0.35, transpose_grouped=1.5, transpose_mixed=2.5, cache_share=0.5,
    cache_speed=2.8, winograd=1.7, score_bytes=36.0, score_bytes_half=14.0, interpolation=3e-8, bias=2.0,
    launch=3.5e-6, host=2.2e-5,
)  # fmt: skip
_FIXED = ("ramp", "feed_growth", "winograd", "host", "fusion", "launch")
"""Parameters that measurements of whole networks at large batches do not determine."""

GPU_FREE = (
    *(Free(f"compute.{name}", value) for name, value in GPU.compute.items()),
    *(
        Free(f"memory.{name}", value, 0.2, LOOSE_CEILING if name in LOOSE else CEILING)
        for name, value in GPU.memory.items()
        if name != "unknown"
    ),
    *(
        Free(name, getattr(GPU, name))
        for name in GpuParameters.__struct_fields__
        if name not in ("compute", "memory", *_FIXED)
    ),
)

CPU = CpuParameters(
    compute={
        "conv": 0.6, "pointwise": 0.8, "linear": 0.6, "batched": 0.5, "stem": 0.2, "grouped": 0.4, "attention": 0.25,
        "depthwise": 0.15, "recurrent": 0.08,
    },
    per_element={
        "group_norm": 2e-8, "image_norm": 3e-8, "row_norm": 1.2e-9, "softmax": 1.2e-9, "reduce": 1.2e-9,
        "strided": 2e-9, "pool": 1e-9, "copy": 1e-9, "map": 2e-10, "exp": 4e-10, "erf": 5e-10, "batch_norm": 2e-10,
        "broadcast": 3e-10,
    },
    prologue=12.0, ragged=0.5, uneven=1.0, memory=0.5, cached_weights=5.0, cached_activations=10.0, reorder=1.0,
    reorder_spilled=5.0, reorder_point_spilled=5.0, packed_spilled=1.0, spill_share=0.5, resident_share=0.35,
    launch_convolution=4e-5, launch_product=1e-5, launch_light=1e-5, team_heavy=2e-5, team_light=1e-5, grain=3e4,
    lane=0.02, fusion=1.0,
)  # fmt: skip

CPU_FREE = (
    *(Free(f"compute.{name}", value, 0.5) for name, value in CPU.compute.items()),
    *(Free(f"per_element.{name}", value, 0.5) for name, value in CPU.per_element.items()),
    *(
        Free(name, getattr(CPU, name), 0.5, CEILING if name == "memory" else float("inf"))
        for name in (*CpuParameters.__struct_fields__[2 : -len(CpuParameters.__struct_defaults__)], "packed")
    ),
)

COPIES = ("transpose_window", "transpose_point", "transpose_grouped")
COMPILED_FUSION, COMPILED_HOST, COMPILED_COPIES = 0.8, 7e-6, 0.2
"""Share of an op's `fused_bytes` that TorchInductor saves, seconds that launching a kernel takes, and share of the
copies between layouts that are left, as it chooses the layout once; estimates."""

START: dict[str, Runtime] = {
    "torch-eager-cuda": Runtime(how="priors", spread=UNTESTED, gpu=GPU),
    EARLY_COMPILED: Runtime(how="priors", spread=UNTESTED, fuses=True, cpu=CPU),
}
FREE = {"torch-eager-cuda": GPU_FREE, EARLY_COMPILED: CPU_FREE, "torch-compile-cuda": GPU_FREE}
"""Parameters that are fitted, by runtime."""


def free(name: str, start: Runtime) -> tuple[Free, ...]:
    """Return the parameters of a runtime to fit; those of compiled code on a GPU begin as those of eager kernels."""
    if name != "torch-compile-cuda":
        return FREE[name]
    values = to_builtins(start.gpu)
    paths = ((each, each.path.partition(".")) for each in FREE[name])
    ours = ((each, values[head][key] if key else values[head]) for each, (head, _, key) in paths)
    return (*(replace(each, prior=value) for each, value in ours), Free("fusion", COMPILED_FUSION, 0.3, 1.0))


def compiled(runtimes: Mapping[str, Runtime]) -> Runtime:
    """Return parameters of compiled code on a GPU, derived from those of eager kernels without a measurement."""
    eager = runtimes["torch-eager-cuda"]
    assert eager.gpu is not None
    copies = {name: COMPILED_COPIES * getattr(eager.gpu, name) for name in COPIES}
    own = replace(eager.gpu, fusion=COMPILED_FUSION, host=COMPILED_HOST, **copies)
    how = "the parameters of torch-eager-cuda with fused kernels; no measurement"
    spread = replace(UNTESTED, device=eager.spread.device, timed=eager.spread.timed)
    return replace(eager, how=how, spread=spread, fuses=True, gpu=own, families=(), held_out=())


DERIVED: dict[str, Callable[[Mapping[str, Runtime]], Runtime]] = {
    "torch-eager-cuda": lambda runtimes: runtimes["torch-eager-cuda"],
    EARLY_COMPILED: lambda runtimes: runtimes[EARLY_COMPILED],
    "torch-compile-cuda": compiled,
}
"""What each runtime starts from, in the order in which they follow from each other."""
