"""Small random ONNX graphs: operators with odd attributes, shapes and constants, most of them of the right form."""

from functools import cache
from math import prod
from random import Random
from typing import Any

from tests.fuzz import mutate

OPERATORS: dict[str, tuple[str, dict[str, str]]] = {
    "Conv": ("dw", {"kernel_shape": "I", "strides": "I", "pads": "I", "group": "i", "dilations": "I", "auto_pad": "s"}),
    "ConvTranspose": ("dw", {"strides": "I", "output_padding": "I", "group": "i"}),
    "MaxPool": ("d", {"kernel_shape": "I", "strides": "I", "pads": "I", "ceil_mode": "i"}),
    "AveragePool": ("d", {"kernel_shape": "I", "pads": "I"}),
    "Gemm": ("dww", {"transA": "i", "transB": "i"}),
    "MatMul": ("dw", {}),
    "Split": ("di", {"axis": "i", "num_outputs": "i"}),
    "Slice": ("diiii", {}),
    "Concat": ("dd", {"axis": "i"}),
    "Reshape": ("di", {}),
    "Transpose": ("d", {"perm": "I"}),
    "Gather": ("di", {"axis": "i"}),
    "Softmax": ("d", {"axis": "i"}),
    "Resize": ("d-wi", {"mode": "s"}),
    "Expand": ("di", {}),
    "Tile": ("di", {}),
    "Pad": ("di", {"mode": "s"}),
    "Squeeze": ("di", {}),
    "Unsqueeze": ("di", {}),
    "Flatten": ("d", {"axis": "i"}),
    "LSTM": ("dww", {"hidden_size": "i", "direction": "s"}),
    "Einsum": ("dd", {"equation": "s"}),
    "ReduceSum": ("di", {"keepdims": "i"}),
    "TopK": ("di", {"axis": "i"}),
    "OneHot": ("iiw", {"axis": "i"}),
    "Range": ("iii", {}),
    "ConstantOfShape": ("i", {}),
    "Shape": ("d", {"start": "i", "end": "i"}),
    "DepthToSpace": ("d", {"blocksize": "i"}),
    "SpaceToDepth": ("d", {"blocksize": "i"}),
    "LayerNormalization": ("dww", {"axis": "i"}),
    "BatchNormalization": ("dwwww", {}),
    "Relu": ("d", {}),
    "Add": ("dd", {}),
    "Mul": ("dw", {}),
    "NonZero": ("d", {}),
    "Trilu": ("d", {"upper": "i"}),
    "CumSum": ("di", {}),
    "RoiAlign": ("dwi", {"output_height": "i"}),
    "Identity": ("d", {}),
    "Sum": ("ddd", {}),
    "Clip": ("dww", {}),
    "Cast": ("d", {"to": "i"}),
    "GlobalAveragePool": ("d", {}),
    "PRelu": ("dw", {}),
    "InstanceNormalization": ("dww", {}),
    "GridSample": ("dd", {}),
    "Size": ("d", {}),
    "Attention": ("ddd", {"q_num_heads": "i", "kv_num_heads": "i"}),
    "STFT": ("diwi", {}),
    "Loop": ("i-d", {}),
    "If": ("d", {}),
}
"""Inputs (d data, w weights, i integers, - none) and attributes (i, I list, s text) of each operator."""
ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "i": (0, 1, 1, 2, -1, 3, 10**9, 2**31, 2**62, -(2**63)),
    "I": ([1, 1], [2, 2], [3, 3], [0, 0], [-1, 2], [1, 1, 1, 1], [0, 2, 3, 1], [10**9, 1], [2], []),
    "s": ("SAME_UPPER", "VALID", "NOTSET", "ij,jk->ik", "...", "nearest", "reverse", ""),
}
SHAPES: tuple[Any, ...] = (
    [1, 3, 8, 8],
    [2, 3, 4, 4],
    [4, 4],
    [8],
    [],
    [0, 3],
    ["n", 3, 8, 8],
    ["n", 16],
    [10**6, 10**6],
    [3, 4, 5],
)
WEIGHTS = ([4, 3, 3, 3], [3, 3, 1, 1], [4, 4], [8], [1], [16, 4], [3], [1, 1, 1, 1])
INTEGERS: tuple[Any, ...] = (
    [0],
    [1],
    [-1],
    [2, 2],
    [1, -1],
    [10**9],
    [2**62],
    [0, 0, 0, 0],
    [1, 2, 3, 4],
    [1, 1, 2, 2],
    [],
)
OPSETS = (7, 11, 13, 17, 18, 21)


