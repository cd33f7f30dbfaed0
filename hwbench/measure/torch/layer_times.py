"""Time of each part of a model, by hooks around its modules: what a whole pass is made of.

A module within another is timed by itself, and its time is not the outer one's. Hooks cost a microsecond or two a
module, and a GPU runs on while they return: its parts are timed by events.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.measure.record import Record
from hwbench.measure.subject import ForwardPass, LayerSeconds
from hwbench.measure.torch.inference import Prepared
from hwbench.measure.torch.place import Place
from hwbench.stats.comparison import Interval, median_interval

FEWEST, MOST = 5, 100


class PartTime(Struct, frozen=True):
    """Seconds that one module takes in a pass by itself, all its calls together: of each pass, and their median."""

    name: str
    time: Interval
    calls: int
    seconds: tuple[float, ...] = ()


def parts(prepared: Prepared, budget_s: float = 2.0) -> tuple[PartTime, ...]:
    """Median time of every part over as many passes as the budget allows, in order of first execution."""
    clock = _Clock(prepared.setting.place)
    names = {id(module): name for name, module in _counterparts(prepared)}
    hooks = []
    for module in prepared.eager.modules():
        if id(module) in names:
            name = names[id(module)]
            hooks.append(module.register_forward_pre_hook(clock.before(name)))
            hooks.append(module.register_forward_hook(clock.after))
    try:
        passes: list[dict[str, list[float]]] = []
        end = time.perf_counter() + budget_s
        for number in range(MOST + 1):
            prepared.forward(prepared.eager, number)
            passes.append(clock.read())
            if number >= FEWEST and time.perf_counter() > end:
                break
    finally:
        for hook in hooks:
            hook.remove()
    measured = passes[1:]  # the first pass warms up
    found = []
    for name, calls in measured[0].items():
        seconds = tuple(sum(one[name]) for one in measured)
        found.append(PartTime(name, median_interval(seconds), len(calls), seconds))
    return tuple(found)


def recorded(run: Record, timed: Sequence[PartTime]) -> Record:
    """The run of one model with the seconds of its parts, in order, as the layers of its measurement's subject."""
    layers = tuple(LayerSeconds(part.name, part.seconds) for part in timed)
    measurements = (
        msgspec.structs.replace(one, subject=msgspec.structs.replace(one.subject, layers=layers))
        if isinstance(one.subject, ForwardPass)
        else one
        for one in run.measurements
    )
    return msgspec.structs.replace(run, measurements=tuple(measurements))


def _counterparts(prepared: Prepared) -> list[tuple[str, Any]]:
    """The model's parts in the copy that runs, which has its modules in the same order."""
    twins = dict(zip(map(id, prepared.model.module.modules()), prepared.eager.modules(), strict=True))
    return [(name, twins[id(part)]) for name, part in prepared.model.parts]


class _Clock:
    """Marks the start and the end of each call of a part; what parts inside it take is not its own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.calls: list[_Call] = []
        self.open: list[_Call] = []

    def before(self, name: str) -> Any:
        def hook(_module: Any, _args: Any) -> None:
            call = _Call(name, self.open[-1] if self.open else None)
            self.open.append(call)
            call.start = self.place.mark()

        return hook

    def after(self, _module: Any, _args: Any, _output: Any) -> None:
        end = self.place.mark()
        call = self.open.pop()
        call.end = end
        self.calls.append(call)

    def read(self) -> dict[str, list[float]]:
        """Seconds of every call of a part, those inside it left out, by part in order of the first call's end."""
        self.place.synchronize()
        found: dict[str, list[float]] = {}
        for call in self.calls:  # a part ends after all that it calls
            seconds = self.place.between(call.start, call.end)
            if call.above is not None:
                call.above.inside += seconds
            found.setdefault(call.name, []).append(max(seconds - call.inside, 0.0))
        self.calls.clear()
        return found


class _Call:
    """One call of a part, within another one or none."""

    def __init__(self, name: str, above: "_Call | None") -> None:
        self.name, self.above = name, above
        self.start: Any = None
        self.end: Any = None
        self.inside = 0.0
