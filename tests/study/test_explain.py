"""The way from the peak to the model's run: pure arithmetic on made-up rates."""

from math import prod
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.measure.analysis.ladder import Ladder
from hwbench.report.text.explain import explanation
from hwbench.report.text.layout import PLAIN
from hwbench.stats.intervals import Interval
from hwbench.study import explain
from hwbench.workload.ops import Work

rates = st.floats(1e6, 1e15)


def about(value: float, share: float = 0.01) -> Interval:
    return Interval(value, value * (1 - share), value * (1 + share))


FULL = Ladder(
    isa="avx2",
    stated=100e9,
    stated_clock=2e9,
    clock=about(3e9),
    fma=about(149e9),
    blas=about(120e9),
    library="torch",
    numba=about(126e9),
    bandwidth=about(10e9),
    run=about(0.05),
)
WORKS = [Work(flops=2_000_000_000, input_bytes=1000), Work(flops=100_000_000, weight_bytes=200_000_000)]


def read(ladder: Ladder, works: Any = WORKS) -> tuple[tuple[explain.Step, ...], tuple[str, ...]]:
    rungs, missing = explain.rungs(ladder, works)
    return explain.steps(rungs), missing


def test_every_rung_has_its_rate_and_loss() -> None:
    steps, missing = read(FULL)
    assert missing == ()
    roofline = 2.1e9 / (2e9 / 126e9 + 0.02)
    assert {step.name: step.flops_per_second for step in steps} == pytest.approx(
        {"spec": 100e9, "clock": 150e9, "fma": 149e9, "blas": 120e9, "numba": 126e9, "roofline": roofline, "run": 42e9}
    )
    assert [step.lost for step in steps] == [None, "clock", "ports", "memory", "code", "memory", "overhead"]
    assert [step.ratio for step in steps][1:3] == pytest.approx([1.5, 149 / 150])
    assert steps[-1].share == pytest.approx(0.42)


def test_what_others_took_is_a_step_of_its_own() -> None:
    """Threads that had 40 % of their time reach 99 % of the ports while they run."""
    steps, _ = read(msgspec.structs.replace(FULL, running=about(148.5e9), fma=about(59.4e9)))
    assert [(step.name, step.lost) for step in steps[2:4]] == [("fma", "ports"), ("load", "load")]
    assert [step.ratio for step in steps[2:4]] == pytest.approx([0.99, 0.4])
    assert "60 %, to load" in explain.summary(steps)
    alone, _ = read(msgspec.structs.replace(FULL, running=about(150e9)))
    assert [step.name for step in alone] == [step.name for step in read(FULL)[0]]


@pytest.mark.parametrize(("share", "doubts"), [(0.0, 6), (0.2, 0), (0.001, 0)])
def test_a_loss_of_one_sample_is_told_as_such(share: float, doubts: int) -> None:
    ladder = msgspec.structs.replace(
        FULL,
        **{
            name: about(getattr(FULL, name).value, share)
            for name in ("clock", "fma", "blas", "numba", "bandwidth", "run")
        },
    )
    steps, _ = read(ladder)
    answer: Any = SimpleNamespace(
        model=None, device="CPU", dtype="fp32", threads=1, steps=steps, summary=explain.summary(steps), missing=()
    )
    assert sum("(of one sample)" in line for line in explanation(answer)) == doubts


def test_a_bound_is_worded_apart_from_a_run() -> None:
    steps, missing = read(msgspec.structs.replace(FULL, run=None))
    assert missing == ("the model",)
    assert explain.summary(steps).startswith("The model's roofline is ")
    assert explain.summary(read(FULL)[0]).startswith("The model reaches 28 % of the peak at ")


def test_the_size_of_the_products_is_named() -> None:
    how = {step.name: step.how for step in read(msgspec.structs.replace(FULL, size="64x32x16"))[0]}
    assert how["blas"] == "the library's matrix product, 64 × 32 × 16"


def test_reasons_follow_the_direction() -> None:
    steps = {step.name: step for step in read(FULL)[0]}
    assert steps["clock"].reason == "the clock under this load is above the stated one"
    assert steps["numba"].reason == "our matrix product is faster than the library's"
    assert (steps["blas"].reason or "").startswith("a matrix product also loads")
    assert steps["spec"].reason is None


