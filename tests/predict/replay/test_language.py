"""Measured tokens a second next to forecasts: bounds, errors, factors of a device and what they leave."""

import math

import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.language_calibration import LanguageCalibration
from hwbench.predict.data.llama_bench import LanguageTable, MeasuredTokens
from hwbench.predict.language.parameters import shipped
from hwbench.predict.replay import language
from hwbench.workload.language import language_model

GENERATION = MeasuredTokens("rtx3090", "llama3-8b", "q4_k_m", "generation", 128, 111.74, "a:1")
PROMPT = MeasuredTokens("rtx3090", "llama3-8b", "q4_k_m", "prompt", 512, 3865.39, "a:2")


def found(name: str) -> tuple[Device, LanguageCalibration | None]:
    return catalog.device(name), None


def replayed(*rows: MeasuredTokens) -> language.LanguageValidation:
    return language.replay(LanguageTable(rows, ()), found)


def test_rates_above_the_bound_are_set_apart() -> None:
    fast = replace(GENERATION, tokens_per_s=400.0)  # 1.8 TB/s of weights on a card of 936 GB/s
    answer = replayed(GENERATION, fast)
    assert [row.measured_per_s for row in answer.rows] == [111.74]
    assert [row.measured_per_s for row in answer.impossible] == [400.0]
    assert answer.impossible[0].bound_per_s < 400
    assert answer.all.n == 1


def test_errors_are_of_the_time() -> None:
    (row,) = replayed(GENERATION).rows
    assert row.error == pytest.approx(row.measured_per_s / row.expected_per_s - 1)
    low, high = row.interval_per_s
    assert low < row.expected_per_s < high <= row.bound_per_s * (1 + 1e-9)


def test_what_the_row_does_not_state_well_is_left_out() -> None:
    half = replace(GENERATION, layers_on_device=16)
    larger = replace(GENERATION, size=2.0 * language_model("llama3-8b", "q4_k_m").size)
    unknown = replace(GENERATION, device="no such card")
    answer = replayed(GENERATION, half, larger, unknown)
    assert len(answer.rows) == 1
    assert len(answer.skipped) == 3
    with pytest.raises(InputError) as caught:
        language.predicted(half, catalog.device("rtx3090"), language_model("llama3-8b", "q4_k_m"))
    assert caught.value.code == "partly-offloaded"


def test_several_cards_share_a_prompt_in_steps_of_four_passes() -> None:
    one, four = replayed(replace(PROMPT, tokens=8192), replace(PROMPT, tokens=8192, devices=4)).rows
    ratio = four.expected_per_s / one.expected_per_s
    overlap = shipped().families["cuda"].overlap  # of what 4 passes in 7 stages of a quarter each save
    assert ratio == pytest.approx(1 / (1 - overlap * (1 - 7 / 16)), rel=0.05)
    short, split = replayed(PROMPT, replace(PROMPT, devices=4)).rows
    assert split.expected_per_s == pytest.approx(short.expected_per_s, rel=0.05)


def test_threads_are_the_cores_of_a_cpu() -> None:
    row = replace(PROMPT, device="ryzen9-7950x", threads=2, tokens_per_s=10.0)
    two, four = replayed(row, replace(row, threads=4)).rows
    assert four.expected_per_s == pytest.approx(2 * two.expected_per_s, rel=0.01)


def test_factors_remove_the_error_of_what_they_were_fitted_to() -> None:
    slow = tuple(
        replace(row, tokens_per_s=rate)
        for row, rate in ((GENERATION, 90.0), (replace(GENERATION, tokens=512), 85.0), (PROMPT, 2000.0))
    )
    before = replayed(*slow).rows
    factors = language.factors(before)
    assert factors["generation k"].timings == 2
    assert factors["prompt"].factor == pytest.approx(1 / (1 + before[2].error), rel=1e-3)
    known = LanguageCalibration("rtx3090", "2026-11-30", "a test", factors)
    after = language.replay(LanguageTable(slow, ()), lambda name: (catalog.device(name), known)).rows
    assert abs(after[2].error) < 1e-3
    assert sum(math.log1p(row.error) for row in after[:2]) == pytest.approx(0, abs=1e-3)
    left = max(abs(math.log1p(row.error)) for row in after[:2])
    assert factors["generation k"].spread == pytest.approx(left, rel=0.01)


def test_another_coding_gets_the_factor_but_not_the_interval() -> None:
    slow = replace(GENERATION, tokens_per_s=80.0)
    (before,) = replayed(slow).rows
    known = LanguageCalibration("rtx3090", "2026-11-30", "a test", language.factors([before]))
    half = replace(GENERATION, weights="f16", tokens_per_s=40.0)
    (plain,) = replayed(half).rows
    (after,) = language.replay(LanguageTable((half,), ()), lambda name: (catalog.device(name), known)).rows
    factor = known.factors["generation"].factor
    assert after.expected_per_s == pytest.approx(plain.expected_per_s / factor)
    assert after.interval_per_s[0] / after.expected_per_s == pytest.approx(
        plain.interval_per_s[0] / plain.expected_per_s
    )
