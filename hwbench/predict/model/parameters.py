"""The numbers of the time model, a set for each kind of runtime, read from `parameters.json` in this folder.

`hwbench calibrate --measurements ...` fits them and writes such a file; no number is for one network or device.
"""

import os
from functools import lru_cache
from math import hypot, sqrt
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import InputError, shown
from hwbench.files import content

SCHEMA = "hwbench.parameters/3"
MIN_VALUE, MAX_VALUE = 1e-18, 1e18
MAX_POWER = 10.0
NEVER_TRAINED = 0.5
"""Deviation of the logarithm of a training step's time in runtimes in which none was timed: an assumption."""
MAX_SHIFT = 50.0
"""Of logarithms of time ratios."""
MAX_FEW = 100.0
MATH_IN_FP32 = (2, 5)
"""Version of torch from which attention that is not fused computes in fp32 (pytorch issue 141756)."""
_POWERS = ("feed_growth", "group_power", "window_last", "window_first", "ragged", "ragged_inputs", "clipped")
_MAY_BE_ZERO = (
    "packed_spilled", "fusion", "fresh", "grown", "rereads", "edge", "clipped", "scores", "thin", "row",
    "ragged_inputs", "few",
)  # fmt: skip
OTHERS = "others"
"""Group of operators of backward passes of which none was timed enough."""
FEW_TRAINED = 1000
"""`Spread.few` of training steps."""
EARLIER = {"torch-compile-cpu": ((2, 9), "torch-2.4-compile-cpu")}
"""Version of torch before which a runtime has other parameters, and their name: versions between those timed (2.4 and
2.14) are forecast as the nearer of the two."""
PATH = os.path.join(os.path.dirname(__file__), "parameters.json")


class GpuParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How kernels of a framework use a GPU. Shares are of the device's peak, times in seconds.

    `compute`: share of the peak that a family of kernels reaches on full tiles; `memory`: share of the bandwidth. A
    product computes `prologue` additional steps of depth, and `ramp` more of the first wave, because a unit with one
    block hides no latency. Feeding it costs `feed` FLOP/byte over its intensity at 512 FLOP a cycle and unit, growing
    with the rate to the power `feed_growth`. `misaligned` is the relative time of channels that are not a multiple of
    8. Products narrower than `group_width` channels slow down with the power `group_power` of the ratio, and take
    `ragged_group` times as long, channels last, if their width is above 16 and not a multiple of it. `wide_stem` is the
    relative time of an image's first convolution if its window exceeds 16×16, `row` the seconds of one unit for a row
    to be normalized, however short. Depthwise windows: time grows with the window to the powers `window_last` (channels
    last) and `window_first`; past 7×7, channels last, it is `wide_window` times longer, and past 2³¹ elements memory
    traffic is `wide_tensor` times. `masked` is attention's relative speed with a mask. Transposes between layouts are
    kernels of their own that move so many times an image's bytes: `transpose_window`, `transpose_grouped` and
    `transpose_point` (convolutions of windows, of groups and of points without channels last), `transpose_mixed`
    (between different layouts). Where nothing fuses it, the bias of a convolution is a kernel too, whose time is `bias`
    times that of the result's bytes (it reads and writes them). Tensors below `cache_share` of the cache are read at
    `cache_speed` times the bandwidth. `winograd` is the relative speed of 3×3 and 5×5 convolutions on fp32 lanes.
    `score_bytes` is the traffic of a score that attention writes out (`score_bytes_half` in versions of torch that did
    so in half precision), `interpolation` seconds a FLOP of a thread that interpolates one position of all images.
    `launch` is a kernel's own gap, `host` the framework's time to launch one; `fusion` is the share of the traffic in
    `saved_bytes` that a compiler saves.
    """

    compute: dict[str, float]
    memory: dict[str, float]
    prologue: float
    ramp: float
    feed: float
    feed_growth: float
    misaligned: float
    group_width: float
    group_power: float
    ragged_group: float
    wide_stem: float
    row: float
    window_last: float
    window_first: float
    wide_window: float
    wide_tensor: float
    masked: float
    transpose_window: float
    transpose_point: float
    transpose_grouped: float
    transpose_mixed: float
    cache_share: float
    cache_speed: float
    winograd: float
    score_bytes: float
    score_bytes_half: float
    interpolation: float
    bias: float
    launch: float
    host: float
    fusion: float = 0.0


class CpuParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How kernels of a framework use a CPU. Shares are of the all-core peak or of the bandwidth, times in seconds.

    `compute`: share of the peak that a family reaches. A product computes `prologue` additional steps of depth;
    channels that do not fill vectors cost their padding to the power `ragged`. Cores take chunks of one vector of
    channels by 14 positions; an uneven division of them takes `uneven` × units / chunks more time. `memory` is the
    share of the bandwidth that streams reach; the caches deliver weights at `cached_weights` and activations at
    `cached_activations` bytes a cycle and unit. Weights are read `reorder` times by convolutions, which reorder them,
    and `packed` times by other products; `reorder_spilled` (windows), `reorder_point_spilled` and `packed_spilled`
    times more if those of one op exceed `spill_share` of the cache. All weights together stay resident below
    `resident_share` of it. An op costs `launch_convolution`, `launch_product` or `launch_light`, and `team_heavy` or
    `team_light` more if it writes more than `grain` elements and needs all units. `lane` is the share of the peak of
    elementwise arithmetic; `per_element` is seconds an element of one unit for families that do not vectorize (divided
    by the units), `fresh` seconds a byte to get memory for results larger than `recycled` bytes and `grown` × all
    weights, which the allocator keeps. Recurrent layers read their weights `rereads` times more with each step. A
    convolution as a product with the image's windows takes `unfold` seconds for each of their elements: `plain` ones,
    and variants that a runtime has no other kernel for. What enters or leaves convolutions at an end of the network
    takes `edge` seconds an element; padding saves time with the power `clipped`, ragged channels of inputs cost it with
    the power `ragged_inputs` of those of results; attention's scores reach memory `scores` times, a row of a norm or
    softmax takes `row` seconds, and products take `thin` more over the vectors of results that share what is read.
    `calls` are launches by family or variant where they differ from others, of recurrent layers each step. By family or
    variant, `moves` is the traffic of activations over what is
    counted, and `epilogue` the share that is left of an op after a product.
    """

    compute: dict[str, float]
    per_element: dict[str, float]
    prologue: float
    ragged: float
    uneven: float
    memory: float
    cached_weights: float
    cached_activations: float
    reorder: float
    reorder_spilled: float
    reorder_point_spilled: float
    packed_spilled: float
    spill_share: float
    resident_share: float
    launch_convolution: float
    launch_product: float
    launch_light: float
    team_heavy: float
    team_light: float
    grain: float
    lane: float
    fusion: float = 0.0
    fresh: float = 0.0
    recycled: float = 8388608.0
    grown: float = 0.0
    edge: float = 0.0
    clipped: float = 0.0
    scores: float = 0.0
    thin: float = 0.0
    ragged_inputs: float = 1.0
    row: float = 0.0
    unfold: dict[str, float] = {}
    packed: float = 1.0
    rereads: float = 0.0
    calls: dict[str, float] = {}
    moves: dict[str, float] = {}
    epilogue: dict[str, float] = {}


class PartFactors(Struct, frozen=True, forbid_unknown_fields=True):
    """Measured over modeled time of each part of a network on a device."""

    compute: float = 1.0
    memory: float = 1.0
    overhead: float = 1.0


class Spread(Struct, frozen=True, forbid_unknown_fields=True):
    """Errors of the logarithm of measured over forecast time, on families that were not fitted.

    `level` of them lie between -`low` and `high` on devices that were fitted, whose own ends are in `devices`. On
    others `device` is added (half of its square where a device of its architecture was fitted), or `timed` if rates
    were measured. `power` × the logarithm of the rate that a card's power allows is added for what that rests on,
    `unmeasured` for a vendor and for a dtype without measurements, `foreign` for a runtime other than torch's,
    `assumed` for each value of the device that was guessed, `unknown` × the share of time in ops of no known family,
    and `overhead` × the share of time that is overhead of an unknown host. All are added in squares.
    The ends are those of networks of many launches: they grow with the root of 1 + `few` / launches, as errors of
    single operators do that average out.
    """

    level: float
    low: float
    high: float
    device: float
    timed: float
    power: float
    unmeasured: float
    foreign: float
    assumed: float
    unknown: float
    overhead: float
    few: float = 0.0
    devices: dict[str, tuple[float, float]] = {}
    architectures: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()


