"""Traced workloads that come with hwbench: what is stored comes back, and only what was asked for is answered."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from hwbench.errors import HwbenchError, InputError
from hwbench.workload import cached, load
from hwbench.workload.ops import Op, Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.saved import shipped
from hwbench.workload.saved.shipped import PackedModel, TraceIndex, pack

OPS = (
    Op("conv", (8, 4, 4), params=216, macs=3456, input_elements=48, weight_elements=216, name="a", count=3),
    Op("attention", (4, 8), macs=256, fixed_input_bytes=64, dtype="fp16", masked=True, groups=2, constant=True),
)  # fmt: skip


def workload(name: str, *ops: Op) -> Workload:
    return Workload(name, "a title", (3, 4, 4), ops or OPS, uncounted=("aten.odd",), assumed=("all",), unused_params=7)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of our own with one model at two sizes in place of the shipped one."""
    traces = [
        pack(workload("timm:net"), "net", 32, "plain-nchw"),
        pack(workload("timm:net", OPS[0]), "net", 64, "plain-nchw"),
        pack(workload("timm:net", OPS[1]), "net", 32, "amp-nhwc"),
    ]
    held = TraceIndex(
        shipped.SCHEMA,
        {"timm": "0.0.0", "torch": "2.99"},
        {"net": PackedModel("net.msgpack", 32, (32, 64))},
        {"net.large": 64},
        ("net.other",),
        {"old_net": "net", "old_large": "net.large", "old_other": "net.other"},
    )
    path = str(tmp_path / "timm.zip")
    shipped.write(path, held, [("net.msgpack", traces)])
    monkeypatch.setattr(shipped, "path", lambda: path)
    return path


def test_what_is_stored_comes_back(file: str) -> None:
    found = shipped.workload(ModelRequest("timm:net"))
    assert found is not None
    assert found.title == "a title (traced by timm 0.0.0, torch 2.99)"
    assert msgspec.structs.replace(found, title="a title") == workload("timm:net")


@pytest.mark.parametrize(
    ("request_", "ops"),
    [
        (ModelRequest("timm:net", image_size=32), OPS),
        (ModelRequest("timm:net", image_size=64), OPS[:1]),
        (ModelRequest("timm:net", autocast="fp16", channels_last=True), OPS[1:]),
        (ModelRequest("timm:net.large"), OPS[:1]),
        (ModelRequest("timm:net.usual"), OPS),
        (ModelRequest("timm:net.large", image_size=32), OPS),
        (ModelRequest("timm:old_net"), OPS),
        (ModelRequest("timm:old_large"), OPS[:1]),
    ],
)
def test_the_size_and_mode_asked_for(file: str, request_: ModelRequest, ops: tuple[Op, ...]) -> None:
    found = shipped.workload(request_)
    assert found is not None
    assert found.ops == ops
    assert found.name == request_.model


@pytest.mark.parametrize(
    "request_",
    [
        ModelRequest("timm:net", image_size=48),
        ModelRequest("timm:net", autocast="fp16"),
        ModelRequest("timm:net", channels_last=True),
        ModelRequest("timm:net", autocast="bf16"),
        ModelRequest("timm:net", training=True),
        ModelRequest("timm:net", input="1x3x32x32"),
        ModelRequest("timm:net", phase="decode"),
        ModelRequest("timm:net.other"),
        ModelRequest("timm:old_other"),
        ModelRequest("timm:network"),
        ModelRequest("torchvision:net"),
        ModelRequest("net"),
    ],
)
def test_nothing_else_is_answered(file: str, request_: ModelRequest) -> None:
    assert shipped.workload(request_) is None


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ModelRequest("timm:net", image_size=48), "image size 32 and 64"),
        (ModelRequest("timm:net.other"), "another number of classes"),
        (ModelRequest("timm:nett"), "timm 0.0.0 has no such model"),
    ],
)
def test_the_reason_why_there_is_no_trace(file: str, request_: ModelRequest, words: str) -> None:
    assert words in shipped.missing(request_, "It needs x.").message


def test_the_nearest_names(file: str) -> None:
    error = shipped.missing(ModelRequest("timm:nett.large"), "It needs x.")
    assert (error.code, error.nearest) == ("missing-package", ("timm:net",))
    assert shipped.missing(ModelRequest("torchvision:net"), "It needs x.").message == "It needs x."


def test_an_installed_package_of_another_version_is_asked_first(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, trusted in ((None, True), ("0.0.0", True), ("9.9.9", False)):
        monkeypatch.setattr(shipped, "installed", lambda _, version=version: version)
        assert shipped.matches_installed(ModelRequest("timm:net")) is trusted


def test_equal_traces_give_an_equal_file(file: str, tmp_path: Path) -> None:
    traces = [pack(workload("timm:net"), "net", 32, "plain-nchw")]
    held = TraceIndex(shipped.SCHEMA, {}, {})
    contents = []
    for name in ("a.zip", "b.zip"):
        shipped.write(str(tmp_path / name), held, [("net.msgpack", traces)])
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "b.zip", "timm.zip"]


