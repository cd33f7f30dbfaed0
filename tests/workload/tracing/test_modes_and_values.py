"""Modes in which torch hides its operators, and modules that need values: counts by hand."""

import dataclasses
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional

from hwbench.workload.tracing import sources  # noqa: E402
from hwbench.workload.tracing import trace as torch_trace  # noqa: E402
from hwbench.workload.tracing.build import Built, build_module  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's own, of what is deprecated or slow


class Function(nn.Module):
    def __init__(self, function: Any, *parts: Any) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self.parts, *inputs)


def count(module: Any, *inputs: Any, **request: Any) -> Any:
    built = Built(module, inputs, {}, 1, "module", None, stated=True)
    return sources.count_module(built, ModelRequest("module", **request))[1]


def whole(workload: Any) -> int:
    return int(workload.operations("mac", workload.batch))


def data(*shape: int) -> Any:
    return torch.empty(*shape, device="meta")


def inference(function: Any) -> Any:
    def run(*arguments: Any) -> Any:
        with torch.inference_mode():
            return function(*arguments)

    return run


@pytest.mark.parametrize("autocast", [None, "fp16"])
def test_inference_mode_hides_no_operator_and_doubles_none(autocast: str | None) -> None:
    steps = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.Linear(16, 32), nn.LayerNorm(32)]
    module = Function(inference(lambda parts, x: F.dropout(nn.Sequential(*parts)(x).softmax(-1), 0.1, False)), *steps)
    found = count(module, data(2, 3, 16, 16), autocast=autocast)
    assert whole(found) == 2 * (256 * 8 * 27 + 8 * 16 * 16 * 32)
    assert found.uncounted == ()
    product = count(
        Function(inference(lambda _, a, b: torch.einsum("bij,bjk->bik", a, b))), data(2, 10, 8), data(2, 8, 12)
    )
    assert whole(product) == 2 * 10 * 8 * 12


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (Function(lambda parts, x: parts[0](x, x, x)[0], nn.MultiheadAttention(16, 2, batch_first=True)), (2, 10, 16),
         2 * (10 * 4 * 16 * 16 + 2 * 10 * 10 * 16)),
        (Function(lambda parts, x: parts[0](F.unfold(x, 3).mT), nn.Linear(36, 5)), (2, 4, 8, 8), 2 * 36 * 36 * 5),
        (Function(lambda parts, x: parts[0](x.unfold(2, 2, 2)), nn.Linear(2, 5)), (2, 4, 8, 8), 2 * 4 * 4 * 8 * 2 * 5),
        (nn.LSTM(8, 4, batch_first=True), (2, 10, 8), 2 * 10 * 16 * 12),
    ],
)  # fmt: skip
def test_mixed_precision_without_a_device(module: Any, shape: tuple[int, ...], macs: int) -> None:
    assert whole(count(module, data(*shape), autocast="fp16")) == macs


def test_gradients_in_a_forward_pass() -> None:
    def force(parts: Any, x: Any) -> Any:
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            return torch.autograd.grad(parts[1](torch.tanh(parts[0](x))).sum(), x)[0]

    module = Function(force, nn.Linear(16, 32), nn.Linear(32, 1))
    assert whole(count(module, data(8, 16))) == 8 * 2 * (16 * 32 + 32)  # its weights are frozen, but for gradients of x
    if not torch.cuda.is_available():
        with pytest.raises(InputError) as refused:
            count(module, data(8, 16), autocast="fp16")
        assert (refused.value.code, refused.value.field) == ("no-cuda", "dtype")


@dataclasses.dataclass(slots=True)
class Settings:
    width: int = 8
    table: Any = None


def test_attributes_without_a_dict() -> None:
    module = nn.Linear(8, 8)
    module.settings = Settings()
    found = count(module, data(2, 8))
    assert (whole(found), found.params) == (128, 72)


def test_values_that_a_constructor_reads() -> None:
    class Rates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 4)]
            self.names = torch.arange(3).tolist()
            self.layer = nn.Linear(8, 8)
            nn.init.normal_(self.layer.weight)

        def forward(self, x: Any) -> Any:
            assert self.names == [0, 1, 2]
            return self.layer(x)

    assert whole(count(build_module(Rates, "rates"), data(2, 8))) == 128
    with pytest.raises(InputError, match="cannot be built"):
        build_module(lambda: nn.Linear("eight", 8), "broken")


NET = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64))
IMAGES = torch.zeros(2, 64)


def exported() -> Any:
    return torch.export.export(NET, (IMAGES,)).module()


def saved(tmp_path: Any) -> Any:
    torch.jit.trace(NET, IMAGES).save(str(tmp_path / "net.pt"))
    return torch.jit.load(str(tmp_path / "net.pt"))


