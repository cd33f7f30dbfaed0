"""Real forward passes of a model in torch: the module with random weights on random inputs, timed as a whole.

The module is built from the catalog's layers or by the package that the name means, and must have the parameters that
the workload counts. Inputs rotate among a few, so that no pass finds its input where the last one left it.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import torch
from msgspec import Struct

from hwbench.dtypes import BITS
from hwbench.errors import HwbenchError, InputError, shown
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement
from hwbench.measure.subject import ForwardPass
from hwbench.measure.torch import network
from hwbench.measure.torch.place import Place, Stopwatch, set_fp32
from hwbench.units import Bytes
from hwbench.workload import load
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import sources
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.stand_ins import convert_all, tensors

DTYPES = {
    "fp64": torch.float64, "fp32": torch.float32, "tf32": torch.float32, "amp": torch.float32,
    "fp16": torch.float16, "bf16": torch.bfloat16,
}  # fmt: skip
"""torch's dtype of weights and inputs for each of ours that torch can run a whole model in."""
INPUTS = 4
"""Different inputs that passes rotate among."""
AGREEMENT = {"fp64": 1e-9, "fp32": 1e-3, "tf32": 2e-2, "amp": 0.1, "fp16": 0.1, "bf16": 0.2}
"""Largest difference of a compiled from an eager output, as a share of the output's norm."""


class RunnableModel(Struct, frozen=True):
    """A module that runs, and what it does. `parts` are the modules that ops are named by, with their names.

    `args` and `kwargs` are one run's, without data or with the user's own; they hold `batch` samples. An index of the
    input has `rows` values. `output_shape` is one sample's, None where it is not known before a run.
    """

    workload: Workload
    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int
    parts: tuple[tuple[str, Any], ...]
    rows: int
    output_shape: tuple[int, ...] | None = None
    traced: bool = False


class Setting(Struct, frozen=True):
    """How a model runs: dtype and batch, on how many threads (of a CPU), compiled or eager, images channels last."""

    place: Place
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 1
    compiled: bool = False
    channels_last: bool = False

    @property
    def runtime(self) -> str:
        """The software that runs it: `torch-2.13-eager`."""
        version = ".".join(torch.__version__.split(".")[:2])
        return f"torch-{version}-{self.variant}"

    @property
    def variant(self) -> str:
        """`eager` or `compile`."""
        return "compile" if self.compiled else "eager"


def build(request: ModelRequest) -> RunnableModel:
    """The model that a request names, with random weights on the CPU. Raises InputError.

    Raises HwbenchError where the module's parameters are not those that the workload counts.
    """
    if request.model.partition(":")[0] in load.TRACED:
        model = _traced(request)
    else:
        module, workload = network.of_model(request.model)
        dtype = torch.int64 if module.rows else torch.float32
        data = torch.empty(1, *workload.input_shape, dtype=dtype, device="meta")
        shape = workload.ops[-1].output_shape
        model = RunnableModel(workload, module, (data,), {}, 1, module.leaves, module.rows or 2, shape)
    held = sum(parameter.numel() for parameter in model.module.parameters())
    if held != model.workload.params:
        raise HwbenchError(f"the module of {request.model} has {held} parameters, the count is {model.workload.params}")
    return model


def _traced(request: ModelRequest) -> RunnableModel:
    built = sources.build(request, "cpu")
    workload = sources.counted(built, request)
    parts = tuple(built.module.named_modules())
    config = getattr(built.module, "config", None)
    rows = getattr(config and config.get_text_config(), "vocab_size", None)
    tables = [part.num_embeddings for _, part in parts if isinstance(part, torch.nn.Embedding)]
    return RunnableModel(
        workload=workload,
        module=built.module.eval(),
        args=built.args,
        kwargs=built.kwargs,
        batch=built.batch,
        parts=parts,
        rows=rows or min(tables, default=2),
        traced=True,
    )


def unfolded(model: RunnableModel, request: ModelRequest) -> Workload:
    """The workload with every op by itself, named by the module that runs it: `features.0:convolution`."""
    if not model.traced:
        return model.workload
    found = torch_trace.trace(
        model.module, model.args, model.kwargs, batch=model.batch, channels_last=request.channels_last
    )
    return msgspec.structs.replace(model.workload, ops=tuple(found.finished()))