def test_intervals_of_ratios_hold_both_sides() -> None:
    steps = read(FULL)[0]
    low, high = steps[3].ratio_interval or (0, 0)
    assert low == pytest.approx(0.8054 * (1 - 0.01414), rel=1e-3)
    assert high == pytest.approx(0.8054 * (1 + 0.01414), rel=1e-3)
    low, high = steps[1].ratio_interval or (0, 0)
    assert (low, high) == pytest.approx((1.485, 1.515), rel=1e-3)  # the stated peak has no width


@given(st.lists(rates, min_size=2, max_size=7))
def test_the_ratios_multiply_to_the_last_share(values: list[float]) -> None:
    names = ("spec", "clock", "fma", "blas", "numba", "roofline", "run")
    rungs = [explain.Rung(name, name, about(value), "") for name, value in zip(names, values, strict=False)]
    steps = explain.steps(rungs)
    assert prod(step.ratio or 1.0 for step in steps) == pytest.approx(steps[-1].share, rel=1e-9)
    for step in steps[1:]:
        assert step.ratio_interval is not None
        assert step.ratio_interval[0] <= (step.ratio or 0) <= step.ratio_interval[1]


@given(rates, rates, st.integers(0, 10**12), st.integers(1, 10**12), st.integers(0, 10**12))
def test_no_model_passes_the_rate_or_the_memory(rate: float, memory: float, a: int, b: int, traffic: int) -> None:
    works = [Work(flops=a), Work(flops=b, input_bytes=traffic)]
    found = explain.attainable(works, about(rate), about(memory))
    assert found.value <= rate * (1 + 1e-9)
    assert found.value * traffic <= memory * (a + b) * (1 + 1e-9)
    assert found.low <= found.value <= found.high


def test_a_model_without_multiply_adds_has_no_roofline() -> None:
    with pytest.raises(ValueError, match="no multiply-adds"):
        explain.attainable([Work(input_bytes=5)], about(1e9), about(1e9))
    assert [step.name for step in read(FULL, [Work(input_bytes=5)])[0]] == ["spec", "clock", "fma", "blas", "numba"]


def test_what_was_not_measured_is_named_and_passed_over() -> None:
    bare = Ladder(None, None, None, None, about(50e9), None, None, about(40e9), None)
    steps, missing = read(bare)
    assert [step.name for step in steps] == ["fma", "numba"]
    assert steps[1].ratio == pytest.approx(0.8)
    assert missing == (
        "vector peak at the stated clock", "the peak at the real clock", "library matmul", "the model's roofline",
        "the model",
    )  # fmt: skip


def test_the_summary_names_the_largest_loss() -> None:
    text = explain.summary(read(FULL)[0])
    assert text.startswith("The model reaches 28 % of the peak at 3 GHz. The largest loss is 54 %, to memory: ")
    assert explain.summary(()).startswith("Too little was measured")
    steady = explain.summary(read(FULL, ())[0][:2])
    assert steady == "The peak at 3 GHz is 150 % of avx2 peak at 2 GHz."


def test_text_fits_and_names_what_is_missing() -> None:
    steps, _ = read(FULL)
    found = explain.Explanation("A CPU", "AlexNet", "fp32", 2, 1, "id", steps, ("numpy",), explain.summary(steps))
    lines = explanation(found, PLAIN)
    assert lines[0] == "Where performance is lost: AlexNet (batch 1) on A CPU · fp32 · 2 threads"
    assert max(map(len, lines)) <= 100
    assert lines[-1] == "Not measured: numpy."
    assert any("42 GFLOP/s" in line and "overhead" in line for line in lines)


def test_one_sample_has_no_interval() -> None:
    rung = [explain.Rung(name, name, explain.exact(1e9), "") for name in ("spec", "clock")]
    found = explain.Explanation("A CPU", None, "fp32", 1, None, "id", explain.steps(rung), (), "")
    assert any("one sample" in line for line in explanation(found, PLAIN))
