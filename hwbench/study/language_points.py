"""Language models on devices side by side: what each delivers, which reach a target, curves over batch and context."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Literal

from msgspec import Struct
from msgspec.structs import replace

from hwbench.answers import Answer
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.machine.language_calibration import LanguageCalibration
from hwbench.notices import Notice, unique
from hwbench.predict.language import LanguageEstimate, Scenario, estimate_language
from hwbench.workload.language import LanguageModel

PER_DEVICE = (
    "memory-size-unknown",
    "memory-kept-by-system",
    "class-unfitted",
    "architecture-unfitted",
    "bandwidth-assumed",
    "language-calibrated",
    "weights-decoded",
)
"""Notices that are about one device of several."""
Question = Literal["compare", "require", "sweep", "curve"]


class LanguagePoint(Struct, frozen=True):
    """One model on one device in one scenario; `verdict` is about the targets of a requirement.

    `power_w` is that of all devices of a kind together. Times of a model that does not fit are those of enough memory.
    """

    model: str
    weights: str
    device: str
    kind: str
    power_w: float | None
    devices: int
    batch: int
    prompt: int
    generate: int
    context: int
    fits: bool | None
    memory_needed_bytes: int
    memory_size_bytes: float | None
    ttft_s: float | None
    ttft_interval_s: tuple[float, float] | None
    tokens_per_s: float | None
    tokens_per_s_interval: tuple[float, float] | None
    tokens_per_s_all: float | None
    energy_per_token_bound_j: float | None
    limited_by: str
    verdict: Literal["delivers", "may deliver"] | None = None


class LanguagePoints(Answer, Struct, frozen=True):
    """Points in the order of the question; a requirement has those that reach it, of the lowest power first.

    `tokens_per_s` and `ttft_s` are its targets. `judged` points were computed, of `unknown` devices no bandwidth or
    rate is known.
    """

    SCHEMA: ClassVar[str] = "language-points"
    MAIN: ClassVar[tuple[str, ...]] = ("question", "title", "judged")
    ROWS: ClassVar[str] = "points"

    question: Question
    title: str
    points: tuple[LanguagePoint, ...]
    judged: int
    unknown: tuple[str, ...]
    interval_level: float
    runtime: str
    tokens_per_s: float | None = None
    ttft_s: float | None = None
    notices: tuple[Notice, ...] = ()

    @property
    def delivering(self) -> int:
        """The number of points that deliver."""
        return sum(point.verdict == "delivers" for point in self.points)


Asked = tuple[LanguageModel, Device, Scenario, LanguageCalibration | None]
"""What one point is about."""


def points(question: Question, title: str, every: Iterable[Asked]) -> LanguagePoints:
    """Return every point, in order; devices of which too little is known are listed. Raises InputError for none."""
    result: list[LanguagePoint] = []
    unknown: dict[str, InputError] = {}
    notices: list[Notice] = []
    level, runtimes = 0.0, dict[str, None]()
    for model, device, scenario, calibration in every:
        try:
            answer = estimate_language(model, device, scenario, calibration=calibration)
        except InputError as error:
            unknown[device.label] = error
            continue
        level = answer.interval_level
        runtimes[answer.runtime] = None
        notices += [each for each in answer.notices if each.code not in PER_DEVICE]
        result.append(_point(answer))
    if not result:
        raise next(iter(unknown.values()), InputError("no-device", "No device is given."))
    return LanguagePoints(
        question, title, tuple(result), len(result), tuple(unknown), level, " and ".join(runtimes),
        notices=unique(notices),
    )  # fmt: skip


def required(answer: LanguagePoints, tokens_per_s: float | None, ttft_s: float | None) -> LanguagePoints:
    """Return the points that reach targets: by their whole interval they deliver, by a part of it they may."""
    if tokens_per_s is None and ttft_s is None:
        raise InputError("needs-target", "A target is needed: tokens a second, or a time to the first.", field="tokens")

    def verdict(point: LanguagePoint) -> Literal["delivers", "may deliver"] | None:
        rate, first = point.tokens_per_s_interval, point.ttft_interval_s
        margins: list[tuple[float, float]] = []
        if tokens_per_s is not None:
            margins.append((rate[0] / tokens_per_s, rate[1] / tokens_per_s) if rate else (0.0, 0.0))
        if ttft_s is not None:
            margins.append((ttft_s / first[1], ttft_s / first[0]) if first else (1.0, 1.0))
        if point.fits is False or min(most for _, most in margins) < 1:
            return None
        return "delivers" if min(least for least, _ in margins) >= 1 else "may deliver"

    reaching = [replace(point, verdict=own) for point in answer.points if (own := verdict(point))]
    reaching.sort(
        key=lambda p: (p.verdict != "delivers", p.power_w is None, p.power_w or 0.0, -(p.tokens_per_s or 0.0))
    )
    return replace(answer, points=tuple(reaching), tokens_per_s=tokens_per_s, ttft_s=ttft_s)


def _point(answer: LanguageEstimate) -> LanguagePoint:
    scenario, prompt = answer.scenario, answer.phase("prompt")
    rate, last = answer.tokens_per_s, answer.phases[-1]
    return LanguagePoint(
        model=answer.model,
        weights=answer.weights,
        device=answer.device,
        kind=answer.kind,
        power_w=answer.power_w * scenario.devices if answer.power_w else None,
        devices=scenario.devices,
        batch=scenario.batch,
        prompt=scenario.prompt,
        generate=scenario.generate,
        context=scenario.reserved,
        fits=answer.fits,
        memory_needed_bytes=answer.budget.needed,
        memory_size_bytes=answer.budget.size,
        ttft_s=answer.ttft_s,
        ttft_interval_s=prompt.interval_s if prompt else None,
        tokens_per_s=rate,
        tokens_per_s_interval=answer.tokens_per_s_interval,
        tokens_per_s_all=answer.tokens_per_s_all,
        energy_per_token_bound_j=answer.energy_bound_j,
        limited_by=last.limited_by,
    )


SORTS: dict[str, Callable[[LanguagePoint], tuple[bool, float | str]]] = {
    "name": lambda point: (False, point.device),
    "time": lambda point: (point.tokens_per_s is None, -(point.tokens_per_s or 0.0)),
    "power": lambda point: (point.power_w is None, point.power_w or 0.0),
    "per-watt": lambda point: (point.energy_per_token_bound_j is None, point.energy_per_token_bound_j or 0.0),
}
"""Orders of devices that are compared."""


def ordered(every: Sequence[LanguagePoint], sort: str) -> tuple[LanguagePoint, ...]:
    """Return points in an order, the unknown last. Raises InputError for an order of networks alone."""
    if sort not in SORTS:
        message = "Language models are not compared in this order."
        raise InputError("not-for-language", message, field="sort", nearest=tuple(SORTS))
    return tuple(sorted(every, key=SORTS[sort]))
