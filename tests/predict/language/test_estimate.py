"""Estimates of language models: the arithmetic of memory and bounds, laws of the forecast, and what does not fit."""

import math
import re
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.api.language.estimates import estimate_language
from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.predict.language import memory, parameters
from hwbench.predict.language.estimate import check_command, class_of
from hwbench.predict.language.estimate import estimate_language as estimate_device
from hwbench.predict.language.hardware import accelerator_of
from hwbench.predict.language.model import Parts, generation_time, prompt_time
from hwbench.predict.language.phases import Scenario, Stage, phases
from hwbench.workload.language import language_model
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.parts import split_layers
from hwbench.workload.language.tensors import Layer
from hwbench.workload.language.work import decode_step, prompt_steps

HALF = block_format("f16")
MODELS = [
    "llama3-8b",
    "qwen2.5-0.5b",
    "gemma3-4b",
    "mixtral-8x7b",
    "deepseek-v2-lite",
    "gpt-oss-20b",
    "qwen3-next-80b-a3b",
]
DEVICES = ["rtx3090", "h100-sxm", "apple-m1-max-gpu", "rx7900xtx", "ryzen9-7950x", "i9-10940x", "gb10"]


def test_a_step_of_a_dense_model() -> None:
    model = language_model("llama3-8b", "f16")
    step = decode_step(model, 1, 100, HALF)
    head = 128256 * 4096
    matrices = 8030261248 - head - (2 * 32 + 1) * 4096  # without the embedding's table and the norms
    assert step.weight_macs == matrices
    assert step.decoded == {"plain": matrices}
    assert step.weight_bytes == 2 * matrices + 4 * 65 * 4096 + 2 * 4096
    assert step.cache_bytes == 2 * 32 * 2 * 8 * 128 * (100 + 1)
    assert step.attention_macs == 32 * 2 * 32 * 128 * 100
    assert step.scores == 32 * 32 * 100


def test_a_batch_reads_weights_once_and_each_cache() -> None:
    model = language_model("llama3-8b", "q4_k_m")
    single, batch = decode_step(model, 1, 1000, HALF), decode_step(model, 8, 1000, HALF)
    assert batch.weight_macs == 8 * single.weight_macs
    assert batch.cache_bytes == 8 * single.cache_bytes
    assert batch.weight_bytes - single.weight_bytes == 7 * 4096 * 4.5 / 8  # rows of the embedding


def test_a_prompt_is_read_in_microbatches_and_only_its_last_token_gets_a_head() -> None:
    model = language_model("llama3-8b", "f16")
    steps = prompt_steps(model, 1024, 1, 0, 512, HALF)
    head = 128256 * 4096
    layers = decode_step(model, 1, 0, HALF).weight_macs - head
    assert steps.passes == 2
    assert steps.weight_macs == 1024 * layers + head
    assert steps.attention_macs == 32 * 2 * 32 * 128 * (1024 * 1025 / 2)


@pytest.mark.parametrize("window", [None, 1, 256, 257, 1000, 4352, 4353])
def test_windows_fill_while_a_prompt_is_read(window: int | None) -> None:
    contexts = [256.5 + 512 * step for step in range(9)]
    attended = sum(min(context, window or 1e9) for context in contexts) / 9
    assert Layer(window=window).mean_tokens(256.5, 512, 9) == pytest.approx(attended, rel=1e-12)


def test_a_batch_of_long_prompts_takes_its_whole_steps_and_a_part_of_the_last() -> None:
    model = language_model("llama3-8b", "f16")
    steps = prompt_steps(model, 512 * 99 + 128, 2, 1000, 512, HALF)  # the last tokens of both are read together
    assert steps.passes == 2 * 99 + 1
    assert steps.tokens == 2 * (512 * 99 + 128)
    past = sum(range(1001, 1001 + 512 * 99 + 128))
    assert steps.scores == pytest.approx(2 * 32 * 32 * past, rel=1e-12)


def test_a_batch_reads_the_experts_that_are_expected() -> None:
    model = language_model("mixtral-8x7b", "f16")
    experts = sum(tensor.size for tensor in model.tensors if tensor.experts > 1)
    single, pair = decode_step(model, 1, 0, HALF), decode_step(model, 2, 0, HALF)
    more = experts * ((1 - 0.75**2) - 0.25)
    assert pair.weight_bytes - single.weight_bytes == pytest.approx(more, rel=1e-3)


