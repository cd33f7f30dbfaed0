"""Tables of measured times: our form and timm's, clean and dirty."""

from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.notices import notice
from hwbench.predict.data import tables
from hwbench.predict.data.rows import Defaults
from hwbench.predict.data.tables import read

TIMM = (
    "model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,infer_gmacs,infer_macts,param_count\n"
)
OWN = "device,model,image_size,batch,dtype,layout,runtime,time_ms,source\n"


def written(folder: Path, text: str, name: str = "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


def test_a_file_of_timm(tmp_path: Path) -> None:
    path = written(tmp_path, TIMM + "resnet50,2560.0,100.0,256,224,4.11,11.11,25.56\n")
    (row,) = read([path]).rows
    assert (row.device, row.model, row.image_size, row.batch) == ("rtx3090", "timm:resnet50", 224, 256)
    assert (row.dtype, row.layout, row.runtime) == ("amp", "nhwc", "torch-2.4-eager")
    assert row.time_s == pytest.approx(0.1)
    assert row.params == pytest.approx(25.56e6)
    assert row.place == f"{path}:2"


def test_options_say_more_than_the_file_name(tmp_path: Path) -> None:
    path = written(tmp_path, TIMM + "resnet50,2560.0,100.0,256,224,4.11,11.11,25.56\n")
    (row,) = read([path], Defaults(device="h100", runtime="torch-2.9-compile")).rows
    assert (row.device, row.dtype, row.runtime) == ("h100", "amp", "torch-2.9-compile")


def test_a_file_of_ours_in_any_order_of_columns(tmp_path: Path) -> None:
    text = "source,time_ms,batch,model,note,device,dtype\nmine,2.5,8,alexnet,x,rtx3090 units=8,float32\n"
    (row,) = read([written(tmp_path, text, "mine.csv")]).rows
    assert (row.device, row.model, row.batch, row.dtype) == ("rtx3090 units=8", "alexnet", 8, "fp32")
    assert (row.time_s, row.source) == (2.5e-3, "mine")
    assert (row.image_size, row.layout, row.runtime) == (None, None, None)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_comments_and_line_ends(tmp_path: Path, mark: str, end: str) -> None:
    lines = [
        "# source: somebody, 2026",
        OWN.strip(),
        "",
        "rtx3090,alexnet,,1,fp32,,,1.0,",
        "# more",
        "rtx3090,vgg16,,1,fp32,,,3,",
    ]
    table = read([written(tmp_path, mark + end.join(lines), "mine.csv")])
    assert [(row.model, row.time_s) for row in table.rows] == [("alexnet", 1e-3), ("vgg16", 3e-3)]
    assert [row.place.rpartition(":")[2] for row in table.rows] == ["4", "6"]
    assert table.skipped == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("rtx3090,alexnet,,1,fp32,,,0,", "time_ms is 0 but must be above zero."),
        ("rtx3090,alexnet,,1,fp32,,,-3.5,", "time_ms is -3.5 but must be above zero."),
        ("rtx3090,alexnet,,1,fp32,,,nan,", "time_ms is nan but must be above zero."),
        ("rtx3090,alexnet,,1,fp32,,,inf,", "time_ms is inf but must be above zero."),
        ("rtx3090,alexnet,,1,fp32,,,,", "time_ms is empty."),
        ("rtx3090,alexnet,,1,fp32,,,fast,", "time_ms is 'fast', not a number."),
        ("rtx3090,alexnet,,0,fp32,,,1,", "batch is 0 but must be above zero."),
        ("rtx3090,alexnet,,1.5,fp32,,,1,", "batch is 1.5 but must be a whole number."),
        ("rtx3090,alexnet,2e12,1,fp32,,,1,", "image_size is 2e+12 but must be a whole number."),
        ("rtx3090,alexnet,,1,fp33,,,1,", "dtype is 'fp33'"),
        ("rtx3090,alexnet,,1,fp32,hwc,,1,", "layout is 'hwc'"),
        (",alexnet,,1,fp32,,,1,", "The row has no device."),
        ("rtx3090,,,1,fp32,,,1,", "The row has no model."),
        ("rtx3090,alexnet", "The row has 2 of 9 columns."),
    ],
)
def test_dirty_rows_are_kept_with_the_reason(tmp_path: Path, line: str, reason: str) -> None:
    table = read([written(tmp_path, f"{OWN}{line}\nrtx3090,vgg16,,1,fp32,,,3,\n", "mine.csv")])
    assert [row.model for row in table.rows] == ["vgg16"]
    (skipped,) = table.skipped
    assert skipped.reason.startswith(reason)
    assert skipped.place.endswith("mine.csv:2")


def test_repeats_are_said(tmp_path: Path) -> None:
    line = "rtx3090,alexnet,,1,fp32,,,{},\n"
    table = read([written(tmp_path, OWN + line.format(2) + line.format(3) + line.format("2.0"), "mine.csv")])
    assert [row.time_s for row in table.rows] == [2e-3]
    assert [skipped.reason.rpartition(":")[2] for skipped in table.skipped] == [
        "2 with 1.5 times its time.", "2 with the same time.",
    ]  # fmt: skip


