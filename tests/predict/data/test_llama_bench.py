"""Tables of tokens a second: what llama-bench prints in each of its formats, our own form, and hostile contents."""

import json
from pathlib import Path
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.files import folders
from hwbench.predict.data.llama_bench import MeasuredTokens, is_language_table, read
from hwbench.workload.language import catalog

PROMPT: dict[str, Any] = {
    "build_commit": "8f1e0c4", "build_number": 4384, "cpu_info": "AMD Ryzen 9 7950X 16-Core Processor",
    "gpu_info": "NVIDIA GeForce RTX 3090", "backends": "CUDA",
    "model_filename": "models/Meta-Llama-3-8B-Instruct-Q4_K_M.gguf",
    "model_type": "llama 8B Q4_K - Medium", "model_size": 4912898304, "model_n_params": 8030261248, "n_ubatch": 512,
    "n_threads": 16, "type_k": "f16", "type_v": "f16", "n_gpu_layers": 99, "flash_attn": False, "n_prompt": 512,
    "n_gen": 0, "n_depth": 0, "avg_ts": 3865.39, "stddev_ts": 3.0,
}  # fmt: skip
GENERATION = {**PROMPT, "n_prompt": 0, "n_gen": 128, "n_depth": 512, "avg_ts": 111.74}
MARKDOWN = """Some words first.

| model                          |       size |     params | backend    | ngl |          test |                  t/s |
| ------------------------------ | ---------: | ---------: | ---------- | --: | ------------: | -------------------: |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA       |  99 |         pp512 |      3865.39 ± 10.13 |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA       |  99 |  tg128 @ d512 |        111.74 ± 0.20 |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA       |  99 |   pp512+tg128 |        500.00 ± 0.20 |

build: 8f1e0c4 (4384)
"""
OWN = """# a comment
device,model,weight_dtype,phase,n_tokens,tokens_per_s,context,batch,note
rtx3090,llama3-8b,q4_k_m,pp,512,3865.39,0,1,
rtx3090,llama3-8b,q4_k_m,tg,128,111.74,512,1,"fa=1 threads=16"
"""


