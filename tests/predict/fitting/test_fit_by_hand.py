"""What surrounds a fit, by hand: errors, slopes, folds, ledgers, intervals, and what devices tell of relatives."""

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.predict.data.splits import fold
from hwbench.predict.fitting import device_factors, fit, priors
from hwbench.predict.fitting import problem as problems
from hwbench.predict.fitting.problem import Case, Free, predicted, problem, selected, soft
from hwbench.predict.forecast import forecast
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import hardware_of
from hwbench.predict.model.interval import log_interval
from hwbench.predict.model.parameters import ParameterFile, PartFactors, parameters
from hwbench.workload import load

NAME = "torch-eager-cuda"
START = priors.START[NAME]
CARD, OTHER = catalog.device("rtx3090"), catalog.device("rtx4090")
MODELS = [load.workload(name) for name in ("alexnet", "resnet18", "mobilenet-v2", "vgg11", "squeezenet1.0")]


def case(index: int, device: Any = CARD, error: float = 0.0, **more: Any) -> Case:
    """A case that takes exp(error) times as long as the priors say."""
    fields: dict[str, Any] = {"dtype": "fp16", "batch": 64, "time_s": 1.0, "family": MODELS[index].name, **more}
    unit = Case(MODELS[index], device, **fields)
    return replace(unit, time_s=float(predicted(problem([unit], device), START)[0]) * math.exp(error))


def test_errors_beyond_a_twentieth_count_less() -> None:
    assert soft(np.array([0.05, -0.05, 0.0])) == pytest.approx(
        [0.05 * math.sqrt(2 * (math.sqrt(2) - 1)), -0.05 * math.sqrt(2 * (math.sqrt(2) - 1)), 0.0]
    )
    assert soft(np.array([0.05 * math.sqrt(8)])) == pytest.approx([0.05 * 2])


@pytest.mark.parametrize(
    ("path", "device"), [("compute.conv", None), ("prologue", None), ("devices.rtx3090.compute", "rtx3090"),
                         ("devices.host 1.5.memory", "host 1.5")],
)  # fmt: skip
def test_a_parameter_is_of_a_device_or_of_all(path: str, device: str | None) -> None:
    parameter = Free(path, 0.5)
    assert parameter.device == device
    assert problems._value(problems.with_values(START, [parameter], [0.25]), parameter) == 0.25


def test_a_problem_is_named_by_what_its_cases_share() -> None:
    first = case(0, layout="nhwc", version=(2, 4))
    found = problem([first, case(1)], CARD)
    assert found.name == "rtx3090 fp16 nhwc torch-2.4"
    assert (found.families, found.version) == (("alexnet", "resnet18"), (2, 4))
    assert problem([case(1)], CARD).name == "rtx3090 fp16"
    with pytest.raises(ValueError, match="no known bandwidth"):
        problem([case(1)], replace(CARD, memory=replace(CARD.memory, bandwidth=None)))


def test_cases_that_are_selected_keep_their_times() -> None:
    whole, mask = problem([case(index, error=0.1 * index) for index in range(5)], CARD), np.array([1, 0, 1, 1, 0]) > 0
    part = selected(whole, mask)
    assert predicted(part, START) == pytest.approx(predicted(whole, START)[mask], rel=1e-12)
    assert part.times.tolist() == whole.times[mask].tolist()
    assert part.families == ("alexnet", "mobilenet-v2", "vgg11")
    assert np.log(whole.times / predicted(whole, START)) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


PARAMETERS = (
    Free("compute.conv", 1.1), Free("memory.map", 0.9), Free("prologue", 25.0), Free("memory.recurrent", 0.8),
    Free("devices.rtx3090.compute", 1.2), Free("devices.rtx4090.memory", 0.7),
)  # fmt: skip


def test_cases_of_one_device_and_dtype_are_one_problem() -> None:
    assert [list(found.times) for found in fit._problems([case(0), case(1)])] == [[case(0).time_s, case(1).time_s]]
    versions = (None, (2, 1), (2, 4), None)
    found = fit._problems([case(0, version=version) for version in versions])
    assert [(len(one.times), one.version) for one in found] == [(2, None), (1, (2, 1)), (1, (2, 4))]
    assert parameters().version == fit.VERSION