class Training(Struct, frozen=True, forbid_unknown_fields=True):
    """Times of operators of training steps over those that their shapes take in an inference.

    `factors` are of compute, memory and overhead, by group of operators (`group_of`). `updates` are an optimizer's:
    seconds a step, more for each tensor, and more for each byte of weights. For a step of many launches, of a family of
    networks that was not fitted, the logarithm of measured over forecast time lies between -`low` and `high` at the
    spread's level; both grow with the root of 1 + FEW_TRAINED / launches.
    """

    factors: dict[str, tuple[float, float, float]]
    updates: dict[str, tuple[float, float, float]]
    low: float
    high: float

    def of(self, group: str) -> tuple[float, float, float]:
        """Return the factors of a group of operators."""
        return self.factors.get(group) or self.factors[OTHERS]


class HeldOut(Struct, frozen=True, forbid_unknown_fields=True):
    """Errors of forecasts for what was held out of the fit: families, a device, or a device after a few timings.

    `n` rows `of` a table are off by `mape` in the mean and `bias` with the sign (above 0 if forecast too long), and
    `inside` of them lie in the interval. `worst` is the highest mean error among the draws of timings.
    """

    without: str
    of: str
    n: int
    mape: float
    bias: float
    inside: float
    worst: float | None = None


class Runtime(Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of one kind of runtime, how they were found, and their errors.

    `devices` holds the factors of devices that were fitted, by name, `architectures` and `others` what they tell of
    devices of the same and of other architectures; `families` are those of the networks that were fitted.
    """

    how: str
    spread: Spread
    fuses: bool = False
    gpu: GpuParameters | None = None
    cpu: CpuParameters | None = None
    devices: dict[str, PartFactors] = {}
    architectures: dict[str, PartFactors] = {}
    others: PartFactors = PartFactors()
    families: tuple[str, ...] = ()
    held_out: tuple[HeldOut, ...] = ()
    training: Training | None = None

    def of(self, version: tuple[int, int] | None) -> "Runtime":
        """Return the parameters for a version of torch; None is a current one."""
        if self.gpu is None or version is None or version >= MATH_IN_FP32:
            return self
        return replace(self, gpu=replace(self.gpu, score_bytes=self.gpu.score_bytes_half))

    def in_training(self) -> Spread:
        """Return the errors of training steps: measured ones, else wider than those of inferences."""
        if self.training:
            ends = (self.training.low, self.training.high)
            devices = dict.fromkeys(self.spread.devices, ends)
            return replace(self.spread, low=ends[0], high=ends[1], devices=devices, unknown=0.0, few=FEW_TRAINED)
        spread = self.spread
        wider = {name: _wider(ends) for name, ends in spread.devices.items()}
        low, high = _wider((spread.low, spread.high))
        return replace(spread, low=low, high=high, devices=wider)

    def factors(self, device: str, architecture: str) -> PartFactors:
        """Return the factors of a device: its own, else those expected of its architecture, else of any other."""
        return self.devices.get(device) or self.architectures.get(architecture) or self.others


class EngineFactor(Struct, frozen=True, forbid_unknown_fields=True):
    """How many times as long an engine takes as the runtime by whose parameters it is forecast.

    `without` has the factors that its other devices give, for each device that was timed; 80 % of the logarithmic
    errors of devices held out are within ±`spread`.
    """

    factor: float
    spread: float
    without: dict[str, float] = {}

    def of(self, device: str) -> float:
        """Return the factor for a device, to which its own times did not contribute."""
        return self.without.get(device, self.factor)


class ParameterFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A versioned set of parameters by runtime, and factors of `engines` without parameters, by `engine_of`."""

    schema: str
    version: int
    how: str
    runtimes: dict[str, Runtime]
    engines: dict[str, EngineFactor] = {}

    def fuses(self, runtime: str) -> bool:
        """Return whether a runtime fuses ops, as one without parameters, that of accelerators, is taken to do."""
        return runtime not in self.runtimes or self.runtimes[runtime].fuses

    def of(self, runtime: str, version: tuple[int, int] | None) -> Runtime:
        """Return the parameters of a runtime under a version of torch; None is a current one."""
        return self.runtimes[parameters_name(runtime, version)].of(version)


def parameters_name(runtime: str, version: tuple[int, int] | None) -> str:
    """Return the name of a runtime's parameters under a version of torch; None is a current one."""
    before, earlier = EARLIER.get(runtime, ((0, 0), ""))
    return earlier if version is not None and version < before else runtime


def few_launches(launches: float, few: float) -> float:
    """Return how much wider errors of networks of so many launches are than those of endless ones."""
    return sqrt(1 + few / max(launches, 1))


def _wider(ends: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of errors of training steps in a runtime in which none was timed."""
    return hypot(ends[0], NEVER_TRAINED), hypot(ends[1], NEVER_TRAINED)


def dumped(file: ParameterFile) -> str:
    """Return the text of a parameter file with four digits a number, as many as measurements determine."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rounded(item) for key, item in value.items()}
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(file))), indent=1).decode() + "\n"


