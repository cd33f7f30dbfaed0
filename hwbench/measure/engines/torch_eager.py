"""Networks run by torch, op by op."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

from hwbench.measure.engines.base import Inputs, Prepared, failures, package, refuse_dtype
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
        self, engine: str, module: Any, inputs: Inputs, dtype: str, threads: int, batch: int, device: str,
        transform: Callable[[Any], Any] = lambda module: module,
    ) -> None:  # fmt: skip
        self.torch = torch = package("torch", "torch")
        refuse_dtype(engine, dtype, tuple(DTYPES))
        self.engine, self.dtype, self.batch, self.threads, self.version = (
            engine,
            dtype,
            batch,
            threads,
            torch.__version__,
        )
        self.device = find_device(device)
        set_fp32(self.device, dtype != "tf32")
        real = getattr(torch, DTYPES[dtype])
        if self.device.kind == "cpu":
            torch.set_num_threads(threads)
        self.eager = copy.deepcopy(module).to(device=self.device.torch_name, dtype=real).eval()
        self.inputs = [tuple(self._placed(tensor, real) for tensor in arguments) for arguments in inputs]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from packages about themselves: nothing the user could change
            self.module = transform(self.eager)
            self.call()

    def _placed(self, tensor: Any, real: Any) -> Any:
        return tensor.to(device=self.device.torch_name, dtype=real if tensor.is_floating_point() else tensor.dtype)

    def call(self, number: int = 0) -> None:
        """Run one inference."""
        self._run(number)

    def _run(self, number: int) -> Any:
        torch = self.torch
        cast = torch.autocast(self.device.kind, torch.float16, enabled=self.dtype == "amp")
        with failures(self.engine, self.batch, self.dtype), torch.inference_mode(), cast:
            return self.module(*self.inputs[number % len(self.inputs)])

    def outputs(self) -> tuple[Any, ...]:
        """Return the outputs of one inference as arrays; bf16 as fp32, which numpy lacks."""
        from hwbench.workload.tracing.twins import tensors

        narrow = self.torch.bfloat16
        widened = (tensor.float() if tensor.dtype == narrow else tensor for tensor in tensors(self._run(0)))
        return tuple(tensor.cpu().numpy() for tensor in widened)

    @property
    def precision(self) -> str:
        """The dtype of the weights, or of autocast's products."""
        if self.dtype in ("tf32", "amp"):
            return "fp16" if self.dtype == "amp" else "tf32"
        weights = next(self.eager.parameters(), None)
        return self.dtype if weights is None else NAMES[str(weights.dtype).removeprefix("torch.")]