def test_fewer_than_thirty_cases_are_not_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_fit", lambda _, start, *__: start)
    assert "30 cases" in fit.calibrated({NAME: [case(0)] * 30}).how
    with pytest.raises(InputError) as caught:
        fit.calibrated({NAME: [case(0)] * 29}, print)
    assert caught.value.code == "too-few-cases"
    assert fit._ends([np.zeros(5)]) == (-0.01, 0.01)


@pytest.mark.parametrize("name", [NAME, priors.EARLY_COMPILED])
def test_slopes_are_those_of_the_errors(name: str) -> None:
    device, free = CARD, PARAMETERS
    start = priors.START[name]
    if name == priors.EARLY_COMPILED:
        device = catalog.device("i9-10940x")
        free = (*priors.CPU_FREE[:20], Free("devices.i9-10940x.memory", 1.3), priors.CPU_FREE[-1])
    cases = problem([Case(MODELS[index], device, "fp32", 8, 1e-3, "f") for index in range(3)], device)
    logs = np.log([each.prior for each in free])

    def errors(moved: Any) -> Any:
        return soft(np.log(predicted(cases, problems.with_values(start, free, np.exp(moved))) / cases.times))

    steps = [logs + 1e-4 * (np.arange(len(free)) == number) for number in range(len(free))]
    expected = np.stack([(errors(step) - errors(logs)) / 1e-4 for step in steps], axis=1)
    assert problems._slopes(cases, start, free, np.exp(logs)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("device", "path", "concerned"),
    [
        ("i9-10940x", "compute.conv", {"conv"}), ("i9-10940x", "packed", {"linear"}),
        ("i9-10940x", "memory", None), ("i9-10940x", "compute.attention", set()),
        ("rtx3090", "memory.map", {"map"}), ("rtx3090", "wide_stem", {"stem"}),
        ("rtx3090", "cache_share", None), ("rtx3090", "score_bytes_half", set()),
    ],
)  # fmt: skip
def test_parameters_concern_the_launches_whose_formulas_read_them(
    device: str, path: str, concerned: set[str] | None
) -> None:
    """None stands for all families."""
    name = NAME if device == "rtx3090" else priors.EARLY_COMPILED
    known = catalog.device(device)
    cases = problem([Case(model, known, "fp32", 8, 1e-3, "f") for model in MODELS], known)
    families = set()
    for stack in cases.stacks:
        read: set[str] = set()
        problems._busy(cases, stack, problems._noting(priors.START[name], read))
        assert problems._concerns(Free(f"devices.{device}.compute", 1.0), known.label, read)
        assert not problems._concerns(Free("devices.x.compute", 1.0), known.label, read)
        if problems._concerns(Free(path, 1.0), known.label, read):
            families.add(stack.launch.family)
    assert families == ({stack.launch.family for stack in cases.stacks} if concerned is None else concerned)


