"""Replays: a measurement that equals its prediction has no error, and whatever cannot be predicted is said."""

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.notices import Notice, notice
from hwbench.predict.data.rows import MeasuredTime, Skipped
from hwbench.predict.data.tables import MeasuredTable
from hwbench.predict.replay.replay import replay, similar, with_family_reasons
from hwbench.predict.replay.summary import ReplayRow, summary
from hwbench.workload.ops import Op, Workload
from hwbench.workload.request import ModelRequest

MODELS = ("alexnet", "resnet50", "vgg16", "mobilenet-v2", "googlenet", "squeezenet1.0", "bert-base", "densenet121")


def measured(model: str, time_s: float = 1e-3, line: int = 2, **fields: object) -> MeasuredTime:
    given = {"device": "rtx3090", "batch": 8, "dtype": "fp32", "runtime": "torch-2.4-eager", **fields}
    return MeasuredTime(model=model, time_s=time_s, place=f"mine.csv:{line}", **given)  # type: ignore[arg-type]


def predicted(**fields: object) -> dict[str, float]:
    """Expected times by model."""
    rows = [measured(model, line=line, **fields) for line, model in enumerate(MODELS)]
    return {row.model: row.forecast_s for row in replay(MeasuredTable(tuple(rows))).rows}


def test_what_was_predicted_is_without_error() -> None:
    times = predicted()
    rows = tuple(measured(model, time, line) for line, (model, time) in enumerate(times.items()))
    found = replay(MeasuredTable(rows))
    assert found.all.mape == 0
    assert found.all.spearman == pytest.approx(1)
    assert found.all.interval_coverage == 1
    assert [row.place for row in found.rows] == [row.place for row in rows]
    assert found.ideal.bias is not None
    assert found.ideal.bias < 0  # a lower bound of each
    for row in found.rows:
        assert row.ideal_s <= (row.roofline_s or 0)
        assert row.interval_s[0] < row.forecast_s < row.interval_s[1]


def test_errors_are_shares_of_what_was_measured() -> None:
    times = predicted()
    found = replay(
        MeasuredTable((measured("alexnet", times["alexnet"] * 2, 1), measured("vgg16", times["vgg16"] / 4, 2)))
    )
    assert [row.error for row in found.rows] == pytest.approx([-0.5, 3])
    assert [row.model for row in found.worst] == ["vgg16", "alexnet"]  # a quarter is further off than double
    assert found.all.mape == pytest.approx(1.75)
    assert found.all.bias == pytest.approx(1.25)


def test_the_dtype_the_batch_and_the_runtime_matter() -> None:
    base = predicted()
    for fields in ({"dtype": "fp16"}, {"batch": 64}, {"runtime": "torch-2.4-compile"}, {"device": "rtx4090"}):
        assert predicted(**fields) != base


def test_settings_behind_a_device() -> None:
    whole, part = (predicted(device=name)["vgg16"] for name in ("rtx3090", "rtx3090 units=41"))
    assert whole < part


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (measured("alexnet", device="no-such-card"), "no-such-card"),
        (measured("alexnet", device="rtx3090 colour=red"), "cannot be set"),
        (measured("no-such-net"), "no-such-net"),
        (measured("alexnt"), "did you mean alexnet"),
        (measured("timm:no_such_net"), "no_such_net"),
        (measured("alexnet", device="titan-x-maxwell", dtype="fp16"), "The fp16 rate of titan-x-maxwell is unknown"),
        (measured("alexnet", image_size=227), "images of 224 pixels, not of 227"),
    ],
)
def test_what_cannot_be_predicted_is_said(row: MeasuredTime, words: str) -> None:
    found = replay(MeasuredTable((row, measured("vgg16", line=3)), (Skipped("x", "dirty", "mine.csv:1"),)))
    assert [one.model for one in found.rows] == ["vgg16"]
    assert [one.reason for one in found.skipped][:1] == ["dirty"]
    assert words in found.skipped[1].reason
    assert found.skipped[1].place == row.place


