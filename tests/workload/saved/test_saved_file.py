"""Saved workloads: what is written is read back, and nothing else is taken for one."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.files import folders
from hwbench.workload import load
from hwbench.workload.ops import Op, Workload
from hwbench.workload.saved import file as saved_file

COUNTS = st.integers(0, 2**60)
OPS = st.builds(
    Op,
    kind=st.text(max_size=10),
    output_shape=st.lists(COUNTS, max_size=4).map(tuple),
    params=COUNTS,
    macs=COUNTS,
    input_elements=COUNTS,
    fixed_output_bytes=COUNTS,
    name=st.text(max_size=20),
    dtype=st.sampled_from([None, "fp16", "fp32"]),
    constant=st.booleans(),
    count=st.integers(1, 1000),
)


@given(st.lists(OPS, min_size=1, max_size=5), st.text(max_size=20), COUNTS)
def test_written_and_read_back(ops: list[Op], name: str, unused: int) -> None:
    workload = Workload(name, name, (3, 4), tuple(ops), uncounted=("aten.odd (1)",), unused_params=unused, samples=2)
    decoded = msgspec.json.decode(saved_file.dump(workload), type=saved_file.SavedWorkload)
    assert decoded.schema == saved_file.SCHEMA
    assert {f: getattr(decoded, f) for f in Workload.__struct_fields__} == {
        f: getattr(workload, f) for f in Workload.__struct_fields__
    }


@pytest.mark.parametrize("name", ["alexnet", "bert-base", "densenet121"])
def test_a_saved_network_counts_the_same(name: str, tmp_path: Path) -> None:
    workload, path = load.workload(name), str(tmp_path / "saved.json")
    saved_file.save(workload, path)
    assert load.workload(path) == workload
    assert os.path.getsize(path) < 240 * len(workload.ops) + 1000


def test_a_saved_network_stands_in_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    saved_file.save(load.workload("lenet5"), str(tmp_path / "models" / "my-net.json"))
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    assert load.workload("my-net").params == load.workload("My Net").params == 61_706
    assert "my-net" in folders.files("models")
    assert "my-net" in load.workloads()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not-a-workload"),
        ("[]", "not-a-workload"),
        ("{", "not-a-workload"),
        ('{"schema": "hwbench.workload/1"}', "not-a-workload"),
        (
            '{"schema": "hwbench.workload/9", "name": "a", "title": "a", "input_shape": [1], "ops": []}',
            "unknown-schema",
        ),
        ('{"schema": "hwbench.workload/1", "name": "a", "title": "a", "input_shape": [1], "ops": []}', "no-layers"),
        (
            '{"schema": "hwbench.workload/1", "name": "a", "title": "a", "input_shape": [1],'
            ' "ops": [{"kind": "conv", "output_shape": [1], "macs": -1}]}',
            "negative-count",
        ),
        (
            '{"schema": "hwbench.workload/1", "name": "a", "title": "a", "input_shape": [1],'
            ' "ops": [{"kind": "conv", "output_shape": [1], "count": 0}]}',
            "negative-count",
        ),
        (
            '{"schema": "hwbench.workload/1", "name": "a", "title": "a", "input_shape": [1], "ops": [], "x": 1}',
            "not-a-workload",
        ),
        ("[" * 100_000, "not-a-workload"),
    ],
)
def test_other_files_are_refused(text: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load.workload(str(path))
    assert (caught.value.code, caught.value.file) == (code, str(path))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "any.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        saved_file.load(str(path))
    assert "\n" not in str(caught.value)


def test_a_batch_of_a_training_step_is_a_multiple_of_its_samples() -> None:
    step = Workload("a", "a", (1,), (Op(kind="linear", output_shape=(1,), macs=10),), samples=8)
    assert step.work(32, 8).flops == 20
    assert step.work(32, 16).flops == 40
    with pytest.raises(InputError) as raised:
        step.work(32, 12)
    assert (raised.value.code, raised.value.field) == ("batch-not-traced", "batch")
