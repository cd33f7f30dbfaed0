"""What a walk over a graph has collected: ops, values in scope, parameters that no op has claimed yet."""

from collections import ChainMap, Counter

from msgspec.structs import replace

from hwbench.workload.formulas.tally import Parameters
from hwbench.workload.onnx.values import Opsets, Origin, Value
from hwbench.workload.ops import Op

Scope = ChainMap[str, Value]
"""Values by name, those of the innermost graph first."""


class State:
    """The ops found so far in the file at `path`, for one of `batch` samples; each of them counts `repeat` times."""

    def __init__(self, path: str, opsets: Opsets, batch: int, symbols: dict[str, int]) -> None:
        self.path = path
        self.opsets = opsets
        self.batch = batch
        self.symbols = symbols
        self.ops: list[tuple[str, Op]] = []  # each with its operator
        self.uncounted: Counter[str] = Counter()
        self.params = Parameters()
        self.unused_params = 0
        self.repeat = 1
        self._origins = 0

    def stored(self, value: Value, elements: int, parameter: bool = True) -> Value:
        """Return the value of an initializer or, not certainly a parameter, of a Constant."""
        self._origins += 1
        self.params.add(self._origins, elements)
        origin = Origin(self._origins, parameter)
        return replace(value, role="weight" if parameter else "constant", origin=origin)

    def add(self, operator: str, op: Op) -> None:
        """Add an op: in a loop it runs as often as the loop, but its parameters count once."""
        if self.repeat > 1 and op.params:
            self.ops.append((operator, op))
            self.ops.append((operator, replace(op, params=0, count=self.repeat - 1)))
        elif self.repeat:
            self.ops.append((operator, replace(op, count=self.repeat)))
