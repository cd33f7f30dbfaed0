"""Print the MACs of each counter over a truth derived by hand, as Markdown.

Usage: python benchmarks/counting/conformance.py
"""

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch import nn
from torch.nn import functional

from hwbench import __version__
from hwbench.workload.audit import audit, counters
from hwbench.workload.ops import Workload
from hwbench.workload.saved.shipped import installed
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import Built

BATCH, TOKENS, WIDTH, HEADS = 2, 24, 32, 4
_ATTEND = 2 * TOKENS * TOKENS * WIDTH
_PROJECT = TOKENS * WIDTH * WIDTH


class Function(nn.Module):
    """A function as a module. Functions of torch are looked up when it runs: some counters replace them."""

    def __init__(self, function: Callable[..., Any], *weights: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(shape)) for shape in weights)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Apply the function to inputs and weights."""
        return self.function(*inputs, *self.weights)


class Thrice(nn.Module):
    """One linear layer, run three times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> Any:
        """Multiply three times with the same weights."""
        return self.layer(self.layer(self.layer(x)))


class Case(msgspec.Struct, frozen=True):
    """A module, its input's shapes without the batch, and the MACs that a sample takes."""

    name: str
    module: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    macs: int
    names: tuple[str, ...] = ()

    def built(self) -> Built:
        """Return the module on `meta`, with its arguments."""
        with torch.device("meta"):
            module = self.module().eval()
            inputs = [torch.empty(BATCH, *shape) for shape in self.shapes]
        kwargs = dict(zip(self.names, inputs, strict=False))
        return Built(module, () if self.names else tuple(inputs), kwargs, BATCH, self.name)


_IMAGE, _SEQUENCE, _HEADED = (8, 10, 10), (TOKENS, WIDTH), (HEADS, TOKENS, WIDTH // HEADS)
_QKV = (_SEQUENCE,) * 3


def _conv(x: torch.Tensor, weight: torch.Tensor) -> Any:
    return functional.conv2d(x, weight)


def _linear(x: torch.Tensor, weight: torch.Tensor) -> Any:
    return functional.linear(x, weight)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Any:
    return functional.scaled_dot_product_attention(query, key, value)


def _attention() -> nn.Module:
    return nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)


CASES = (
    Case("Conv2d with bias", lambda: nn.Conv2d(8, 16, 3), (_IMAGE,), 8 * 8 * 16 * 8 * 9),
    Case("Conv2d, 4 groups", lambda: nn.Conv2d(8, 16, 3, groups=4, bias=False), (_IMAGE,), 8 * 8 * 16 * 2 * 9),
    Case("F.conv2d", lambda: Function(_conv, (16, 8, 3, 3)), (_IMAGE,), 8 * 8 * 16 * 8 * 9),
    Case(
        "ConvTranspose2d, stride 2",
        lambda: nn.ConvTranspose2d(8, 16, 3, stride=2, bias=False),
        (_IMAGE,),
        10 * 10 * 8 * 16 * 9,
    ),
    Case("Linear, 3-D input", lambda: nn.Linear(WIDTH, 48), (_SEQUENCE,), TOKENS * WIDTH * 48),
    Case(
        "F.linear",
        lambda: Function(_linear, (48, WIDTH)),
        (_SEQUENCE,),
        TOKENS * WIDTH * 48,
    ),
    Case("x @ y", lambda: Function(lambda x, y: x @ y), (_SEQUENCE, (WIDTH, 24)), TOKENS * WIDTH * 24),
    Case(
        "einsum",
        lambda: Function(lambda x, y: torch.einsum("bik,bkj->bij", x, y)),
        (_SEQUENCE, (WIDTH, 24)),
        TOKENS * WIDTH * 24,
    ),
    Case(
        "SDPA",
        lambda: Function(_attend),
        (_HEADED,) * 3,
        _ATTEND,
    ),
    Case("MultiheadAttention", _attention, _QKV, 4 * _PROJECT + _ATTEND),
    Case("MultiheadAttention, keywords", _attention, _QKV, 4 * _PROJECT + _ATTEND, ("query", "key", "value")),
    Case(
        "TransformerEncoderLayer",
        lambda: nn.TransformerEncoderLayer(WIDTH, HEADS, 64, batch_first=True),
        (_SEQUENCE,),
        4 * _PROJECT + _ATTEND + 2 * TOKENS * WIDTH * 64,
    ),
    Case("Linear run three times", Thrice, (_SEQUENCE,), 3 * _PROJECT),
    Case(
        "LSTM, 2 layers",
        lambda: nn.LSTM(WIDTH, 24, num_layers=2, batch_first=True),
        (_SEQUENCE,),
        TOKENS * 4 * 24 * (WIDTH + 24 + 24 + 24),
    ),
)


def row(case: Case, why: bool) -> list[str]:
    """Return the ratio to the truth of hwbench and every counter; print reasons to stderr if `why`."""
    built = case.built()
    found = torch_trace.trace(built.module, built.args, built.kwargs, batch=BATCH)
    ours = Workload(case.name, case.name, (), found.folded())
    cells = [f"{ours.macs / case.macs:.3g}"]
    for other in audit.audit(built, ours):
        cells.append("fails" if other.macs is None else f"{other.macs / case.macs:.3g}")
        for line in (other.error, *other.explanations) if why else ():
            print(f"{case.name} | {other.counter} | {line}", file=sys.stderr)
    return cells


def main() -> None:
    """Print the table; with `--why` the explanations to stderr."""
    versions = (f"{counter.name} {installed(counter.package) or 'missing'}" for counter in counters.COUNTERS)
    heads = ["case", f"hwbench {__version__}", *versions]
    print("|", " | ".join(heads), "|")
    print("|", " | ".join("---" for _ in heads), "|")
    for case in CASES:
        print("|", " | ".join([case.name, *row(case, "--why" in sys.argv)]), "|")


if __name__ == "__main__":
    main()
