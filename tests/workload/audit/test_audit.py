"""Explanations of other counters' differences: each rule on counts made for it, then real counters where installed."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hwbench.workload.audit import audit, counters  # noqa: E402
from hwbench.workload.audit.counters import Counter, Found  # noqa: E402
from hwbench.workload.ops import Workload  # noqa: E402
from hwbench.workload.tracing import trace as torch_trace  # noqa: E402
from hwbench.workload.tracing.build import Built  # noqa: E402

nn, functional = torch.nn, torch.nn.functional
REAL = {counter.name: counter for counter in counters.COUNTERS}


class Net(nn.Module):
    """A convolution with a bias, a norm, a grouped one, a transposed one, a linear layer run twice and an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 5, 3, stride=2, bias=False)
        self.linear = nn.Linear(19, 19, bias=False)
        self.attention = nn.MultiheadAttention(19, 1, batch_first=True)

    def forward(self, x: Any) -> Any:
        x = self.up(self.grouped(self.norm(self.conv(x))))
        x = self.linear(self.linear(x[:, :, 0, :]))
        return self.attention(x, x, x)[0] + functional.linear(x, self.linear.weight)


def built(make: Callable[[], Any], *shapes: tuple[int, ...], **kwargs: Any) -> Built:
    with torch.device("meta"):
        return Built(make().eval(), tuple(torch.empty(shape) for shape in shapes), kwargs, 2, "")


def network() -> Built:
    return built(Net, (2, 3, 13, 13))


def workload(made: Built) -> Workload:
    found = torch_trace.trace(made.module, made.args, made.kwargs, batch=made.batch)
    return Workload("net", "net", (), found.folded())


def told(change: Callable[[dict[str, float]], Any], by_module: bool = True) -> str:
    """The explanations of a counter that agrees with us but for `change` to its counts of modules."""
    own = audit.count(network())
    layers = {name: own.macs(ops) for name, ops in own.ops.items()}
    extra = change(layers) or 0
    found = Found(sum(layers.values()) + extra, layers if by_module else {})
    return "\n".join(audit.explain(found, own))


def add(name: str, amount: float) -> Callable[[dict[str, float]], None]:
    return lambda layers: layers.update({name: layers[name] + amount})


def scale(name: str, factor: float) -> Callable[[dict[str, float]], None]:
    return lambda layers: layers.update({name: layers[name] * factor})


def test_agreement_needs_no_words() -> None:
    assert told(lambda layers: None) == told(lambda layers: None, by_module=False) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (scale("attention", 0), "counts nothing of batched_matmul, attention, linear (attention): -"),
        (scale("conv", 0), "counts nothing of conv (conv): -"),
        (add("attention", -2 * 5 * 5 * 19), "leaves out attention (attention): -"),
        (add("conv", 11 * 11 * 8), "adds biases (conv): +"),
        (scale("grouped", 4), "counts grouped convolutions as dense ones (grouped)"),
        (scale("up", 19 * 19 / 81), "counts transposed convolutions by output positions, not by input (up)"),
        (scale("linear", 0.5), "counts modules that run several times once (linear)"),
        (scale("linear", 2), "counts modules that run several times as often again for each run (linear)"),
        (scale("linear", 0.2), "once for each entry of the first dimension, not for each position (linear)"),
        (lambda layers: layers.update(norm=2 * 8 * 11 * 11), "adds operations of batch_norm (norm): +"),
        (scale("", 0), "counts nothing of linear (the module itself): -"),
        (add("conv", 5), "unexplained, but less than the biases and elementwise operations there (conv): +"),
        (add("conv", -5), "unexplained (conv): -"),
        (add("conv", 12345), "unexplained (conv): +"),
        (lambda layers: layers.update(gone=7), "unexplained: counts where we see no arithmetic (gone): +"),
        (lambda layers: 2 * 5 * 5 * 19, "counts, though in no module, attention (in total): +"),
    ],
)
def test_a_cause_is_named_where_the_numbers_agree(change: Callable[[dict[str, float]], Any], words: str) -> None:
    assert words in told(change)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (-2 * 5 * 5 * 19, "leaves out attention (in total)"),
        (2 * 8 * 11 * 11, "adds operations of batch_norm (in total)"),
        (-31, "unexplained (in total)"),
    ],
)
def test_a_cause_is_named_from_totals_alone(amount: int, words: str) -> None:
    assert words in told(lambda layers: amount, by_module=False)