def written(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def forms(tmp_path: Path) -> dict[str, str]:
    """The same two rows in every form."""
    keys = list(PROMPT)
    csv = "\n".join([",".join(keys), *(",".join(f'"{row[key]}"' for key in keys) for row in (PROMPT, GENERATION))])
    return {
        "json": written(tmp_path, "a.json", json.dumps([PROMPT, GENERATION])),
        "jsonl": written(tmp_path, "a.jsonl", f"{json.dumps(PROMPT)}\n{json.dumps(GENERATION)}\n"),
        "csv": written(tmp_path, "a.csv", csv),
        "md": written(tmp_path, "a.md", MARKDOWN),
        "own": written(tmp_path, "own.csv", OWN),
    }


def test_a_long_table_looks_up_each_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of 15,000 rows that no file names took minutes, as each counted all models of the catalog."""
    asked: list[str] = []
    load, locate = catalog.load, folders.locate
    monkeypatch.setattr(catalog, "load", lambda name, weights: (asked.append(name), load(name, weights))[1])
    monkeypatch.setattr(folders, "locate", lambda kind, name: (asked.append(name), locate(kind, name))[1])
    rows = [{**PROMPT, "model_filename": "", "model_type": f"llama 8B {name}"} for name in ("Q4_0", "Q8_0", "Q6_K") * 9]
    table = read((written(tmp_path, "a.json", json.dumps(rows)),))
    assert {(row.model, row.weights) for row in table.rows} == {
        ("llama3-8b", "q4_0"), ("llama3-8b", "q8_0"), ("llama3-8b", "q6_k")
    }  # fmt: skip
    assert len(asked) <= 2 * len(set(asked))  # a model is loaded by its name, which is located


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "md", "own"])
def test_every_form_holds_the_same_rows(tmp_path: Path, form: str) -> None:
    path = forms(tmp_path)[form]
    assert is_language_table(path)
    table = read((path,), "rtx3090")
    prompt, generation = table.rows
    assert (prompt.phase, prompt.tokens, prompt.context, prompt.tokens_per_s) == ("prompt", 512, 0, 3865.39)
    assert (generation.phase, generation.tokens, generation.context) == ("generation", 128, 512)
    assert generation.time_s == pytest.approx(128 / 111.74)
    assert {row.weights for row in table.rows} == {"q4_k_m"}
    assert {row.model for row in table.rows} <= {"llama-3-8b", "meta-llama-3-8b-instruct", "llama3-8b", "llama3.1-8b"}
    assert len(table.skipped) == (form == "md")
    if form in ("json", "jsonl", "csv"):
        assert {row.device for row in table.rows} == {"NVIDIA GeForce RTX 3090"}


def test_several_equal_cards_are_devices(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", json.dumps([{**PROMPT, "gpu_info": ", ".join(["NVIDIA GeForce RTX 3090"] * 4)}]))
    assert [row.devices for row in read((path,)).rows] == [4]


@pytest.mark.parametrize(
    ("kind", "weights"),
    [("llama 8B Q4_0", "q4_0"), ("llama 8B F16", "f16"), ("qwen2 7B Q5_K - Small", "q5_k_s"), ("llama 8B BF16", "bf16"),
     ("llama 8B IQ2_XXS - 2.0625 bpw", "iq2_xxs"), ("llama 8B Q3_K - Large", "q3_k_l"), ("llama 8B all F32", "f32")],
)  # fmt: skip
def test_formats_by_llama_bench(tmp_path: Path, kind: str, weights: str) -> None:
    path = written(tmp_path, "a.json", json.dumps([{**PROMPT, "model_type": kind}]))
    assert [row.weights for row in read((path,)).rows] == [weights]


def test_a_model_is_found_by_its_parameters_where_its_file_says_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", json.dumps([{**PROMPT, "model_filename": "ggml-model.gguf"}]))
    assert read((path,)).rows[0].model.startswith("llama3")
    path = written(tmp_path, "b.json", json.dumps([{**PROMPT, "model_filename": "x.gguf", "model_n_params": 123}]))
    assert not read((path,)).rows


HOSTILE: list[dict[str, Any]] = [
    {"avg_ts": "NaN"}, {"avg_ts": -1}, {"avg_ts": 1e300}, {"avg_ts": None}, {"n_prompt": -5}, {"n_prompt": 1e12},
    {"n_gen": 5}, {"model_type": "\x1b[31mred", "model_filename": "\x1b[31mred"},
    {"model_type": {"a": 1}, "model_filename": ""},
    {"model_filename": "/etc/passwd", "model_n_params": "8e999"}, {"n_depth": "x" * 10000},
]  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE)
def test_hostile_values_are_left_out_with_a_reason(tmp_path: Path, change: dict[str, Any]) -> None:
    path = written(tmp_path, "a.json", json.dumps([{**PROMPT, **change}, GENERATION]))
    table = read((path,))
    assert len(table.rows) == 1
    assert table.skipped[0].reason
    assert len(table.skipped[0].reason) < 300


@pytest.mark.parametrize("text", ["[" * 100000, '[{"avg_ts": 1', "{}x", "[1, 2"])
def test_damaged_files_are_refused_or_empty(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, "a.json", text)
    with pytest.raises(InputError) as caught:
        read((path,))
    assert caught.value.file == path


def test_nothing_that_a_row_names_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "secret.yaml"
    inside.write_text("title: x\n")
    text = OWN + f"{inside},llama3-8b,q4_0,tg,128,10,0,1,\nrtx3090,{inside},q4_0,tg,128,10,0,1,\n"
    table = read((written(tmp_path, "own.csv", text),))
    assert len(table.rows) == 2
    assert len(table.skipped) == 2


def test_times_are_those_of_all_sequences() -> None:
    row = MeasuredTokens("d", "m", "q4_0", "generation", 32, 64.0, "here", batch=4)
    assert row.time_s == 2.0