@pytest.mark.sample(16)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MODELS)
def test_the_forecast_is_never_below_the_bounds(name: str, device: str) -> None:
    for weights, batch, devices in (("f16", 1, 1), ("q4_k_m", 1, 2), ("q4_k_m", 32, 1), ("iq2_xxs", 1, 1)):
        answer = estimate_language(name, device, weights=weights, batch=batch, prompt=300, generate=20, devices=devices)
        for phase in answer.phases:
            assert 0 < phase.ideal_time_s <= phase.roofline_time_s <= phase.interval_s[0] * (1 + 1e-12)
            assert phase.interval_s[0] <= phase.expected_time_s <= phase.interval_s[1]
            assert phase.parts.total == pytest.approx(phase.expected_time_s)


@pytest.mark.parametrize("device", ["rtx3090", "apple-m1-max-gpu", "ryzen9-7950x"])
def test_more_work_takes_longer(device: str) -> None:
    def times(**changes: int) -> list[float]:
        return [
            phase.expected_time_s
            for phase in estimate_language("llama3-8b", device, weights="q4_k_m", **changes).phases
        ]

    short, long = times(prompt=512, generate=64), times(prompt=4096, generate=64)
    assert short[0] < long[0] / 7
    assert short[1] < long[1] < 2 * short[1]
    single, batch = times(batch=1), times(batch=16)
    assert single[1] < batch[1] < 16 * single[1]


def test_the_parts_of_a_generated_token() -> None:
    """As the formula in the module's docstring, worked out from the parameters."""
    known = parameters.shipped().families["cuda"]
    device = accelerator_of(catalog.device("rtx3090"))
    step = decode_step(language_model("llama3-8b", "q4_k_m"), 1, 576, HALF)
    reading = step.weight_bytes / (known.stream * 936e9)
    decoding = step.decoded["k"] / known.decode["quantized"] / (82 * 1.695e9)
    joined = (reading**known.power + decoding**known.power) ** (1 / known.power)
    cache, launches = step.cache_bytes / (known.cache * 936e9), 32 * known.layer
    parts = generation_time(step, device, known)
    assert parts.total == pytest.approx(joined + cache + launches)
    assert (parts.arithmetic, parts.launches) == (0.0, pytest.approx(launches))
    assert generation_time(step, device, known, 3).total == pytest.approx(parts.total + 2 * known.hop)


def test_several_devices_read_a_prompt_one_behind_the_other() -> None:
    known = replace(parameters.shipped().families["cuda"], overlap=1.0)
    device = accelerator_of(catalog.device("rtx3090"))
    steps = prompt_steps(language_model("llama3-8b", "q4_k_m"), 2048, 1, 0, 512, HALF)
    single, four = (prompt_time(steps, device, known, count) for count in (1, 4))
    assert four.arithmetic == pytest.approx(single.arithmetic * (4 + 3) / (4 * 4))
    assert prompt_time(steps, device, known, 1, fused_attention=True).cache == 0.0


def test_largest_part() -> None:
    assert Parts(1.0, 2.0, 0.0, 0.5, 0.1).largest == "decoding"


def test_memory_of_a_model() -> None:
    model = language_model("llama3-8b", "q4_k_m")
    need = memory.budget(model, 24 * 2**30, 8192, 1, HALF)
    assert need.cache == 8192 * 32 * 2 * 8 * 128 * 2  # 1 GiB
    assert need.buffers == 4 * 512 * (32 * 8192 + 4096)
    assert need.needed == model.size + need.cache + need.buffers
    assert need.fits
    assert need.longest_context == 8192  # the model's own
    largest = need.largest_batch or 0
    room = 24 * 2**30 - model.size - need.buffers
    assert largest == room // need.cache


def test_windows_bound_the_cache() -> None:
    gemma = language_model("gemma3-4b", "q4_0")
    small, large = (memory.cache_bytes(gemma, context, 1, HALF, 512) for context in (32768, 65536))
    full = sum(1 for layer in gemma.layers if layer.window is None)
    assert large - small == full * 32768 * gemma.layers[0].cached * 2