def test_modules_with_several_names_that_are_added_for_each() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Sequential(self.first)

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x))

    own = audit.count(built(Twice, (2, 4)))
    assert audit.explain(Found(64.0, {"first": 32.0}), own) == [
        "adds modules that have several names once for each name (in total): +100 % of our MACs"
    ]


def fake(run: Callable[[Any], Found], says: Any = "mac", needs_data: bool = False) -> Counter:
    return Counter("fake", "torch", says, run, needs_data)


def per_multiply_add(factor: int) -> Callable[[Any], Found]:
    """A counter that is right, in its own unit."""

    def run(module: Any) -> Found:
        found = torch_trace.trace(module, tuple(module.given), batch=1)
        return Found(float(factor * sum(op.macs for op in found.ops)))

    return run


@pytest.mark.parametrize(
    ("factor", "says", "unit", "words"),
    [
        (1, "mac", "mac", ()),
        (1, "flop", "mac", ("says FLOPs, but counts one for each multiply-add, which is a MAC",)),
        (2, "flop", "flop", ("counts FLOPs, two for each multiply-add: halved here",)),
        (2, "mac", "flop", ("counts FLOPs, two for each multiply-add: halved here",)),
    ],
)
def test_the_unit_is_found_by_calibration(factor: int, says: str, unit: str, words: tuple[str, ...]) -> None:
    made = network()
    (found,) = audit.audit(made, workload(made), (fake(per_multiply_add(factor), says),))
    assert (found.error, found.unit, found.ratio, found.explanations) == (None, unit, pytest.approx(1), words)


def test_a_counter_that_cannot_count_plain_layers_has_no_unit() -> None:
    made = network()
    (found,) = audit.audit(made, workload(made), (fake(lambda run: Found(17.0)),))
    assert found.unit is None
    assert "different units, or wrong" in found.explanations[0]


def test_a_workload_that_is_no_forward_pass_is_said_to_be_another() -> None:
    made = network()
    ours = workload(made)
    step = Workload("net", "net", (), ours.ops * 3)
    (found,) = audit.audit(made, step, (fake(per_multiply_add(1)),))
    assert found.ratio == pytest.approx(1)
    assert found.explanations[0].startswith("compared with")


def test_failures_and_what_is_not_installed_take_one_line() -> None:
    def failing(run: Any) -> Found:
        raise ValueError("no\nway")

    made = network()
    absent = Counter("absent", "no-such-counter", "mac", failing)
    first, second = audit.audit(made, workload(made), (absent, fake(failing)))
    assert first.error == "not installed: pip install no-such-counter"
    assert second.error == "fails: ValueError: no"


def test_large_models_are_not_copied_with_their_weights() -> None:
    made = built(lambda: nn.Linear(2**14, 2**15, bias=False), (2, 2**14))
    meta, real = audit.audit(
        made, workload(made), (fake(per_multiply_add(1)), fake(per_multiply_add(1), needs_data=True))
    )
    assert meta.error is None
    assert real.error is not None
    assert real.error.startswith("too large to run")


def test_counters_cannot_leave_traces(capsys: pytest.CaptureFixture[str]) -> None:
    def vandal(run: Any) -> Found:
        print("noise")
        warnings.warn("noise", stacklevel=1)
        logging.getLogger("noise").critical("noise")
        run.inner.weight = nn.Parameter(torch.ones(1))
        functional.linear = torch.Tensor.matmul = torch.add = None
        torch.Tensor.noise = 1
        raise RuntimeError("stopped halfway")

    made = built(lambda: nn.Linear(4, 4, bias=False), (2, 4))
    before = functional.linear, torch.Tensor.matmul, torch.add, made.module.weight
    (found,) = audit.audit(made, workload(made), (fake(vandal),))
    assert found.error == "fails: RuntimeError: stopped halfway"
    assert (functional.linear, torch.Tensor.matmul, torch.add, made.module.weight) == before
    assert not hasattr(torch.Tensor, "noise")
    assert tuple(capsys.readouterr()) == ("", "")


