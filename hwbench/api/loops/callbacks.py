"""Callbacks that meter a loop which a trainer runs: of transformers and of Lightning.

    trainer = transformers.Trainer(model, args, ..., callbacks=[hwbench.trainer_callback()])
    trainer = lightning.Trainer(..., callbacks=[hwbench.lightning_callback()])

Both log `mfu`, `hfu`, `flops_per_second` and `samples_per_s` to whatever the trainer logs to, as soon as they are
known, and keep the meter as `callback.meter`.
"""

from importlib import import_module
from typing import Any

from hwbench.api.loops.metering import Meter, meter, shapes
from hwbench.errors import InputError

LOGGED = ("mfu", "hfu", "flops_per_second", "samples_per_s")


def trainer_callback(**options: Any) -> Any:
    """Return a `transformers.TrainerCallback` with the options of `meter`: one step is one of the optimizer.

    A step with several backward passes counts as a whole. Raises InputError without transformers.
    """
    base = _package("transformers", "transformers").TrainerCallback

    class TrainerMeter(base):  # type: ignore[misc,valid-type]
        """Meter each step of the trainer."""

        def __init__(self) -> None:
            self.meter: Meter | None = None
            self.step: Any = None

        def on_train_begin(self, arguments: Any, *_: Any, model: Any = None, **__: Any) -> None:
            self.on_train_end()  # of a run that an exception ended
            if getattr(arguments, "torch_compile", False):  # calls of what is compiled are not seen
                self.meter = meter(None, **{"device": str(arguments.device), **options})
            else:
                self.meter = meter(model, **options)

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            assert self.meter is not None
            self.step = self.meter.step().__enter__()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if self.step is not None:
                self.step.__exit__(None, None, None)
                self.step = None

        def on_evaluate(self, *_: Any, **__: Any) -> None:
            if self.meter is not None:
                self.meter.pause()

        def on_log(self, _arguments: Any, state: Any, *_: Any, logs: Any = None, **__: Any) -> None:
            if logs is not None and self.meter is not None:
                for row in (logs, *state.log_history[-1:]):
                    row.update(_logged(self.meter))

        def on_train_end(self, *_: Any, **__: Any) -> None:
            if self.step is not None:
                self.step.__exit__(GeneratorExit)
            if self.meter is not None:
                self.meter.close()

    return TrainerMeter()


def lightning_callback(**options: Any) -> Any:
    """Return a callback of Lightning with the options of `meter`: one step is one batch.

    Raises InputError without Lightning.
    """
    try:
        base = import_module("lightning.pytorch").Callback
    except ImportError:
        base = _package("pytorch_lightning", "pytorch-lightning").Callback

    class LightningMeter(base):  # type: ignore[misc,valid-type]
        """Meter each batch of the trainer."""

        def __init__(self) -> None:
            super().__init__()
            self.meter: Meter | None = None
            self.step: Any = None

        def on_fit_start(self, _trainer: Any, pl_module: Any) -> None:
            self.meter = meter(None, **{"device": str(pl_module.device), **options})

        def on_train_batch_start(self, _trainer: Any, _module: Any, batch: Any, *_: Any) -> None:
            assert self.meter is not None
            self.step = self.meter.step(samples=_samples(batch))
            self.step.shapes = shapes(batch)
            self.step.__enter__()

        def on_train_batch_end(self, trainer: Any, pl_module: Any, _outputs: Any, _batch: Any, number: int) -> None:
            assert self.meter is not None
            self.step.__exit__(None)
            if (number + 1) % max(trainer.log_every_n_steps, 1) == 0 or trainer.is_last_batch:
                pl_module.log_dict(_logged(self.meter))

        def on_exception(self, *_: Any) -> None:
            if self.step is not None:
                self.step.__exit__(RuntimeError)

        def on_validation_end(self, *_: Any) -> None:
            if self.meter is not None:
                self.meter.pause()

    return LightningMeter()


def _logged(meter: Meter) -> dict[str, float]:
    """Return the values that are logged, none before a step was timed."""
    try:
        answer = meter.utilization()
    except InputError as error:
        if error.code == "no-steps":
            return {}
        raise
    return {name: value for name in LOGGED if (value := getattr(answer, name)) is not None}


def _samples(batch: Any) -> int | None:
    """Return the first dimension of the first tensor of a batch."""
    from hwbench.workload.tracing.twins import tensors

    first = next(iter(tensors(batch)), None)
    return int(first.shape[0]) if first is not None and first.dim() else None


def _package(name: str, project: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        text = f"This callback needs the package {name}, which is not installed: pip install {project}."
        raise InputError("missing-extra", text) from None
