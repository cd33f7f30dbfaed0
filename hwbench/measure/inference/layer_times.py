"""Time of each module of a model in a pass, taken by hooks.

The time of a module within another is not counted in the outer one. Hooks cost a microsecond or two a module; a GPU
runs on while they return, so that its modules are timed by events.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.measure.engines.torch_eager import TorchNetwork
from hwbench.measure.inference.model import Positional
from hwbench.measure.inference.tasks import PreparedModel
from hwbench.measure.record import Record
from hwbench.measure.subject import ForwardPass, LayerSeconds
from hwbench.measure.torch.device import TorchDevice
from hwbench.stats.intervals import Interval, median_interval

MIN_PASSES, MAX_PASSES = 5, 100


class ModuleTime(Struct, frozen=True):
    """Seconds of one module in a pass, without the modules in it: all its calls together, by pass and their median."""

    name: str
    time: Interval
    calls: int
    seconds: tuple[float, ...] = ()


def module_times(prepared: PreparedModel, budget_s: float = 2.0) -> tuple[ModuleTime, ...]:
    """Return the median time of every module over as many passes as the budget allows, in order of execution."""
    clock, network = _Clock(prepared.setting.device), prepared.network
    assert isinstance(network, TorchNetwork)
    hooks = []
    for module, name in _counterparts(prepared, network).items():
        hooks += [module.register_forward_pre_hook(clock.before(name)), module.register_forward_hook(clock.after)]
    try:
        passes: list[dict[str, list[float]]] = []
        end = time.perf_counter() + budget_s
        for number in range(MAX_PASSES + 1):
            network.run(network.eager, number)
            passes.append(clock.read())
            if number >= MIN_PASSES and time.perf_counter() > end:
                break
    finally:
        for hook in hooks:
            hook.remove()
    measured = passes[1:]  # the first pass warms up
    seconds = {name: tuple(sum(times[name]) for times in measured) for name in measured[0]}
    return tuple(
        ModuleTime(name, median_interval(sums), len(measured[0][name]), sums) for name, sums in seconds.items()
    )


def recorded(run: Record, timed: Sequence[ModuleTime]) -> Record:
    """Return the record with the seconds of the modules, in order, as the layers of its measurement's subject."""
    layers = tuple(LayerSeconds(module.name, module.seconds) for module in timed)
    measurements = (
        msgspec.structs.replace(row, subject=msgspec.structs.replace(row.subject, layers=layers))
        if isinstance(row.subject, ForwardPass)
        else row
        for row in run.measurements
    )
    return msgspec.structs.replace(run, measurements=tuple(measurements))


def _counterparts(prepared: PreparedModel, network: TorchNetwork) -> dict[Any, str]:
    """Return the names of the model's modules by those of the copy that runs, which has them in the same order."""
    copied = network.eager.inner if isinstance(network.eager, Positional) else network.eager
    twins = dict(zip(prepared.model.module.modules(), copied.modules(), strict=True))
    return {twins[module]: name for name, module in prepared.model.modules}


class _Call(Struct):
    """One call of a module, within the call `above` if there is one."""

    name: str
    above: "_Call | None"
    start: Any = None
    end: Any = None
    inside: float = 0.0


class _Clock:
    """Marks the start and the end of each call of a module; time in inner modules is theirs."""

    def __init__(self, device: TorchDevice) -> None:
        self.device = device
        self.calls: list[_Call] = []
        self.open: list[_Call] = []

    def before(self, name: str) -> Any:
        def hook(_module: Any, _args: Any) -> None:
            call = _Call(name, self.open[-1] if self.open else None)
            self.open.append(call)
            call.start = self.device.mark()

        return hook

    def after(self, _module: Any, _args: Any, _output: Any) -> None:
        end = self.device.mark()
        call = self.open.pop()
        call.end = end
        self.calls.append(call)

    def read(self) -> dict[str, list[float]]:
        """Return seconds of every call by module, without calls inside it, in order of the first call's end."""
        self.device.synchronize()
        result: dict[str, list[float]] = {}
        for call in self.calls:  # a module ends after all that it calls
            seconds = self.device.between(call.start, call.end)
            if call.above is not None:
                call.above.inside += seconds
            result.setdefault(call.name, []).append(max(seconds - call.inside, 0.0))
        self.calls.clear()
        return result
