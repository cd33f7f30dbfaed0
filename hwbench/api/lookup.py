"""What names mean: devices, this machine, saved runs, and models."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from msgspec.structs import replace

from hwbench.api.checks import DeviceRef, LocatedDevice, check_batch, check_dtype
from hwbench.dtypes import dtype as known_dtype
from hwbench.errors import InputError, shown
from hwbench.files import folders
from hwbench.machine import calibrations, catalog
from hwbench.machine.device import Device
from hwbench.workload import load
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

if TYPE_CHECKING:
    import torch


LANGUAGE_RUNTIMES = ("llama.cpp", "vllm")
LANGUAGE_OPTIONS = (
    "weights", "kv_dtype", "prompt", "generate", "devices", "split", "link", "gpu_layers", "cpu", "fused_attention",
)  # fmt: skip
"""Parameters that only language models have."""


def is_language_question(model: object, options: Mapping[str, object], runtime: str | None) -> bool:
    """Return whether a question is about a language model.

    That is where one of its options or runtimes is given, or where the name means a language model and no network of
    the catalog.
    """
    if any(options.get(name) not in (None, False) for name in LANGUAGE_OPTIONS) or runtime in LANGUAGE_RUNTIMES:
        return True
    if not isinstance(model, str) or ":" in model or folders.locate("models", model):
        return False
    from hwbench.workload.language.sources import is_language_model  # which names of networks do without

    return is_language_model(model)


def device(name: str | Device, **settings: str) -> Device:
    """Return the device of a name, with values replaced: `device("rtx3090", clock="3 GHz")`.

    `host` is this machine with the ceilings of its saved runs, `run:RUN` the machine of a saved run; other names are
    those of the catalog in any spelling, or paths of YAML files. Raises InputError.
    """
    return locate(name, settings).device


def locate(name: str | Device, settings: Mapping[str, str] | None = None) -> LocatedDevice:
    """Return the device of a name with each of the `settings` applied. Raises InputError."""
    if isinstance(name, Device):
        located = LocatedDevice(name)
    elif (ref := DeviceRef.parse(name)).kind == "catalog":
        located = _calibrated(catalog.device(name))
    else:
        # Measured machines need what estimates of catalogued devices do without.
        from hwbench.api.machines import host_device, run_device

        located = host_device() if ref.kind == "host" else run_device(ref.name)
    if not settings:
        return located
    try:
        return LocatedDevice(located.device.with_(**settings), located.notices)
    except InputError as error:  # about a value of the device, which is not a parameter of the question
        field = (error.field or "").rpartition(" ")[2].removeprefix("settings.")
        raise InputError(error.code, error.message, field=f"settings.{field}", nearest=error.nearest) from None


def _calibrated(device: Device) -> LocatedDevice:
    """Return a catalogued device with the calibrations that `hwbench calibrate --device` saved for it, if it did."""
    known = calibrations.load(device.label)
    return LocatedDevice(replace(device, calibrations=known) if known else device)


def calibration_key(name: str | Device) -> str:
    """Return the key under which calibrations of a device are kept: that of this machine, or the device's name."""
    if isinstance(name, str) and DeviceRef.parse(name).kind == "host":
        from hwbench.api.machines import host_key  # measured machines need what other answers do without

        return host_key()
    return locate(name).device.label


def stated(name: str) -> Device:
    """Return a measured device (`host` or `run:RUN`) as its system describes it, without what was measured."""
    from hwbench.api.machines import stated as stated_device

    return stated_device(DeviceRef.parse(name))


class ModelOptions(TypedDict, total=False):
    """How a model is traced, for models that are; `strict` refuses operators that cannot be counted.

    `batch_dim` is the dimension of the inputs along which samples lie, for models of which it cannot be found. `real`
    runs a model on random values on the CPU, with its memory and time, not without data. `values` are arguments of the
    model that are no tensors, by name: `{"sr": 16000}`.
    """

    image_size: int | None
    phase: Literal["prefill", "decode"] | None
    context: int | None
    mode: Literal["inference", "training"]
    batch_dim: int | None
    channels_last: bool
    real: bool
    strict: bool
    values: Mapping[str, int | float | bool | str | None] | None


def check_options(options: ModelOptions) -> None:
    """Raise TypeError for an option that does not exist, as Python does, and InputError for an unknown mode."""
    for name in options:
        if name not in ModelOptions.__annotations__:
            raise TypeError(f"unexpected keyword argument '{name}'")
    if isinstance(options.get("context"), tuple):
        raise InputError("single-value", "This needs a single context.", field="context")
    mode, known = options.get("mode") or "inference", ("inference", "training")
    if mode not in known:
        raise InputError("unknown-mode", f"There is no mode '{shown(mode)}'.", field="mode", nearest=known)


