"""Tables of measured times: our form and timm's, clean and dirty."""

from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.notices import notice
from hwbench.predict.data import tables
from hwbench.predict.data.tables import Defaults, named, read, torch_version

TIMM = (
    "model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,infer_gmacs,infer_macts,param_count\n"
)
OWN = "device,model,image_size,batch,dtype,layout,runtime,time_ms,source\n"


def written(folder: Path, text: str, name: str = "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "device", "dtype", "layout", "runtime"),
    [
        # as they stand upstream
        ("benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv", "rtx3090", "amp", "nhwc", "torch-2.4-eager"),
        ("benchmark-infer-amp-nchw-pt113-cu117-rtx3090.csv", "rtx3090", "amp", "nchw", "torch-1.13-eager"),
        ("benchmark-infer-amp-nchw-pt240-cu124-rtx4090-dynamo.csv", "rtx4090", "amp", "nchw", "torch-2.4-compile"),
        ("benchmark-infer-amp-nchw-pt291-cu130-5090.csv", "5090", "amp", "nchw", "torch-2.9-eager"),
        ("benchmark-infer-amp-nchw-pt291-cu130-pro6000maxq.csv", "pro6000maxq", "amp", "nchw", "torch-2.9-eager"),
        (
            "benchmark-infer-bf16-nchw-pt291-cu130-pro6000maxq-dynamo.csv",
            "pro6000maxq",
            "bf16",
            "nchw",
            "torch-2.9-compile",
        ),
        ("benchmark-infer-amp_bf16-nchw-pt291-cu128-4090-dynamo.csv", "4090", "amp", "nchw", "torch-2.9-compile"),
        ("benchmark-infer-fp32-nchw-pt221-cpu-i9_10940x-dynamo.csv", "i9-10940x", "fp32", "nchw", "torch-2.2-compile"),
        ("benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv", "i7-12700h", "fp32", "nchw", "torch-2.4-compile"),
        # ours
        ("rtx3090_amp_nhwc_pt240.csv", "rtx3090", "amp", "nhwc", "torch-2.4-eager"),
        ("i9-10940x_fp32_nchw_pt240_dynamo.csv", "i9-10940x", "fp32", "nchw", "torch-2.4-compile"),
        ("/some/where/h100-pcie_float16.csv", "h100-pcie", "fp16", None, None),
        ("times.csv", "times", None, None, None),
    ],
)
def test_the_file_name_says_it(
    name: str, device: str, dtype: str | None, layout: str | None, runtime: str | None
) -> None:
    assert named(name) == Defaults(device, dtype, layout, runtime)


@pytest.mark.parametrize(
    ("word", "version"),
    [
        ("pt240", "2.4"),
        ("pt113", "1.13"),
        ("pt110", "1.10"),
        ("pt221", "2.2"),
        ("pt2100", "2.10"),
        ("pt2", None),
        ("p", None),
    ],
)
def test_version(word: str, version: str | None) -> None:
    assert torch_version(word) == version


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
        ("rtx3090,alexnet,,1,fp32,,,0,", "time_ms is 0: it must be above zero"),
        ("rtx3090,alexnet,,1,fp32,,,-3.5,", "time_ms is -3.5: it must be above zero"),
        ("rtx3090,alexnet,,1,fp32,,,nan,", "time_ms is nan: it must be above zero"),
        ("rtx3090,alexnet,,1,fp32,,,inf,", "time_ms is inf: it must be above zero"),
        ("rtx3090,alexnet,,1,fp32,,,,", "time_ms is empty"),
        ("rtx3090,alexnet,,1,fp32,,,fast,", "time_ms is 'fast', not a number"),
        ("rtx3090,alexnet,,0,fp32,,,1,", "batch is 0: it must be above zero"),
        ("rtx3090,alexnet,,1.5,fp32,,,1,", "batch is 1.5: it must be a whole number"),
        ("rtx3090,alexnet,2e12,1,fp32,,,1,", "image_size is 2e+12: it must be a whole number"),
        ("rtx3090,alexnet,,1,fp33,,,1,", "has the dtype 'fp33'"),
        ("rtx3090,alexnet,,1,fp32,hwc,,1,", "has the layout 'hwc'"),
        (",alexnet,,1,fp32,,,1,", "names no device"),
        ("rtx3090,,,1,fp32,,,1,", "names no model"),
        ("rtx3090,alexnet", "has 2 of 9 columns"),
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
    assert [skipped.reason.rpartition(":")[2] for skipped in table.skipped] == ["2 in 1.5 of its time", "2 exactly"]


def test_repeats_across_files(tmp_path: Path) -> None:
    text = OWN + "rtx3090,alexnet,,1,fp32,,,2,\n"
    paths = [written(tmp_path, text, name) for name in ("a.csv", "b.csv")]
    table = read(paths)
    assert len(table.rows) == 1
    assert table.skipped[0].reason == f"repeats {paths[0]}:2 exactly"


def test_timm_contradicts_itself(tmp_path: Path) -> None:
    table = read([written(tmp_path, TIMM + "resnet50,2560.0,200.0,256,224,4.11,11.11,25.56\n")])
    assert table.rows == ()
    assert table.skipped[0].reason == "contradicts itself: samples a second × step time is 2 batches"


def test_autocast_to_bf16_is_warned_about(tmp_path: Path) -> None:
    path = written(tmp_path, TIMM + "resnet50,2560.0,100.0,256,224,4.11,11.11,25.56\n", "amp_bf16-nchw-rtx4090.csv")
    assert read([path]).notices == (notice("autocast-as-fp16", file=path),)


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "mine.csv", "is an empty table"),
        ("# only a comment\n", "mine.csv", "is an empty table"),
        ("a,b\n1,2\n", "rtx3090_amp.csv", "has no column model or infer_step_time"),
        ("model,train_step_time\nresnet50,3\n", "rtx3090_amp.csv", "training times, which are not replayed"),
        ("device,model,time_ms\nrtx3090,alexnet,1\n", "mine.csv", "has no column batch or dtype"),
        ("device,model,model\n", "mine.csv", "has two columns named 'model'"),
        ('device,model\n"x,y\n', "mine.csv", "is not a line of a table"),
        ("device,\0\n", "mine.csv", "is not a table of text"),
        (TIMM, "amp.csv", "does not say the device in its name: give --device"),
        (TIMM, "rtx3090.csv", "does not say the dtype in its name: give --dtype"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, text: str, name: str, words: str) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(InputError) as caught:
        read([path])
    assert words in str(caught.value)
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
