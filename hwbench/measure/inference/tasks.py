"""One model at one setting as a task of the harness: prepared by an engine, its output compared with torch's."""

import copy
from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes
from hwbench.errors import HwbenchError, InputError
from hwbench.measure.engines import engine, installed, torch_training
from hwbench.measure.engines.base import Prepared, refuse_dtype, refuse_gpu
from hwbench.measure.harness import Task
from hwbench.measure.inference.model import RunnableModel
from hwbench.measure.record import Measurement, Record
from hwbench.measure.subject import ForwardPass, LayerSeconds, TrainingStep
from hwbench.measure.torch.device import Stopwatch, TorchDevice, set_fp32
from hwbench.units import Bytes
from hwbench.workload.ops import Workload

MAX_DIFFERENCE = {
    "fp64": 1e-3, "fp32": 1e-3, "tf32": 2e-2, "amp": 0.1, "fp16": 0.1, "bf16": 0.2, "int8": 0.5,
}  # fmt: skip
"""Largest difference from the output in fp32 of torch eager (of onnxruntime for a file), as a share of its norm."""
REFERENCE = "torch-eager"


class RunSetting(Struct, frozen=True):
    """How a model runs: device, dtype, batch, threads (of a CPU), runtime, images channels last (in torch).

    `optimizer` is that of a training step, None for an inference.
    """

    device: TorchDevice
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 1
    runtime: str = REFERENCE
    channels_last: bool = False
    optimizer: str | None = None

    @property
    def layout(self) -> str | None:
        """The order of images in torch: `nchw`, or `nhwc` for channels last."""
        return ("nhwc" if self.channels_last else "nchw") if self.is_torch else None

    @property
    def is_torch(self) -> bool:
        """True where torch runs it, eager or compiled."""
        return self.runtime.startswith("torch-")

    @property
    def variant(self) -> str:
        """What a record calls the runtime: `eager`, `compile`, `onnxruntime`, ..."""
        return self.runtime.removeprefix("torch-")

    def software(self, version: str) -> str:
        """Return what tables of measurements call the runtime: `torch-2.13-eager`, `onnxruntime-1.32`."""
        short = ".".join(version.split(".")[:2])
        return f"torch-{short}-{self.variant}" if self.is_torch else f"{self.runtime}-{short}"


class PreparedModel:
    """A model that an engine is ready to run at one setting."""

    def __init__(self, model: RunnableModel, setting: RunSetting) -> None:
        self.model, self.setting = model, setting
        last = setting.channels_last and setting.is_torch
        self.inputs = model.inputs(setting.batch, last)
        self.network = self._prepared(setting.runtime, setting.dtype, last)

    def _prepared(self, runtime: str, dtype: str, channels_last: bool) -> Prepared:
        module = self.model.positional
        if channels_last:
            import torch

            module = copy.deepcopy(module).to(memory_format=torch.channels_last)
        setting = self.setting
        place = (setting.threads, setting.batch, setting.device.torch_name)
        if setting.optimizer:
            return torch_training.TrainingNetwork(runtime, module, self.inputs, dtype, *place, setting.optimizer)
        names = dict(zip(("threads", "batch", "device"), place, strict=True))
        prepared: Prepared = engine(runtime).prepare(module, self.inputs, dtype=dtype, **names)
        return prepared

    @cached_property
    def precision(self) -> str:
        """The dtype that the engine computes in."""
        return self.network.precision

    def check(self) -> bool | None:
        """Return whether the output is finite and agrees with that of torch eager in fp32, None if that is not there.

        Raises HwbenchError for an unexpected shape: the module is not the one that was counted. Of a training step,
        which may drop values at random, losses and gradients must be finite.
        """
        if isinstance(self.network, torch_training.TrainingNetwork):
            return self.network.is_finite()
        outputs, setting = _real(self.network), self.setting
        if self.model.output_shape is not None:
            expected = (setting.batch, *self.model.output_shape)
            if not outputs or outputs[0].shape != expected:
                shape = outputs[0].shape if outputs else "no real tensor"
                raise HwbenchError(f"{self.model.workload.name} returned {shape} instead of {expected}.")
        finite = all(bool(np.isfinite(output).all()) for output in outputs)
        source = "onnxruntime" if isinstance(self.model.module, bytes) else REFERENCE
        if not finite or (setting.runtime == source and setting.dtype in ("fp32", "fp64")):
            return finite
        if source not in installed():  # a file in OpenVINO alone
            return None
        reference, share = _real(self._prepared(source, "fp32", False)), MAX_DIFFERENCE[setting.dtype]
        return len(outputs) == len(reference) and all(
            a.shape == b.shape and np.linalg.norm(a - b) <= share * np.linalg.norm(b) + 1e-6
            for a, b in zip(outputs, reference, strict=True)
        )

    def subject(self) -> ForwardPass | TrainingStep:
        """Return what a record states of the run."""
        setting, on_cpu = self.setting, self.setting.device.kind == "cpu"
        kind: Callable[..., ForwardPass | TrainingStep] = ForwardPass
        if isinstance(self.network, torch_training.TrainingNetwork):
            kind = partial(TrainingStep, optimizer=self.network.optimizer_name)
        return kind(
            model=self.model.workload.name,
            batch=setting.batch,
            device=setting.device.torch_name,
            title=None if on_cpu else setting.device.title,
            runtime=setting.software(self.network.version),
            version=self.network.version,
            precision=self.precision,
            layout=setting.layout,
            flops=self.model.workload.operations("flop", setting.batch),
        )