def test_what_does_not_fit_says_what_would() -> None:
    answer = estimate_language("llama3-70b", "rtx3090", weights="q4_k_m")
    assert answer.fits is False
    would = {remedy.kind: remedy.value for remedy in answer.remedies}
    assert would["format"] == "iq2_xxs"
    assert would["devices"] == 2
    assert str(answer).startswith("DOES NOT FIT")
    assert estimate_language("llama3-70b", "rtx3090", weights="iq2_xxs").fits
    assert estimate_language("llama3-70b", "rtx3090", weights="q4_k_m", devices=2).fits
    longer = estimate_language("llama3.1-8b", "rtx3090", weights="q4_k_m", context=100_000, batch=4)
    assert longer.fits is False
    context = {remedy.kind: remedy.value for remedy in longer.remedies}["context"]
    assert isinstance(context, int)
    assert estimate_language("llama3.1-8b", "rtx3090", weights="q4_k_m", context=context, batch=4).fits


def test_the_body_of_the_json() -> None:
    body = estimate_language("llama3-8b", "rtx3090", weights="q4_k_m", prompt=512, generate=128, batch=2).to_dict()
    assert body["schema"] == "hwbench.estimate/2"
    language = body["language"]
    assert language["tokens_per_s_all"] == pytest.approx(2 * language["tokens_per_s"])
    assert body["expected_time_s"] == pytest.approx(language["ttft_s"] + 128 / language["tokens_per_s"])
    assert body["ideal_time_s"] <= body["roofline_time_s"] <= body["interval_s"][0] <= body["expected_time_s"]
    assert body["flops"] == sum(layer["flops"] for layer in body["layers"])
    assert sum(body["shares"].values()) == pytest.approx(1.0)
    assert body["bound"] == max(body["shares"], key=body["shares"].get)
    assert language["memory"]["fits"] is True
    assert "llama-batched-bench" in language["check_command"]


def test_numbers_of_the_json_follow_from_one_another() -> None:
    answer = estimate_language("llama3-8b", "rtx3090", weights="q4_k_m", prompt=512, generate=128, batch=2, devices=3)
    prompt, generation = answer.phases
    body, language = answer.body(), answer.body()["language"]
    total, ideal = prompt.expected_time_s + generation.expected_time_s, prompt.ideal_time_s + generation.ideal_time_s
    roofline = prompt.roofline_time_s + generation.roofline_time_s
    rate = 128 / generation.expected_time_s
    assert body["throughput_per_s"] == pytest.approx(2 / total)
    assert body["utilization"] == pytest.approx(ideal / total)
    bounds = {"throughput_per_s": 2 / roofline, "utilization": ideal / roofline}
    assert body["roofline"] == pytest.approx({**bounds, "bound": "memory"})
    assert body["traffic_bytes"] == prompt.traffic_bytes + generation.traffic_bytes
    assert body["ridge_point"] == pytest.approx(answer.peak_flops_per_second / 936e9)
    spent = [prompt.parts, generation.parts]
    assert body["shares"]["overhead"] == pytest.approx(sum(parts.launches for parts in spent) / total)
    assert body["shares"]["memory"] == pytest.approx(sum(parts.weights + parts.cache for parts in spent) / total)
    assert language["tokens_per_s_interval"] == pytest.approx([128 / end for end in generation.interval_s[::-1]])
    assert language["ttft_interval_s"] == [*prompt.interval_s]
    assert language["total_interval_s"] == pytest.approx(
        [a + b for a, b in zip(prompt.interval_s, generation.interval_s, strict=True)]
    )
    assert language["energy_per_token_bound_j"] == pytest.approx(350 * 3 / (2 * rate))
    assert language["memory"]["device_bytes"] == 3 * 24 * 2**30
    row = body["layers"][1]
    assert (row["intensity"], row["utilization"]) == pytest.approx(
        (generation.flops / generation.traffic_bytes, generation.ideal_time_s / generation.expected_time_s)
    )
    assert (row["count"], row["bound"], body["boost"]) == (1, "compute", 1.0)
    assert row["limited_by"] == generation.limited_by == "arithmetic"
    assert [notice.code for notice in answer.notices] == ["devices-split-by-layers"]


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "llama-bench -m F -ngl 99 -p 7 -n 0 && llama-bench -m F -ngl 99 -p 0 -n 5 -d 7"),
        ({"prompt": 0}, "llama-bench -m F -ngl 99 -p 0 -n 5"),
        ({"generate": 0}, "llama-bench -m F -ngl 99 -p 7 -n 0"),
        ({"gpu_layers": 3, "generate": 0}, "llama-bench -m F -ngl 3 -p 7 -n 0"),
        ({"generate": 0, "kv_dtype": "q8_0", "fused_attention": True},
         "llama-bench -m F -ngl 99 -ctk q8_0 -ctv q8_0 -fa 1 -p 7 -n 0"),
        ({"batch": 2}, "llama-batched-bench -m F -ngl 99 -c 24 -npp 7 -ntg 5 -npl 2"),
    ],
)  # fmt: skip
def test_the_command_that_checks_an_estimate(changes: dict[str, Any], command: str) -> None:
    model = language_model("llama3-8b", "q4_k_m")
    scenario = Scenario(**{"prompt": 7, "generate": 5, **changes})
    assert check_command(model, scenario, "gpu") == command.replace("F", "llama3-8b-q4_k_m.gguf")
    assert check_command(model, scenario, "cpu") == re.sub(r" -ngl \d+", "", check_command(model, scenario, "gpu"))