class Function(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(7, 8))

    def forward(self, x: Any) -> Any:
        return functional.linear(x, self.weight)


class Thrice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8, bias=False)

    def forward(self, x: Any) -> Any:
        return self.layer(self.layer(self.layer(x)))


TOKENS = (2, 6, 8)
MODULES = {
    "functional": lambda: built(Function, TOKENS),
    "attention": lambda: built(lambda: nn.MultiheadAttention(8, 2, batch_first=True), TOKENS, TOKENS, TOKENS),
    "encoder": lambda: built(lambda: nn.TransformerEncoderLayer(8, 2, 24, batch_first=True), TOKENS),
    "lstm": lambda: built(lambda: nn.LSTM(8, 6, batch_first=True), TOKENS),
    "shared": lambda: built(Thrice, TOKENS),
    "grouped": lambda: built(lambda: nn.Conv2d(8, 4, 3, groups=4, bias=False), (2, 8, 7, 7)),
    "bias": lambda: built(lambda: nn.Conv2d(3, 4, 3), (2, 3, 7, 7)),
    "transposed": lambda: built(lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, bias=False), (2, 3, 7, 7)),
}
ONCE = "once for each entry of the first dimension"


@pytest.mark.parametrize(
    ("counter", "module", "ratio", "words"),
    [
        ("FlopCounterMode on meta", "encoder", 1, "halved here"),
        ("FlopCounterMode on meta", "lstm", 1, "halved here"),
        ("FlopCounterMode on CPU", "encoder", 0, "fast path for transformer layers"),
        ("FlopCounterMode on CPU", "lstm", 0, "counts nothing of recurrent"),
        ("fvcore", "grouped", 1, "says FLOPs, but counts one"),
        ("fvcore", "lstm", 0, "counts nothing of recurrent"),
        ("fvcore", "encoder", None, "leaves out attention (self_attn)"),
        ("ptflops", "functional", 0, "counts nothing of linear"),
        ("ptflops", "bias", 28 / 27, "adds biases"),
        ("thop", "functional", 0, "counts nothing of linear"),
        ("thop", "attention", 0, "counts nothing of batched_matmul, attention, linear"),
        ("thop", "transposed", 225 / 49, "by output positions"),
        ("torchinfo", "functional", None, "counts"),
        ("torchinfo", "bias", 28 / 27, "adds biases"),
        ("torchinfo", "shared", 1 / 6, ONCE),
        ("calflops", "attention", None, "leaves out attention"),
        ("calflops", "lstm", 0, "counts nothing of recurrent"),
        ("DeepSpeed", "encoder", None, "fast path for transformer layers"),
        ("DeepSpeed", "lstm", 0, "counts nothing of recurrent"),
    ],
)
def test_what_installed_counters_are_known_to_get_wrong(
    counter: str, module: str, ratio: float | None, words: str
) -> None:
    other = REAL[counter]
    if counters.version(other) is None:
        pytest.skip(f"{other.package} is not installed")
    made = MODULES[module]()
    (found,) = audit.audit(made, workload(made), (other,))
    if found.error and "No module named" in found.error:
        pytest.skip(found.error)
    assert found.error is None
    assert any(words in sentence for sentence in found.explanations), found.explanations
    if ratio is not None:
        assert found.ratio == pytest.approx(ratio)


def test_every_counter_leaves_module_and_torch_as_they_were() -> None:
    made = MODULES["encoder"]()
    state = {name: id(value) for name, value in made.module.named_parameters()}
    before = dict(vars(functional)), {name: vars(torch)[name] for name in ("matmul", "add", "einsum")}
    found = audit.audit(made, workload(made))
    assert len(found) == len(counters.COUNTERS)
    assert {name: id(value) for name, value in made.module.named_parameters()} == state
    assert all(vars(functional)[name] is value for name, value in before[0].items())
    assert all(vars(torch)[name] is value for name, value in before[1].items())
