"""Networks run by torch, op by op."""

import copy
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from hwbench.measure.engines.base import PASSES, EngineLayer, Inputs, Prepared, least, package, refuse_dtype
from hwbench.measure.torch.device import find_device, set_fp32

DTYPES = {
    "fp64": "float64", "fp32": "float32", "tf32": "float32", "amp": "float32", "fp16": "float16", "bf16": "bfloat16",
}  # fmt: skip
"""torch's dtype of weights and inputs for each dtype in which torch runs whole networks."""
NAMES = {"float64": "fp64", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def prepare(
    module: Any, inputs: Inputs, *, dtype: str = "fp32", threads: int = 1, batch: int = 1, device: str = "cpu"
) -> Prepared:
    """Return the module ready to run op by op. See `base.NetworkEngine`."""
    return TorchNetwork("torch-eager", module, inputs, dtype, threads, batch, device)


class TorchNetwork(Prepared):
    """A copy of a module in a dtype on a device, run eagerly or through what `transform` makes of it."""

    def __init__(
        self, runtime: str, module: Any, inputs: Inputs, dtype: str, threads: int, batch: int, device: str,
        transform: Callable[[Any], Any] = lambda module: module,
    ) -> None:  # fmt: skip
        super().__init__(runtime, dtype, threads, batch)
        self.torch = torch = package("torch", "torch")
        refuse_dtype(runtime, dtype, tuple(DTYPES))
        self.version = torch.__version__.partition("+")[0]
        self.device, real = find_device(device), getattr(torch, DTYPES[dtype])
        set_fp32(self.device, dtype != "tf32")
        if self.device.kind == "cpu":
            torch.set_num_threads(threads)
        self.cast = torch.autocast(self.device.kind, torch.float16) if dtype == "amp" else nullcontext()
        self.eager = copy.deepcopy(module).to(device=self.device.torch_name, dtype=real).eval()
        self.inputs = [tuple(self._placed(tensor, real) for tensor in arguments) for arguments in inputs]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from packages about themselves: nothing the user could change
            self.module = transform(self.eager)
            self.call()

    def _placed(self, tensor: Any, real: Any) -> Any:
        return tensor.to(device=self.device.torch_name, dtype=real if tensor.is_floating_point() else tensor.dtype)

    def run(self, module: Any, number: int) -> Any:
        """Return the output of the module, or of the eager one, on a set of inputs."""
        try:
            with self.torch.inference_mode(), self.cast:
                return module(*self.inputs[number % len(self.inputs)])
        except Exception as error:  # torch, and the user's module, raise anything
            raise self.failed(error) from error

    def call(self, number: int = 0) -> None:
        """Run one inference."""
        self.run(self.module, number)

    def outputs(self) -> tuple[Any, ...]:
        """Return the outputs of one inference as arrays; bf16 as fp32, which numpy lacks."""
        from hwbench.workload.tracing.twins import tensors

        narrow, every = self.torch.bfloat16, tensors(self.run(self.module, 0))
        return tuple((tensor.float() if tensor.dtype == narrow else tensor).cpu().numpy() for tensor in every)

    @property
    def precision(self) -> str:
        """The dtype of the weights, or of autocast's products."""
        if self.dtype in ("tf32", "amp"):
            return "fp16" if self.dtype == "amp" else "tf32"
        weights = next(self.eager.parameters(), None)
        return self.dtype if weights is None else NAMES[str(weights.dtype).removeprefix("torch.")]

    def profile(self) -> tuple[EngineLayer, ...]:
        """Return the outermost operators of an inference, by torch's own profiler."""
        profile = package("torch.autograd.profiler_legacy", "torch").profile
        gpu, passes = self.device.kind == "cuda", []
        for number in range(-1, PASSES):
            with profile(use_cuda=gpu) as profiler:
                self.call(number)
            events = [event for event in profiler.function_events if _is_operator(event)]
            outer = [event for event in events if not any(map(_is_operator, _ancestors(event)))]
            times = [event.device_time_total if gpu else event.cpu_time_total for event in outer]
            passes.append(
                tuple(EngineLayer(each.name, each.name, time * 1e-6) for each, time in zip(outer, times, strict=True))
            )
        return least(passes[1:])


def _is_operator(event: Any) -> bool:
    return "::" in event.name


def _ancestors(event: Any) -> Any:
    while event.cpu_parent is not None:
        event = event.cpu_parent
        yield event