def _real(network: Prepared) -> list[Any]:
    return [output.astype(float) for output in network.outputs() if output.dtype.kind == "f"]


def check_setting(setting: RunSetting) -> None:
    """Raise InputError for a dtype in which the engine runs no whole model, at all or on this device."""
    refuse_dtype(setting.runtime, setting.dtype, tuple(engine(setting.runtime).DTYPES))
    if not setting.is_torch:
        refuse_gpu(setting.runtime, setting.device.torch_name)
    if setting.dtype in ("tf32", dtypes.MIXED) and setting.device.kind != "cuda":
        text = f"{setting.dtype} needs a GPU through CUDA or ROCm."
        raise InputError("unsupported-dtype", text, field="dtype")


def check_memory(setting: RunSetting, workload: Workload, memory: float | None) -> None:
    """Raise InputError for a setting that needs more memory, in bytes, than there is."""
    needed = workload.capacity(dtypes.dtype(setting.dtype).bits, setting.batch)
    if memory is not None and needed > memory:
        text = f"{workload.name} at batch {setting.batch} needs at least {Bytes(needed)}; {Bytes(memory)} are free."
        raise InputError("out-of-memory", text, field="batch")


def task(
    model: RunnableModel,
    setting: RunSetting,
    cpus: tuple[int, ...] = (),
    prepared: Callable[[], PreparedModel] | None = None,
) -> Task:
    """Return the task that times one model at one setting: kernel `inference` or `training`, in seconds a pass or step.

    `prepared` returns the model ready to run, the same one each time; without it the task prepares its own.
    """
    on_cpu = setting.device.kind == "cpu"
    ready = prepared or cache(partial(PreparedModel, model, setting))
    precise = partial(set_fp32, setting.device, setting.dtype != "tf32")
    watch = Stopwatch(setting.device, before=precise)
    order = "channels last" if setting.layout == "nhwc" else None

    def prepare() -> ForwardPass | TrainingStep:
        precise()
        watch.step = ready().network.call
        return ready().subject()

    return Task(
        kernel="training" if setting.optimizer else "inference",
        variant=setting.variant,
        unit="s",
        work=1,
        call=watch,
        dtype=setting.dtype,
        threads=setting.threads if on_cpu else 1,
        size=" ".join(filter(None, (f"{model.workload.name} batch {setting.batch}", setting.optimizer, order))),
        timer="device" if not on_cpu else "cpu" if setting.threads == 1 else "wall",
        cpus=cpus,
        where="cpu" if on_cpu else "gpu",
        prepare=prepare,
        check=lambda: ready().check(),
        elapsed=None if on_cpu else watch.last,
        close=watch.release,
    )


def paired(settings: Sequence[RunSetting], measurements: Sequence[Measurement]) -> list[tuple[RunSetting, Measurement]]:
    """Return each setting of one model with its measurement; an interrupt may leave settings without one."""
    passes = {
        (row.variant, row.dtype, row.subject.batch, row.subject.layout): row
        for row in measurements
        if isinstance(row.subject, ForwardPass | TrainingStep)
    }
    keys = [(setting, (setting.variant, setting.dtype, setting.batch, setting.layout)) for setting in settings]
    return [(setting, passes[key]) for setting, key in keys if key in passes]


def with_parts(run: Record, ready: Sequence[tuple[PreparedModel, Measurement]]) -> Record:
    """Return the record of training steps with the seconds of their parts."""
    parts = {
        timed.key: tuple(LayerSeconds(*part) for part in network.network.seconds().items())
        for network, timed in ready
        if isinstance(network.network, torch_training.TrainingNetwork)
    }
    rows = (
        replace(row, subject=replace(row.subject, parts=parts[row.key]))
        if isinstance(row.subject, TrainingStep)
        else row
        for row in run.measurements
    )
    return replace(run, measurements=tuple(rows)) if parts else run