@lru_cache(maxsize=1)
def parameters() -> ParameterFile:
    """Return the parameters that come with hwbench."""
    with open(PATH, "rb") as file:
        return msgspec.json.decode(file.read(), type=ParameterFile)


def read(path: str) -> ParameterFile:
    """Return the parameters in a file that `calibrate` wrote. Raises InputError for another or an incomplete file.

    It must have every runtime, family and number of the shipped file, in a range in which every formula stays finite.
    """
    text = content.read_text(path)
    try:
        file = msgspec.json.decode(text, type=ParameterFile)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        from hwbench.files.messages import complaint  # which the shipped parameters do without

        wrong = complaint(error) if isinstance(error, msgspec.ValidationError) else None
        reason = wrong.sentence if wrong else f"{shown(error, 200)}."
        message = f"The file is not a file of parameters. {reason}"
        raise InputError("not-parameters", message, file=path, field=wrong.field if wrong else None) from None
    if file.schema != SCHEMA:
        message = f"The schema is '{shown(file.schema, 60)}'; this version of hwbench reads {SCHEMA}."
        raise InputError("unknown-schema", message, file=path, field="schema")
    for name, standard in parameters().runtimes.items():
        field = f"runtimes.{name}"
        runtime = file.runtimes.get(name)
        if runtime is None:
            raise InputError("incomplete", "This kind of runtime is missing.", file=path, field=field)
        _check(runtime.spread, standard.spread, path, f"{field}.spread")
        for label, factors in {**runtime.devices, **runtime.architectures, "others": runtime.others}.items():
            _check(factors, PartFactors(), path, f"{field}.factors of {label}")
        for part in ("gpu", "cpu"):
            _check(getattr(runtime, part), getattr(standard, part), path, f"{field}.{part}")
    for name, engine in file.engines.items():
        for place, factor in {"factor": engine.factor, **engine.without}.items():
            _check(factor, 1.0, path, f"engines.{name}.{place}")
        _check(engine.spread, 1.0, path, f"engines.{name}.spread.high")
    return file


def _check(values: Any, standard: Any, path: str, field: str) -> None:
    """Raise InputError where a number of the standard is missing or out of its range."""
    if isinstance(standard, Struct):
        standard = msgspec.to_builtins(standard)
        values = None if values is None else msgspec.to_builtins(values)
    if isinstance(standard, dict):
        for name, value in standard.items():
            _check((values or {}).get(name), value, path, f"{field}.{name}")
    elif isinstance(standard, float):
        name = field.rpartition(".")[2]
        low, high = (-MAX_SHIFT, MAX_SHIFT) if ".spread." in field else (MIN_VALUE, MAX_VALUE)
        high = MAX_POWER if name in _POWERS else MAX_FEW if name == "few" else high
        low = 0.0 if name in _MAY_BE_ZERO else low
        if values is None or not low <= values <= high:
            message = f"The value must be a number from {low:g} to {high:g}."
            raise InputError("parameter-range", message, file=path, field=field)
