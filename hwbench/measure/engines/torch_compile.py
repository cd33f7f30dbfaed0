"""Networks compiled by torch.compile with its default backend, Inductor."""

from typing import Any

from hwbench.measure.engines.base import Inputs, Prepared, package
from hwbench.measure.engines.torch_eager import DTYPES, TorchNetwork

__all__ = ["DTYPES", "prepare"]


def prepare(
    module: Any, inputs: Inputs, *, dtype: str = "fp32", threads: int = 1, batch: int = 1, device: str = "cpu"
) -> Prepared:
    """Return the module compiled. See `base.NetworkEngine`."""
    torch = package("torch", "torch")
    return TorchNetwork("torch-compile", module, inputs, dtype, threads, batch, device, torch.compile)
