"""Training steps in torch: the forward pass, the backward pass of the summed outputs, and the optimizer, each timed."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from hwbench.measure.engines.base import Inputs
from hwbench.measure.engines.torch_eager import TorchNetwork
from hwbench.workload.optimizers import OPTIMIZERS

PARTS = ("forward", "backward", "optimizer")
MAX_STEPS = 256
"""The last steps, whose parts are kept."""
RATE = 1e-12
"""Learning rate: weights stay as they are, however many steps are timed."""


class TrainingNetwork(TorchNetwork):
    """A copy of a module that is trained on random data, eagerly or compiled; `call` is one step with its update."""

    def __init__(
        self, runtime: str, module: Any, inputs: Inputs, dtype: str, threads: int, batch: int, device: str,
        optimizer: str,
    ) -> None:  # fmt: skip
        self.marks: deque[list[Any]] = deque(maxlen=MAX_STEPS)
        self.optimizer_name = optimizer
        self.optimizer: Any = None
        super().__init__(runtime, module, inputs, dtype, threads, batch, device, self._trained)

    def _trained(self, module: Any) -> Any:
        """Return the module in training mode, compiled where the runtime is."""
        name, settings = OPTIMIZERS[self.optimizer_name].settings
        self.optimizer = getattr(self.torch.optim, name)(module.train().parameters(), lr=RATE, **settings)
        alone = self.device.kind == "cpu" and self.threads == 1
        self.mark: Callable[[], Any] = time.thread_time if alone else self.device.mark
        return self.torch.compile(module) if self.runtime == "torch-compile" else module

    def call(self, number: int = 0) -> None:
        """Run one step."""
        try:
            marks = [self.mark()]
            losses = self.losses(number)
            marks.append(self.mark())
            self.torch.autograd.backward(losses)
            marks.append(self.mark())
            self.update()
            self.marks.append([*marks, self.mark()])
        except Exception as error:  # torch, and the user's module, raise anything
            raise self.failed(error) from error

    def losses(self, number: int) -> list[Any]:
        """Return the sums of the outputs that have gradients, of one forward pass."""
        from hwbench.workload.tracing.twins import tensors

        with self.cast:
            output = self.module(*self.inputs[number % len(self.inputs)])
            return [tensor.sum() for tensor in tensors(output) if tensor.requires_grad]

    def update(self) -> None:
        """Let the optimizer change the weights, and forget the gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def is_finite(self) -> bool:
        """Return whether the losses of a step, and the gradients that it leaves, are finite."""
        losses = self.losses(0)
        self.torch.autograd.backward(losses)
        gradients = [each.grad for each in self.eager.parameters() if each.grad is not None]
        self.optimizer.zero_grad()
        return bool(losses and gradients) and all(bool(each.isfinite().all()) for each in (*losses, *gradients))

    def seconds(self) -> dict[str, tuple[float, ...]]:
        """Return the seconds of each part in the last steps, without the first, which warms up."""
        self.device.synchronize()
        between = self.device.between if self.mark == self.device.mark else lambda start, end: end - start
        steps = list(self.marks)[1:] or list(self.marks)
        return {
            part: tuple(max(between(*marks[position : position + 2]), 0.0) for marks in steps)
            for position, part in enumerate(PARTS)
        }
