"""Layer lists: what they become, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.workload import load
from hwbench.workload.layers import network
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import Activations, Op

IMAGE = (3, 32, 32)
ONE = 3 * 32 * 32
CONV = {"conv": {"channels": 8, "kernel": 3}}


def names(listed: Any, shape: tuple[int, ...] = IMAGE) -> list[str]:
    return [op.name for op in network.build(listed, shape)]


def shape_after(listed: Any, shape: tuple[int, ...] = IMAGE) -> tuple[int, ...]:
    return network.build([*listed, "copy"], shape)[-1].output_shape


def nested(layer: Any, levels: int) -> Any:
    for _ in range(levels):
        layer = {"repeat": {"count": 1, "layers": [layer]}}
    return layer


def test_layers_without_a_name_are_numbered_by_kind() -> None:
    assert names(["relu", CONV, "relu", {"relu": {"name": "last"}}]) == ["relu1", "conv1", "relu2", "last"]
    assert names(["relu6", "relu", "relu6"]) == ["relu6_1", "relu1", "relu6_2"]


def test_a_number_that_is_taken_is_passed_over() -> None:
    assert names([{"relu": {"name": "relu1"}}, "relu", "relu"]) == ["relu1", "relu2", "relu3"]


def test_names_of_structures_stand_before_those_inside() -> None:
    residual = {"residual": {"name": "block", "layers": ["relu"], "then": ["tanh"]}}
    assert names([residual]) == ["block.relu1", "block.add1", "tanh1"]
    assert names([{"repeat": {"name": "layer1", "count": 2, "layers": [residual]}}]) == [
        *("layer1.0.block.relu1", "layer1.0.block.add1", "layer1.0.tanh1"),
        *("layer1.1.block.relu1", "layer1.1.block.add1", "layer1.1.tanh1"),
    ]
    assert names([{"repeat": {"name": "x", "count": 2, "first": 7, "layers": ["relu"]}}]) == ["x.7.relu1", "x.8.relu1"]
    assert names([{"repeat": {"count": 2, "layers": ["relu"]}}]) == ["relu1", "relu2"]


def test_then_follows_in_place() -> None:
    assert names([{"conv": {"channels": 8, "kernel": 3, "then": ["relu", {"tanh": {"then": ["gelu"]}}]}}, "silu"]) == [
        *("conv1", "relu1", "tanh1", "gelu1", "silu1"),
    ]


def test_branches_concatenate_channels() -> None:
    paths = [[{"conv": {"channels": 5, "kernel": 1}}], [], [{"conv": {"channels": 7, "kernel": 1}}]]
    ops = network.build([{"branches": {"layers": paths}}], IMAGE)
    assert [op.kind for op in ops] == ["pointwise_conv", "pointwise_conv", "copy"]
    assert ops[-1].output_shape == (5 + 3 + 7, 32, 32)
    assert ops[-1].name == "concat1"


def test_branches_add() -> None:
    ops = network.build([{"branches": {"combine": "add", "layers": [["relu"], [], ["tanh"]]}}], IMAGE)
    assert ops[-1] == Op(
        kind="add",
        output_shape=IMAGE,
        elementwise_flops=2 * 3 * 32 * 32,
        input_elements=3 * 3 * 32 * 32,
        output_elements=3 * 32 * 32,
        name="add1",
    )


def test_views_are_free() -> None:
    assert shape_after(["flatten"]) == (3 * 32 * 32,)
    assert shape_after(["tokens"]) == (32 * 32, 3)
    assert shape_after(["tokens", {"select": {"index": 1023}}]) == (3,)
    assert shape_after([{"select": {"index": 2}}]) == (32, 32)
    assert shape_after([{"flatten": {"then": [{"linear": {"features": 10}}]}}]) == (10,)
    assert len(network.build(["flatten", "relu"], IMAGE)) == 1


def test_a_linear_layer_without_flatten_works_on_the_last_dimension() -> None:
    assert shape_after([{"linear": {"features": 10}}]) == (3, 32, 10)


def test_options_may_be_left_out_or_null() -> None:
    assert names([{"relu": None}, {"relu": {}}, {"relu": {"name": None}}]) == ["relu1", "relu2", "relu3"]
    pool = network.build([{"max_pool": {"kernel": 2, "stride": None}}], IMAGE)
    assert pool[0].output_shape == (3, 16, 16)


def test_the_list_is_not_changed() -> None:
    listed = [{"residual": {"name": "r", "layers": [{"relu": {"name": "x", "then": ["tanh"]}}], "then": ["relu"]}}]
    before = repr(listed)
    assert network.build(listed, IMAGE) == network.build(listed, IMAGE)
    assert repr(listed) == before


# layers, field, code, a suggestion
WRONG: list[tuple[Any, str, str, str | None]] = [
    ([], "layers", "no-layers", None),
    (["flatten"], "layers", "no-layers", None),
    ([{"repeat": {"count": 0, "layers": ["relu"]}}], "layers", "no-layers", None),
    ("relu", "layers", "bad-layer", None),
    (None, "layers", "bad-layer", None),
    ({"conv": {}}, "layers", "bad-layer", None),
    ([None], "layers[0]", "bad-layer", None),
    ([3], "layers[0]", "bad-layer", None),
    ([["relu"]], "layers[0]", "bad-layer", None),
    ([{}], "layers[0]", "bad-layer", None),
    ([{"conv": {}, "relu": {}}], "layers[0]", "bad-layer", None),
    ([{"conv": 96}], "layers[0]", "bad-layer", None),
    ([{"conv": [96, 3]}], "layers[0]", "bad-layer", None),
    (["relu", "rellu"], "layers[1]", "unknown-layer", "relu"),
    ([{"Conv2d": {"channels": 3}}], "layers[0]", "unknown-layer", "conv"),
    ([{"maxpool": {"kernel": 2}}], "layers[0]", "unknown-layer", "max_pool"),
    (["residuals"], "layers[0]", "unknown-layer", "residual"),
    (["\x1b[31m"], "layers[0]", "unknown-layer", None),
    (["conv"], "layers[0]", "missing-option", None),
    ([{"conv": {"channels": 8}}], "layers[0].conv", "missing-option", None),
    ([{"conv": {"chanels": 8, "kernel": 3}}], "layers[0].conv.chanels", "unknown-option", "channels"),
    ([{"conv": {"channels": 8, "kernal": 3}}], "layers[0].conv.kernal", "unknown-option", "kernel"),
    ([{"relu": {"shape": [3]}}], "layers[0].relu.shape", "unknown-option", None),
    ([{"relu": {"return": 3}}], "layers[0].relu.return", "unknown-option", None),
    ([{"relu": {"nmae": "x"}}], "layers[0].relu.nmae", "unknown-option", "name"),
    ([{"conv": {"channels": 8, "kernel": -3}}], "layers[0].conv.kernel", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": 0}}], "layers[0].conv.kernel", "bad-option", None),
    ([{"conv": {"channels": 0, "kernel": 3}}], "layers[0].conv.channels", "bad-option", None),
    ([{"conv": {"channels": 8.5, "kernel": 3}}], "layers[0].conv.channels", "bad-option", None),
    ([{"conv": {"channels": "8", "kernel": 3}}], "layers[0].conv.channels", "bad-option", None),
    ([{"conv": {"channels": True, "kernel": 3}}], "layers[0].conv.channels", "bad-option", None),
    ([{"conv": {"channels": None, "kernel": 3}}], "layers[0].conv.channels", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": [3, "x"]}}], "layers[0].conv.kernel", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": [3, 3, 3]}}], "layers[0].conv", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": 3, "stride": 0}}], "layers[0].conv.stride", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": 3, "padding": -1}}], "layers[0].conv.padding", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": 3, "padding": "valid"}}], "layers[0].conv.padding", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": 3, "bias": 1}}], "layers[0].conv.bias", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": 3, "groups": 2}}], "layers[0].conv", "bad-option", None),
    ([{"conv": {"channels": 8, "kernel": 33}}], "layers[0].conv", "bad-option", None),
    ([{"conv": {"channels": 10**18, "kernel": 3}}], "layers[0].conv.channels", "bad-option", None),
    ([{"embedding": {"rows": 1 << 40, "width": 1 << 40}}], "layers[0].embedding", "too-large", None),
    ([{"linear": {"features": 1 << 40, "then": [{"linear": {"features": 1 << 40}}]}}],
     "layers[0].linear.then[0].linear", "too-large", None),
    ([{"conv": {"name": 5, "channels": 8, "kernel": 3}}], "layers[0].conv.name", "bad-option", None),
    ([{"relu": {"name": "x" * 101}}], "layers[0].relu.name", "bad-option", None),
    ([{"relu": {"name": "x"}}, {"relu": {"name": "x"}}], "layers[1].relu", "name-taken", None),
    ([{"repeat": {"count": 2, "layers": [{"relu": {"name": "x"}}]}}], "layers[0].repeat.layers[0].relu",
     "name-taken", None),
    ([{"relu": {"then": "tanh"}}], "layers[0].relu.then", "bad-layer", None),
    ([{"relu": {"then": None}}], "layers[0].relu.then", "bad-layer", None),
    ([{"relu": {"then": ["tahn"]}}], "layers[0].relu.then[0]", "unknown-layer", "tanh"),
    (["flatten", CONV], "layers[1].conv", "shape-mismatch", None),
    ([CONV, "global_avg_pool", {"max_pool": {"kernel": 2}}], "layers[2].max_pool", "shape-mismatch", None),
    ([{"attention": {"heads": 4}}], "layers[0].attention", "shape-mismatch", None),
    ([{"add": {"inputs": 1}}], "layers[0].add.inputs", "bad-option", None),
    ([{"flatten": {"axis": 1}}], "layers[0].flatten.axis", "unknown-option", "then"),
    (["flatten", "tokens"], "layers[1]", "shape-mismatch", None),
    ([{"select": {"index": 3}}], "layers[0].select", "bad-option", None),
    ([{"select": {"index": -1}}], "layers[0].select", "bad-option", None),
    ([{"select": {"index": True}}], "layers[0].select", "bad-option", None),
    ([{"select": {"index": "first"}}], "layers[0].select", "bad-option", None),
    (["flatten", "select"], "layers[1]", "bad-option", None),
    (["repeat"], "layers[0].count", "bad-option", None),
    ([{"repeat": {"layers": ["relu"]}}], "layers[0].repeat.count", "bad-option", None),
    ([{"repeat": {"count": -1, "layers": ["relu"]}}], "layers[0].repeat.count", "bad-option", None),
    ([{"repeat": {"count": 10**9, "layers": ["relu"]}}], "layers[0].repeat.count", "bad-option", None),
    ([{"repeat": {"count": True, "layers": ["relu"]}}], "layers[0].repeat.count", "bad-option", None),
    ([{"repeat": {"count": 2.0, "layers": ["relu"]}}], "layers[0].repeat.count", "bad-option", None),
    ([{"repeat": {"count": 2, "first": -1, "layers": []}}], "layers[0].repeat.first", "bad-option", None),
    ([{"repeat": {"count": 2}}], "layers[0].repeat.layers", "bad-layer", None),
    ([{"repeat": {"count": 2, "layers": ["relu"], "times": 3}}], "layers[0].repeat.times", "unknown-option", None),
    ([{"repeat": {"count": 2, "name": [], "layers": ["relu"]}}], "layers[0].repeat.name", "bad-option", None),
    (["residual"], "layers[0].layers", "bad-layer", None),
    ([{"residual": {"layers": ["relu"], "shortcut": None}}], "layers[0].residual.shortcut", "bad-layer", None),
    ([{"residual": {"layer": ["relu"]}}], "layers[0].residual.layer", "unknown-option", "layers"),
    ([{"residual": {"layers": [CONV]}}], "layers[0].residual", "shape-mismatch", None),
    ([{"residual": {"name": "b1", "layers": [CONV]}}], "layers[0].residual", "shape-mismatch", None),
    ([{"branches": {"layers": [["relu"]]}}], "layers[0].branches.layers", "bad-layer", None),
    ([{"branches": {"layers": "relu"}}], "layers[0].branches.layers", "bad-layer", None),
    ([{"branches": {"layers": ["relu", "relu"]}}], "layers[0].branches.layers[0]", "bad-layer", None),
    ([{"branches": {"layers": [[], []], "combine": "mul"}}], "layers[0].branches.combine", "bad-option", None),
    ([{"branches": {"layers": [[], []], "combine": []}}], "layers[0].branches.combine", "bad-option", None),
    ([{"branches": {"layers": [[], []], "join": "add"}}], "layers[0].branches.join", "unknown-option", None),
    ([{"branches": {"layers": [[CONV], ["relu"]]}}], "layers[0].branches", "shape-mismatch", None),
    ([{"branches": {"combine": "add", "layers": [[], ["flatten"]]}}], "layers[0].branches", "shape-mismatch", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "field", "code", "suggestion"), WRONG, ids=[f"{w[1]} {i}" for i, w in enumerate(WRONG)]
)
def test_wrong_layers_say_what_and_where(listed: Any, field: str, code: str, suggestion: str | None) -> None:
    with pytest.raises(InputError) as caught:
        network.build(listed, IMAGE)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert str(caught.value).isprintable()
    if suggestion:
        assert suggestion in caught.value.nearest


FILE = """\
title: Wrong
input: [3, 32, 32]
layers:
  - conv: {name: stem, channels: 8, kernel: 3, then: [relu]}
  - repeat:
      name: stage
      count: 2
      layers:
        - residual:
            layers:
              - conv:
                  name: body
                  channels: 8
                  kernel: 3
                  padding: 1
  - linear: {name: head, features: 10}
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("kernel: 3, then", "kernel: 35, then", 4),
        ("kernel: 3, then", "kernel: -3, then", 4),
        ("[relu]", "[reul]", 4),
        ("count: 2", "count: two", 7),
        ("padding: 1", "padding: 0", 9),
        ("padding: 1", "pading: 1", 15),
        ("channels: 8\n", "channels: eight\n", 13),
        ("kernel: 3\n", "groups: 3\n", 11),
        ("head, ", "stage.1.body, ", 16),
        ("linear", "linaer", 16),
    ],
)
def test_wrong_layers_in_a_file_name_the_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(FILE.replace(old, new, 1), encoding="utf-8")
    assert FILE.count(old) >= 1
    with pytest.raises(InputError) as caught:
        load.load(str(path))
    assert (caught.value.file, caught.value.line) == (str(path), line)