@pytest.mark.parametrize("make", ["script", "trace", "load", "frozen", "export"])
def test_modules_that_are_programs(make: str, tmp_path: Any) -> None:
    made = {
        "script": lambda: torch.jit.script(NET),
        "trace": lambda: torch.jit.trace(NET, IMAGES),
        "frozen": lambda: torch.jit.freeze(torch.jit.script(NET.eval())),
        "export": exported,
    }
    module = saved(tmp_path) if make == "load" else made[make]()
    found = count(module, data(2, 64), batch=1)
    assert (found.operations("mac", 1), found.params) == (4096, 4192)


def test_a_module_that_needs_values_runs_on_random_ones() -> None:
    """Which rows are kept is known from values only."""
    module = Function(lambda parts, x: parts[0](x[x[:, 0] >= 0]), nn.Linear(8, 4))
    found = count(module, data(6, 8))
    assert found.real
    assert found.notices[0].code == "real-values"
    assert whole(found) == 6 * 32  # random values are not negative
    assert not count(nn.Linear(8, 4), data(6, 8)).real
    assert count(nn.Linear(8, 4), data(6, 8), real=True).real


def _chosen(rows: torch.Tensor) -> torch.Tensor:
    return rows[rows[:, 0] >= 0]


def test_random_values_that_nobody_asked_for_take_one_thread() -> None:
    seen: list[tuple[bool, int]] = []

    def chosen(parts: Any, x: Any) -> Any:
        seen.append((x.is_meta, torch.get_num_threads()))
        return parts[0](x) if x.sum() > 0 else x

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for real, threads in ((False, 1), (True, 3)):
            count(Function(chosen, nn.Linear(8, 8)), data(2, 8), real=real)
            assert {number for is_meta, number in seen if not is_meta} == {threads}
            seen.clear()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_large_module_that_needs_values_is_refused_with_the_way_out() -> None:
    module = Function(lambda parts, x: _chosen(parts[0](x)), build_module(lambda: nn.Linear(8192, 16384), "large"))
    with pytest.raises(InputError) as refused:
        count(module, data(1, 8192))
    assert refused.value.code == "needs-values"


def test_branches_and_loops_that_are_operators() -> None:
    branch = Function(
        lambda parts, x: torch.cond(x.sum() > 0, parts[0], lambda y: parts[1](parts[0](y)), (x,)),
        nn.Linear(8, 8), nn.Linear(8, 8),
    )  # fmt: skip
    assert whole(count(branch, data(2, 8))) == 128
    assert whole(count(branch, data(2, 8), real=True)) == 128


def test_a_loop_runs_as_often_as_its_values_say() -> None:
    while_loop = pytest.importorskip("torch._higher_order_ops").while_loop

    def three_times(parts: Any, x: Any) -> Any:
        start = torch.zeros((), dtype=torch.int64)
        return while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, parts[0](y)), (start, x))[1]

    found = count(Function(three_times, nn.Linear(8, 8)), data(2, 8))
    assert (whole(found), found.uncounted, found.real) == (3 * 128, (), True)


def test_flexible_attention_is_one_op() -> None:
    flexible = pytest.importorskip("torch.nn.attention.flex_attention")
    found = count(Function(lambda _, q: flexible.flex_attention(q, q, q)), data(2, 4, 128, 16))
    assert whole(found) == 2 * 2 * 4 * 128 * 128 * 16
    assert [op.kind for op in found.ops if op.macs] == ["attention"]


def test_transforms_and_distributions_check_no_values() -> None:
    waves = Function(lambda _, x: torch.istft(torch.stft(x, 16, return_complex=True), 16))
    assert count(waves, data(2, 64)).uncounted == ()
    policy = Function(lambda parts, x: torch.distributions.Categorical(logits=parts[0](x)).logits, nn.Linear(10, 5))
    assert whole(count(policy, data(2, 10))) == 100
    sample = Function(lambda parts, x: torch.distributions.Normal(parts[0](x), 1.0).rsample(), nn.Linear(10, 5))
    assert whole(count(sample, data(2, 10))) == 100


@pytest.mark.parametrize(
    ("layer", "forward", "backward"),
    [
        # 20 steps of 3 samples; the input needs no gradient, nor does the state before the first step
        (nn.LSTM(8, 4), 60 * 16 * 12, 60 * 16 * 12 + 57 * 16 * 4),
        (nn.GRU(8, 4), 60 * 12 * 12, 60 * 12 * 12 + 57 * 12 * 4),
        (nn.RNN(8, 4), 60 * 4 * 12, 60 * 4 * 12 + 57 * 4 * 4),
        (nn.LSTM(8, 4, num_layers=2), 60 * 16 * (12 + 8), 60 * 16 * (12 + 8) + 57 * 16 * 4 * 2 + 60 * 16 * 4),
        (nn.LSTM(8, 4, bidirectional=True), 2 * 60 * 16 * 12, 2 * (60 * 16 * 12 + 57 * 16 * 4)),
    ],
)
def test_a_training_step_of_a_recurrent_layer(layer: Any, forward: int, backward: int) -> None:
    trace = torch_trace.trace(layer, (data(20, 3, 8),), training=True, whole=True)
    assert [op.macs for op in trace.ops if op.macs] == [forward, backward]
