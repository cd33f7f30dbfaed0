"""The catalog of networks: every file is held to its published counts and to an independent build (test_reference)."""

import csv
import os
import re
from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.files import names, places
from hwbench.workload import load
from hwbench.workload.layers import network
from hwbench.workload.layers.network import ModelFile
from hwbench.workload.ops import Workload

HERE = Path(__file__).parent
MODELS = os.path.join(places.shipped(), "models")
CATALOG = names.stems(MODELS)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


GOLDEN = {row["name"]: row for row in rows(HERE.parent / "golden" / "models.csv")}
WEIGHT_LAYERS = rows(HERE / "weight_layers.csv")


@pytest.fixture(autouse=True)
def only_the_shipped_catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HWBENCH_CONFIGS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def file_of(name: str) -> ModelFile:
    return network.read(os.path.join(MODELS, name + ".yaml"))[1]


@pytest.mark.parametrize("name", CATALOG)
def test_counts_are_the_published_ones(name: str) -> None:
    workload = load.workload(name)
    assert workload.published is not None
    assert (workload.params, workload.macs) == (workload.published.params, workload.published.macs)
    assert workload.uncounted == ()


@pytest.mark.parametrize("name", CATALOG)
def test_counts_are_those_of_an_independent_build(name: str) -> None:
    workload = load.workload(name)
    assert name in GOLDEN, "add it to test_reference.py and write tests/golden/models.csv anew"
    assert (workload.params, workload.macs) == (int(GOLDEN[name]["params"]), int(GOLDEN[name]["macs"]))


@pytest.mark.parametrize("name", CATALOG)
def test_every_weight_layer_counts_as_in_an_independent_build(name: str) -> None:
    theirs = [(int(row["params"]), int(row["macs"])) for row in WEIGHT_LAYERS if row["model"] == name]
    ours = [(op.params, op.macs) for op in load.workload(name).ops if op.params and op.macs]
    assert ours == theirs


def test_golden_files_hold_nothing_else() -> None:
    assert list(GOLDEN) == CATALOG
    assert {row["model"] for row in WEIGHT_LAYERS} == set(CATALOG)
    assert all(row["reference"] for row in GOLDEN.values())


STATED = [
    # torchvision's own table of weights, in units of 10⁹ multiply-adds with three decimals
    *(("alexnet-owt", "macs", 714, 1), ("vgg11", "macs", 7609, 1), ("vgg13", "macs", 11308, 1)),
    *(("vgg16", "macs", 15470, 1), ("vgg19", "macs", 19632, 1), ("resnet18", "macs", 1814, 1)),
    *(("resnet34", "macs", 3664, 1), ("resnet50", "macs", 4089, 1), ("resnet101", "macs", 7801, 1)),
    *(("resnet152", "macs", 11514, 1), ("squeezenet1.0", "macs", 819, 1), ("mobilenet-v2", "macs", 301, 1)),
    *(("densenet121", "macs", 2834, 1), ("vit-b-16", "macs", 17564, 1)),
    # the papers: VGG table 2, MobileNet table 1, BERT section 3
    *(("vgg11", "params", 133, 1), ("vgg13", "params", 133, 1), ("vgg16", "params", 138, 1)),
    *(("vgg19", "params", 144, 1), ("mobilenet-v1", "macs", 569, 1), ("mobilenet-v1", "params", 4.2, 0.1)),
    ("bert-base", "params", 110, 10),
]


@pytest.mark.parametrize(("name", "what", "stated", "step"), STATED)
def test_counts_round_to_what_is_stated_in_millions(name: str, what: str, stated: float, step: float) -> None:
    count = getattr(load.workload(name), what)
    assert abs(count / 1e6 - stated) <= step / 2


ALEXNET = [
    # layer, maps or features, kernel × input, output positions
    ("conv1", 96, 11 * 11 * 3, 55 * 55),
    ("conv2", 256, 5 * 5 * 96, 27 * 27),
    ("conv3", 384, 3 * 3 * 256, 13 * 13),
    ("conv4", 384, 3 * 3 * 384, 13 * 13),
    ("conv5", 256, 3 * 3 * 384, 13 * 13),
    ("fc6", 4096, 6 * 6 * 256, 1),
    ("fc7", 4096, 4096, 1),
    ("fc8", 1000, 4096, 1),
]


@pytest.mark.parametrize(("name", "channels", "depth", "positions"), ALEXNET)
def test_alexnet_by_layer_in_every_convention(name: str, channels: int, depth: int, positions: int) -> None:
    op = {op.name: op for op in load.workload("alexnet").ops}[name]
    assert op.params == depth * channels + channels
    assert op.operations("mac") == depth * channels * positions
    assert op.operations("flop") == 2 * depth * channels * positions
    assert op.operations("mac-bias") == (depth * channels + channels) * positions


