"""Language models on the command line: tables of llama-bench are judged, and calibrate a device."""

import json
from pathlib import Path
from typing import Any

import pytest

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
    cli("calibrate --reset --device rtx3090")
    assert cli(asked).json["language"] == before["language"]


def test_tables_of_both_kinds_are_judged_apart(cli: Any, table: str, tmp_path: Path) -> None:
    other = tmp_path / "mine.csv"
    other.write_text("device,model,batch,dtype,time_ms\nrtx3090,alexnet,1,fp32,1\n")
    assert cli(f"validate {table} {other} --json").json["error"]["code"] == "mixed-tables"
    assert cli(f"validate {table} --dtype fp16 --json").json["error"]["code"] == "not-for-language"