def test_the_right_file_is_right(tmp_path: Path) -> None:
    path = tmp_path / "right.yaml"
    path.write_text(FILE, encoding="utf-8")
    ops = load.load(str(path)).ops
    assert [op.name for op in ops] == [
        *("stem", "relu1", "stage.0.body", "stage.0.add1", "stage.1.body", "stage.1.add1", "head"),
    ]


def test_nesting_has_an_end(tmp_path: Path) -> None:
    assert len(network.build([nested("relu", 8)], IMAGE)) == 1
    path = tmp_path / "deep.yaml"
    path.write_text(f"title: Deep\ninput: [3]\nlayers: [{nested('relu', 30)}]\n", encoding="utf-8")
    with pytest.raises(InputError):
        load.load(str(path))


def times(count: int, *listed: Any) -> dict[str, Any]:
    return {"repeat": {"count": count, "layers": list(listed)}}


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        (times(100_000, "relu", "relu"), "too-large"),
        (times(100_000, times(100_000)), "too-large"),
        (times(99_999, "flatten", times(9)), "too-large"),
        (times(99_999, {"embedding": {"rows": 1, "width": 1}}), "too-large"),
        (times(99_999, {"branches": {"layers": [[], []]}}), "too-large"),
    ],
)
def test_a_short_file_cannot_cause_endless_work(layer: Any, code: str) -> None:
    with pytest.raises(InputError) as raised:
        network.build([layer], IMAGE)
    assert raised.value.code == code