class Prepared:
    """A model ready to run at one setting: call it with a running number, by which it picks its input."""

    def __init__(self, model: RunnableModel, setting: Setting) -> None:
        self.model, self.setting = model, setting
        dtype = DTYPES[setting.dtype]
        module = copy.deepcopy(model.module).to(device=setting.place.torch_name, dtype=dtype)
        if setting.channels_last:
            module = module.to(memory_format=torch.channels_last)
        self.eager = self.run = module
        if setting.compiled:
            self.run = torch.compile(module)
        self.inputs = [self._arguments(seed, dtype) for seed in range(INPUTS)]

    def _arguments(self, seed: int, dtype: Any) -> tuple[Any, Any]:
        random = torch.Generator().manual_seed(seed)

        def real(tensor: Any, channels_last: bool = False) -> Any:
            return _filled(tensor, self.model, self.setting, random, dtype, channels_last)

        model, last = self.model, self.setting.channels_last
        return convert_all(model.args, real, last), convert_all(model.kwargs, real, last)

    def __call__(self, number: int) -> Any:
        """One forward pass."""
        return self.forward(self.run, number)

    def forward(self, module: Any, number: int) -> Any:
        """One forward pass of the eager or the compiled module. Raises HwbenchError where torch fails."""
        args, kwargs = self.inputs[number % INPUTS]
        try:
            with torch.inference_mode(), self._autocast():
                return module(*args, **_fresh(kwargs))
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            text = f"torch cannot run {self.model.workload.name} at {self.setting.dtype}: {shown(reason, 300)}"
            raise HwbenchError(text) from error

    def _autocast(self) -> Any:
        place = self.setting.place
        return torch.autocast(place.kind, torch.float16, enabled=self.setting.dtype == "amp")

    def check(self) -> bool:
        """Whether the output is finite, of the shape expected and, compiled, what the eager module gives.

        Raises HwbenchError for another shape: something else was run than what was counted.
        """
        output = self(0)
        floating = [tensor for tensor in tensors(output) if tensor.is_floating_point()]
        if self.model.output_shape is not None:
            expected = (self.setting.batch, *self.model.output_shape)
            if not floating or tuple(floating[0].shape) != expected:
                found = tuple(floating[0].shape) if floating else "nothing"
                raise HwbenchError(f"{self.model.workload.name} returned {found} in place of {expected}")
        finite = all(bool(tensor.isfinite().all()) for tensor in floating)
        if not finite or not self.setting.compiled:
            return finite
        eager = [tensor for tensor in tensors(self.forward(self.eager, 0)) if tensor.is_floating_point()]
        most = AGREEMENT[self.setting.dtype]
        return all(
            float((a.double() - b.double()).norm()) <= most * float(b.double().norm()) + 1e-6
            for a, b in zip(floating, eager, strict=True)
        )


def _fresh(kwargs: dict[str, Any]) -> Any:
    """Arguments whose key-value cache is a new one around the same tensors: a pass appends to the one it is given."""
    return convert_all(kwargs, lambda tensor, _last=False: tensor, False)


def _filled(tensor: Any, model: RunnableModel, setting: Setting, random: Any, dtype: Any, channels_last: bool) -> Any:
    """A tensor of the setting's batch with random data: normal for reals, indices for integers, all true for masks."""
    shape = list(tensor.shape)
    if shape and shape[0] == model.batch:
        shape[0] = setting.batch
    if not tensor.is_meta:
        made = tensor[torch.arange(shape[0]) % tensor.shape[0]] if shape else tensor
        made = made.to(dtype) if made.is_floating_point() else made
    elif tensor.is_floating_point():
        made = torch.randn(shape, generator=random).to(dtype)
    elif tensor.dtype == torch.bool:
        made = torch.ones(shape, dtype=torch.bool)
    else:
        made = torch.randint(0, model.rows, shape, generator=random, dtype=tensor.dtype)
    made = made.to(setting.place.torch_name)
    return made.contiguous(memory_format=torch.channels_last) if channels_last and made.dim() == 4 else made


def refuse(setting: Setting) -> None:
    """Raises InputError for a dtype that torch runs no whole model in, at all or there."""
    if setting.dtype not in DTYPES:
        message = f"torch runs no whole model in {setting.dtype}: choose from {', '.join(DTYPES)}"
        raise InputError(message, field="--dtype")
    if setting.dtype in ("tf32", "amp") and setting.place.kind != "cuda":
        raise InputError(f"{setting.dtype} is for GPUs through CUDA or ROCm", field="--dtype")


def refuse_size(setting: Setting, workload: Workload, memory: float | None) -> None:
    """Raises InputError for a setting that needs more bytes than there are."""
    needed = workload.capacity(BITS.get(setting.dtype, 32), setting.batch)
    if memory is not None and needed > memory:
        text = f"{workload.name} at batch {setting.batch} needs at least {Bytes(needed)}, {Bytes(memory)} are free"
        raise InputError(text, field="--batch")


def task(model: RunnableModel, setting: Setting, cpus: tuple[int, ...] = ()) -> Task:
    """One model at one setting as something to be timed: kernel `inference`, in seconds a forward pass."""
    held: list[Any] = []
    on_cpu = setting.place.kind == "cpu"

    def precise() -> None:
        set_fp32(setting.place, setting.dtype != "tf32")

    def prepare() -> None:
        if on_cpu:
            torch.set_num_threads(setting.threads)
        precise()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages about themselves: nothing that the user could change here
            prepared = Prepared(model, setting)
        held[:] = [prepared, Stopwatch(setting.place, prepared, precise)]

    return Task(
        kernel="inference",
        variant=setting.variant,
        unit="s",
        work=1,
        call=lambda repetitions: held[1](repetitions),  # noqa: PLW0108 - `prepare` makes it
        dtype=setting.dtype,
        threads=setting.threads if on_cpu else 1,
        size=f"{model.workload.name} batch {setting.batch}",
        timer="device" if not on_cpu else "cpu" if setting.threads == 1 else "wall",
        cpus=cpus,
        where="cpu" if on_cpu else "gpu",
        subject=ForwardPass(
            model=model.workload.name,
            batch=setting.batch,
            device=setting.place.torch_name,
            title=None if on_cpu else setting.place.title,
            runtime=setting.runtime,
            layout="nhwc" if setting.channels_last else "nchw",
            flops=model.workload.operations("flop", setting.batch),
        ),
        prepare=prepare,
        check=lambda: _quietly(held[0].check),
        elapsed=None if on_cpu else lambda: float(held[1].seconds),
        close=held.clear,
    )


def paired(settings: Sequence[Setting], measurements: Sequence[Measurement]) -> list[tuple[Setting, Measurement]]:
    """Each setting of one model with its measurement; an interrupt may have left any of them without one."""
    found = {(one.dtype, one.subject.batch): one for one in measurements if isinstance(one.subject, ForwardPass)}
    return [(one, found[one.dtype, one.batch]) for one in settings if (one.dtype, one.batch) in found]


def _quietly(call: Callable[[], bool]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()