def test_a_table_of_nothing() -> None:
    found = replay(MeasuredTable())
    assert found.all.n == 0
    assert found.worst == ()
    assert found.body()["mape"] is None


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("pro6000maxq", "rtx-pro-6000-blackwell-max-q"),
        ("8124m", "xeon-platinum-8124m"),
        ("xeon", None),  # which one?
        ("rtx", None),
        ("1", None),
        ("nothing-like-it", None),
    ],
)
def test_shortened_names(text: str, device: str | None) -> None:
    assert similar(text) == device


def test_a_guessed_device_is_said() -> None:
    found = replay(
        MeasuredTable((measured("alexnet", device="pro6000maxq"), measured("vgg16", line=3, device="pro6000maxq")))
    )
    assert {row.device for row in found.rows} == {"rtx-pro-6000-blackwell-max-q"}
    (similar,) = found.notices
    assert (similar.code, similar.data["device"]) == ("device-similar", "rtx-pro-6000-blackwell-max-q")


def test_devices_that_the_catalog_does_not_know() -> None:
    own = msgspec.structs.replace(catalog.device("rtx3090"), name="mine")
    found = replay(
        MeasuredTable((measured("alexnet", device="host units=82"),)),
        finder=lambda name: (own, (notice("recorded", text=name),)),
    )
    assert [row.device for row in found.rows] == ["mine units=82"]
    assert found.notices == (notice("recorded", text="host"),)


def test_layout_and_size_reach_the_tracer() -> None:
    asked: list[ModelRequest] = []

    def workloads(request: ModelRequest) -> Workload:
        asked.append(request)
        return Workload(request.model, "t", (3, 8, 8), (Op("conv", (8, 8, 8), macs=1 << 20, input_elements=1 << 16),))

    rows = (
        measured("timm:a", line=1, dtype="amp", layout="nhwc", image_size=96),
        measured("timm:a", line=2, dtype="amp", layout="nchw", image_size=96),
        measured("timm:a", line=3, dtype="bf16", image_size=64),
    )
    assert replay(MeasuredTable(rows), workloads).all.n == 3
    assert set(asked) == {
        ModelRequest("timm:a", image_size=96, autocast="fp16", channels_last=True),
        ModelRequest("timm:a", image_size=96, autocast="fp16"),
        ModelRequest("timm:a", image_size=64),
    }


def test_reasons() -> None:
    def workloads(request: ModelRequest) -> Workload:
        ops = (Op("conv", (8, 8, 8), macs=1 << 28, params=100, input_elements=1 << 16),)
        return Workload(request.model, "t", (3, 8, 8), ops, uncounted=("aten.odd (1 of 2 operators)",))

    (row,) = replay(MeasuredTable((measured("timm:a", 1e-9),)), workloads).rows
    below, uncounted, conv = row.reasons
    assert below.startswith("measured below the roofline")
    assert uncounted == "not counted: aten.odd (1 of 2 operators)"
    assert conv == "conv takes 100 % of the forecast"


def test_another_network_of_the_same_name_is_left_out() -> None:
    own = measured("alexnet")
    for params, left_out in ((62.38e6, False), (62.9e6, False), (61.1e6, True), (25e6, True), (None, False)):
        found = replay(MeasuredTable((msgspec.structs.replace(own, params=params),)))
        assert [skipped.model for skipped in found.skipped] == (["alexnet"] if left_out else [])


def row(device: str, family: str, fitted: bool, error: float) -> ReplayRow:
    return ReplayRow(
        device=device, model=f"{family}1", family=family, fitted=fitted, image_size=None, batch=1, dtype="fp32",
        layout=None, runtime=None, assumed_runtime="torch-eager-cuda", measured_s=1.0, forecast_s=1 + error,
        interval_s=(0.9, 1.2), ideal_s=0.5, roofline_s=0.8, error=error, reasons=(), place="x:1", source="",
    )  # fmt: skip