KINDS = [kind.__name__ for kind in layers.KINDS]
OPTIONS = sorted({option for kind in layers.KINDS for option in kind.__annotations__})
numbers = st.sampled_from([0, 1, 2, 3, 4, 7, 8, 16, 32, -1, 10**9, 1 << 31, 1 << 40, 1 << 63, 10**25])
scalars = st.one_of(
    numbers, st.none(), st.booleans(), st.floats(), st.text(max_size=4), st.sampled_from(["same", "add"])
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
options = st.dictionaries(st.one_of(st.sampled_from([*OPTIONS, "name"]), st.text(max_size=3)), values, max_size=4)
kinds = st.one_of(st.sampled_from(KINDS), st.sampled_from(["flatten", "tokens", "select"]), st.text(max_size=5))
right = st.sampled_from([
    "relu", "flatten", "tokens", "batch_norm", CONV, {"linear": {"features": 4}}, {"max_pool": {"kernel": 2}},
    {"embedding": {"rows": 4, "width": 2}}, {"select": {"index": 1}}, {"conv": {"channels": 3, "kernel": 1}},
])  # fmt: skip


def structures(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(inner, max_size=3)
    either = st.one_of(body, values)
    structure = st.one_of(
        st.fixed_dictionaries({"residual": st.fixed_dictionaries({"layers": either}, optional={"shortcut": either})}),
        st.fixed_dictionaries({
            "branches": st.fixed_dictionaries(
                {"layers": st.lists(either, max_size=3)},
                optional={"combine": st.sampled_from(["add", "concat", 3]), "name": scalars},
            )
        }),
        st.fixed_dictionaries({
            "repeat": st.fixed_dictionaries(
                {"count": numbers, "layers": either}, optional={"first": scalars, "name": scalars, "then": either}
            )
        }),
        st.dictionaries(kinds, st.fixed_dictionaries({"then": either}), max_size=2),
    )  # fmt: skip
    return st.one_of(inner, structure)


anything = st.recursive(
    st.one_of(right, kinds, scalars, st.dictionaries(kinds, st.one_of(options, values), max_size=2)),
    structures,
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(
    st.one_of(st.lists(anything, max_size=4), anything),
    st.sampled_from([(3, 32, 32), (1,), (128,), (16, 8), (2, 3, 4, 5), (1 << 40, 1 << 40), (1, 1, 1, 1, 1, 1)]),
)
def test_whatever_is_written_builds_or_is_refused_with_a_reason(listed: Any, shape: tuple[int, ...]) -> None:
    refused = None
    try:
        ops = network.build(listed, shape)
    except InputError as error:
        refused = error
    if refused is not None:
        assert (refused.field or "").startswith("layers")
        assert str(refused).isprintable()
    else:
        assert ops
        assert all(op.name and min(op.output_shape) > 0 and op.macs >= 0 for op in ops)


@pytest.mark.parametrize(
    ("listed", "elements"),
    [
        (["relu", "relu", "relu"], 3 * ONE),  # the input, and two neighbours
        ([{"residual": {"layers": ["relu", "relu"]}}], 3 * ONE),
        (["tanh", {"residual": {"layers": ["relu", "relu"], "shortcut": ["relu"]}}], 5 * ONE),
        ([{"branches": {"layers": [["relu"], ["tanh"], []]}}], 6 * ONE),  # with what they are joined to
        (["flatten", {"linear": {"features": 2}}], ONE + 2),
    ],
)
def test_activations_exist_until_their_last_reader(listed: list[Any], elements: int) -> None:
    assert network.of_layers(listed, IMAGE).activations == Activations(elements)


def test_indices_have_eight_bytes() -> None:
    listed = [{"embedding": {"rows": 100, "width": 16}}]
    assert network.of_layers(listed, (5,)).activations == Activations(5 * 16, 5 * 8)
