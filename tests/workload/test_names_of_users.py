"""Names that people type: modules of their own, by name and by file, names of the hub, lists of layers."""

import sys
from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.workload import hub, load
from hwbench.workload.factory import FactoryName
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

SOURCE = """
import own_neighbour

def make():
    import own_late
    return own_neighbour.VALUE + own_late.VALUE

constant = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_factories.py").write_text(SOURCE)
    (tmp_path / "own_neighbour.py").write_text("VALUE = 1\n")
    (tmp_path / "own_late.py").write_text("VALUE = 2\n")
    (tmp_path / "own_broken.py").write_text("import no_such_package_x\ndef make(): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    for name in ("own_factories", "own_neighbour", "own_late", "own_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.parametrize("name", ["own_factories:make", "./own_factories.py:make", "own_factories.py:make"])
def test_a_module_of_the_working_folder_is_found_with_its_neighbours(folder: Path, name: str) -> None:
    assert FactoryName.parse(name).load()() == 3
    assert str(folder) not in sys.path


def test_a_file_of_another_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(InputError) as raised:
        FactoryName.parse("own_factories:make")
    assert raised.value.code == "missing-package"
    assert FactoryName.parse(f"{folder}/own_factories.py:make").load()() == 3


def test_installed_modules_win(folder: Path) -> None:
    (folder / "json.py").write_text("raise SystemExit\n")
    assert FactoryName.parse("json:dumps").folder is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("own_factories:mak", "not-a-factory"), ("own_factories.py:mak", "not-a-factory"),
        ("own.py:make", "not-readable"),
        ("own_factories", "not-a-factory"), (":make", "not-a-factory"), ("no_such_x:make", "missing-package"),
    ],
)  # fmt: skip
def test_spelling_is_checked_before_anything_is_imported(folder: Path, name: str, code: str) -> None:
    modules = set(sys.modules)
    with pytest.raises(InputError) as raised:
        load.workload(f"torch:{name}")
    assert raised.value.code == code
    assert not {"torch", *(path.stem for path in folder.iterdir())} & (set(sys.modules) - modules)


@pytest.mark.parametrize(
    ("name", "code"), [("own_factories:constant", "not-a-factory"), ("own_broken:make", "missing-package")]
)
@pytest.mark.usefixtures("folder")
def test_what_only_an_import_shows(name: str, code: str) -> None:
    with pytest.raises(InputError) as raised:
        FactoryName.parse(name).load()
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("meta-llama/Llama-3.1-8B", "llama"), ("llama-guard", "llama"), ("gpt2", "gpt2"), ("Qwen/Qwen2.5-7B", "qwen2"),
        ("mistralai/Mistral-7B-v0.1", "mistral"), ("google/gemma-2-9b", "gemma2"),
    ],
)  # fmt: skip
def test_names_of_the_hub_have_a_model_type(name: str, family: str) -> None:
    assert hub.family_of(name) == family
    with pytest.raises(InputError) as raised:
        load.workload(name if "/" not in name else f"hf:{name}")
    assert raised.value.code in ("unknown-model", "missing-package")
    assert any(choice.endswith(family) for choice in raised.value.nearest)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("efficientnet_b0", "timm:efficientnet_b0"), ("inception_v3.tv_in1k", "timm:inception_v3.tv_in1k"),
     ("yolo.pt", "torch:FILE.py:NAME"), ("Net.PTH", "model.onnx")],
)  # fmt: skip
def test_names_that_another_source_knows_are_answered_with_it(name: str, nearest: str) -> None:
    with pytest.raises(InputError) as raised:
        load.workload(name)
    assert raised.value.code == "unknown-model"
    assert nearest in raised.value.nearest


@pytest.mark.slow
def test_every_model_type_passes_and_a_misspelled_one_has_a_near_one() -> None:
    transformers = pytest.importorskip("transformers")
    for kind in transformers.CONFIG_MAPPING:
        hub.check_type(f"{kind}?hidden_size=8")
    with pytest.raises(InputError) as raised:
        hub.check_type("lama")
    assert "llama" in raised.value.nearest


LAYERS = "- conv: {channels: 8, kernel: 3}\n- relu\n"


def test_a_file_may_be_a_list_of_layers(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(LAYERS)
    found = load.workload(ModelRequest(str(path), input="4x3x10x10"))
    assert isinstance(found, Workload)
    assert (found.title, found.input_shape, found.batch, found.macs) == ("own", (3, 10, 10), 4, 64 * 8 * 27)
    with pytest.raises(InputError) as raised:
        load.workload(str(path))
    assert (raised.value.code, raised.value.field) == ("input-needed", "input")


def test_a_network_is_counted_at_the_input_given() -> None:
    usual, wide = load.workload("vgg16"), ModelRequest("vgg16", input="8x3x224x224")
    assert (load.workload(wide).batch, load.workload(wide).macs) == (8, usual.macs)
    with pytest.raises(InputError) as raised:
        load.workload(ModelRequest("vgg16", input="224"))
    assert raised.value.code == "not-a-shape"


@pytest.mark.parametrize(("name", "nearest"), [("llama3-8b", ()), ("mine.py", ("torch:mine.py:NAME",))])
def test_what_is_no_network_says_what_it_is(name: str, nearest: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as raised:
        load.workload(name)
    assert (raised.value.code, raised.value.nearest) == ("unknown-model", nearest)


@pytest.mark.parametrize("name", ["rtx4090", "RTX 4090", "i9-13900k"])
def test_a_device_in_place_of_a_model_is_said_to_be_one(name: str) -> None:
    with pytest.raises(InputError, match="is a device, not a model") as raised:
        load.workload(name)
    assert raised.value.code == "unknown-model"
