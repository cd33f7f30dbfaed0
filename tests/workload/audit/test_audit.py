"""Explanations of other counters' differences: each rule on counts made for it, then real counters where installed."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from hwbench.workload.audit import audit, counters  # noqa: E402
from hwbench.workload.audit.causes import IN_TOTAL, Cause, ModuleCounts, Term, explain  # noqa: E402
from hwbench.workload.audit.counters import Counter  # noqa: E402
from hwbench.workload.ops import Workload  # noqa: E402
from hwbench.workload.saved import shipped  # noqa: E402
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


def causes(change: Callable[[dict[str, float]], Any], by_module: bool = True) -> tuple[Cause, ...]:
    """Return the causes found for a counter that agrees with us but for `change` to its counts of modules."""
    own = audit.count(network())
    layers = {name: own.macs(ops) for name, ops in own.ops.items()}
    extra = change(layers) or 0
    return explain(ModuleCounts(sum(layers.values()) + extra, layers if by_module else {}), own)


def add(name: str, amount: float) -> Callable[[dict[str, float]], None]:
    return lambda layers: layers.update({name: layers[name] + amount})


def scale(name: str, factor: float) -> Callable[[dict[str, float]], None]:
    return lambda layers: layers.update({name: layers[name] * factor})


@pytest.mark.slow
def test_agreement_has_no_cause() -> None:
    assert causes(lambda layers: None) == causes(lambda layers: None, by_module=False) == ()


ATTENTION = ("batched_matmul", "attention", "linear")
WITHOUT_ATTENTION = Term("leaves-out", ("attention",))
WITH_NORM = Term("adds-operations", ("batch_norm",))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (scale("attention", 0), Cause("counts-nothing", ops=ATTENTION, modules=("attention",))),
        (scale("conv", 0), Cause("counts-nothing", ops=("conv",), modules=("conv",))),
        (add("attention", -2 * 5 * 5 * 19), Cause("changes", (WITHOUT_ATTENTION,), modules=("attention",))),
        (add("conv", 11 * 11 * 8), Cause("changes", (Term("adds-biases"),), modules=("conv",))),
        (scale("grouped", 4), Cause("grouped-as-dense", modules=("grouped",))),
        (scale("up", 19 * 19 / 81), Cause("transposed-by-output", modules=("up",))),
        (scale("linear", 0.5), Cause("runs-counted-once", modules=("linear",))),
        (scale("linear", 2), Cause("runs-counted-again", modules=("linear",))),
        (scale("linear", 0.2), Cause("weights-once-per-entry", modules=("linear",))),
        (lambda layers: layers.update(norm=2 * 8 * 11 * 11), Cause("changes", (WITH_NORM,), modules=("norm",))),
        (scale("", 0), Cause("counts-nothing", ops=("linear",), modules=("",))),
        (add("conv", 5), Cause("unexplained-but-small", modules=("conv",))),
        (add("conv", -5), Cause("unexplained", modules=("conv",))),
        (add("conv", 12345), Cause("unexplained", modules=("conv",))),
        (lambda layers: layers.update(gone=7), Cause("no-arithmetic", modules=("gone",))),
        (
            lambda layers: 2 * 5 * 5 * 19,
            Cause("changes", (Term("counts-outside-modules", ("attention",)),), modules=(IN_TOTAL,)),
        ),
    ],
)
def test_a_cause_is_found_where_the_numbers_agree(change: Callable[[dict[str, float]], Any], cause: Cause) -> None:
    own = audit.count(network())
    before = {name: own.macs(ops) for name, ops in own.ops.items()}
    after = dict(before)
    amount = (change(after) or 0) + sum(after.values()) - sum(before.values())
    (found,) = causes(change)
    assert msgspec.structs.replace(found, amount=0.0, alternatives=()) == cause
    assert found.amount == pytest.approx(amount)


@pytest.mark.parametrize(
    ("amount", "kind", "terms"),
    [
        (-2 * 5 * 5 * 19, "changes", (WITHOUT_ATTENTION,)),
        (2 * 8 * 11 * 11, "changes", (WITH_NORM,)),
        (-31, "unexplained", ()),
    ],
)
def test_a_cause_is_found_from_totals_alone(amount: int, kind: str, terms: tuple[Term, ...]) -> None:
    (found,) = causes(lambda layers: amount, by_module=False)
    assert (found.kind, found.terms, found.modules) == (kind, terms, (IN_TOTAL,))


def test_modules_with_several_names_that_are_added_for_each() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Sequential(self.first)

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x))

    own = audit.count(built(Twice, (2, 4)))
    assert explain(ModuleCounts(64.0, {"first": 32.0}), own) == (
        Cause("names-counted-again", modules=(IN_TOTAL,), amount=32.0),
    )


def fake(run: Callable[[Any], ModuleCounts], says: Any = "mac", needs_data: bool = False) -> Counter:
    return Counter("fake", "torch", says, run, needs_data)


def per_multiply_add(factor: int) -> Callable[[Any], ModuleCounts]:
    """A counter that is right, in its own unit."""

    def run(module: Any) -> ModuleCounts:
        found = torch_trace.trace(module, tuple(module.inputs), batch=1)
        return ModuleCounts(float(factor * sum(op.macs for op in found.ops)))

    return run


@pytest.mark.parametrize(
    ("factor", "says", "unit", "sentences"),
    [(1, "mac", "mac", 0), (1, "flop", "mac", 1), (2, "flop", "flop", 1), (2, "mac", "flop", 1)],
)
def test_the_unit_is_found_by_calibration(factor: int, says: str, unit: str, sentences: int) -> None:
    made = network()
    (found,) = audit.audit(made, workload(made), (fake(per_multiply_add(factor), says),))
    assert (found.error, found.unit, found.ratio, found.causes) == (None, unit, pytest.approx(1), ())
    assert len(found.explanations) == sentences


def test_a_counter_that_cannot_count_plain_layers_has_no_unit() -> None:
    made = network()
    (found,) = audit.audit(made, workload(made), (fake(lambda run: ModuleCounts(17.0)),))
    assert found.unit is None
    assert found.explanations


def test_a_workload_that_is_not_the_forward_pass_is_explained() -> None:
    made = network()
    ours = workload(made)
    step = Workload("net", "net", (), ours.ops * 3)
    (found,) = audit.audit(made, step, (fake(per_multiply_add(1)),))
    assert found.ratio == pytest.approx(1)
    assert len(found.explanations) == 1
    assert f"{step.macs:,}" in found.explanations[0]


def test_a_module_that_needs_values_is_counted_on_real_ones() -> None:
    class Decides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 4, bias=False), nn.Linear(4, 2, bias=False)

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x) * float(self.first.weight.abs().max().item() >= 0))

    own = audit.count(built(Decides, (2, 8)))
    assert own.total == 8 * 4 + 4 * 2
    assert own.calls == {"": 1, "first": 1, "second": 1}


def test_failures_and_missing_packages_take_one_line() -> None:
    def failing(run: Any) -> ModuleCounts:
        raise ValueError("no\nway")

    made = network()
    absent = Counter("absent", "no-such-counter", "mac", failing)
    first, second = audit.audit(made, workload(made), (absent, fake(failing)))
    assert (first.version, first.macs, second.macs) == (None, None, None)
    assert "pip install no-such-counter" in (first.error or "")
    assert (second.error or "").endswith("ValueError: no")


def test_large_models_are_not_copied_with_their_weights() -> None:
    made = built(lambda: nn.Linear(2**14, 2**15, bias=False), (2, 2**14))
    meta, real = audit.audit(
        made, workload(made), (fake(per_multiply_add(1)), fake(per_multiply_add(1), needs_data=True))
    )
    assert meta.error is None
    assert real.error is not None
    assert real.macs is None


def test_counters_cannot_leave_traces(capsys: pytest.CaptureFixture[str]) -> None:
    def vandal(run: Any) -> ModuleCounts:
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
    assert (found.error or "").endswith("RuntimeError: stopped halfway")
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


@pytest.mark.parametrize(
    ("counter", "module", "ratio", "kind"),
    [
        ("FlopCounterMode on meta", "encoder", 1, None),
        ("FlopCounterMode on meta", "lstm", 1, None),
        ("FlopCounterMode on CPU", "encoder", 0, "fast-path"),
        ("FlopCounterMode on CPU", "lstm", 0, "counts-nothing"),
        ("fvcore", "grouped", 1, None),
        ("fvcore", "lstm", 0, "counts-nothing"),
        ("fvcore", "encoder", None, "changes"),
        ("ptflops", "functional", 0, "counts-nothing"),
        ("ptflops", "bias", 28 / 27, "changes"),
        ("thop", "functional", 0, "counts-nothing"),
        ("thop", "attention", 0, "counts-nothing"),
        ("thop", "transposed", 225 / 49, "transposed-by-output"),
        ("torchinfo", "bias", 28 / 27, "changes"),
        ("torchinfo", "shared", 1 / 6, "weights-once-per-entry"),
        ("calflops", "attention", None, "changes"),
        ("calflops", "lstm", 0, "counts-nothing"),
        ("DeepSpeed", "encoder", None, "fast-path"),
        ("DeepSpeed", "lstm", 0, "counts-nothing"),
    ],
)
def test_known_mistakes_of_installed_counters(counter: str, module: str, ratio: float | None, kind: str | None) -> None:
    other = REAL[counter]
    if shipped.installed(other.package) is None:
        pytest.skip(f"{other.package} is not installed")
    made = MODULES[module]()
    (found,) = audit.audit(made, workload(made), (other,))
    if found.error and "No module named" in found.error:
        pytest.skip(found.error)
    assert found.error is None
    kinds = {cause.kind for cause in found.causes}
    assert kind in kinds if kind else not kinds
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
