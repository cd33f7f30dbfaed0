"""Forward passes of a model in torch, timed as a whole: the module with random weights on random inputs.

The module is built from the catalog's layers or by the package that the name refers to, and must have as many
parameters as the workload counts. Inputs rotate among a few, so that no pass finds its input in a cache.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import torch
from msgspec import Struct

from hwbench import dtypes
from hwbench.errors import HwbenchError, InputError, shown
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement
from hwbench.measure.subject import ForwardPass
from hwbench.measure.torch.device import Stopwatch, TorchDevice, set_fp32
from hwbench.units import Bytes
from hwbench.workload import load
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import layer_network, sources
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.twins import convert_all, tensors

DTYPES = {
    "fp64": torch.float64, "fp32": torch.float32, "tf32": torch.float32, "amp": torch.float32,
    "fp16": torch.float16, "bf16": torch.bfloat16,
}  # fmt: skip
"""torch's dtype of weights and inputs for each dtype in which torch can run a whole model."""
INPUTS = 4
"""Different inputs among which passes rotate."""
MAX_DIFFERENCE = {"fp64": 1e-9, "fp32": 1e-3, "tf32": 2e-2, "amp": 0.1, "fp16": 0.1, "bf16": 0.2}
"""Largest difference of a compiled from an eager output, as a share of the output's norm."""


class RunnableModel(Struct, frozen=True):
    """A module that runs, and its workload. `modules` are those after which ops are named, with their names.

    `args` and `kwargs` are those of one pass over `batch` samples along dimension `batch_dim` (None where that is not
    known): meta tensors, or the user's own data. An index in
    the input has `rows` possible values. `output_shape` is that of one sample, None where only a run shows it.
    """

    workload: Workload
    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int
    modules: tuple[tuple[str, Any], ...]
    rows: int
    output_shape: tuple[int, ...] | None = None
    traced: bool = False
    batch_dim: int | None = 0


class RunSetting(Struct, frozen=True):
    """How a model runs: device, dtype, batch, threads (of a CPU), compiled or eager, images channels last."""

    device: TorchDevice
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 1
    compiled: bool = False
    channels_last: bool = False

    @property
    def variant(self) -> str:
        """`eager` or `compile`."""
        return "compile" if self.compiled else "eager"

    @property
    def runtime(self) -> str:
        """The software that runs it, such as `torch-2.13-eager`."""
        return f"torch-{'.'.join(torch.__version__.split('.')[:2])}-{self.variant}"


def build(request: ModelRequest) -> RunnableModel:
    """Return the model of a request with random weights on the CPU. Raises InputError.

    Raises HwbenchError where the module has other parameters than the workload counts.
    """
    if request.model.partition(":")[0] in load.TRACED:
        model = _traced(request)
    else:
        file, workload = load.layer_list(request), load.workload(request)
        module = layer_network.module(file.layers, file.input)
        dtype = torch.int64 if module.rows else torch.float32
        data = torch.empty(1, *workload.input_shape, dtype=dtype, device="meta")
        shape = workload.ops[-1].output_shape
        model = RunnableModel(workload, module, (data,), {}, 1, module.leaves, module.rows or 2, shape)
    params = sum(parameter.numel() for parameter in model.module.parameters())
    if params != model.workload.params:
        text = f"The module of {request.model} has {params} parameters; {model.workload.params} were counted."
        raise HwbenchError(text)
    return model


def _traced(request: ModelRequest) -> RunnableModel:
    built, workload = sources.count_module(sources.build(request, "cpu"), request)
    modules = tuple(built.module.named_modules())
    config = getattr(built.module, "config", None)
    rows = getattr(config and config.get_text_config(), "vocab_size", None)
    tables = [module.num_embeddings for _, module in modules if isinstance(module, torch.nn.Embedding)]
    rows = rows or min(tables, default=2)
    module = built.module.eval()
    return RunnableModel(
        workload, module, built.args, built.kwargs, built.batch, modules, rows, traced=True, batch_dim=built.batch_dim
    )


def unfolded(model: RunnableModel, request: ModelRequest) -> Workload:
    """Return the workload with every op by itself, named after its module: `features.0:convolution`."""
    if not model.traced:
        return model.workload
    traced = torch_trace.trace(
        model.module, model.args, model.kwargs, batch=model.batch, channels_last=request.channels_last,
        whole=bool(model.workload.fixed),
    )  # fmt: skip
    return msgspec.structs.replace(model.workload, ops=tuple(traced.finished()))