class Model:
    """A model as a user gives it: a name, a workload or a torch module; each of its workloads is counted once.

    `inputs` are a shape such as `2x3x224x224` for names, and a tensor or a tuple of tensors for modules. `unfolded`
    keeps ops that are alike apart, and an `optimizer` updates the weights in a training step.
    """

    def __init__(
        self, model: "str | Workload | torch.nn.Module", inputs: Any, options: ModelOptions, unfolded: bool = False,
        optimizer: str | None = None,
    ) -> None:  # fmt: skip
        check_options(options)
        if isinstance(model, str) and inputs is not None and not isinstance(inputs, str):
            message = "Tensors are inputs of torch modules; a named model takes a shape such as '2x3x224x224'."
            raise InputError("inputs-of-name", message, field="inputs")
        if isinstance(model, Workload) and (inputs is not None or options.get("mode") == "training"):
            raise InputError("counted-already", "A workload is counted already and takes no inputs.", field="inputs")
        self.name, self.inputs, self.options, self.unfolded = model, inputs, options, unfolded
        self.optimizer = None
        if optimizer:
            from hwbench.workload.optimizers import check_optimizer  # which inferences do without

            self.optimizer = check_optimizer(optimizer)
            if not self.training:
                text = "Only steps of training have an optimizer (mode training)."
                raise InputError("not-training", text, field="optimizer")
        self._workloads: dict[ModelRequest, Workload] = {}

    @property
    def training(self) -> bool:
        """True where steps of training are counted."""
        return self.options.get("mode") == "training"

    def request(self, dtype: str = "fp32", batch: int | None = None) -> ModelRequest:
        """Return what is counted at a dtype, and at a batch where the cost is not a multiple of it."""
        name = self.name if isinstance(self.name, str) else type(self.name).__name__
        return ModelRequest(
            model=name,
            input=self.inputs if isinstance(self.inputs, str) else None,
            image_size=self.options.get("image_size"),
            phase=self.options.get("phase"),
            context=self.options.get("context"),
            training=self.training,
            autocast=known_dtype(dtype).autocast,
            channels_last=self.options.get("channels_last", False),
            batch=batch,
            batch_dim=self.options.get("batch_dim"),
            real=self.options.get("real", False),
            unfolded=self.unfolded,
            optimizer=self.optimizer,
            values=tuple((self.options.get("values") or {}).items()),
        )

    def batch(self, batch: int | None, dtype: str = "fp32") -> int:
        """Return the batch that was asked for, or else that of the inputs, which is 1 where there are no inputs."""
        return self.workload(dtype).batch if batch is None else check_batch(batch)

    def workload(self, dtype: str = "fp32", batch: int | None = None) -> Workload:
        """Return the workload at a dtype, one that holds for `batch`. Raises InputError."""
        if isinstance(self.name, Workload):
            return self.name
        workload = self._counted(self.request(dtype, batch if self.training else None))
        if batch is None and workload.fixed:
            self._workloads.setdefault(self.request(dtype, workload.batch), workload)
        if workload.fixed and batch not in (None, workload.batch):
            workload = self._counted(self.request(dtype, batch))
        if self.options.get("strict") and workload.uncounted:
            names = ", ".join(workload.uncounted)
            raise InputError("not-counted", f"These operators are not counted: {names}.", field="strict")
        return workload

    def _counted(self, request: ModelRequest) -> Workload:
        if request not in self._workloads:
            self._workloads[request] = self._count(request)
        return self._workloads[request]

    def _count(self, request: ModelRequest) -> Workload:
        if isinstance(self.name, str):
            return load.workload(request)
        module = _tracing_of(self.name, self.inputs)
        from hwbench.workload.tracing import sources

        return sources.count_module(module, request)[1]


def _tracing_of(module: Any, inputs: Any) -> Any:
    """Return a torch module of the caller's with its inputs, as the tracer takes them. Raises InputError."""
    try:
        import torch

        from hwbench.workload.tracing.build import Built
        from hwbench.workload.tracing.twins import tensors
    except ImportError:
        message = "The model is neither a name nor a workload, and torch is not installed."
        raise InputError("unknown-model", message, field="model") from None
    if not isinstance(module, torch.nn.Module):
        message = f"The model is neither a name nor a workload nor a torch module, but of type {type(module).__name__}."
        raise InputError("unknown-model", message, field="model")
    arguments: Sequence[Any] = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs or ())
    if next(iter(tensors(arguments)), None) is None:
        message = "A torch module needs its inputs: a tensor, or a tuple of tensors."
        raise InputError("missing", message, field="inputs")
    return Built(module, tuple(arguments), {}, 1, type(module).__name__, None, stated=True)


def model(name: str, **options: Unpack[ModelOptions]) -> Workload:
    """Return the workload of a named model: what one sample, or one step of training, computes and moves."""
    return Model(name, None, options).workload()


def trace(
    module: "torch.nn.Module | str",
    inputs: Any = None,
    *,
    dtype: str = "fp32",
    batch: int | None = None,
    **options: Unpack[ModelOptions],
) -> Workload:
    """Return the workload of a torch module run on its inputs, whose values do not matter, or of a named model."""
    source = Model(module, inputs, options)
    return source.workload(check_dtype(dtype), source.batch(batch))
