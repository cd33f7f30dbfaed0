"""Limits on what a saved workload may state: every number has two ends, and so has their product."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.workload.saved import file as saved_file

OP: dict[str, Any] = {"kind": "linear", "output_shape": [8], "macs": 128, "columns": 8, "depth": 16}


def written(folder: Path, op: dict[str, Any], **workload: Any) -> str:
    head = {"schema": saved_file.SCHEMA, "name": "m", "title": "t", "input_shape": [16], "ops": [OP | op]}
    path = folder / "x.json"
    path.write_bytes(msgspec.json.encode(head | workload))
    return str(path)


@pytest.mark.parametrize(
    "op",
    [
        {"groups": 0}, {"count": 0}, {"stride": 0}, {"macs": -1}, {"macs": 2**63}, {"macs": 2**62, "count": 2},
        {"macs": 2**63, "count": 2**63}, {"params": -1}, {"output_shape": [0]}, {"output_shape": [-5, 3]},
        {"output_shape": [2**54]}, {"output_shape": [1] * 65}, {"window": -1}, {"depth": 2**63}, {"dtype": "fp23"},
        {"fused_bytes": -1}, {"channels_last": 1}, {"macs": 0},
    ],
)  # fmt: skip
def test_an_op_out_of_range_is_refused(tmp_path: Path, op: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        saved_file.load(written(tmp_path, op))
    field = "output_shape" if "output_shape" in op else next(iter(op))
    assert (caught.value.field or "").startswith("ops[0]")
    assert field in (caught.value.field or "") or "count" in op
    assert "`" not in caught.value.message


@pytest.mark.parametrize(
    "workload",
    [
        {"samples": 0},
        {"samples": -1},
        {"unused_params": -9},
        {"state_elements": -9},
        {"input_shape": [-5, 0]},
    ],
)
def test_a_workload_out_of_range_is_refused(tmp_path: Path, workload: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        saved_file.load(written(tmp_path, {}, **workload))
    assert caught.value.field == next(iter(workload))


def test_a_number_of_many_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(Path(written(tmp_path, {})).read_text().replace('"macs":128', f'"macs":{10**400}'))
    with pytest.raises(InputError):
        saved_file.load(str(path))


def test_the_number_of_ops_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_file, "MAX_OPS", 3)
    assert len(saved_file.load(written(tmp_path, {}, ops=[OP] * 3)).ops) == 3
    with pytest.raises(InputError) as caught:
        saved_file.load(written(tmp_path, {}, ops=[OP] * 4))
    assert caught.value.code == "too-large"


def test_a_product_that_only_moves_takes_little_time(tmp_path: Path) -> None:
    from hwbench.machine import catalog
    from hwbench.predict.forecast import forecast

    workload = saved_file.load(written(tmp_path, {"macs": 0, "output_shape": [], "input_elements": 1}))
    for name in ("i9-10940x", "rtx3090"):
        prediction = forecast(workload, catalog.device(name), "fp32", 1)
        assert prediction is not None
        assert prediction.time_s < 1e-3