def test_a_damaged_file_is_said(file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, content in (("a", b"no zip"), ("b", b""), ("c", Path(file).read_bytes()[:200])):
        path = str(tmp_path / name)
        Path(path).write_bytes(content)
        monkeypatch.setattr(shipped, "path", lambda path=path: path)
        with pytest.raises(HwbenchError, match="cannot be read"):
            shipped.workload(ModelRequest("timm:net"))
    for name, index in (("d", b"{}"), ("e", b'{"schema": "other/9", "made_with": {}, "models": {}}')):
        path = str(tmp_path / name)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("index.json", index)
        monkeypatch.setattr(shipped, "path", lambda path=path: path)
        with pytest.raises(HwbenchError, match=r"is not a file of traces|has the schema"):
            shipped.workload(ModelRequest("timm:net"))


def test_without_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "path", lambda: "/no/such/timm.zip")
    assert shipped.workload(ModelRequest("timm:resnet50")) is None
    assert shipped.missing(ModelRequest("timm:resnet50"), "It needs x.").message == "It needs x."


def test_traces_are_kept_once_they_are_made(file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[ModelRequest] = []

    def trace(request: ModelRequest) -> Workload:
        made.append(request)
        return workload(request.model)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(load, "workload", trace)
    monkeypatch.setattr(shipped, "installed", lambda _: "1.0")
    assert cached.workload(ModelRequest("timm:net")).ops == OPS
    assert made == []  # packaged
    asked = ModelRequest("timm:net", image_size=48)
    first = cached.workload(asked)
    assert cached.workload(asked) == first
    assert made == [asked]
    (name,) = os.listdir(cached.folder())
    Path(cached.folder(), name).write_text("damaged")
    assert cached.workload(asked) == first
    assert made == [asked, asked]
    cached.workload(ModelRequest("timm:net", image_size=49))
    monkeypatch.setattr(shipped, "installed", lambda _: "1.1")
    cached.workload(asked)
    assert len(made) == 4
    assert len(os.listdir(cached.folder())) == 3


def test_what_cannot_be_kept_is_made_all_the_same(file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(load, "workload", lambda request: workload(request.model))
    monkeypatch.setattr(shipped, "installed", lambda _: "1.0")
    assert cached.workload(ModelRequest("timm:net", image_size=48)).ops == OPS
    assert cached.workload(ModelRequest("alexnet")).ops == OPS


def test_models_of_the_shipped_file() -> None:
    """Counts of well-known models, by the papers and libraries that publish them, without timm."""
    for name, macs, params in (
        ("resnet50", 4089e6, 25.557e6),
        ("vit_base_patch16_224", 17564e6, 86.568e6),
        ("mobilenetv3_large_100", 216.6e6, 5.483e6),
    ):
        for request in (
            ModelRequest(f"timm:{name}"),
            ModelRequest(f"timm:{name}", autocast="fp16", channels_last=True),
        ):
            found = shipped.workload(request)
            assert found is not None
            assert found.macs == pytest.approx(macs, rel=0.002)
            assert found.params == pytest.approx(params, rel=0.001)
            assert found.uncounted == ()


@pytest.mark.slow
def test_every_member_of_the_shipped_file_loads() -> None:
    held = shipped.index()
    assert held is not None
    assert len(held.models) > 1000
    with zipfile.ZipFile(shipped.path()) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {shipped.INDEX} | {model.member for model in held.models.values()}
    for name in list(held.models)[::40]:
        for side in held.models[name].sides:
            found = shipped.workload(ModelRequest(f"timm:{name}", image_size=side))
            assert found is None or found.macs > 0


def test_needs_neither_torch_nor_timm() -> None:
    block = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'timm', 'numpy')));"
        "from hwbench.workload import load; print(load.workload('timm:resnet50').macs);"
        "load.workload('timm:no_such_model')"
    )
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, timeout=60, check=False)
    assert done.stdout.strip() == b"4089184256", done.stderr
    assert b"'timm:no_such_model' needs t" in done.stderr  # timm, or torch where the package is installed


def test_a_broken_torch_is_said_where_nothing_is_packaged(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(shipped, "installed", lambda _: "9.9.9")
    assert load.workload("timm:net").ops == OPS  # the other version's timm cannot run without torch
    with pytest.raises(InputError) as raised:
        load.workload("timm:other")
    assert raised.value.code == "missing-package"


def test_a_defect_of_the_tracer_is_not_taken_for_a_missing_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from hwbench.workload import tracing

    monkeypatch.setitem(sys.modules, "hwbench.workload.tracing.sources", None)
    monkeypatch.delattr(tracing, "sources", raising=False)
    with pytest.raises(ImportError):
        load.workload("torch:os:getcwd")


def test_a_missing_timm_is_said_where_nothing_is_packaged(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "installed", lambda _: None)
    with pytest.raises(InputError) as caught:
        load.workload(ModelRequest("timm:net", image_size=48))
    assert "needs timm" in caught.value.message
    assert "it was traced at image size 32 and 64" in str(caught.value)
