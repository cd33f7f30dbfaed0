"""The record of a run: every sample with its conditions, as saved. Values are derived from it, never stored.

One JSON file a run, schema `hwbench.run/2`; docs/reference/schemas/run.json is generated from these structs.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from hwbench.machine.device import Device
from hwbench.measure.subject import Subject
from hwbench.notices import Notice
from hwbench.units import MAX_WHOLE, Bytes, exact, whole_number

SCHEMA = "hwbench.run/2"
Unit = Literal["FLOP/s", "op/s", "FLOP/cycle", "B/s", "Hz", "s", "B"]
Positive = Annotated[float, Meta(ge=1e-30, le=1e30)]
Duration = Annotated[float, Meta(ge=1e-15, le=1e30)]
MAX_SAMPLES = 100_000
"""Samples of a measurement above which a file is refused."""
Timer = Literal["wall", "cpu", "device"]
Where = Literal["cpu", "gpu"]
Stopped = Literal["settled", "budget", "interrupted"]
MIN_ACCEPTED = 5
"""Accepted samples below which the least disturbed ones count too: a busy machine may give no others."""


class Sample(Struct, frozen=True, omit_defaults=True):
    """One timed stretch of `repetitions` calls: wall and CPU time in s, and why it is rejected if it is.

    `cpu_s` is the CPU time of the timing thread where one thread works, of the process where several do, and None for
    a device. `process` numbers fresh processes; `cycles` are the clock cycles of a kernel that counts them.
    """

    wall_s: Duration
    repetitions: Annotated[int, Meta(gt=0, le=MAX_WHOLE)]
    cpu_s: Duration | None = None
    process: Annotated[int, Meta(ge=0, le=MAX_WHOLE)] = 0
    rejected: str | None = None
    cycles: Positive | None = None


class Measurement(Struct, frozen=True, omit_defaults=True):
    """One kernel at one setting. `work` is what one repetition does: FLOP, op, B, cycles (for Hz) or runs (for s).

    A sample's value is work × repetitions / time for rates and time / (work × repetitions) for `s`. `timer` says which
    time counts: `cpu` for one thread on a shared host, `wall` otherwise. `checked` tells whether the answer was
    compared with a reference, None where there is none.
    """

    kernel: str
    variant: str
    unit: Unit
    work: Positive
    samples: Annotated[tuple[Sample, ...], Meta(min_length=1, max_length=MAX_SAMPLES)]
    dtype: str | None = None
    isa: str | None = None
    threads: Annotated[int, Meta(gt=0, le=MAX_WHOLE)] = 1
    size: str | None = None
    timer: Timer = "wall"
    cpus: tuple[int, ...] = ()
    where: Where = "cpu"
    core_class: str | None = None
    subject: Subject | None = None
    checked: bool | None = None
    stopped: Stopped = "settled"

    @property
    def key(self) -> tuple[str, ...]:
        """Kernel, variant, dtype, ISA, threads, size, unit and place: comparable measurements have the same."""
        what = (self.kernel, self.variant, self.dtype, self.isa, self.threads, self.size, self.unit)
        parts = (*what, self.where, self.core_class)
        return tuple("" if part is None else str(part) for part in parts)

    @property
    def label(self) -> str:
        """Return what people call it: `fma throughput avx512 fp32 ×2`."""
        return label(self)

    @property
    def accepted(self) -> tuple[Sample, ...]:
        """The samples that count: those not rejected, or the least disturbed quarter where fewer than five are left.

        The least disturbed have the least wall time for their CPU time; values are never looked at.
        """
        accepted = tuple(sample for sample in self.samples if sample.rejected is None)
        if len(accepted) >= MIN_ACCEPTED or len(accepted) == len(self.samples):
            return accepted
        disturbed = [sample.wall_s / (sample.cpu_s or sample.wall_s) for sample in self.samples]
        least = sorted(range(len(disturbed)), key=disturbed.__getitem__)[: max(MIN_ACCEPTED, len(disturbed) // 4)]
        return tuple(self.samples[index] for index in sorted(least))

    def value(self, sample: Sample) -> float:
        """Return a sample's value in `unit`."""
        amount = self.work * sample.repetitions
        if self.unit == "FLOP/cycle":
            return amount / sample.cycles if sample.cycles else 0.0
        time = sample.cpu_s if self.timer == "cpu" and sample.cpu_s else sample.wall_s
        return time / amount if self.unit == "s" else amount / time


def label(item: Any) -> str:
    """Return what people call a measurement, a task or a comparison: `fma throughput avx512 fp32 ×2`."""
    isa = None if item.isa == item.variant else item.isa
    place = "gpu" if item.where == "gpu" else item.core_class
    threads = f"×{item.threads}" if item.threads > 1 else None
    size = size_text(item.size)
    return " ".join(part for part in (item.kernel, item.variant, isa, item.dtype, size, place, threads) if part)


def size_text(size: str | None) -> str:
    """Return a working set such as `32 KiB`, a product of squares as `1024³`, any other size unchanged."""
    working_set = whole_number(size or "")
    if working_set is not None:
        return str(Bytes(working_set))
    sides = (size or "").split("x")
    return f"{sides[0]}³" if len(sides) == 3 and len(set(sides)) == 1 else size or ""


class Record(Struct, frozen=True):
    """One run of `hwbench bench` or `hwbench run`: its machine, conditions before and after, measurements and notices.

    `device` is the machine as the system describes it; files hold its quantities as text with units. Runs whose
    processes took turns have the same `turns`; `name` is what somebody calls the run. The environment and its snapshots
    are plain mappings (keys: docs/explanation/measuring.md): a record outlives its reader.
    """

    id: str
    created: str
    hwbench_version: str
    command: tuple[str, ...]
    environment: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    measurements: tuple[Measurement, ...]
    notices: tuple[Notice, ...] = ()
    processes: int = 1
    device: Device | None = None
    turns: str | None = None
    name: str | None = None
    schema: str = msgspec.field(default=SCHEMA)

    @property
    def conditions(self) -> dict[str, Any]:
        """The version of hwbench, the environment and the device, in which two records may differ."""
        device = msgspec.to_builtins(self.device, enc_hook=exact)
        return {"hwbench_version": self.hwbench_version, **self.environment, **({"device": device} if device else {})}


class Result(Struct, frozen=True):
    """A measurement as a median with its interval in `unit`, and a grade A to D with its reasons.

    `ratio_to_peak` is to the theoretical peak at the stated clock, `ratio_to_measured_peak` to that at the clock under
    this load; None where there is no such peak. `best` is the best sample.
    """

    kernel: str
    variant: str
    dtype: str | None
    isa: str | None
    threads: int
    size: str | None
    value: float
    unit: str
    interval: tuple[float, float]
    ratio_to_peak: float | None
    grade: Literal["A", "B", "C", "D"]
    reasons: tuple[str, ...] = ()
    where: Where = "cpu"
    core_class: str | None = None
    samples: int = 0
    rejected: int = 0
    best: float | None = None
    ratio_to_measured_peak: float | None = None