def test_a_phase_that_is_not_asked_for() -> None:
    answer = estimate_language("llama3-8b", "rtx3090", weights="q4_k_m", prompt=0)
    language = answer.body()["language"]
    assert (answer.ttft_s, language["ttft_interval_s"], answer.phase("prompt")) == (None, None, None)
    answer = estimate_language("llama3-8b", "rtx3090", weights="q4_k_m", generate=0)
    language = answer.body()["language"]
    assert (answer.tokens_per_s, answer.tokens_per_s_interval, answer.energy_bound_j) == (None, None, None)
    assert (language["tokens_per_s_all"], language["tokens_per_s_interval"]) == (None, None)


def test_a_class_that_was_fitted_keeps_its_interval() -> None:
    known = parameters.shipped().families["cuda"].generation
    phase = estimate_language("llama3-8b", "rtx3090", weights="q4_k_m").phases[1]
    ends = phase.expected_time_s * math.exp(known.low), phase.expected_time_s * math.exp(known.high)
    assert phase.interval_s == pytest.approx((max(ends[0], phase.roofline_time_s), ends[1]))


def test_remarks_of_an_estimate() -> None:
    def codes(device: Any, **changes: Any) -> list[str]:
        scenario = Scenario(**changes)
        return [notice.code for notice in estimate_device(language_model("llama3-8b", "f16"), device, scenario).notices]

    device = catalog.device("rtx3090")
    assert codes(device, context=8192) == []
    assert codes(device, context=8193) == ["context-beyond-model"]
    bare = replace(device, memory=replace(device.memory, size=None), provenance={"memory.bandwidth": "assumed"})
    assert codes(bare) == ["memory-size-unknown", "bandwidth-assumed"]
    assert codes(replace(device, vendor="Intel"), devices=2) == ["class-unfitted", "devices-split-by-layers"]
    powerless = estimate_device(language_model("llama3-8b", "f16"), replace(device, power=None), Scenario())
    assert powerless.energy_bound_j is None


def test_classes_without_measurements_have_wide_intervals() -> None:
    answer = estimate_language("llama3-8b", "arc-b580", weights="q4_k_m")
    assert "class-unfitted" in [notice.code for notice in answer.notices]
    low, high = answer.phases[1].interval_s
    assert math.log(high / answer.phases[1].expected_time_s) == pytest.approx(math.log(2))
    assert low < answer.phases[1].expected_time_s


def test_architectures_without_measurements_have_intervals_twice_as_wide() -> None:
    def width(name: str) -> float:
        answer = estimate_language("llama3-8b", name, weights="q4_k_m")
        assert ("architecture-unfitted" in {notice.code for notice in answer.notices}) == (name == "h100-sxm")
        return math.log(answer.phases[1].interval_s[1] / answer.phases[1].expected_time_s)

    assert width("h100-sxm") == pytest.approx(2 * width("a100-pcie-80gb"))
    assert width("ryzen9-7950x") == pytest.approx(parameters.shipped().families["cpu"].generation.high)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt": -1}, "prompt"), ({"generate": 10**12}, "generate"), ({"prompt": 0, "generate": 0}, "generate"),
        ({"weights": "q9"}, "weights"), ({"kv_dtype": "q2_k"}, "kv_dtype"), ({"kv_dtype": "x"}, "kv_dtype"),
        ({"context": 10}, "context"), ({"devices": 0}, "devices"), ({"batch": 0}, "batch"),
    ],
)  # fmt: skip
def test_values_out_of_range(changes: dict[str, int | str], field: str) -> None:
    with pytest.raises(InputError) as caught:
        estimate_language("llama3-8b", "rtx3090", **changes)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("weights", ["f16", "q4_k_m"])