@pytest.mark.parametrize(
    ("prior", "ceiling", "warm", "found"),
    [
        (1.0, math.inf, False, math.exp(0.0015)),  # between both, as their squares weigh
        (1.0, math.inf, True, math.exp(0.0015)),
        (math.exp(0.004), math.inf, False, math.exp(0.0025)),
        (0.9, 0.95, False, 0.95),
    ],
)
def test_a_fit_lies_between_its_prior_and_what_was_measured(
    prior: float, ceiling: float, warm: bool, found: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time that is the parameter itself, measured as exp(0.002); a deviation whose weight is 1 / sqrt(3)."""
    monkeypatch.setattr(problems, "predicted", lambda _, trial: np.array([trial.gpu.prologue]))
    monkeypatch.setattr(problems, "_slopes", lambda *_: np.array([[1.0]]))
    cases = replace(problem([case(0)], CARD), times=np.array([math.exp(0.002)]))
    free = Free("prologue", prior, 0.05 * math.sqrt(3), ceiling)
    assert problems.fitted(START, [free], [cases], warm).gpu.prologue == pytest.approx(found, rel=2e-5)  # type: ignore[union-attr]
    assert (Free("x", 1.0).deviation, Free("x", 1.0).ceiling) == (0.3, math.inf)


@pytest.mark.parametrize("name", ["vgg11", "bert-base"])
def test_arrays_give_the_forecast_of_layers_that_repeat(name: str) -> None:
    network = load.workload(name)
    workload = replace(network, ops=tuple(replace(op, count=3) for op in network.ops))
    one = forecast(workload, CARD, "fp16", 8, known=ParameterFile("", 0, "", {NAME: START}))
    assert one is not None
    cases = [Case(workload, CARD, "fp16", batch, 1.0, name) for batch in (1, 8)]
    assert predicted(problem(cases, CARD), START)[1] == pytest.approx(one.time_s, rel=1e-9)


def test_compiled_code_begins_as_eager_kernels_that_are_fused() -> None:
    spread = replace(priors.UNTESTED, device=0.7, timed=0.3, low=0.1)
    assert START.gpu is not None
    eager = replace(START, gpu=replace(START.gpu, prologue=99.0), spread=spread, families=("a",))
    found = priors.compiled({NAME: eager})
    assert found.gpu == replace(
        eager.gpu, fusion=0.8, host=7e-6, transpose_window=0.2 * 1.5, transpose_point=0.2 * 0.35,
        transpose_grouped=0.2 * 1.5,
    )  # fmt: skip
    assert (found.fuses, found.families, found.held_out) == (True, (), ())
    assert (found.spread.device, found.spread.timed, found.spread.low) == (0.7, 0.3, priors.UNTESTED.low)
    *own, fusion = priors.free("torch-compile-cuda", found)
    assert (fusion.path, fusion.prior, fusion.deviation, fusion.ceiling) == ("fusion", 0.8, 0.3, 1.0)
    assert {each.path: each.prior for each in own}["prologue"] == 99.0
    assert {each.path: each.prior for each in own}["compute.conv"] == priors.GPU.compute["conv"]
    assert [each.path for each in own] == [each.path for each in priors.free(NAME, START)]
    ceilings = {each.path: each.ceiling for each in priors.GPU_FREE}
    assert [ceilings[f"memory.{name}"] for name in ("conv", "cast", "batch_norm")] == [0.97, 1.25, 1.25]
    assert not {"memory.unknown", "ramp", "host", "fusion", "compute"} & ceilings.keys()


def test_timings_narrow_what_is_left() -> None:
    usual = replace(priors.UNTESTED, high=0.3, timed=0.4)
    squares = 12 * (0.09 + 0.16) + 1.2816**2 * (0.01 + 0.04)
    assert device_factors.spread_after([0.1, -0.2], usual) == pytest.approx(math.sqrt(squares / 14 * (1 + 3 / 2)))


def test_factors_of_a_device_begin_at_what_is_expected_of_it() -> None:
    known = replace(START, architectures={"ada": PartFactors(0.5, 0.6, 0.7)})
    found = device_factors.free_factors("x", known, "ada")
    assert [(each.path, each.prior, each.deviation) for each in found] == [
        ("devices.x.compute", 0.5, 0.15), ("devices.x.memory", 0.6, 0.15), ("devices.x.overhead", 0.7, 0.3),
    ]  # fmt: skip
    of_cpu = device_factors.free_factors("x", priors.START[priors.EARLY_COMPILED])
    assert [(each.prior, each.deviation) for each in of_cpu] == [(1, 0.3), (1, 0.7), (1, 0.5)]
    assert [each.deviation for each in device_factors.free_factors("x", START, kind="cpu")] == [0.3, 0.7, 0.5]


def test_factors_are_beyond_what_is_expected_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factors that a fit found (0.9, 1.5, 2) where (0.5, 0.6, 0.8) were expected; the errors that they leave."""
    known = replace(START, architectures={"ampere-ga10x": PartFactors(0.5, 0.6, 0.8)})
    fitted = replace(known, devices={"rtx3090": PartFactors(0.9, 1.5, 2.0)})
    monkeypatch.setattr(device_factors, "fitted", lambda *_: fitted)
    cases = [case(index, error=0.1 * index) for index in (0, 1)]
    found = device_factors.factors(cases, CARD, known)
    assert (found.compute, found.memory, found.overhead) == (1.8, 2.5, 2.5)
    times = predicted(problem(cases, CARD), fitted)
    errors = [math.log(time / each.time_s) for time, each in zip(times, cases, strict=True)]
    assert found.spread == pytest.approx(device_factors.spread_after(errors, START.spread), rel=1e-3)


def test_a_device_tells_of_its_relatives_more_than_of_others() -> None:
    own = {"rtx3090": PartFactors(1.2, 0.9, 1.0), "rtx4090": PartFactors(0.8, 1.1, 2.0)}
    cases = [problem([case(0, device)], device) for device in (CARD, OTHER)]
    found = fit._with_expected(replace(START, devices=own), cases)
    assert found.others.compute == pytest.approx(math.sqrt(1.2 * 0.8))
    assert found.others.overhead == pytest.approx(math.sqrt(2))
    ada = found.architectures[cases[1].hardware.architecture]
    assert ada.memory == pytest.approx(math.exp(0.3 * math.log(math.sqrt(0.99)) + 0.7 * math.log(1.1)))
    assert fit._with_expected(START, cases) == START


ERRORS = {CARD.label: (0.10, 0.20, -0.30, 0.05, 0.0), OTHER.label: (0.28, -0.10, 0.02, 0.2, 0.3)}


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """Cases whose errors are known, and fits that change nothing."""
    monkeypatch.setattr(fit, "fitted", lambda runtime, *_, **__: runtime)
    monkeypatch.setattr(fit, "MIN_CASES", 10)
    return [case(index, device, ERRORS[device.label][index]) for device in (CARD, OTHER) for index in range(5)]


def ends(errors: Any) -> tuple[float, float]:
    """The ends by their definition: a tenth of the errors beyond each, every group as 501 quantiles."""
    alike = np.concatenate([np.interp(np.linspace(0, 1, 501) * (len(e) - 1), range(len(e)), sorted(e)) for e in errors])
    low, high = np.quantile(alike, [0.1, 0.9])
    return min(low, -0.01), max(high, 0.01)


def widened(errors: Any) -> float:
    """By how much twenty draws of all of these errors widen their interval, in squares."""
    drawn, once = ends([each * 20 for each in errors]), ends(errors)
    return float(max(0.0, *(a**2 - b**2 for a, b in zip(drawn, once, strict=True))) ** 0.5)


def test_ledgers_and_intervals_of_errors_that_are_known(cases: list[Case]) -> None:
    told: list[str] = []
    file = fit.calibrated({NAME: cases}, told.append)
    assert told[0] == "torch-eager-cuda: 10 cases on rtx3090, rtx4090"
    assert told[1:5] == [f"fitting without families of group {number} of 4" for number in (1, 2, 3, 4)]
    assert told[5:] == ["fitting without rtx3090", "fitting without rtx4090"]
    runtime = file.runtimes[NAME]
    low, high = ends(ERRORS.values())
    assert (runtime.spread.low, runtime.spread.high) == pytest.approx((-low, high))
    assumed = START.spread.device * math.sqrt(fit.ASSUMED_DEVICES / (fit.ASSUMED_DEVICES + 2))
    assert runtime.spread.device == pytest.approx(assumed)  # the same errors
    assert runtime.spread.timed == pytest.approx(widened(list(ERRORS.values())))
    assert runtime.spread.devices == {
        label: pytest.approx((-ends([errors])[0], ends([errors])[1])) for label, errors in ERRORS.items()
    }
    assert (runtime.spread.vendors, runtime.spread.dtypes) == (("NVIDIA",), ("fp16",))
    assert len(runtime.spread.architectures) == 2
    assert runtime.families == tuple(sorted(model.name for model in MODELS))
    assert runtime.how.endswith("on 10 cases of 5 families on rtx3090, rtx4090")
    assert file.how == "hwbench calibrate: 10 cases of torch-eager-cuda"
    rows = {(row.without, row.of): row for row in runtime.held_out}
    assert len(rows) == len(runtime.held_out) == 6
    for label, errors in ERRORS.items():
        other = next(each for name, each in ERRORS.items() if name != label)
        folds = [fold(model.name, 4) for model in MODELS]
        inside = []
        for own, error in zip(folds, errors, strict=True):
            edges = ends([[e for e, f in zip(errors, folds, strict=True) if f != own]])
            inside.append(edges[0] <= error <= edges[1])
        row = rows["families", f"{label} fp16"]
        assert (row.n, row.worst) == (5, None)
        assert row.mape == pytest.approx(np.mean([abs(math.exp(-error) - 1) for error in errors]))
        assert row.bias == pytest.approx(np.mean([math.exp(-error) - 1 for error in errors]))
        assert row.inside == pytest.approx(np.mean(inside))
        edges = ends([other])
        away = START.spread.device * math.sqrt(fit.ASSUMED_DEVICES / (fit.ASSUMED_DEVICES + 1))
        wide = -math.hypot(edges[0], away), math.hypot(edges[1], away)
        row = rows["device", f"{label} fp16"]
        assert (row.n, row.mape) == (5, pytest.approx(rows["families", f"{label} fp16"].mape))
        assert row.inside == pytest.approx(np.mean([wide[0] <= error <= wide[1] for error in errors]))
        few = rows["device, 12 timings", f"{label} fp16"]
        width = device_factors.spread_after(errors, replace(START.spread, high=edges[1], timed=widened([other])))
        assert (few.n, few.mape, few.worst) == (5, pytest.approx(row.mape), pytest.approx(row.mape))
        assert few.inside == pytest.approx(np.mean([abs(error) <= width for error in errors]))


def test_ends_are_those_of_errors_over_how_much_wider_few_launches_make_them(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = replace(START, spread=replace(START.spread, few=40.0))
    monkeypatch.setitem(priors.START, NAME, started)
    runtime = fit.calibrated({NAME: cases}).runtimes[NAME]
    scaled = [
        [error / math.sqrt(1 + 40 / model.launches) for model, error in zip(MODELS, errors, strict=True)]
        for errors in ERRORS.values()
    ]
    low, high = ends(scaled)
    assert (runtime.spread.low, runtime.spread.high) == pytest.approx((-low, high))
    card = hardware_of(CARD, ["fp16"])
    assert card is not None
    found = [
        log_interval(scalar, runtime.spread, "NVIDIA", replace(card, spread=left), "fp16", (0.0, 0.0), launches=10)
        for left in (None, 0.3)
    ]
    own = runtime.spread.devices[CARD.label]
    assert found[0] == pytest.approx((-own[0] * math.sqrt(5), own[1] * math.sqrt(5)))
    assert found[1] == pytest.approx((-math.hypot(0.3, 2 * own[0]), math.hypot(0.3, 2 * own[1])))


def test_one_device_has_no_other_and_kinds_of_layers_a_row_of_their_own(cases: list[Case]) -> None:
    own = [
        replace(each, family=f"layers:{index}" if index > 2 else each.family) for index, each in enumerate(cases[:5])
    ]
    runtime = fit.calibrated({NAME: own * 2}).runtimes[NAME]
    assert [(row.without, row.n) for row in runtime.held_out] == [
        ("families", 6), ("sizes of layers", 4), ("kinds of layers", 4),
    ]  # fmt: skip
    assert (runtime.spread.device, runtime.spread.timed) == (START.spread.device, START.spread.timed)
    with pytest.raises(InputError):
        fit.calibrated({NAME: own})


def test_a_device_held_out_is_forecast_by_what_others_tell(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits that find a factor of 2 for every part of one device, and of 1 for the other."""
    factors = {CARD.label: PartFactors(), OTHER.label: PartFactors(2.0, 2.0, 2.0)}

    def found(runtime: Any, free: Any, problems: Any, **_: Any) -> Any:
        own = {each.device: factors[each.device] for each in free if each.device}
        assert not own or own.keys() == {each.hardware.label for each in problems}
        assert {each.deviation for each in free if each.device} <= ({0.1} if len(free) > 3 else {0.15, 0.3})
        return replace(runtime, devices={**runtime.devices, **own})

    monkeypatch.setattr(fit, "fitted", found)
    runtime = fit.calibrated({NAME: cases}).runtimes[NAME]
    assert runtime.devices == factors
    rows = {(row.without, row.of.split()[0]): row for row in runtime.held_out}
    shift = {"families": (0, math.log(2)), "device": (math.log(2), 0), "device, 12 timings": (0, math.log(2))}
    for (way, label), row in rows.items():
        errors = [error - shift[way][label == OTHER.label] for error in ERRORS[label]]
        assert row.mape == pytest.approx(np.mean([abs(math.exp(-error) - 1) for error in errors])), (way, label)
    near, far = ([[e - s for e in ERRORS[label]] for label, s in zip(ERRORS, shift[way], strict=True)]
                 for way in ("families", "device"))  # fmt: skip
    (low, high), (down, up) = ends(near), ends(far)
    assert (runtime.spread.low, runtime.spread.high) == pytest.approx((-low, high))
    seen = max(0.0, down**2 - low**2, up**2 - high**2)
    assert runtime.spread.device == pytest.approx(math.sqrt((0.25 * START.spread.device**2 + 2 * seen) / 2.25))
    alone = fit.calibrated({NAME: cases[:5] * 2}).runtimes[NAME]
    assert (alone.devices, alone.architectures) == ({}, {})
