"""What would help a language model: each change is the estimate with it over the one without."""

import pytest
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.predict.language.estimate import estimate_language
from hwbench.predict.language.gains import MIN_GAIN
from hwbench.predict.language.phases import Scenario
from hwbench.workload.language import language_model

MODEL, CARD = language_model("llama3.1-8b", "q8_0"), catalog.device("rtx3090")
LONG = Scenario(prompt=30000, generate=100)


def rate(device=CARD, scenario: Scenario = LONG, weights: str = "q8_0") -> float:  # type: ignore[no-untyped-def]
    model = language_model("llama3.1-8b", weights)
    return estimate_language(model, device, scenario).tokens_per_s_all or 0.0


def test_gains_are_ratios_of_estimates() -> None:
    answer = estimate_language(MODEL, CARD, LONG, other=lambda name: language_model("llama3.1-8b", name), improve=True)
    found = {each.change: each for each in answer.improvements}
    assert [each.gain for each in answer.improvements] == sorted((each.gain for each in found.values()), reverse=True)
    assert all(each.gain >= MIN_GAIN for each in found.values())
    wide = replace(CARD, memory=replace(CARD.memory, bandwidth=type(CARD.memory.bandwidth)(2 * CARD.memory.bandwidth)))
    expected = {
        "weights": ("q6_k", rate(weights="q6_k")), "kv_dtype": ("q8_0", rate(scenario=replace(LONG, kv_dtype="q8_0"))),
        "batch": ("8", rate(scenario=replace(LONG, batch=8))), "bandwidth": ("2", rate(wide)),
    }  # fmt: skip
    for change, (value, after) in expected.items():
        assert found[change].value == value
        assert found[change].gain == pytest.approx(after / rate()), change
    assert answer.to_dict()["improvements"][0].keys() == {"change", "value", "gain"}


def test_nothing_is_tried_unasked() -> None:
    assert estimate_language(MODEL, CARD, LONG).improvements == ()
    assert estimate_language(MODEL, CARD, replace(LONG, runtime="vllm"), improve=True).improvements == ()
