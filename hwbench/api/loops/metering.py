"""The utilization of somebody's own loop: its operations counted once as they run, its steps timed.

    meter = hwbench.meter(model)                      # a module, a name of hwbench.models(), or nothing
    for images, labels in loader:
        with meter.step(samples=len(images)):
            loss = criterion(model(images), labels)
            loss.backward(), optimizer.step(), optimizer.zero_grad()
    print(meter)                                      # meter.mfu, meter.hfu, meter.samples_per_s ...

Needs torch. On a GPU its events are the clock, and nothing waits for them in between.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ContextDecorator
from operator import index
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hwbench.api.checks import check_dtype
from hwbench.api.lookup import Model
from hwbench.api.loops.reading import Reading
from hwbench.api.machines import host_device
from hwbench.errors import InputError, shown
from hwbench.machine.device import Device
from hwbench.measure.steps import Steps, accepted
from hwbench.measure.torch import device as devices
from hwbench.measure.torch.gpu import describe
from hwbench.notices import Notice, notice
from hwbench.study.step import StepExplanation
from hwbench.study.utilization import Utilization
from hwbench.workload.ops import Workload

if TYPE_CHECKING:
    import torch

    from hwbench.workload.tracing.observe import Observation, ObservedWork

T = TypeVar("T")
WARM_UP = 3
"""Steps that are not counted: caches fill, algorithms are chosen, the clock rises."""
MAX_KINDS = 32
"""Kinds of steps (amounts and shapes) that are counted; steps of further kinds are left out."""


def meter(
    model: "torch.nn.Module | str | Workload | None" = None,
    *,
    device: "str | Device" = "auto",
    dtype: str = "auto",
    mode: str = "training",
    warm_up: int = WARM_UP,
) -> "Meter":
    """Return a meter of the steps of a loop: what they reach of the device's peak (MFU), and samples per second.

    Without a name or a workload as `model`, the first step of each kind is counted while it runs: all that torch does
    in the calling thread. `model` as a module tells kinds apart by the shapes of its inputs; without one, `samples` and
    `tokens` do, and a name needs `samples`. Samples that no step states are the first dimensions of the module's
    inputs. `device` is torch's name of it (`cpu`, `cuda:1`), by default the module's, or a device of the catalog whose
    peak counts instead. `dtype` is that of the peak, by default the one of most operations. `mode` says what a name
    stands for, a step of `training` or `inference`. Raises InputError without torch, and for a device whose peak is not
    known.
    """
    return Meter(model, device, dtype, mode, warm_up)


class Meter:
    """Counts and times the steps of one thread. Use `step`, or `steps` around a loader; then read `utilization()`."""

    def __init__(self, model: Any, device: str | Device, dtype: str, mode: str, warm_up: int) -> None:
        torch = devices.torch_module("A meter")
        options = _options(model, mode)
        self.module = model if isinstance(model, torch.nn.Module) else None
        self.source = None if model is None or self.module is not None else Model(model, None, options)
        self.dtype = None if dtype == "auto" else check_dtype(dtype)
        self.torch_device = _torch_device(self.module, device if isinstance(device, str) else "auto")
        self.device, self.notices = _described(self.torch_device, device)
        if self.dtype is not None and self.device is not None:
            self.device.peak(self.dtype)  # raises where its rate is not known
        if self.source is not None:
            self.source.workload(self.dtype or "fp32", 1)  # raises where there is none
        self.warm_up = _whole(warm_up, "warm_up")
        self.counted: dict[Any, ObservedWork] = {}
        self.left_out: Counter[str] = Counter()
        self._steps = Steps(self.torch_device)
        self._thread: int | None = None
        self._current: _Step | None = None
        self._yielded: _Step | None = None
        self._hooks: list[Any] = []
        if self.module is not None:
            watch = _Watch(self)
            self._hooks.append(self.module.register_forward_pre_hook(watch, with_kwargs=True))
            self._hooks.append(self.module.register_forward_hook(watch.leave, always_call=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the meter's hooks off the module."""
        for hook in self._hooks:
            hook.remove()

    def step(self, samples: int | None = None, tokens: int | None = None) -> "_Step":
        """Return a context, or a decorator, for one step of so many samples or tokens (of this process)."""
        samples, tokens = _amount(samples, "samples"), _amount(tokens, "tokens")
        if self.source is not None and samples is None:
            text = "State the samples of each step: the operations of a name are those of one sample."
            raise InputError("no-samples", text, field="samples")
        return _Step(self, samples, tokens)

    def steps(
        self, batches: Iterable[T], samples: Callable[[T], int] | int | None = None,
        tokens: Callable[[T], int] | int | None = None,
    ) -> Iterator[T]:  # fmt: skip
        """Yield batches, each the body of one step; `samples` and `tokens` are numbers, or functions of the batch."""
        if self._yielded is not None:  # its loop was left, but its iterator is alive
            self._yielded.__exit__(GeneratorExit)
        for batch in batches:
            amounts = (each(batch) if callable(each) else each for each in (samples, tokens))
            with self.step(*amounts) as self._yielded:
                yield batch
            self._yielded = None

    def pause(self) -> None:
        """Let the time until the next step (an evaluation, a checkpoint) not count as waiting for data."""
        self._steps.part()

    def _enter(self, step: "_Step") -> bool:
        """Return whether a step is measured: it is in no other step, and in the thread of the first."""
        thread = threading.get_ident()
        if self._thread is None:
            self._thread = thread
        if self._current is not None and self._current is self._yielded:  # of an iterator that nobody goes on with
            self._current.__exit__(GeneratorExit)
        if thread != self._thread:
            self.left_out["other-thread"] += 1
        elif self._current is not None:
            self.left_out["nested"] += 1
        else:
            self._current = step
            return True
        return False

    def utilization(self) -> Utilization:
        """Return what the steps until now reach. Raises InputError before any step could be timed."""
        return self._reading().answer()

    def _reading(self) -> Reading:
        steps = self._steps.every()
        timed = [step for step in steps if step.key in self.counted] if self.source is None else steps
        regular = accepted(timed[self.warm_up :])
        if not regular:
            text = f"No step is timed yet: the first of its kind is counted, the next {self.warm_up} warm up."
            left_out = [str(notice("steps-left-out", steps=n, reason=each)) for each, n in self.left_out.items()]
            raise InputError("no-steps", " ".join([text, *left_out]))
        return Reading(self, steps, timed, regular)

    def explain(self) -> StepExplanation:
        """Return where the time of a step goes: by block of the module, by what limits it, waiting for data.

        Raises InputError before any step could be timed, and where nothing can be estimated.
        """
        return self._reading().explanation()

    def gathered(self) -> list[Utilization]:
        """Return the answer of every process of torch.distributed, by rank; all of them must call this."""
        from torch import distributed

        own = self.utilization()
        if not distributed.is_initialized():
            return [own]
        answers: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(answers, own)
        return answers

    def __getattr__(self, name: str) -> Any:
        """Return a value of `utilization()`: `meter.mfu`, `meter.hfu`, `meter.samples_per_s`."""
        if name.startswith("_") or name not in Utilization.__struct_fields__:
            raise AttributeError(f"'Meter' has no attribute '{name}'")
        return getattr(self.utilization(), name)

    def __str__(self) -> str:
        try:
            return str(self.utilization())
        except InputError as error:
            return error.message

    def _repr_html_(self) -> str | None:
        return self.utilization()._repr_html_() if self._steps.every() else None