def test_a_smaller_cache_format_takes_less(weights: str) -> None:
    sizes = [
        estimate_language("llama3-8b", "rtx3090", weights=weights, kv_dtype=kv).budget.cache for kv in ("f16", "q8_0")
    ]
    assert sizes[1] / sizes[0] == pytest.approx(8.5 / 16)


def test_layers_on_a_cpu() -> None:
    common = {"weights": "q4_k_m", "prompt": 64, "generate": 16}
    whole = estimate_language("llama3-70b", "rtx3090", **common)
    part = estimate_language("llama3-70b", "rtx3090", gpu_layers=40, cpu="ryzen9-7950x", **common)
    alone = estimate_language("llama3-70b", "ryzen9-7950x", **common)
    assert (part.fits, part.host) == (True, "ryzen9-7950x")
    for phase in ("prompt", "generation"):
        times = [each.expected_time_s for answer in (whole, part, alone) if (each := answer.phase(phase))]
        assert times[0] < times[1] < times[2]
    assert "-ngl 40" in part.check_command
    assert part.budget.weights < 0.52 * whole.budget.weights
    assert "layers-on-cpu" in [notice.code for notice in part.notices]


def test_one_cpu_has_the_layers_that_several_gpus_do_not_hold() -> None:
    card, cpu = catalog.device("rtx3090"), catalog.device("ryzen9-7950x")
    model, scenario = language_model("llama3-8b", "q4_k_m"), Scenario(prompt=64, generate=16, devices=2, gpu_layers=20)
    both = estimate_device(model, card, scenario, host=cpu)
    stages = [
        Stage(part, *class_of(model, device, None), count)
        for part, device, count in zip(split_layers(model, 20), (card, cpu), (2, 1), strict=True)
    ]
    apart = [list(phases((stage,), scenario)) for stage in stages]
    for index in (0, 1):
        times = [each[index].expected_time_s for each in apart]
        assert both.phases[index].expected_time_s == pytest.approx(sum(times))
    assert both.energy_bound_j is None  # the CPU's power would count too
    whole = estimate_device(model, card, Scenario(prompt=64, generate=16, devices=2), host=cpu)
    assert (whole.host, whole.budget.weights) == (None, model.size)


def test_the_parts_of_a_model_add_up() -> None:
    for name in ("llama3-8b", "gemma2-2b", "mixtral-8x7b"):
        model = language_model(name, "q4_k_m")
        for count in (0, 3, len(model.layers)):
            parts = split_layers(model, count)
            embedding = 0 if model.head is model.embedding or model.embedding is None else model.embedding.size
            assert sum(part.size for part in parts) == model.size - embedding
            assert [len(part.layers) for part in parts] == [count, len(model.layers) - count]
            steps = [decode_step(part, 1, 100, HALF).weight_macs for part in parts]
            assert sum(steps) == decode_step(model, 1, 100, HALF).weight_macs


@pytest.mark.parametrize("changes", [{"gpu_layers": 3}, {"cpu": "ryzen9-7950x"}, {"gpu_layers": 3, "cpu": "rtx3090"}])
def test_layers_on_a_cpu_need_a_cpu(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        estimate_language("llama3-8b", "rtx3090", **changes)
    assert caught.value.field in ("cpu", "gpu_layers")


def test_mixtures_of_experts_have_wide_intervals() -> None:
    answer = estimate_language("mixtral-8x7b", "h100-sxm", weights="q4_k_m")
    assert "experts-unfitted" in [notice.code for notice in answer.notices]
    assert answer.phases[1].interval_s[1] == pytest.approx(2 * answer.phases[1].expected_time_s)


def test_macos_keeps_a_part_of_the_memory() -> None:
    mac = catalog.device("apple-m3-max-gpu")
    for size, share in (("32GiB", 2 / 3), ("36GiB", 2 / 3), ("64GiB", 3 / 4)):
        answer = estimate_device(language_model("llama3-8b", "q4_k_m"), mac.with_(memory=size), Scenario())
        assert answer.budget.size == pytest.approx(share * int(size[:2]) * 2**30)
        assert "memory-kept-by-system" in {notice.code for notice in answer.notices}
    card = estimate_device(language_model("llama3-8b", "q4_k_m"), catalog.device("rtx3090"), Scenario())
    assert card.budget.size == 24 * 2**30
