"""Language models timed by llama.cpp in a process of their own: real ones, small, and files that it refuses."""

import os
import struct
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")

import hwbench
from hwbench.api import calibrate, estimate_language, run_language
from hwbench.api.accuracy import SavedCalibration
from hwbench.errors import HwbenchError, InputError
from hwbench.measure import store
from hwbench.measure.language import llama_cpp, synthetic
from hwbench.measure.language.llama_cpp import LlamaRun
from hwbench.measure.subject import LanguagePhase
from hwbench.workload.language import language_model
from hwbench.workload.language.catalog import described

NAME = "smollm2-135m?layers=1"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    with path.open("wb") as file:
        synthetic.write(file, described(NAME).blocks, language_model(NAME, "q4_0"))
    return str(path)


def request(path: str, **changes: object) -> LlamaRun:
    values = {"prompt": 16, "generate": 4, "cpus": (), "threads": 1, "budget_s": 0.5, "memory_bytes": 8 << 30}
    return LlamaRun(path, "small", "q4_0", **{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_synthetic_model_runs_and_its_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "files"))
    (tmp_path / "files").mkdir()
    answer = run_language(
        NAME, weights="q4_0", prompt=16, generate=4, threads=1, budget=0.5, save=str(tmp_path / "runs")
    )
    assert [(run.phase, run.tokens, run.context) for run in answer.runs] == [("prompt", 16, 0), ("generation", 4, 16)]
    assert all(run.checked and run.tokens_per_s == pytest.approx(run.tokens / run.time_s) for run in answer.runs)
    assert answer.runs[0].tokens_per_s > answer.runs[1].tokens_per_s
    assert answer.synthetic
    assert answer.isa
    assert not list((tmp_path / "files").iterdir())
    assert answer.path
    saved = store.load(answer.path)
    subject = saved.measurements[1].subject
    assert isinstance(subject, LanguagePhase)
    assert (subject.model, subject.weights, subject.tokens, subject.context) == (NAME, "q4_0", 4, 16)


@pytest.mark.slow
def test_a_file_of_ones_own_runs_next_to_its_forecast(small: str) -> None:
    answer = run_language(small, prompt=0, generate=4, threads=1, budget=0.5)
    assert not answer.synthetic
    assert [run.phase for run in answer.runs] == ["generation"]
    for run in answer.runs:
        if run.expected_time_s is not None:
            assert run.expected_ratio == pytest.approx(run.time_s / run.expected_time_s)


@pytest.mark.slow
def test_a_file_is_kept_where_asked_and_none_is_replaced(tmp_path: Path) -> None:
    kept = tmp_path / "kept.gguf"
    run_language(NAME, weights="q4_0", prompt=8, generate=0, threads=1, budget=0.2, keep=str(kept))
    assert language_model(str(kept)).params == language_model(NAME, "q4_0").params
    with pytest.raises(InputError) as caught:
        run_language(NAME, weights="q4_0", prompt=8, generate=0, threads=1, budget=0.2, keep=str(kept))
    assert caught.value.code == "exists"


@pytest.mark.slow
def test_a_file_that_llama_cpp_refuses_is_named(tmp_path: Path, small: str) -> None:
    data = bytearray(Path(small).read_bytes())
    at = data.index(b"blk.0.attn_q.weight")
    data[at : at + 19] = b"blk.0.other_.weight"
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(data)
    with pytest.raises(InputError) as caught:
        llama_cpp.measure(request(str(odd)))
    assert (caught.value.code, caught.value.file) == ("not-runnable", str(odd))


@pytest.mark.slow
def test_a_process_that_the_system_ends_is_reported(tmp_path: Path, small: str) -> None:
    data = bytearray(Path(small).read_bytes())
    at = data.index(b"llama.attention.head_count_kv") + 29 + 4
    data[at : at + 4] = struct.pack("<I", 0)  # llama.cpp may abort on it, or refuse it
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(data)
    with pytest.raises((InputError, HwbenchError)):
        llama_cpp.measure(request(str(odd)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of memory are POSIX's")
def test_memory_is_limited(small: str) -> None:
    with pytest.raises(HwbenchError):
        llama_cpp.measure(request(small, memory_bytes=150 << 20))


def test_a_model_too_large_for_memory_is_refused_before_it_is_written() -> None:
    with pytest.raises(InputError) as caught:
        run_language("llama3.1-405b", weights="f16")
    assert caught.value.code == "out-of-memory"


def test_a_saved_run_calibrates_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    answer = run_language(NAME, weights="q4_0", prompt=16, generate=4, threads=1, budget=0.2, save=str(tmp_path))
    device = "ryzen9-7950x"
    saved = calibrate(f"run:{answer.path}", device=device)
    assert isinstance(saved, SavedCalibration)
    assert saved.language
    assert {"prompt", "generation"} <= saved.language.factors.keys()
    device_of_one = hwbench.device(device).with_cores(1)
    forecast = estimate_language(NAME, device_of_one, weights="q4_0", prompt=16, generate=4)  # by the calibration
    assert [phase.expected_time_s for phase in forecast.phases] == pytest.approx(
        [run.time_s for run in answer.runs], rel=1e-3
    )
