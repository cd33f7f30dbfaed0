"""A vector that is added to a product is its bias, written as one layer or as two operations."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from hwbench.workload.request import ModelRequest  # noqa: E402
from hwbench.workload.tracing import sources  # noqa: E402
from hwbench.workload.tracing.build import Built  # noqa: E402


class Layer(nn.Module):
    def __init__(self, *bias: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(128, 64)), nn.Parameter(torch.empty(bias))

    def forward(self, x: Any) -> Any:
        return x @ self.weight + self.bias


@pytest.mark.parametrize(
    ("module", "adds"),
    [(nn.Linear(128, 64), 64), (Layer(64), 64), (nn.Linear(128, 64, bias=False), 0), (Layer(1, 64), 0)],
)
def test_the_same_counts_in_all_conventions(module: Any, adds: int) -> None:
    built = Built(module, (torch.empty(2, 128, device="meta"),), {}, 1, "module", None, stated=True)
    found = sources.count_module(built, ModelRequest("module"))[1]
    assert found.operations("mac", 2) == 2 * 8192
    assert found.operations("mac-bias", 2) == 2 * (8192 + adds)
