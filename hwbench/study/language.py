"""Measured phases of a language model next to what was predicted of them."""

from typing import ClassVar, Literal

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.errors import InputError
from hwbench.measure.record import Measurement, Record
from hwbench.measure.session import interrupted
from hwbench.measure.subject import LanguagePhase
from hwbench.measure.summary import interval, summarize
from hwbench.notices import Notice
from hwbench.predict.language import LanguageEstimate


class PhaseRun(Struct, frozen=True):
    """One phase, `prompt` or `generation`: its measured time, tokens a second, and what was predicted of it.

    `expected_ratio` and `roofline_ratio` are measured over predicted time, None where the device is not known enough.
    """

    phase: Literal["prompt", "generation"]
    tokens: int
    context: int
    time_s: float
    interval_s: tuple[float, float]
    tokens_per_s: float
    tokens_per_s_interval: tuple[float, float]
    expected_time_s: float | None
    expected_interval_s: tuple[float, float] | None
    expected_ratio: float | None
    roofline_time_s: float | None
    roofline_ratio: float | None
    grade: str
    reasons: tuple[str, ...]
    samples: int
    checked: bool | None


class LanguageRun(Answer, Struct, frozen=True):
    """A language model in llama.cpp, measured; `isa` is the widest instruction set that its build names.

    `path` is the saved record, `file` the model's where it is kept, `trouble` why the record was not saved.
    """

    SCHEMA: ClassVar[str] = "language-run"
    MAIN: ClassVar[tuple[str, ...]] = ("model", "weights", "device", "runtime", "isa", "threads")
    ROWS: ClassVar[str] = "runs"
    CONTEXT: ClassVar[tuple[str, ...]] = ("trouble",)

    model: str
    title: str
    weights: str
    kv_dtype: str
    synthetic: bool
    weights_bytes: int
    device: str
    runtime: str
    isa: str | None
    threads: int
    interval_level: float
    runs: tuple[PhaseRun, ...]
    check_command: str | None
    file: str | None
    path: str | None
    run: Record
    notices: tuple[Notice, ...] = ()
    trouble: InputError | None = None

    @property
    def interrupted(self) -> bool:
        """True where somebody stopped the measurement."""
        return interrupted(self.run.measurements)


def phase_run(measurement: Measurement, estimate: LanguageEstimate | None) -> PhaseRun:
    """Return a measured phase next to the estimate of it."""
    subject = measurement.subject
    assert isinstance(subject, LanguagePhase)
    time, result = interval(measurement), summarize(measurement)
    predicted = estimate.phase(subject.phase) if estimate else None
    return PhaseRun(
        phase=subject.phase,
        tokens=subject.tokens,
        context=subject.context,
        time_s=time.value,
        interval_s=(time.low, time.high),
        tokens_per_s=subject.tokens / time.value,
        tokens_per_s_interval=(subject.tokens / time.high, subject.tokens / time.low),
        expected_time_s=predicted.expected_time_s if predicted else None,
        expected_interval_s=predicted.interval_s if predicted else None,
        expected_ratio=time.value / predicted.expected_time_s if predicted else None,
        roofline_time_s=predicted.roofline_time_s if predicted else None,
        roofline_ratio=time.value / predicted.roofline_time_s if predicted else None,
        grade=result.grade,
        reasons=result.reasons,
        samples=result.samples,
        checked=measurement.checked,
    )
