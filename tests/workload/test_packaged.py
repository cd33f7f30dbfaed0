"""Traced workloads that come with hwbench: what is stored comes back, and only what was asked for is answered."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

import hwbench.workload
from hwbench.errors import HwbenchError, InputError
from hwbench.workload import kept, packaged, zoo
from hwbench.workload.op import Op, Workload
from hwbench.workload.packaged import Index, Model, trace_of
from hwbench.workload.request import Request

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
        trace_of(workload("timm:net"), "net", 32, "plain-nchw"),
        trace_of(workload("timm:net", OPS[0]), "net", 64, "plain-nchw"),
        trace_of(workload("timm:net", OPS[1]), "net", 32, "amp-nhwc"),
    ]
    held = Index(
        packaged.SCHEMA,
        {"timm": "0.0.0", "torch": "2.99"},
        {"net": Model("net.msgpack", 32, (32, 64))},
        {"net.large": 64},
        ("net.other",),
        {"old_net": "net", "old_large": "net.large", "old_other": "net.other"},
    )
    path = str(tmp_path / "timm.zip")
    packaged.write(path, held, [("net.msgpack", traces)])
    monkeypatch.setattr(packaged, "path", lambda: path)
    return path


def test_what_is_stored_comes_back(file: str) -> None:
    found = packaged.workload(Request("timm:net"))
    assert found is not None
    assert found.title == "a title (traced by timm 0.0.0, torch 2.99)"
    assert msgspec.structs.replace(found, title="a title") == workload("timm:net")


@pytest.mark.parametrize(
    ("request_", "ops"),
    [
        (Request("timm:net", image_size=32), OPS),
        (Request("timm:net", image_size=64), OPS[:1]),
        (Request("timm:net", autocast="fp16", channels_last=True), OPS[1:]),
        (Request("timm:net.large"), OPS[:1]),
        (Request("timm:net.usual"), OPS),
        (Request("timm:net.large", image_size=32), OPS),
        (Request("timm:old_net"), OPS),
        (Request("timm:old_large"), OPS[:1]),
    ],
)
def test_the_size_and_mode_asked_for(file: str, request_: Request, ops: tuple[Op, ...]) -> None:
    found = packaged.workload(request_)
    assert found is not None
    assert found.ops == ops
    assert found.name == request_.model


@pytest.mark.parametrize(
    "request_",
    [
        Request("timm:net", image_size=48),
        Request("timm:net", autocast="fp16"),
        Request("timm:net", channels_last=True),
        Request("timm:net", autocast="bf16"),
        Request("timm:net", training=True),
        Request("timm:net", input="1x3x32x32"),
        Request("timm:net", phase="decode"),
        Request("timm:net.other"),
        Request("timm:old_other"),
        Request("timm:network"),
        Request("torchvision:net"),
        Request("net"),
    ],
)
def test_nothing_else_is_answered(file: str, request_: Request) -> None:
    assert packaged.workload(request_) is None


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("timm:net", image_size=48), "image size 32 and 64"),
        (Request("timm:net.other"), "another number of classes"),
        (Request("timm:nett"), "timm 0.0.0 has no such model"),
    ],
)
def test_why_not(file: str, request_: Request, words: str) -> None:
    assert words in packaged.why_not(request_)


def test_the_nearest_names(file: str) -> None:
    error = packaged.missing(Request("timm:nett.large"), "needs x")
    assert str(error) == (
        "needs x; not packaged: timm 0.0.0 has no such model, or it cannot be traced (did you mean timm:net?)"
    )
    assert str(packaged.missing(Request("torchvision:net"), "needs x")) == "needs x"


def test_an_installed_package_of_another_version_is_asked_first(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, trusted in ((None, True), ("0.0.0", True), ("9.9.9", False)):
        monkeypatch.setattr(packaged, "installed", lambda _, version=version: version)
        assert packaged.trusted(Request("timm:net")) is trusted


def test_equal_traces_give_an_equal_file(file: str, tmp_path: Path) -> None:
    traces = [trace_of(workload("timm:net"), "net", 32, "plain-nchw")]
    held = Index(packaged.SCHEMA, {}, {})
    contents = []
    for name in ("a.zip", "b.zip"):
        packaged.write(str(tmp_path / name), held, [("net.msgpack", traces)])
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "b.zip", "timm.zip"]


def test_a_damaged_file_is_said(file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, content in (("a", b"no zip"), ("b", b""), ("c", Path(file).read_bytes()[:200])):
        path = str(tmp_path / name)
        Path(path).write_bytes(content)
        monkeypatch.setattr(packaged, "path", lambda path=path: path)
        with pytest.raises(HwbenchError, match="cannot be read"):
            packaged.workload(Request("timm:net"))
    for name, index in (("d", b"{}"), ("e", b'{"schema": "other/9", "made_with": {}, "models": {}}')):
        path = str(tmp_path / name)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("index.json", index)
        monkeypatch.setattr(packaged, "path", lambda path=path: path)
        with pytest.raises(HwbenchError, match=r"is not a file of traces|has the schema"):
            packaged.workload(Request("timm:net"))


def test_without_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "path", lambda: "/no/such/timm.zip")
    assert packaged.workload(Request("timm:resnet50")) is None
    assert packaged.why_not(Request("timm:resnet50")) == "no traces came with this installation"
    assert str(packaged.missing(Request("timm:resnet50"), "needs x")) == "needs x"


def test_traces_are_kept_once_they_are_made(file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[Request] = []

    def trace(request: Request) -> Workload:
        made.append(request)
        return workload(request.model)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "workload", trace)
    monkeypatch.setattr(packaged, "installed", lambda _: "1.0")
    assert kept.workload(Request("timm:net")).ops == OPS
    assert made == []  # packaged
    asked = Request("timm:net", image_size=48)
    first = kept.workload(asked)
    assert kept.workload(asked) == first
    assert made == [asked]
    (name,) = os.listdir(kept.folder())
    Path(kept.folder(), name).write_text("damaged")
    assert kept.workload(asked) == first
    assert made == [asked, asked]
    kept.workload(Request("timm:net", image_size=49))
    monkeypatch.setattr(packaged, "installed", lambda _: "1.1")
    kept.workload(asked)
    assert len(made) == 4
    assert len(os.listdir(kept.folder())) == 3


def test_what_cannot_be_kept_is_made_all_the_same(file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "workload", lambda request: workload(request.model))
    monkeypatch.setattr(packaged, "installed", lambda _: "1.0")
    assert kept.workload(Request("timm:net", image_size=48)).ops == OPS
    assert kept.workload(Request("alexnet")).ops == OPS


def test_models_of_the_shipped_file() -> None:
    """Counts of well-known models, by the papers and libraries that publish them, without timm."""
    for name, macs, params in (
        ("resnet50", 4089e6, 25.557e6),
        ("vit_base_patch16_224", 17564e6, 86.568e6),
        ("mobilenetv3_large_100", 216.6e6, 5.483e6),
    ):
        for request in (Request(f"timm:{name}"), Request(f"timm:{name}", autocast="fp16", channels_last=True)):
            found = packaged.workload(request)
            assert found is not None
            assert found.macs == pytest.approx(macs, rel=0.002)
            assert found.params == pytest.approx(params, rel=0.001)
            assert found.uncounted == ()


def test_every_member_of_the_shipped_file_loads() -> None:
    held = packaged.index()
    assert held is not None
    assert len(held.models) > 1000
    with zipfile.ZipFile(packaged.path()) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {packaged.INDEX} | {model.member for model in held.models.values()}
    for name in list(held.models)[::40]:
        for side in held.models[name].sides:
            found = packaged.workload(Request(f"timm:{name}", image_size=side))
            assert found is None or found.macs > 0


def test_needs_neither_torch_nor_timm() -> None:
    block = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'timm', 'numpy')));"
        "from hwbench.workload import zoo; print(zoo.workload('timm:resnet50').macs);"
        "zoo.workload('timm:no_such_model')"
    )
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, timeout=60, check=False)
    assert done.stdout.strip() == b"4089184256", done.stderr
    assert b"timm:no_such_model needs t" in done.stderr  # timm, or torch where the package is installed


def test_a_broken_torch_is_said_where_nothing_is_packaged(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hwbench.workload.sources", None)
    monkeypatch.delattr(hwbench.workload, "sources", raising=False)
    monkeypatch.setattr(packaged, "installed", lambda _: "9.9.9")
    assert zoo.workload("timm:net").ops == OPS  # the other version's timm cannot run without torch
    with pytest.raises(InputError, match="needs torch"):
        zoo.workload("timm:other")


def test_a_missing_timm_is_said_where_nothing_is_packaged(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "installed", lambda _: None)
    with pytest.raises(InputError) as caught:
        zoo.workload(Request("timm:net", image_size=48))
    assert "needs timm: pip install" in str(caught.value)
    assert "it was traced at image size 32 and 64" in str(caught.value)
