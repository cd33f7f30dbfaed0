"""Language models on the command line: tables of llama-bench are judged, and calibrate a device."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from hwbench import api
from hwbench.cli.commands import run as run_command

ROWS = [
    {"gpu_info": "NVIDIA GeForce RTX 3090", "backends": "CUDA", "model_filename": "Meta-Llama-3-8B-Q4_K_M.gguf",
     "model_type": "llama 8B Q4_K - Medium", "model_size": 4912898304, "model_n_params": 8030261248, "n_gpu_layers": 99,
     "n_prompt": prompt, "n_gen": generated, "avg_ts": rate}
    for prompt, generated, rate in ((512, 0, 2000.0), (0, 128, 90.0), (0, 128, 900.0))
]  # fmt: skip


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(ROWS))
    return str(path)


def test_impossible_rates_are_listed(cli: Any, table: str) -> None:
    body = cli(f"validate {table} --json").json
    assert body["all"]["n"] == 2
    assert [row["measured_per_s"] for row in body["impossible"]] == [900.0]
    assert "rows" not in body
    assert len(cli(f"validate {table} --json --rows").json["rows"]) == 2
    assert "above the bound" in cli(f"validate {table}").out


def test_a_calibration_is_used_shown_and_removed(cli: Any, table: str) -> None:
    asked = "estimate llama3-8b rtx3090 --weights q4_k_m --prompt 512 --generate 128 --json"
    before = cli(asked).json
    saved = cli(f"calibrate --device rtx3090 {table} --json").json
    assert saved["language"]["factors"]["generation k"]["timings"] == 1
    assert "rates-impossible" in {each["code"] for each in saved["notices"]}
    after = cli(asked).json
    ratio = after["language"]["ttft_s"] / before["language"]["ttft_s"]
    assert ratio == pytest.approx(saved["language"]["factors"]["prompt k"]["factor"])
    assert "language-calibrated" in {each["code"] for each in after["notices"]}
    assert cli("calibrate --show --device rtx3090 --json").json["language"] == saved["language"]
    with_it, without = (cli(f"validate {table} {word} --json").json["all"]["mape"] for word in ("", "--uncalibrated"))
    assert with_it < without
    cli("calibrate --reset --device rtx3090")
    assert cli(asked).json["language"] == before["language"]


def test_tables_of_both_kinds_are_judged_apart(cli: Any, table: str, tmp_path: Path) -> None:
    other = tmp_path / "mine.csv"
    other.write_text("device,model,batch,dtype,time_ms\nrtx3090,alexnet,1,fp32,1\n")
    assert cli(f"validate {table} {other} --json").json["error"]["code"] == "mixed-tables"
    assert cli(f"validate {table} --dtype fp16 --json").json["error"]["code"] == "not-for-language"


@pytest.mark.slow
def test_require_judges_by_the_interval_and_lists_the_lowest_power_first(cli: Any) -> None:
    body = cli("require -m llama3-8b --weights q4_k_m --tokens 30/s --context 8192 --json").json
    points = body["points"]
    assert body["tokens_per_s"] == 30
    assert {point["verdict"] for point in points} == {"delivers", "may deliver"}
    for point in points:
        low, high = point["tokens_per_s_interval"]
        assert high >= 30
        assert (low >= 30) == (point["verdict"] == "delivers")
        assert point["fits"] is not False
        assert point["prompt"] + point["generate"] == point["context"] == 8192
    powers = [point["power_w"] for point in points if point["verdict"] == "delivers" and point["power_w"]]
    assert powers == sorted(powers)
    assert len(points) < body["judged"]
    few = cli("require -m llama3-8b --weights q4_k_m --tokens 30/s --latency 1s --context 8192 --json").json["points"]
    assert 0 < len(few) < len(points)
    assert all(point["ttft_interval_s"][0] <= 1 for point in few)


def test_a_requirement_of_a_language_model_needs_a_target(cli: Any) -> None:
    assert cli("require -m llama3-8b --weights q4_0 --json").json["error"]["code"] == "needs-target"
    assert cli("require -m llama3-8b --tokens 30/s --utilization 0.3 --json").json["error"]["field"] == "--utilization"


def test_devices_are_compared_as_estimates_are(cli: Any) -> None:
    body = cli("compare rtx4090 rtx3090 --model llama3-8b --weights q4_k_m --sort power --json").json
    assert [point["device"] for point in body["points"]] == ["rtx3090", "rtx4090"]
    single = cli("estimate llama3-8b rtx3090 --weights q4_k_m --json").json
    assert body["points"][0]["tokens_per_s"] == single["language"]["tokens_per_s"]
    assert body["points"][0]["ttft_interval_s"] == single["language"]["ttft_interval_s"]


def test_a_curve_over_the_batch(cli: Any) -> None:
    body = cli("estimate llama3-8b rtx3090 --weights q4_k_m --batch 1,4,16,64 --json").json
    points = body["points"]
    assert body["question"] == "curve"
    assert [point["batch"] for point in points] == [1, 4, 16, 64]
    each, every = ([point[name] for point in points] for name in ("tokens_per_s", "tokens_per_s_all"))
    assert each == sorted(each, reverse=True)
    assert every == sorted(every)


def test_a_curve_over_the_context(cli: Any) -> None:
    points = cli("estimate llama3.1-8b rtx3090 --weights q4_k_m --context 2048,32768 --json").json["points"]
    assert [(point["context"], point["prompt"]) for point in points] == [(2048, 1920), (32768, 32640)]
    assert points[0]["tokens_per_s"] > points[1]["tokens_per_s"]
    error = cli("estimate alexnet rtx3090 --context 1,2 --json").json["error"]
    assert (error["code"], error["field"]) == ("single-value", "--context")
    assert cli("estimate llama3-8b rtx3090 --context 0 --json").code == 2


def test_a_sweep_has_every_format_of_every_model_on_every_device(cli: Any) -> None:
    body = cli("sweep -m llama3-8b -m qwen3-8b -d rtx3090 -d rtx4090 --weights q4_k_m,q8_0 --json").json
    assert len({(p["model"], p["weights"], p["device"]) for p in body["points"]}) == 8
    assert cli("sweep -m alexnet -d rtx3090 --batch 1,2 --json").json["count"] == 2


def test_filters_choose_among_the_catalog(cli: Any) -> None:
    body = cli("compare --kind gpu --vendor apple --model llama3-8b --weights q4_0 --json").json
    assert len(body["points"]) > 2
    assert all("apple" in point["device"] for point in body["points"])


def test_count_and_show_know_language_models(cli: Any) -> None:
    counted = cli("count llama3-8b --weights q4_k_m --json").json
    assert (counted["params"], counted["kv_bytes_per_token"]) == (8_030_261_248, 131_072)
    assert cli("models show llama3-8b --json").json["params"] == 8_030_261_248
    assert "128 KiB a token" in cli("count llama3-8b").out


def test_the_question_is_completed_and_checked(cli: Any) -> None:
    asked = "estimate llama3-8b h100-sxm --json"
    assert cli(f"{asked} --weights fp8").json["runtime"] == "vllm"
    assert cli(f"{asked} --weights q4_k_m").json["runtime"] == "llama.cpp"
    assert cli(f"{asked} --devices 2 --split tensor").json["language"]["link_bytes_per_second"] == 450e9
    shared = cli("estimate llama3-8b rtx3090 --devices 2 --split tensor --json").json
    assert "link-assumed" in {each["code"] for each in shared["notices"]}
    for options, code, field in (
        ("--weights fp8 --runtime llama.cpp", "format-of-other-runtime", "--weights"),
        ("--runtime torch-compile", "unknown-runtime", "--runtime"),
        ("--split tensor", "single-device", "--split"),
        ("--link 64GB/s", "needs-split", "--link"),
        ("--devices 2 --split tensor --link 0B/s", "quantity-zero", "--link"),
    ):
        error = cli(f"{asked} {options}").json["error"]
        assert (error["code"], error["field"]) == (code, field), options
    assert cli("estimate llama3-8b ryzen9-7950x --runtime vllm --json").json["error"]["code"] == "not-a-gpu"
    assert cli("run llama3-8b --runtime torch-eager --json").json["error"]["code"] == "not-for-language"
    found = cli("require -m llama3-8b --runtime vllm --batch 16 --tokens 30/s --json").json
    assert {point["kind"] for point in found["points"]} == {"gpu"}
    assert found["runtime"] == "vllm"


def test_a_cpu_with_a_gpu_on_its_chip_names_it(cli: Any) -> None:
    found = cli("estimate llama3-8b m3-max --weights q4_k_m --json").json["notices"]
    assert ["apple-m3-max-gpu" in each["text"] for each in found if each["code"] == "gpu-on-chip"] == [True]


def test_run_knows_of_every_option_whether_language_models_have_it() -> None:
    passed = {parameter.name for parameter in run_command.run.params if not parameter.name.endswith("_argument")}
    own = {"model", "runtimes", "on", "place", "as_json", *run_command._NETWORK}
    assert passed - own <= set(inspect.signature(api.run_language).parameters)