def test_alexnet_is_the_textbook_one() -> None:
    alexnet = load.workload("alexnet")
    weighted = [op for op in alexnet.ops if op.params]
    assert [op.params for op in weighted] == [34944, 614656, 885120, 1327488, 884992, 37752832, 16781312, 4097000]
    assert alexnet.params == 62_378_344
    assert alexnet.operations("flop") == 2_270_512_192
    assert alexnet.operations("mac") == 1_135_256_096
    assert alexnet.operations("mac-bias") == 1_135_915_368
    assert weighted[0].operations("mac-bias") == (11 * 11 * 3 * 96 + 96) * 55 * 55 == 105_705_600
    maps = [op.output_shape[1] for op in alexnet.ops if op.kind in ("conv", "max_pool")]
    assert maps == [55, 27, 27, 13, 13, 13, 13, 6]


def test_alexnet_needs_its_weights_and_its_largest_multiply_add() -> None:
    largest = 3 * 224 * 224 + 96 * 55 * 55  # conv1 reads the image and writes its maps, which relu1 changes in place
    assert load.workload("alexnet").capacity(32) == 4 * (62_378_344 + largest)
    assert load.workload("alexnet").capacity(16, batch=8) == 2 * (62_378_344 + 8 * largest)


@pytest.mark.parametrize("name", CATALOG)
def test_conventions_agree_with_each_other(name: str) -> None:
    workload = load.workload(name)
    assert workload.operations("flop") == 2 * workload.operations("mac") == workload.work(32).flops
    biases = sum(op.bias_adds for op in workload.ops)
    assert workload.operations("mac-bias") == workload.macs + biases


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("alexnet", {"conv": 5, "linear": 3, "max_pool": 3}),
        ("alexnet-grouped", {"conv": 2, "grouped_conv": 3, "linear": 3, "max_pool": 3, "local_response_norm": 2}),
        ("lenet5", {"conv": 3, "avg_pool": 2, "linear": 2, "tanh": 4}),
        ("vgg16", {"conv": 13, "linear": 3, "max_pool": 5, "relu": 15}),
        ("vgg19", {"conv": 16, "linear": 3, "max_pool": 5, "relu": 18}),
        ("resnet18", {"conv": 17, "pointwise_conv": 3, "batch_norm": 20, "add": 8, "relu": 17}),
        ("resnet50", {"conv": 17, "pointwise_conv": 36, "batch_norm": 53, "add": 16, "relu": 49}),
        ("resnet152", {"conv": 51, "pointwise_conv": 104, "batch_norm": 155, "add": 50, "relu": 151}),
        ("googlenet", {"conv": 20, "pointwise_conv": 37, "copy": 9, "max_pool": 13, "local_response_norm": 2}),
        ("squeezenet1.0", {"conv": 9, "pointwise_conv": 17, "copy": 8, "max_pool": 3, "relu": 26}),
        ("mobilenet-v1", {"conv": 1, "depthwise_conv": 13, "pointwise_conv": 13, "batch_norm": 27, "relu6": 27}),
        ("mobilenet-v2", {"conv": 1, "depthwise_conv": 17, "pointwise_conv": 34, "add": 10, "relu6": 35}),
        ("densenet121", {"conv": 59, "pointwise_conv": 61, "batch_norm": 121, "copy": 58, "avg_pool": 3}),
        ("bert-base", {"embedding": 3, "linear": 49, "attention": 12, "layer_norm": 25, "add": 25, "gelu": 12}),
        ("vit-b-16", {"conv": 1, "linear": 49, "attention": 12, "layer_norm": 25, "add": 24, "gelu": 12}),
    ],
)
def test_number_of_layers_of_each_kind(name: str, kinds: dict[str, int]) -> None:
    found = [op.kind for op in load.workload(name).ops]
    assert {kind: found.count(kind) for kind in kinds} == kinds


@pytest.mark.parametrize("name", CATALOG)
def test_files_are_complete(name: str) -> None:
    model, workload = file_of(name), load.workload(name)
    assert re.fullmatch(r"[12]\d{3}-[01]\d", model.released or "")
    assert name == name.lower()
    published = model.published
    assert published is not None
    assert len(published.source) > 20
    names = [op.name for op in workload.ops]
    assert all(names)
    assert len(set(names)) == len(names)
    classes = {"lenet5": (10,), "bert-base": (768,)}.get(name, (1000,))
    assert workload.ops[-1].output_shape == classes


@pytest.mark.parametrize("name", CATALOG)
def test_aliases_mean_their_file_and_are_more_than_spellings(name: str) -> None:
    for alias in file_of(name).aliases:
        assert names.key(alias) not in {names.key(stem) for stem in CATALOG}
        assert load.workload(alias).name == name