class PreparedModel:
    """A model ready to run at one setting: called with a running number, which selects the input."""

    def __init__(self, model: RunnableModel, setting: RunSetting) -> None:
        self.model, self.setting = model, setting
        dtype = DTYPES[setting.dtype]
        module = copy.deepcopy(model.module).to(device=setting.device.torch_name, dtype=dtype)
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
        """Run one forward pass."""
        return self.forward(self.run, number)

    def forward(self, module: Any, number: int) -> Any:
        """Run one forward pass of the eager or the compiled module. Raises HwbenchError where torch fails."""
        args, kwargs = self.inputs[number % INPUTS]
        cast = torch.autocast(self.setting.device.kind, torch.float16, enabled=self.setting.dtype == dtypes.MIXED)
        try:
            with torch.inference_mode(), cast:  # a pass appends to its key-value cache: each gets a new one
                return module(*args, **convert_all(kwargs, lambda tensor, _last=False: tensor, False))
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            text = f"torch cannot run {self.model.workload.name} in {self.setting.dtype}: {shown(reason, 300)}"
            raise HwbenchError(text) from error

    def check(self) -> bool:
        """Return whether the output is finite and, when compiled, agrees with that of the eager module.

        Raises HwbenchError for an unexpected shape: the module is not the one that was counted.
        """
        output = self(0)
        floating = [tensor for tensor in tensors(output) if tensor.is_floating_point()]
        if self.model.output_shape is not None:
            expected = (self.setting.batch, *self.model.output_shape)
            if not floating or tuple(floating[0].shape) != expected:
                shape = tuple(floating[0].shape) if floating else "no real tensor"
                raise HwbenchError(f"{self.model.workload.name} returned {shape} instead of {expected}.")
        finite = all(bool(tensor.isfinite().all()) for tensor in floating)
        if not finite or not self.setting.compiled:
            return finite
        eager = [tensor for tensor in tensors(self.forward(self.eager, 0)) if tensor.is_floating_point()]
        share = MAX_DIFFERENCE[self.setting.dtype]
        return all(
            float((a.double() - b.double()).norm()) <= share * float(b.double().norm()) + 1e-6
            for a, b in zip(floating, eager, strict=True)
        )


def _filled(
    tensor: Any, model: RunnableModel, setting: RunSetting, random: Any, dtype: Any, channels_last: bool
) -> Any:
    """Return a tensor of the setting's batch with random data: normal reals, integers as indices, masks all true."""
    shape, dim = list(tensor.shape), model.batch_dim
    if dim is not None and len(shape) > dim and shape[dim] == model.batch:
        shape[dim] = setting.batch
    if not tensor.is_meta:
        data = (
            tensor
            if dim is None or len(shape) <= dim
            else tensor.index_select(dim, torch.arange(shape[dim]) % tensor.shape[dim])
        )
        data = data.to(dtype) if data.is_floating_point() else data
    elif tensor.is_floating_point():
        data = torch.randn(shape, generator=random).to(dtype)
    elif tensor.dtype == torch.bool:
        data = torch.ones(shape, dtype=torch.bool)
    else:
        data = torch.randint(0, model.rows, shape, generator=random, dtype=tensor.dtype)
    data = data.to(setting.device.torch_name)
    return data.contiguous(memory_format=torch.channels_last) if channels_last and data.dim() == 4 else data


def check_setting(setting: RunSetting) -> None:
    """Raise InputError for a dtype in which torch runs no whole model, at all or on this device."""
    if setting.dtype not in DTYPES:
        text = f"A whole model does not run in {setting.dtype} with torch: choose from {', '.join(DTYPES)}."
        raise InputError("unsupported-dtype", text, field="dtype")
    if setting.dtype in ("tf32", dtypes.MIXED) and setting.device.kind != "cuda":
        text = f"{setting.dtype} needs a GPU through CUDA or ROCm."
        raise InputError("unsupported-dtype", text, field="dtype")


def check_memory(setting: RunSetting, workload: Workload, memory: float | None) -> None:
    """Raise InputError for a setting that needs more memory, in bytes, than there is."""
    needed = workload.capacity(dtypes.dtype(setting.dtype).bits, setting.batch)
    if memory is not None and needed > memory:
        text = f"{workload.name} at batch {setting.batch} needs at least {Bytes(needed)}; {Bytes(memory)} are free."
        raise InputError("out-of-memory", text, field="batch")


def task(model: RunnableModel, setting: RunSetting, cpus: tuple[int, ...] = ()) -> Task:
    """Return the task that times one model at one setting: kernel `inference`, in seconds a forward pass."""
    on_cpu = setting.device.kind == "cpu"

    precise = partial(set_fp32, setting.device, setting.dtype != "tf32")
    watch = Stopwatch(setting.device, before=precise)

    def prepare() -> None:
        if on_cpu:
            torch.set_num_threads(setting.threads)
        precise()
        watch.step = _quietly(lambda: PreparedModel(model, setting))

    return Task(
        kernel="inference",
        variant=setting.variant,
        unit="s",
        work=1,
        call=watch,
        dtype=setting.dtype,
        threads=setting.threads if on_cpu else 1,
        size=f"{model.workload.name} batch {setting.batch}",
        timer="device" if not on_cpu else "cpu" if setting.threads == 1 else "wall",
        cpus=cpus,
        where="cpu" if on_cpu else "gpu",
        subject=ForwardPass(
            model=model.workload.name,
            batch=setting.batch,
            device=setting.device.torch_name,
            title=None if on_cpu else setting.device.title,
            runtime=setting.runtime,
            layout="nhwc" if setting.channels_last else "nchw",
            flops=model.workload.operations("flop", setting.batch),
        ),
        prepare=prepare,
        check=lambda: _quietly(watch.step.check),
        elapsed=None if on_cpu else watch.last,
        close=watch.release,
    )


def paired(settings: Sequence[RunSetting], measurements: Sequence[Measurement]) -> list[tuple[RunSetting, Measurement]]:
    """Return each setting of one model with its measurement; an interrupt may leave settings without one."""
    passes = {(row.dtype, row.subject.batch): row for row in measurements if isinstance(row.subject, ForwardPass)}
    keys = [(setting, (setting.dtype, setting.batch)) for setting in settings]
    return [(setting, passes[key]) for setting, key in keys if key in passes]


def _quietly(call: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from packages about themselves: nothing the user could change
        return call()