def test_repeats_across_files(tmp_path: Path) -> None:
    text = OWN + "rtx3090,alexnet,,1,fp32,,,2,\n"
    paths = [written(tmp_path, text, name) for name in ("a.csv", "b.csv")]
    table = read(paths)
    assert len(table.rows) == 1
    assert table.skipped[0].reason == f"The row repeats {paths[0]}:2 with the same time."


def test_timm_contradicts_itself(tmp_path: Path) -> None:
    table = read([written(tmp_path, TIMM + "resnet50,2560.0,200.0,256,224,4.11,11.11,25.56\n")])
    assert table.rows == ()
    assert table.skipped[0].reason == "infer_samples_per_sec times infer_step_time is 2 batches instead of one."


def test_autocast_to_bf16_is_warned_about(tmp_path: Path) -> None:
    path = written(tmp_path, TIMM + "resnet50,2560.0,100.0,256,224,4.11,11.11,25.56\n", "amp_bf16-nchw-rtx4090.csv")
    assert read([path]).notices == (notice("autocast-as-fp16", file=path),)


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("", "mine.csv", "empty-table"),
        ("# only a comment\n", "mine.csv", "empty-table"),
        ("a,b\n1,2\n", "rtx3090_amp.csv", "missing-column"),
        ("model,train_step_time\nresnet50,3\n", "rtx3090_amp.csv", "missing-column"),
        ("device,model,time_ms\nrtx3090,alexnet,1\n", "mine.csv", "missing-column"),
        ("device,model,model\n", "mine.csv", "repeated-column"),
        ('device,model\n"x,y\n', "mine.csv", "not-a-table"),
        ("device,\0\n", "mine.csv", "not-a-table"),
        (TIMM, "amp.csv", "missing-device"),
        (TIMM, "rtx3090.csv", "missing-dtype"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, text: str, name: str, code: str) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(InputError) as caught:
        read([path])
    assert caught.value.code == code
    assert caught.value.file == path


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="No such file"):
        read(["/no/such/file.csv"])


def test_the_shipped_table_is_sound() -> None:
    paths = tables.shipped()
    table = read(paths)
    assert table.skipped == ()
    assert 50 <= len(table.rows) <= 200  # cited one by one, not a copy of anybody's table
    assert all(row.source and row.runtime for row in table.rows)


@pytest.mark.parametrize(
    "cells",
    [
        "rtx3090,torch:os:abort", "rtx3090,torch:evil:make", "rtx3090,TORCH:os:abort", "rtx3090,onnx:x",
        "rtx3090,x.onnx", "rtx3090,x.json", "rtx3090,./x.yaml", "rtx3090,x.yml", "rtx3090,../alexnet",
        "rtx3090,hf:bert?num_hidden_layers=9",
        "rtx3090,timm:a/b", "run:x,alexnet", "RUN:x,alexnet", "units=8 run:x,alexnet", "./x.yaml,alexnet",
        "x.yaml units=8,alexnet", "/dev/zero,alexnet",
    ],
)  # fmt: skip
def test_a_row_names_nothing_that_is_opened_or_run(tmp_path: Path, cells: str) -> None:
    table = read([written(tmp_path, f"{OWN}{cells},,1,fp32,,,1.5,me\nrtx3090,alexnet,,1,fp32,,,1.5,\n", "mine.csv")])
    assert [row.model for row in table.rows] == ["alexnet"]
    (skipped,) = table.skipped
    assert skipped.place.endswith("mine.csv:2")


@pytest.mark.parametrize("model", ["alexnet", "timm:resnet18.a1", "torchvision:vgg11", "hf:bert", "matmul:8x8x8"])
def test_a_row_names_models_of_the_catalog_and_of_packages(tmp_path: Path, model: str) -> None:
    (row,) = read([written(tmp_path, f"{OWN}rtx3090,{model},,1,fp32,,,1.5,me\n", "mine.csv")]).rows
    assert row.model == model


def test_the_caller_may_name_a_device_that_a_row_may_not(tmp_path: Path) -> None:
    path = written(tmp_path, "model,batch,dtype,time_ms\nalexnet,1,fp32,1.5\n", "mine.csv")
    (row,) = read([path], Defaults(device="./mine.yaml")).rows
    assert row.device == "./mine.yaml"


@pytest.mark.parametrize("name", ["amp_x.yaml.csv", "amp_run:x.csv"])
def test_a_file_name_of_timm_names_no_file(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, TIMM + "resnet50,2560.0,100.0,256,224,4.11,11.11,25.56\n", name)
    with pytest.raises(InputError) as caught:
        read([path])
    assert caught.value.code == "unknown-device"


def test_rows_of_timm_name_models_of_timm(tmp_path: Path) -> None:
    path = written(tmp_path, TIMM + "hf-hub:a/b,2560.0,100.0,256,224,4.11,11.11,25.56\n")
    assert read([path]).rows == ()


@pytest.mark.parametrize("cells", ["1,fp32,,,5e-324", "1,fp32,,,1e300", "1e300,fp32,,,1", "9999999999,fp32,,,1"])
def test_a_number_of_a_row_has_two_ends(tmp_path: Path, cells: str) -> None:
    table = read([written(tmp_path, f"{OWN}rtx3090,alexnet,,{cells},me\n", "mine.csv")])
    assert table.rows == ()
    assert len(table.skipped) == 1