def test_no_alias_means_two_files() -> None:
    keys = [names.key(alias) for name in CATALOG for alias in file_of(name).aliases]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        *(("AlexNet", "alexnet"), ("bvlc_alexnet", "alexnet-grouped"), ("LeNet-5", "lenet5"), ("lenet", "lenet5")),
        *(("VGG-16", "vgg16"), ("vgg_19", "vgg19"), ("ResNet-50", "resnet50"), ("resnet 18", "resnet18")),
        *(("inception-v1", "googlenet"), ("InceptionV1", "googlenet"), ("GoogLeNet", "googlenet")),
        *(("squeezenet1_0", "squeezenet1.0"), ("SqueezeNet", "squeezenet1.0"), ("squeezenet-1.0", "squeezenet1.0")),
        *(("mobilenetv1", "mobilenet-v1"), ("mobilenet_v2", "mobilenet-v2"), ("MobileNet", "mobilenet-v1")),
        *(("bert-base-uncased", "bert-base"), ("BERT", "bert-base"), ("DenseNet-121", "densenet121")),
        *(("vit_b_16", "vit-b-16"), ("vit_base_patch16_224", "vit-b-16"), ("ViT-B16", "vit-b-16")),
    ],
)
def test_what_people_type(typed: str, name: str) -> None:
    assert load.workload(typed).name == name


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        load.workload("resnet51")
    assert "resnet50" in caught.value.nearest or "resnet152" in caught.value.nearest


def test_everything_loads() -> None:
    loaded = load.workloads()
    assert list(loaded) == CATALOG
    assert all(isinstance(workload, Workload) for workload in loaded.values())


def test_bert_counts_by_hand() -> None:
    tokens, width, layers = 128, 768, 12
    vocabulary, positions, segments = 30522, 512, 2
    embeddings = (vocabulary + positions + segments) * width + 2 * width
    products = 4 * (width * width + width) + (width * 4 * width + 4 * width) + (4 * width * width + width)
    pooler = width * width + width
    bert = load.workload("bert-base")
    assert bert.params == embeddings + layers * (products + 2 * 2 * width) + pooler
    attention = 2 * tokens * tokens * width
    assert bert.macs == layers * (12 * tokens * width * width + attention) + width * width
    assert sum(op.macs for op in bert.ops if op.kind == "attention") == layers * attention


def test_lenet5_counts_by_hand() -> None:
    params = [5 * 5 * 1 * 6 + 6, 5 * 5 * 6 * 16 + 16, 5 * 5 * 16 * 120 + 120, 120 * 84 + 84, 84 * 10 + 10]
    lenet = load.workload("lenet5")
    assert [op.params for op in lenet.ops if op.params] == params
    assert sum(params) == lenet.params == 61_706
    assert lenet.macs == 28 * 28 * 150 + 10 * 10 * 2400 + 48_000 + 120 * 84 + 84 * 10


def test_matrix_product() -> None:
    workload = load.workload("matmul:64x48x32")
    assert workload.activations is not None
    assert workload.activations.elements == 64 * 48 + 48 * 32 + 64 * 32
    assert workload.input_shape == (64, 48)
    assert workload.macs == 64 * 48 * 32
    assert workload.work(32).traffic == 4 * (64 * 48 + 48 * 32 + 64 * 32)
    assert workload.params == 0


@pytest.mark.parametrize(
    "sizes", ["", "64", "64x48", "0x4x4", "4x00x4", "-1x4x4", "4x4x4x4", "4.5x4x4", "1e3x4x4", "x" * 200]
)
def test_wrong_matrix_products(sizes: str) -> None:
    with pytest.raises(InputError) as raised:
        load.workload(f"matmul:{sizes}")
    assert raised.value.code == "not-a-matmul"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine\ninput: [4]\nlayers:\n  - linear: {features: 3}\n", encoding="utf-8")
    workload = load.workload(str(path))
    assert (workload.name, workload.title, workload.params, workload.published) == ("mine", "Mine", 15, None)


def test_a_file_of_ones_own_in_the_catalog(tmp_path: Path) -> None:
    folder = tmp_path / "hwbench" / "models"
    folder.mkdir(parents=True)
    text = "title: Mine\naliases: [ours]\ninput: [4]\nlayers: [{linear: {features: 3}}]\n"
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    assert load.workload("OURS").name == "mine"
    assert set(load.workloads()) == {*CATALOG, "mine"}


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("title: T\ninput: []\nlayers: [relu]\n", 2, "input"),
        ("title: T\ninput: [3, 0]\nlayers: [relu]\n", 2, "input[1]"),
        ("title: T\ninput: [3, -4]\nlayers: [relu]\n", 2, "input[1]"),
        ("title: T\ninput: [3, 4.5]\nlayers: [relu]\n", 2, "input[1]"),
        ("title: T\ninput: [true]\nlayers: [relu]\n", 2, "input[0]"),
        ("title: T\ninput: [1, 1, 1, 1, 1, 1, 1]\nlayers: [relu]\n", 2, "input"),
        ("title: T\ninput: 3x224x224\nlayers: [relu]\n", 2, "input"),
        ("title: ''\ninput: [3]\nlayers: [relu]\n", 1, "title"),
        ("title: T\ninput: [3]\nlayers: relu\n", 3, "layers"),
        ("title: T\ninput: [3]\nlayers: []\n", 3, "layers"),
        ("title: T\ninput: [3]\nlayers: [relu]\nlayer: []\n", 4, "layer"),
        ("title: T\ninput: [3]\nlayers: [relu]\npublished: {params: 1}\n", 4, "published"),
        ("title: T\ninput: [3]\nlayers: [relu]\naliases: mine\n", 4, "aliases"),
    ],
)
def test_wrong_files_say_where(tmp_path: Path, text: str, line: int, field: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load.load(str(path))
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), line, field)
