"""Any code as a run: its time and its conditions, and the operations that torch did in it.

with hwbench.record("resize", save=True) as run:
    for image in run.samples(images):             # each a sample; without it the block is one
        resize(image)
print(run)                                        # run.time_s, run.flops, run.path
hwbench.compare(yesterday, run.path)
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

from hwbench.api.records import Bench, derived, prepare
from hwbench.api.records import save as save_record
from hwbench.errors import InputError, shown
from hwbench.machine.host.describe import host
from hwbench.measure import session
from hwbench.measure import settings as cpus
from hwbench.measure.record import MAX_SAMPLES, Measurement, Sample
from hwbench.measure.subject import Code
from hwbench.measure.summary import value
from hwbench.measure.torch import device as devices

T = TypeVar("T")
MAX_NAME = 60


def record(name: str = "code", *, on: str = "cpu", save: str | bool = False) -> "Recording":
    """Return a context whose block is timed as a run with its conditions, which `compare` takes when it is saved.

    `name` tells it from other code. Without `samples` the block is one sample, whose spread is unknown. `on` is the
    torch device whose events time it, `cpu` the clock on the wall; `save` is True or a folder. Raises InputError.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        text = f"'{shown(name, MAX_NAME)}' is not a name of 1 to {MAX_NAME} printable characters."
        raise InputError("bad-name", text, field="name")
    return Recording(name, devices.CPU if on == "cpu" else devices.find_device(on), save)


class Recording:
    """Code that is timed in a `with` block; afterwards it has `time_s`, `flops`, `path` and the `answer` with all."""

    def __init__(self, name: str, device: devices.TorchDevice, save: str | bool) -> None:
        self.name, self.device, self.save = name, device, save
        self.flops: int | None = None
        self._answer: Bench | None = None
        self._samples: list[Sample] = []

    def __enter__(self) -> Self:
        prepare(self.save)
        machine = host()
        self._samples.clear()
        self._around = session.Surroundings(machine, cpus.settings(machine).classes).__enter__()
        self._begin = self._mark()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        whole = self._sample(self._begin)
        self._around.__exit__()
        if kind is not None:
            return
        on_cpu = self.device.kind == "cpu"
        measurement = Measurement(
            kernel="code",
            variant=self.name,
            unit="s",
            work=1,
            samples=tuple(self._samples) or (whole,),
            timer="wall" if on_cpu else "device",
            where="cpu" if on_cpu else "gpu",
            subject=Code(self.device.torch_name, None if on_cpu else self.device.title, self.flops),
        )
        run, path, trouble = save_record(self._around.record((measurement,), ("hwbench.record", self.name)), self.save)
        self._answer = derived(run, path, trouble)

    def samples(self, over: int | Iterable[T]) -> Iterator[Any]:
        """Yield what a loop goes over, or so many numbers, and time each turn as a sample.

        Where torch is imported, the first turn is counted and not timed.
        """
        items: Iterable[Any] = range(over) if isinstance(over, int) else over
        for number, each in enumerate(items):
            if number == 0 and "torch" in sys.modules:
                yield from self._counted(each)
                continue
            begin = self._mark()
            yield each
            if len(self._samples) < MAX_SAMPLES:
                self._samples.append(self._sample(begin))

    def _counted(self, each: T) -> Iterator[T]:
        from hwbench.workload.tracing.observe import Observation  # torch is there

        observation = Observation()
        observation.start()
        try:
            yield each
        finally:
            observation.stop()
        self.flops = sum(observation.work(self.name).parts.values())

    def _mark(self) -> tuple[Any, float]:
        return self.device.mark(), time.process_time()

    def _sample(self, begin: tuple[Any, float]) -> Sample:
        """Return the time since a mark, once the device has done what was asked of it until now."""
        end = self.device.mark()
        self.device.synchronize()
        seconds = max(self.device.between(begin[0], end), 1e-9)
        cpu = max(time.process_time() - begin[1], 1e-9)
        return Sample(wall_s=seconds, repetitions=1, cpu_s=cpu if self.device.kind == "cpu" else None)

    @property
    def answer(self) -> Bench:
        """The run as an answer. Raises InputError before the block has ended."""
        if self._answer is None:
            raise InputError("not-recorded", "The block has not ended, or ended with an exception.")
        return self._answer

    @property
    def time_s(self) -> float:
        """The median of the samples, in s."""
        return value(self.answer.run.measurements[0])

    @property
    def flops_per_second(self) -> float | None:
        """FLOP of a sample over its time; None where nothing was counted."""
        return self.flops / self.time_s if self.flops is not None else None

    @property
    def path(self) -> str | None:
        """The file of the run; None where it was not saved."""
        return self.answer.path

    def __str__(self) -> str:
        return str(self.answer)

    def _repr_html_(self) -> str:
        return self.answer._repr_html_()
