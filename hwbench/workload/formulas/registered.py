"""Formulas that callers register: of operators, and of classes whose `forward` counts as one op."""

from collections.abc import Callable
from typing import Any

from hwbench.errors import InputError, shown
from hwbench.workload.formulas import aten
from hwbench.workload.formulas.cost import Call, Cost, Formula

Function = Callable[[Call], Cost | int]

CLASSES: dict[type, "Registration"] = {}
"""Modules and functions of autograd by class."""


class Registration:
    """A formula in use until `remove`, or until the end of a `with` block."""

    def __init__(
        self, target: str | type, function: Function, backward: Function | None, output: Callable[..., Any] | None
    ) -> None:
        self.target, self.output = target, output
        self.name = target if isinstance(target, str) else target.__name__
        self.forward = _checked(self.name, function)
        self.backward = _checked(f"{self.name}, backward", backward) if backward else None
        self._before: Any = CLASSES.get(target) if isinstance(target, type) else aten.registered(target)
        self._set(self if isinstance(target, type) else Formula(self.forward, "registered"))

    def _set(self, value: Any) -> None:
        if isinstance(self.target, str):
            aten.set_formula(self.target, value)
        elif value is None:
            CLASSES.pop(self.target, None)
        else:
            CLASSES[self.target] = value

    def remove(self) -> None:
        """Let the formula that was in use before count again."""
        self._set(self._before)

    def __enter__(self) -> "Registration":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _checked(name: str, function: Function) -> Callable[[Call], Cost]:
    """Return a formula whose failures, and results that are no cost, are errors of one line."""

    def cost(call: Call) -> Cost:
        try:
            result = function(call)
        except Exception as error:  # whatever the caller's function raises
            reason = shown(f"{type(error).__name__}: {error}", 300)
            raise InputError(
                "bad-formula", f"The formula of {shown(name)} fails: {reason}", field="function"
            ) from error
        if isinstance(result, int) and not isinstance(result, bool) and result >= 0:
            return Cost("registered", macs=result)
        if isinstance(result, Cost):
            return result
        text = f"The formula of {shown(name)} returns {shown(repr(result), 100)}, neither a Cost nor multiply-adds."
        raise InputError("bad-formula", text, field="function")

    return cost