@cache
def _every_operator() -> tuple[tuple[str, str, dict[str, str]], ...]:
    """Return every standard operator with likely inputs and its attributes."""
    from onnx import defs

    letters = {"INT": "i", "INTS": "I", "STRING": "s"}
    operators = []
    for schema in defs.get_all_schemas():
        if schema.domain == "" and schema.inputs:
            kinds = "".join("i" if "int64" in item.type_str else "d" for item in schema.inputs)
            attributes = {
                name: letters[kind]
                for name, attribute in sorted(schema.attributes.items())
                if (kind := str(attribute.type).rpartition(".")[2]) in letters
            }
            operators.append((schema.name, kinds, attributes))
    return tuple(sorted(operators, key=lambda operator: operator[0]))


def _any_operator(random: Random) -> tuple[str, str, dict[str, str]]:
    name, kinds, attributes = random.choice(_every_operator())
    return name, "".join(kind if random.random() < 0.6 else random.choice("dwi") for kind in kinds), attributes


def graph(random: Random) -> bytes:
    """Return a model file of one to six nodes, at times with bytes changed."""
    from onnx import TensorProto, helper

    data, nodes, constants = ["x"], [], []
    for index in range(random.choice((1, 1, 2, 3, 6))):
        operator = random.choice(list(OPERATORS))
        kinds, attributes = OPERATORS[operator]
        if random.random() < 0.3:
            operator, kinds, attributes = _any_operator(random)
        inputs = []
        read = kinds[: random.randrange(1, len(kinds) + 1)] if random.random() < 0.4 else kinds
        for number, usual in enumerate(read):
            name = f"c{index}{number}"
            kind = random.choice("dwi-") if random.random() < 0.03 else usual
            if kind == "i":
                values = random.choice(INTEGERS)
                constants.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
            elif kind == "w":
                shape = random.choice(WEIGHTS)
                constants.append(helper.make_tensor(name, TensorProto.FLOAT, shape, [0.5] * prod(shape)))
            inputs.append({"d": random.choice(data[-2:]), "-": ""}.get(kind, name))
        chosen = {name: random.choice(ATTRIBUTES[kind]) for name, kind in attributes.items() if random.random() < 0.6}
        outputs = [f"y{index}", f"z{index}"][
            : 2 if operator in ("Split", "TopK", "MaxPool") and random.random() < 0.5 else 1
        ]
        node = helper.make_node(operator, inputs, outputs, name=f"n{index}")
        for name, content in chosen.items():
            node.attribute.append(helper.make_attribute(name, content, attr_type=7 if content == [] else None))
        nodes.append(node)
        data.append(f"y{index}")
    shape = random.choice(SHAPES)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
    built = helper.make_graph(nodes, "g", inputs, outputs, constants)
    content = helper.make_model(built, opset_imports=[helper.make_opsetid("", random.choice(OPSETS))])
    file: bytes = content.SerializeToString()
    return mutate.content(random, file) if random.random() < 0.15 else file


def network(random: Random) -> bytes:
    """Return a small network that engines run, half of them with one attribute changed."""
    from onnx import TensorProto, helper

    def weight(name: str, *shape: int) -> Any:
        return helper.make_tensor(name, TensorProto.FLOAT, shape, [0.1] * prod(shape))

    nodes = [
        helper.make_node("Conv", ["x", "a"], ["1"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node(random.choice(("Relu", "Sigmoid", "Softmax", "Erf", "NonZero")), ["1"], ["2"], name="map"),
        helper.make_node("MaxPool", ["2"], ["3"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["3"], ["4"], name="flat", axis=1),
        helper.make_node("Gemm", ["4", "b"], ["5"], name="fc", transB=0),
    ]
    if random.random() < 0.5:
        node = random.choice(nodes)
        known = OPERATORS.get(node.op_type, ("", {"axis": "i"}))[1] or {"axis": "i"}
        name = random.choice(list(known))
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        changed = random.choice(ATTRIBUTES[known[name]])
        node.attribute.extend([*kept, helper.make_attribute(name, changed, attr_type=7 if changed == [] else None)])
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [random.choice(("n", 1, 2)), 3, 8, 8])
    output = helper.make_tensor_value_info("5", TensorProto.FLOAT, None)
    built = helper.make_graph(nodes, "net", [image], [output], [weight("a", 4, 3, 3, 3), weight("b", 64, 5)])
    return bytes(
        helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
