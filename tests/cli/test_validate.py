"""`hwbench validate`: its text, its JSON, and what it says of bad tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OWN = "device,model,image_size,batch,dtype,layout,runtime,time_ms,source\n"
TIMM = "model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,param_count\n"


def test_without_a_file_it_replays_what_is_cited(cli: Callable[..., Any]) -> None:
    answer = cli("validate")
    assert answer.code == 0
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("1") or lines[0][:2].isdigit()
    for words in (
        "predictor",
        "expected",
        "roofline",
        "ideal",
        "by device, all models",
        "the worst 20",
        "v100-sxm2",
        "k80",
    ):
        assert words in answer.out
    assert "\033" not in answer.out


def test_rows_lists_each(cli: Callable[..., Any]) -> None:
    found = cli("validate --rows --json").json
    assert len(found["rows"]) == found["n"]
    text = cli("validate --rows").out
    assert text.count("alexnet-mxnet") >= 57
    assert max(map(len, text.splitlines())) <= 100
    assert "the worst" not in text


def test_json(cli: Callable[..., Any]) -> None:
    found = cli("validate --json").json
    assert found["schema"] == "hwbench.validate/1"
    assert 50 <= found["n"] <= 200
    assert found["n"] == sum(group["n"] for group in found["groups"])
    assert set(found["within"]) == {"10", "20", "30"}
    assert 0 < found["mape"] < 2
    assert found["baselines"]["ideal"]["bias"] < found["baselines"]["roofline"]["bias"]
    assert found["spearman"] > 0.9
    assert len(found["worst"]) == 20
    assert "rows" not in found
    assert all(row["reason"] for row in found["skipped"])
    assert {"device", "runtime", "dtype", "layout"} <= set(found["groups"][0])


def test_a_published_table_of_timm(cli: Callable[..., Any], tmp_path: Path) -> None:
    name = "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv"
    (tmp_path / name).write_text(
        f"{TIMM}resnet50,2500,102.4,256,224,25.56\nno_such_net,1,1000,1,224,1\nvit_base_patch16_224,1000,0,256,224,86\n"
    )
    found = cli("validate", "--measurements", str(tmp_path / name), "--json").json
    assert found["n"] == 1
    (group,) = found["groups"]
    assert (group["device"], group["dtype"], group["layout"], group["runtime"]) == (
        "rtx3090", "amp", "nhwc", "torch-2.4-eager",
    )  # fmt: skip
    assert [row["model"] for row in found["skipped"]] == ["vit_base_patch16_224", "timm:no_such_net"]
    assert found["skipped"][0]["reason"] == "infer_step_time is 0 but must be above zero."


def test_several_files_and_options(cli: Callable[..., Any], tmp_path: Path) -> None:
    for name, time in (("a.csv", 1), ("b.csv", 2), ("c.csv", 3)):
        (tmp_path / name).write_text(f"model,batch,time_ms\nalexnet,{time},1.5\n")
    paths = [str(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv")]
    found = cli("validate", "--measurements", *paths, "--device", "RTX 3090", "--dtype", "fp32", "--json").json
    assert found["n"] == 3
    assert [group["device"] for group in found["groups"]] == ["rtx3090"]


def test_other_parameters(cli: Callable[..., Any], tmp_path: Path) -> None:
    from hwbench.predict.model.parameters import PATH

    shipped = Path(PATH).read_text()
    path = tmp_path / "mine.json"
    path.write_text(shipped)
    assert cli("validate", "--parameters", str(path), "--json").json == cli("validate --json").json
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert "is not a file of parameters" in cli("validate", "--parameters", str(other)).err
    assert "/no/such.json: The file cannot be read" in cli("validate --parameters /no/such.json").err


def test_this_machine_is_a_device(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("device,model,batch,dtype,time_ms\nhost,alexnet,1,fp32,15\n")
    answer = cli("validate", "--measurements", str(tmp_path / "mine.csv"))
    assert answer.code == 0 or "bandwidth or a rate of host is unknown" in answer.err  # nothing measured here yet
    (tmp_path / "mine.csv").write_text("device,model,batch,dtype,time_ms\nrun:no-such-run,alexnet,1,fp32,15\n")
    answer = cli("validate", "--measurements", str(tmp_path / "mine.csv"))
    assert answer.code == 2
    assert "saved runs" in answer.err or "no-such-run" in answer.err


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", None),
        ("a,b\n1,2\n", None),
        (OWN + "rtx3090,alexnet,,1,fp32,,,0,\n", "nothing-usable"),
        (OWN + "rtx309,alexnet,,1,fp32,,,1,\n", "nothing-usable"),
        (OWN, "nothing-usable"),
    ],
)
def test_bad_tables(cli: Callable[..., Any], tmp_path: Path, content: str, code: str | None) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content)
    answer = cli("validate", "--measurements", str(path), "--json")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    error = answer.json["error"]
    assert (error["file"], error["code"]) == (str(path), code or error["code"])
    assert cli("validate", str(path)).out == ""


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        ("validate --dtype fp33", "unknown-dtype", "--dtype"),
        ("validate --layout nwhc", "bad-value", "--layout"),
        ("validate --measurement x.csv", "unknown-option", "validate"),
    ],
)
def test_bad_options(cli: Callable[..., Any], command: str, code: str, field: str) -> None:
    error = cli(f"{command} --json").json["error"]
    assert (error["code"], error["field"]) == (code, field)


def test_a_missing_file_is_named(cli: Callable[..., Any]) -> None:
    answer = cli("validate --measurements /no/such.csv --json")
    assert (answer.code, answer.json["error"]["file"]) == (2, "/no/such.csv")
