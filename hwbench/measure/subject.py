"""What a measurement was made of, beyond the fields that all measurements share: one type for each kind of kernel."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from hwbench.machine.device import Device

Size = Annotated[float, Meta(gt=0, le=1e30)]
Count = Annotated[int, Meta(gt=0)]


class ClockLoad(Struct, frozen=True, omit_defaults=True, tag="clock"):
    """Vectors of `bits` bits of the dtype `load` beside the chain whose length in cycles is known."""

    bits: Count
    load: str
    multiply_adds_in_8_cycles: Count | None = None


class MultiplyAdds(Struct, frozen=True, omit_defaults=True, tag="multiply-adds"):
    """A loop of multiply-adds: its instructions, the bits of a vector, and how many sums it keeps apart."""

    instructions: str
    bits: Count | None = None
    accumulators: Count | None = None


class StreamSize(Struct, frozen=True, omit_defaults=True, tag="stream"):
    """Bytes of one of STREAM's arrays, and the bits of the vectors that were fastest."""

    array_bytes: Size
    bits: Count | None = None


class WorkingSet(Struct, frozen=True, omit_defaults=True, tag="working-set"):
    """Bytes that one core reads again and again.

    `reported` are the system's sizes of the caches in bytes by name; `level` is the level in which the set fits, where
    all cores read sets of their own at once.
    """

    bytes: Size
    level: str | None = None
    reported: dict[str, Size] = {}


class PointerChase(Struct, frozen=True, omit_defaults=True, tag="latency"):
    """Bytes of a cycle of pointers, one in each line of `line` bytes, and the system's rule for huge pages."""

    bytes: Size
    line: Count
    huge_pages: str | None = None


class GpuWork(Struct, frozen=True, omit_defaults=True, tag="gpu"):
    """The GPU that a kernel ran on: torch's name of it, its title, and its description.

    `peak` is the ceiling of the value in its unit; `under_load` what the driver read while the kernel ran.
    """

    device: str
    title: str | None = None
    accelerator: Device | None = None
    peak: Size | None = None
    under_load: dict[str, Any] = {}


class LayerSeconds(Struct, frozen=True):
    """Seconds of one layer in each pass, all its calls together."""

    name: str
    seconds: tuple[Annotated[float, Meta(ge=0, lt=1e30)], ...]


class ForwardPass(Struct, frozen=True, omit_defaults=True, tag="inference"):
    """One model at one batch on torch's `device`; `title` names a GPU, `flops` are those of the whole batch.

    `runtime` is what tables call the software, `version` its package's, `precision` the dtype that it computed in.
    """

    model: str
    batch: Count
    device: str = "cpu"
    title: str | None = None
    runtime: str | None = None
    layout: str | None = None
    flops: int | None = None
    version: str | None = None
    precision: str | None = None
    layers: tuple[LayerSeconds, ...] = ()


class TrainingStep(Struct, frozen=True, omit_defaults=True, tag="training"):
    """One step of training a model, as `ForwardPass` describes inferences, with an `optimizer`.

    `parts` are the seconds of the forward pass, the backward pass and the optimizer in each of the last steps.
    """

    model: str
    batch: Count
    optimizer: str
    device: str = "cpu"
    title: str | None = None
    runtime: str | None = None
    layout: str | None = None
    flops: int | None = None
    version: str | None = None
    precision: str | None = None
    parts: tuple[LayerSeconds, ...] = ()


class LanguagePhase(Struct, frozen=True, omit_defaults=True, tag="language"):
    """One phase of a language model, `prompt` or `generation`, of `tokens` tokens after `context` cached ones.

    `weights` and `kv_dtype` are number formats; `runtime` is the software with its build.
    """

    model: str
    weights: str
    phase: Literal["prompt", "generation"]
    tokens: Count
    context: Annotated[int, Meta(ge=0)] = 0
    kv_dtype: str = "f16"
    fused_attention: bool = False
    runtime: str | None = None


class Code(Struct, frozen=True, omit_defaults=True, tag="code"):
    """Somebody's own code on torch's `device`; `flops` are those of one sample, None where torch did not count them."""

    device: str = "cpu"
    title: str | None = None
    flops: int | None = None


Subject = (
    ClockLoad
    | MultiplyAdds
    | StreamSize
    | WorkingSet
    | PointerChase
    | GpuWork
    | ForwardPass
    | TrainingStep
    | Code
    | LanguagePhase
)
