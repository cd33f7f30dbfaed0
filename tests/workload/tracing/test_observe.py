"""What is counted of a run that computes: parts of a step, whole layers of a backend, operators as they come."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from hwbench.workload.formulas import aten  # noqa: E402
from hwbench.workload.tracing.observe import Observation, ObservedWork  # noqa: E402


def observed(run: Any, module: Any = None) -> ObservedWork:
    observation = Observation(module)
    observation.start()
    try:
        run()
    finally:
        observation.stop()
    return observation.work("x")


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_recurrent_layer_in_whatever_kernels_it_runs(kind: Any, gates: int) -> None:
    layer = kind(10, 16, batch_first=True)
    with torch.no_grad():
        work = observed(lambda: layer(torch.randn(3, 6, 10)), layer)
    assert work.parts == {"forward": 2 * 3 * 6 * gates * 16 * (10 + 16)}
    assert not work.workload.uncounted


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_transformer_layer_shows_its_operators_without_gradients(context: Any) -> None:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    with context():
        work = observed(lambda: layer(torch.randn(3, 6, 32)), layer)
    assert work.model_flops == 2 * 18 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 2 * 3 * 6 * 6 * 32
    assert not work.workload.uncounted


def test_products_of_an_optimizer_are_a_part_of_their_own_but_not_those_it_asks_for() -> None:
    layer = nn.Linear(8, 8)

    class Muon(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(layer.parameters(), {})

        @torch.no_grad()  # type: ignore[misc]
        def step(self, closure: Any = None) -> None:
            with torch.enable_grad():
                closure()
            layer.weight.add_(layer.weight.grad @ layer.weight.grad.T, alpha=0.01)

    def closure() -> None:
        layer(torch.randn(4, 8)).sum().backward()

    work = observed(lambda: Muon().step(closure), layer)
    assert work.parts == {"forward": 2 * 4 * 64, "backward": 2 * 4 * 64, "optimizer": 2 * 8 * 64}
    assert work.model_flops == work.hardware_flops == 2 * 2 * 4 * 64


def test_a_second_derivative_is_a_backward_pass_and_nothing_computed_again() -> None:
    weight = torch.randn(8, 8, requires_grad=True)

    def penalty() -> None:
        x = torch.randn(4, 8, requires_grad=True)
        (gradient,) = torch.autograd.grad((x @ weight).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()

    work = observed(penalty)
    assert "recompute" not in work.parts
    assert work.parts["forward"] == 2 * 4 * 64


def test_a_formula_that_fails_ends_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise TypeError

    monkeypatch.setattr(aten, "cost", broken)
    work = observed(lambda: torch.randn(2, 2) @ torch.randn(2, 2))
    assert any(each.startswith("aten.mm") for each in work.workload.uncounted)


def test_nothing_of_a_run_is_kept_alive() -> None:
    import weakref

    held: list[Any] = []

    def run() -> None:
        held.append(weakref.ref((torch.randn(64, 64) @ torch.randn(64, 64)).untyped_storage()))

    observed(run)
    assert held[0]() is None


@pytest.mark.parametrize(
    ("run", "dtype"),
    [
        (lambda: torch._int_mm(torch.ones(32, 32, dtype=torch.int8), torch.ones(32, 32, dtype=torch.int8)), "int8"),
        (lambda: torch.ones(4, 4, dtype=torch.complex64) @ torch.ones(4, 4, dtype=torch.complex64), "complex64"),
        (lambda: torch.ones(4, 4, dtype=torch.int32) @ torch.ones(4, 4, dtype=torch.int32), "int32"),
        (lambda: torch.ones(4, 4, dtype=torch.float64) @ torch.ones(4, 4, dtype=torch.float64), "fp64"),
        (lambda: torch.ones(4, 4, dtype=torch.bfloat16) @ torch.ones(4, 4, dtype=torch.bfloat16), "bf16"),
    ],
)
def test_products_are_of_the_dtype_of_their_operands(run: Any, dtype: str) -> None:
    """Of complex and wide integers no peak is known: that of another dtype must not count for them."""
    assert list(observed(run).dtypes) == [dtype]
