"""Steps of somebody's own loop, timed by the device's events: which count, how long they take, how sure that is."""

from collections import deque
from collections.abc import Hashable
from statistics import median
from typing import Any

from msgspec import Struct

from hwbench.measure.torch.device import TorchDevice
from hwbench.stats.comparison import t_quantile
from hwbench.stats.intervals import LEVEL, Interval, effective_count

MAX_WAITING = 256
"""Steps whose events are kept before their times are read."""
MAX_STEPS = 10_000
"""The last steps, of which times are kept."""
OUTLIER = 2.0
"""Times the median of alike steps, above which a step is left out: it compiled, saved, or was interrupted."""
MIN_STEPS = 3
"""Steps of which a rate has an interval."""


class TimedStep(Struct, frozen=True):
    """One step: its time and the time since the end of the step before (None for the first), in s, and its amounts."""

    key: Hashable
    time_s: float
    wait_s: float | None
    samples: int | None = None
    tokens: int | None = None


class Steps:
    """Times of steps on one device; events of a GPU are read when their number grows or when somebody asks."""

    def __init__(self, device: TorchDevice) -> None:
        self.device = device
        self._waiting: deque[tuple[Any, Any, Any, dict[str, Any]]] = deque()
        self._steps: deque[TimedStep] = deque(maxlen=MAX_STEPS)
        self._last: Any = None

    def mark(self) -> Any:
        """Return a point in time of the device, after all work that was queued before."""
        return self.device.mark()

    def add(self, start: Any, key: Hashable, samples: int | None, tokens: int | None) -> None:
        """Add a step that began at a mark and ends now."""
        end = self.device.mark()
        self._waiting.append((self._last, start, end, {"key": key, "samples": samples, "tokens": tokens}))
        self._last = end
        if len(self._waiting) >= MAX_WAITING:
            self._read()

    def part(self) -> None:
        """Let the next step have none before it: what lies between is no waiting for data."""
        self._last = None

    def every(self) -> list[TimedStep]:
        """Return the last MAX_STEPS steps, in order."""
        self._read()
        return list(self._steps)

    def _read(self) -> None:
        self.device.synchronize()
        while self._waiting:
            last, start, end, step = self._waiting.popleft()
            wait = None if last is None else self.device.between(last, start)
            self._steps.append(TimedStep(time_s=self.device.between(start, end), wait_s=wait, **step))


def accepted(steps: list[TimedStep]) -> list[TimedStep]:
    """Return the steps that took no more than OUTLIER times the median of those of the same key."""
    times: dict[Hashable, list[float]] = {}
    for step in steps:
        times.setdefault(step.key, []).append(step.time_s)
    limits = {key: OUTLIER * median(values) for key, values in times.items()}
    return [step for step in steps if step.time_s <= limits[step.key]]


def rate(steps: list[TimedStep], amounts: list[float]) -> Interval | None:
    """Return what steps do per second: the sum of their amounts over that of their times; None for too few steps.

    Its interval is that of a ratio of sums (Cochran, Sampling Techniques, section 6.3), for as many independent steps
    as the correlation of neighbours leaves.
    """
    if len(steps) < MIN_STEPS or not (time := sum(step.time_s for step in steps)):
        return None
    value = sum(amounts) / time
    errors = [amount - value * step.time_s for step, amount in zip(steps, amounts, strict=True)]
    count, independent = len(steps), max(effective_count(errors), 2.0)
    variance = sum(error * error for error in errors) / (count - 1)
    width = t_quantile(independent - 1, LEVEL) * (variance / independent) ** 0.5 * count / time
    return Interval(value, max(value - width, 0.0), value + width)
