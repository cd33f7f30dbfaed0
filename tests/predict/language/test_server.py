"""Servers that batch continuously, and devices that share every layer: steps by hand, and laws of the steady state."""

from typing import Any

import pytest

from hwbench.machine import catalog
from hwbench.predict.language import memory
from hwbench.predict.language.estimate import LanguageEstimate, class_of, server_class
from hwbench.predict.language.estimate import estimate_language as estimate_device
from hwbench.predict.language.model import EXCHANGED, HANDSHAKE, link_time
from hwbench.predict.language.phases import SERVER, Scenario
from hwbench.predict.language.server import BUDGET
from hwbench.workload.language import language_model
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.work import decode_step, mixed_step, prompt_steps

HALF = block_format("f16")
MODEL = language_model("llama3-8b", "bf16")


def served(
    batch: int, prompt: int = 512, generate: int = 128, device: str = "h100-sxm", **more: Any
) -> LanguageEstimate:
    return estimate_device(MODEL, catalog.device(device), Scenario(prompt, generate, batch, runtime=SERVER, **more))


def rates(answer: LanguageEstimate) -> tuple[float, float]:
    phases = [answer.phase(name) for name in ("prompt", "generation")]
    assert phases[0] is not None
    assert phases[1] is not None
    return phases[0].tokens_per_s, phases[1].tokens_per_s


def test_a_mixed_step_reads_weights_once() -> None:
    apart = decode_step(MODEL, 8, 1000, HALF), prompt_steps(MODEL, 100, 1, 0, 512, HALF)
    both = mixed_step(MODEL, 8.0, 1000, 100.0, 100, HALF)
    assert both.passes == 1
    assert both.tokens == 108
    assert both.weight_macs == pytest.approx(sum(step.weight_macs for step in apart))
    assert both.attention_macs == pytest.approx(sum(step.attention_macs for step in apart))
    assert both.cache_bytes == pytest.approx(sum(step.cache_bytes for step in apart))
    assert both.weight_bytes == pytest.approx(apart[0].weight_bytes + 100 * 4096 * 2)
    assert mixed_step(MODEL, 8.0, 1000, 0.0, 100, HALF) == apart[0]


@pytest.mark.parametrize(
    ("batch", "prompt", "generate"), [(1, 512, 128), (64, 512, 128), (512, 4096, 64), (8, 16, 900)]
)
def test_prompts_are_read_as_fast_as_sequences_end(batch: int, prompt: int, generate: int) -> None:
    answer = served(batch, prompt, generate)
    read, generated = rates(answer)
    assert read / generated == pytest.approx(prompt / generate)
    # each request takes the time to its first token and that of its tokens: no more than `batch` are under way
    assert answer.tokens_per_s_all == generated
    assert generated / generate * answer.expected_time_s <= batch * (1 + answer.expected_time_s * 1e-9) + 1


def test_requests_wait_where_a_step_holds_no_more() -> None:
    few, many = served(64), served(4096)
    held = BUDGET * 128 / 640
    assert rates(many)[1] == pytest.approx(held * (many.tokens_per_s or 0.0))
    assert (few.ttft_s or 0.0) < 0.1 < (many.ttft_s or 0.0)
    # Little's law: requests under way are their rate times the time of each
    assert rates(many)[1] / 128 * many.expected_time_s == pytest.approx(4096, rel=0.01)


def test_more_requests_take_longer_each_and_less_in_all() -> None:
    found = [served(batch) for batch in (1, 4, 16, 64, 256)]
    assert [each.tokens_per_s for each in found] == sorted((each.tokens_per_s or 0.0 for each in found), reverse=True)
    assert [rates(each)[1] for each in found] == sorted(rates(each)[1] for each in found)
    for each in found:
        assert each.interval_s[0] >= sum(phase.roofline_time_s for phase in each.phases) * (1 - 1e-9)
        assert "server-unfitted" in {notice.code for notice in each.notices}


def test_a_server_without_prompts_or_generation() -> None:
    only = served(8, 512, 0)
    assert [phase.name for phase in only.phases] == ["prompt"]
    assert only.phases[0].tokens_per_s == pytest.approx(8 * 512 / only.phases[0].expected_time_s)
    assert [phase.name for phase in served(8, 0, 128).phases] == ["generation"]


def test_a_server_multiplies_in_the_format_of_its_weights_where_the_device_can() -> None:
    eight = language_model("llama3-8b", "fp8")
    hopper, ampere = catalog.device("h100-sxm"), catalog.device("rtx3090")
    assert server_class(eight, hopper, None)[0].rate == hopper.peak("fp8").flops_per_second
    assert server_class(MODEL, hopper, None)[0].rate == hopper.peak("bf16").flops_per_second
    assert server_class(eight, ampere, None)[0].rate == ampere.peak("fp16").flops_per_second
    notices = estimate_device(eight, ampere, Scenario(runtime=SERVER)).notices
    assert "weights-decoded" in {notice.code for notice in notices}


def test_sums_over_a_link() -> None:
    step = decode_step(MODEL, 4, 100, HALF)
    ring = 2 * 3 / 4 * EXCHANGED * 4096 / 1e9
    assert link_time(step, 4096, 4, 1e9) == pytest.approx(2 * 32 * (2 * HANDSHAKE + 4 * ring))
    assert link_time(step, 4096, 1, 1e9) == 0


def test_devices_that_share_layers_are_faster_and_have_the_same_memory() -> None:
    model, card = language_model("llama3-70b", "q4_k_m"), catalog.device("rtx3090")
    chain = estimate_device(model, card, Scenario(devices=2))
    shared = estimate_device(model, card, Scenario(devices=2, split="tensor", link=31.5e9))
    assert (shared.tokens_per_s or 0.0) > 1.3 * (chain.tokens_per_s or 0.0)
    assert shared.budget == chain.budget
    assert shared.phases[1].roofline_time_s == pytest.approx(chain.phases[1].roofline_time_s)
    slow = estimate_device(model, card, Scenario(devices=2, split="tensor", link=1e9))
    assert slow.phases[0].parts.link > 10 * shared.phases[0].parts.link
    assert slow.phases[0].limited_by == "link"
    assert slow.phases[0].parts.arithmetic == pytest.approx(shared.phases[0].parts.arithmetic)
    assert "-sm row" in shared.check_command
    one = class_of(model, card, None)[0]
    two = one.times(2)
    assert (two.bandwidth, two.rate, two.cycles) == (2 * one.bandwidth, 2 * one.rate, 2 * one.cycles)
    assert two.bound.flops_per_second == pytest.approx(2 * one.bound.flops_per_second)


def test_layers_are_left_to_a_cpu_by_llama_cpp_alone() -> None:
    need = memory.budget(MODEL, 12e9, 640, 1, HALF)
    kinds = [{each.kind for each in memory.remedies(MODEL, need, 1, None, divisible)} for divisible in (True, False)]
    assert kinds[0] - kinds[1] == {"layers"}
