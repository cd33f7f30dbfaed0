"""Formulas of callers: of operators, modules and functions of autograd, in traces and in the meter."""

from typing import Any

import pytest

import hwbench
from hwbench.errors import InputError
from hwbench.workload.formulas.cost import Call, Cost

torch = pytest.importorskip("torch")
nn = torch.nn


class Mix(nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return self.inner(x) @ self.inner.weight


class Double(torch.autograd.Function):  # type: ignore[misc,name-defined]
    @staticmethod
    def forward(ctx: Any, x: Any, factor: int) -> Any:
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * ctx.factor, None


class UsesDouble(nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return Double.apply(self.inner(x), 2)


def inputs() -> Any:
    return torch.empty(4, 8)


def test_a_module_is_one_op_while_registered() -> None:
    plain = hwbench.count(nn.Sequential(Mix(), nn.Linear(8, 2)), inputs())
    seen: list[Call] = []

    def formula(call: Call) -> Cost:
        seen.append(call)
        return Cost("mix", macs=call.args[1].shape[0] * 100, elementwise_flops=7)

    with hwbench.register_formula(Mix, formula):
        answer = hwbench.count(nn.Sequential(Mix(), nn.Linear(8, 2)), inputs())
    assert [(layer.name, layer.kind) for layer in answer.layers] == [("0:Mix", "mix"), ("1:addmm", "linear")]
    assert answer.macs == 400 + 4 * 16
    assert answer.params == plain.params
    assert isinstance(seen[0].args[0], Mix)
    assert seen[0].outputs[0].shape == (4, 8)
    assert hwbench.count(nn.Sequential(Mix(), nn.Linear(8, 2)), inputs()).macs == plain.macs
    assert "forward" in vars(Mix)


def test_a_function_of_autograd_both_ways() -> None:
    with hwbench.register_formula(Double, lambda call: 10 * call.args[1], backward=lambda _: 33):
        answer = hwbench.count(UsesDouble(), inputs(), mode="training")
    macs = {op.name.rpartition(":")[2]: (op.macs, op.part) for op in answer.workload.ops}
    assert macs["Double"] == (20, "forward")
    assert macs["Double_backward"] == (33, "backward")
    assert not any(op.name.endswith(":mul") for op in answer.workload.ops)


def test_a_call_that_cannot_run_without_data() -> None:
    class Kernel(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(_ctx: Any, x: Any) -> Any:
            raise RuntimeError("no kernel for meta tensors")

    class Uses(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return Kernel.apply(x) + 1

    with hwbench.register_formula(Kernel, lambda call: call.written, output=lambda x: x.new_empty(len(x), 3)):
        answer = hwbench.count(Uses(), inputs())
    assert answer.macs == 12
    assert [layer.output_shape for layer in answer.layers] == [(3,), (3,)]


def test_an_operator_until_it_is_removed() -> None:
    plain = hwbench.count(nn.Linear(8, 8), inputs()).macs
    registered = hwbench.register_formula(torch.ops.aten.addmm, lambda _: 5)
    try:
        with hwbench.register_formula("aten::addmm", lambda _: 6):
            assert hwbench.count(nn.Linear(8, 8), inputs()).macs == 6
        assert hwbench.count(nn.Linear(8, 8), inputs()).macs == 5
    finally:
        registered.remove()
    assert hwbench.count(nn.Linear(8, 8), inputs()).macs == plain


def test_the_meter_counts_so_too() -> None:
    from hwbench.workload.tracing.observe import Observation

    network, observation = UsesDouble(), Observation()
    with (
        hwbench.register_formula(Double, lambda _: 10, backward=lambda _: 33),
        hwbench.register_formula("aten.addmm", lambda _: 1),
    ):
        observation.start()
        network(torch.ones(4, 8)).sum().backward()
        observation.stop()
    products = 2 * 4 * 8 * 8  # of the gradient of the weights
    assert observation.work("step").parts == {"forward": 2 * 11, "backward": 2 * 33 + products}


@pytest.mark.parametrize("target", [3, int, object()])
def test_other_targets_are_refused(target: Any) -> None:
    with pytest.raises(InputError) as error:
        hwbench.register_formula(target, lambda _: 1)
    assert error.value.field == "target"


@pytest.mark.parametrize("formula", [lambda _: "many", lambda _: -1, lambda call: call.args[9]])
def test_a_wrong_formula_is_one_line(formula: Any) -> None:
    with hwbench.register_formula("aten.addmm", formula), pytest.raises(InputError) as error:
        hwbench.count(nn.Linear(8, 8), inputs())
    assert (error.value.code, error.value.field) == ("bad-formula", "function")
    assert "\n" not in error.value.message