def test_groups_and_unseen_families() -> None:
    found = summary([row("a", "f", True, 0.1), row("a", "g", False, 0.3), row("b", "g", False, -0.1)])
    assert found.all.mape == pytest.approx(0.5 / 3)
    assert found.unseen.n == 2
    assert found.unseen.mape == pytest.approx(0.2)
    assert [(group.device, group.all.n, group.unseen.n) for group in found.groups] == [("a", 2, 1), ("b", 1, 1)]
    assert [(one.family, one.all.n) for one in found.families] == [("g", 2), ("f", 1)]
    assert found.groups[0].ideal.bias == pytest.approx(-0.5)
    assert found.groups[0].roofline.bias == pytest.approx(-0.2)


def test_a_family_that_misses_as_one_is_told() -> None:
    rows = [msgspec.structs.replace(row("a", "f", True, error), place=str(error)) for error in (-0.3, -0.4, -0.5, -0.2)]
    reason = "f is underestimated on this device, by 35 % in the median of 4 rows"
    assert [row.reasons for row in with_family_reasons(rows)] == [(reason,)] * 4
    assert [row.reasons for row in with_family_reasons(rows[:2])] == [()] * 2


def test_json_keys() -> None:
    body = replay(MeasuredTable((measured("alexnet"), measured("x", line=3)))).body()
    metrics = {"n", "mape", "median_ape", "within", "spearman", "bias", "interval_coverage", "interval_ratio"}
    lists = {"groups", "families", "worst", "skipped", "warnings", "notices"}
    assert metrics | lists | {"baselines", "unseen"} == set(body)
    assert set(body["within"]) == {"10", "20", "30"}
    assert set(body["baselines"]) == {"ideal", "roofline"}
    assert {"device", "runtime", "dtype", "layout", "unseen", "baselines"} | metrics == set(body["groups"][0])
    assert {"model", "reason", "place", "device"} == set(body["skipped"][0])
    assert "rows" in replay(MeasuredTable((measured("alexnet"),))).body(rows=True)


def test_an_unknown_runtime_is_no_reason_to_guess_silently() -> None:
    """Whatever the runtime is called, the kind that the prediction is for is said."""
    for name in ("mxnet-1.2-cudnn-7.0", "ncnn-vulkan", "torch-2.4-eager", None):
        found = replay(MeasuredTable((measured("alexnet", runtime=name),)))
        assert all(one.assumed_runtime for one in found.rows)
        assert found.all.n + len(found.skipped) == 1


def test_a_reason_names_the_file_and_no_parameter() -> None:
    def finder(name: str) -> tuple[Device, tuple[Notice, ...]]:
        raise InputError("odd", "This is odd.", file=name, line=3, field="device", nearest=("y",))

    (skipped,) = replay(MeasuredTable((measured("alexnet", device="x.yaml"),)), finder=finder).skipped
    assert skipped.reason == "x.yaml:3: This is odd. (did you mean y?)"


def test_a_table_of_names_that_mean_nothing_is_not_searched_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwbench.predict.replay.replay.MAX_UNKNOWN_DEVICES", 2)
    asked: list[str] = []

    def finder(name: str) -> tuple[Device, tuple[Notice, ...]]:
        asked.append(name)
        return catalog.device(name), ()

    names = ["rtx3090", "nothing1", "nothing1", "nothing2", "nothing3", "rtx4090", "rtx3090"]
    rows = tuple(MeasuredTime(name, "alexnet", 1, "fp32", 1e-3, str(place)) for place, name in enumerate(names))
    found = replay(MeasuredTable(rows), finder=finder)
    assert [row.place for row in found.rows] == ["0", "5", "6"]
    assert asked == ["rtx3090", "nothing1", "nothing2", "rtx4090"]  # a name of the catalog needs no search
    assert len(found.skipped) == 4
