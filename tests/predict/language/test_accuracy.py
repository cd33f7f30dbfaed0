"""The time model on the tables of llama-bench: errors and intervals as measured, and no time below the roofline."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from hwbench.predict.language import parameters

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def language() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        module = import_module("language")
        if not module.DATA.is_dir():
            pytest.skip(f"no measurements in {module.DATA}")
        yield module


LIMITS = [("cuda", "generation", 6), ("cuda", "prompt", 10), ("cuda", "batched", 8), ("metal", "generation", 10)]


@pytest.mark.parametrize(("family", "kind", "limit"), LIMITS)
def test_shipped_parameters_fit(language: ModuleType, family: str, kind: str, limit: float) -> None:
    shipped = parameters.shipped().families[family]
    rows = [case for case in language.cases(family) if case.kind == kind and case.fits]
    errors = [100 * abs(language.expected(case, shipped) / case.time - 1) for case in rows]
    assert sum(errors) / len(errors) <= limit


@pytest.mark.parametrize("family", ["cuda", "metal", "cpu"])
def test_no_measured_time_is_below_the_roofline(language: ModuleType, family: str) -> None:
    assert all(language.bound(case) <= case.time for case in language.cases(family))


@pytest.mark.slow
def test_held_out_cards(language: ModuleType) -> None:
    every = language.cases("cuda")
    held_out = language.held_out("cuda", every)
    generation = [error for case, error in held_out if case.kind == "generation"]
    prompt = [error for case, error in held_out if case.kind == "prompt" and case.fits]
    assert language.mape(generation) <= 8
    assert language.mape(prompt) <= 18


@pytest.mark.slow
def test_batches_of_another_model(language: ModuleType) -> None:
    every = language.held_out("cuda", language.cases("cuda"), "model")
    for model in ("gemma3-4b", "qwen2.5-7b"):
        errors = [error for case, error in every if (case.kind, case.model) == ("batched", model)]
        assert language.mape(errors) <= 8


@pytest.mark.slow
def test_held_out_macs(language: ModuleType) -> None:
    errors = language.held_out("metal", language.cases("metal"))
    for kind, limit in (("generation", 8), ("prompt", 14)):
        assert language.mape([error for case, error in errors if case.kind == kind]) <= limit


@pytest.mark.slow
@pytest.mark.parametrize("group", ["weights", "model"])
@pytest.mark.parametrize(("guest", "limit"), [("AMD EPYC", 12), ("Intel(R) Xeon(R) Processor", 18)])
def test_formats_and_shapes_of_a_cpu_that_were_left_out(
    language: ModuleType, guest: str, limit: float, group: str
) -> None:
    own = [case for case in language.cases("cpu") if case.device == guest]
    errors = language.held_out("cpu", own, group)
    for kind in ("generation", "prompt"):
        assert language.mape([error for case, error in errors if case.kind == kind]) <= limit


@pytest.mark.slow
def test_held_out_cpus(language: ModuleType) -> None:
    errors = language.held_out("cpu", language.cases("cpu"))
    for kind, limit in (("generation", 34), ("prompt", 30)):
        assert language.mape([error for case, error in errors if case.kind == kind]) <= limit