class _Watch:
    """The hooks of a meter on its module; copies of the module, and what is saved of it, have none.

    What the module calls itself, within a call, is part of that call.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self.meter, self.depth = meter, 0

    def __reduce__(self) -> Any:
        return _Watch, ()

    def __call__(self, _module: Any, args: Any, kwargs: Any) -> None:
        if (step := self._step()) is not None:
            self.depth = self.depth + 1 if step.shapes else 1  # of a step before, an error may have left some
            if self.depth == 1:
                step.see(args, kwargs)

    def leave(self, *_: Any) -> None:
        """Note that a call has ended."""
        if self._step() is not None:
            self.depth = max(self.depth - 1, 0)

    def _step(self) -> "_Step | None":
        """Return the step that runs in this thread, None within compiled code, where a call is no event."""
        import torch

        if torch.compiler.is_compiling() or self.meter is None or threading.get_ident() != self.meter._thread:
            return None
        return self.meter._current if torch._C._current_graph_task_id() == -1 else None


class _Step(ContextDecorator):
    """One step: counted if it is the first of its kind, else timed."""

    def __init__(self, meter: Meter, samples: int | None, tokens: int | None) -> None:
        self.meter, self.samples, self.tokens = meter, samples, tokens
        self.observation: Observation | None = None
        self.shapes: list[Any] = []
        self.sizes: list[int | None] = []
        self.measured = self.skipped = False
        self.start: Any = None

    def _recreate_cm(self) -> "_Step":
        return _Step(self.meter, self.samples, self.tokens)

    def skip(self) -> None:
        """Leave this step out: it did less than others."""
        self.skipped = True

    @property
    def size(self) -> int | None:
        """Samples as stated, else the first dimensions of the module's first inputs together."""
        return self.samples or (sum(filter(None, self.sizes)) or None if None not in self.sizes else None)

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells kinds of steps apart."""
        return tuple(self.shapes) if self.meter.module is not None else (self.samples, self.tokens, *self.shapes)

    def __enter__(self) -> "_Step":
        self.measured = self.meter._enter(self)
        if self.measured:
            if self.meter.module is None:
                self._observe_new()
            self.start = self.meter._steps.mark()
        return self

    def see(self, args: Any, kwargs: Any) -> None:
        """Note the shapes that the module is called with, and whether for gradients."""
        import torch

        first, sized = not self.shapes, shapes((args, kwargs))
        self.shapes.append((torch.is_grad_enabled(), *sized))
        listed = isinstance(next(iter((*args, *kwargs.values())), None), list)  # of images: a sample each, or a batch
        known = sized and sized[0] and not listed and torch._C._functorch.peek_interpreter_stack() is None
        self.sizes.append(sized[0][0] if known else None)
        if first and self.observation is None:
            self._observe_new()

    def _observe_new(self) -> None:
        """Begin to count unless a step that began alike was counted."""
        known, begun = self.meter.counted, self.key
        if self.meter.source is None and len(known) < MAX_KINDS and not any(k[: len(begun)] == begun for k in known):
            from hwbench.workload.tracing.observe import Observation

            self.observation = Observation(self.meter.module)
            self.observation.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self.measured:
            return
        self.measured = False
        meter = self.meter
        meter._current = None
        if self.observation is not None:
            self.observation.stop()
        if self.skipped or kind is GeneratorExit:
            reason = "skipped"
        elif kind is not None:
            reason = "failed"
        else:
            reason = "not-called" if meter.module is not None and not self.shapes else ""
        if reason:
            meter.left_out[reason] += 1
            meter._steps.part()
        elif self.observation is not None:
            name = type(meter.module).__name__ if meter.module is not None else "step"
            meter.counted[self.key] = self.observation.work(name, self.size or 1)
            meter._steps.part()
        else:
            meter._steps.add(self.start, self.key, self.size, self.tokens)


def _whole(value: Any, field: str, least: int = 0) -> int:
    """Return a whole number, of numpy or torch as well. Raises InputError for anything else."""
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            if (number := index(value)) >= least:
                return number
    text = f"'{shown(str(value), 40)}' is not a number of {field} (a whole number from {least})."
    raise InputError("amount-range", text, field=field)


def _amount(value: Any, field: str) -> int | None:
    return None if value is None else _whole(value, field, 1)


def _options(model: Any, mode: str) -> Any:
    if mode not in ("inference", "training"):
        raise InputError("unknown-mode", f"There is no mode '{shown(mode)}'.", field="mode")
    return {"mode": mode} if isinstance(model, str) else {}


def _torch_device(module: Any, device: str) -> devices.TorchDevice:
    """Return where torch computes: the device named, else the module's, else a GPU, else the CPU."""
    kind = device.partition(":")[0]
    if kind in (*devices.NAMES, "host"):
        return devices.find_device(device)
    parameter = next(module.parameters(), None) if module is not None else None
    if parameter is not None:
        return devices.find_device(str(parameter.device))
    return devices.accelerator() or devices.CPU


def _described(torch_device: devices.TorchDevice, device: str | Device) -> tuple[Device, tuple[Notice, ...]]:
    """Return the device whose peak counts. Raises InputError for a GPU that is not known."""
    if isinstance(device, Device):
        return device, ()
    if device != "auto" and str(device).partition(":")[0] not in (*devices.NAMES, "host"):
        from hwbench.api.lookup import locate

        located = locate(device)
        return located.device, located.notices
    if torch_device.kind != "cpu":
        known = describe(torch_device)
        if known is None:
            text = f"The peak of '{shown(torch_device.title)}' is not known: give a device with its rates as `device`."
            raise InputError("unknown-device", text, field="device")
        return known, ()
    import torch

    located = host_device()
    return located.device.with_cores(torch.get_num_threads()), located.notices


def shapes(inputs: Any) -> tuple[Any, ...]:
    """Return the shapes of all tensors in nested values."""
    from hwbench.workload.tracing.twins import tensors

    return tuple(tuple(tensor.shape) for tensor in tensors(inputs))
