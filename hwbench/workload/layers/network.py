"""YAML files of networks, and the ops of a network written as a list of layers, with shapes inferred on the way.

A layer is `kind` or `kind: {option: value, ...}`. Any layer may have a `name` and `then`, a list of layers that
follow it. Besides the kinds of `products.py` and `elementwise.py` there are structures: `residual` (layers, added to a
shortcut), `branches` (lists of layers side by side, concatenated or added), `repeat`, and the free views `flatten`,
`tokens` and `select`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.files import documents
from hwbench.files.documents import Document
from hwbench.workload.layers import elementwise
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import MAX_COUNT, Activations, Op, Published, Shape, Workload
from hwbench.workload.shapes import Positive, format_shape, wrong_shape

MAX_OPS = 100_000
MAX_VISITS = 4 * MAX_OPS
"""Layers and repetitions that a file expands to, views and structures included."""
MAX_DIMENSIONS = 16
MAX_NAME_LENGTH = 100
_KINDS = {kind.__name__: kind for kind in layers.KINDS}
_STRUCTURES = ("residual", "branches", "repeat", "flatten", "tokens", "select")
"""Methods of the builder."""


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A network file. `input` is one sample's shape; `layers` is what `build` takes."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    input: Annotated[tuple[Positive, ...], Meta(min_length=1, max_length=6)]
    layers: list[Any]
    published: Published | None = None
    released: str | None = None
    aliases: tuple[str, ...] = ()
    notes: str | None = None


def read(path: str, shape: Shape | None = None) -> tuple[Document, ModelFile]:
    """Return a network file as text and data, for samples of `shape` instead of its own.

    A file may be a list of layers alone, which needs that shape. Raises InputError at the first field that is wrong.
    """
    document = documents.read(path, "layers")
    data = document.data
    if set(data) == {"layers"}:
        if shape is None:
            text = "A list of layers needs the shape of its input, such as 1x3x224x224, or the fields title and input."
            raise InputError("input-needed", text, field="input")
        data = {"title": os.path.splitext(os.path.basename(path))[0], "input": shape, **data}
    return document, documents.convert(document, ModelFile, data if shape is None else {**data, "input": shape})


def load(path: str, shape: Shape | None = None) -> Workload:
    """Return the workload of a network file, as `read` does. Raises InputError at the layer that is wrong."""
    document, model = read(path, shape)
    try:
        result = of_layers(model.layers, model.input)
    except InputError as error:
        raise document.error(error.code, error.message, error.field or "", error.nearest) from None
    name = os.path.splitext(os.path.basename(path))[0]
    return msgspec.structs.replace(
        result, name=name, title=model.title, published=model.published, trainable_params=result.params
    )


def build(listed: Any, shape: Shape, field: str = "layers") -> tuple[Op, ...]:
    """Return the ops of a list of layers as in a YAML file, for one sample of `shape`.

    Raises InputError whose `field` is the path of the layer in the file and whose message names the layer.
    """
    return of_layers(listed, shape, field).ops


def of_layers(listed: Any, shape: Shape, field: str = "layers") -> Workload:
    """Return the workload of a list of layers without a name, as `build` does."""
    builder = _Builder(prod(shape))
    builder.layers(listed, shape, field, "")
    if not builder.ops:
        raise InputError("no-layers", "The network has no layers.", field=field)
    return Workload("", "", shape, tuple(builder.ops), activations=builder.activations(prod(shape)))


class _Builder:
    """Collect ops in order of execution; each method returns the shape of its output."""

    def __init__(self, inputs: int) -> None:
        self.ops: list[Op] = []
        self.held = inputs  # elements that exist beside those that the last op wrote: of the input, and for branches
        self.written = self.peak = 0
        self.names: set[str] = set()
        self.numbers: Counter[str] = Counter()
        self.visits = 0

    def layers(self, listed: Any, shape: Shape, field: str, scope: str) -> Shape:
        if not isinstance(listed, list):
            raise InputError("bad-layer", "This must be a list of layers.", field=field)
        for position, layer in enumerate(listed):
            shape = self.layer(layer, shape, f"{field}[{position}]", scope)
        return shape

    def layer(self, layer: Any, shape: Shape, field: str, scope: str) -> Shape:
        self.visit(field)
        kind, options = split(layer, field)
        inside = f"{field}.{kind}" if isinstance(layer, dict) else field
        then = options.pop("then", [])
        if kind in _STRUCTURES:
            shape = getattr(self, kind)(options, shape, inside, scope)
        elif kind in _KINDS:
            shape = self.op(kind, options, shape, inside, scope)
        else:
            choices = nearest(kind, [*_KINDS, *_STRUCTURES])
            raise InputError("unknown-layer", f"There is no layer kind '{shown(kind)}'.", field=field, nearest=choices)
        return self.layers(then, shape, f"{inside}.then", scope)

    def visit(self, field: str) -> None:
        self.visits += 1  # views are not ops, but repeating them takes time
        if self.visits > MAX_VISITS:
            raise InputError("too-large", f"The network expands to more than {MAX_VISITS} layers.", field=field)

    def op(self, kind: str, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        name = self.name(kind, options, field, scope)
        try:
            op = _KINDS[kind](shape, **checked(_KINDS[kind], options, field))
        except InputError as error:
            text = f"Layer {name}: {error.message}"
            raise InputError(error.code, text, field=error.field or field, nearest=error.nearest) from None
        return self.emit(op, name, field)

    def emit(self, op: Op, name: str, field: str) -> Shape:
        if len(self.ops) >= MAX_OPS:
            raise InputError("too-large", f"The network has more than {MAX_OPS} layers.", field=field)
        if max(op.macs, op.params, op.input_elements, op.output_elements) > MAX_COUNT:
            raise InputError("too-large", f"Layer {name} is larger than the memory of any machine.", field=field)
        if len(op.output_shape) > MAX_DIMENSIONS:
            text = f"The output of layer {name} has more than {MAX_DIMENSIONS} dimensions."
            raise InputError("too-large", text, field=field)
        self.ops.append(msgspec.structs.replace(op, name=name))
        if op.kind in ("matmul", "batched_matmul"):  # whose other operand is an input too
            self.held += op.groups * op.depth * op.columns
        before, self.written = self.written, prod(op.output_shape)
        self.peak = max(self.peak, self.held + before + self.written)
        return op.output_shape

    def activations(self, inputs: int) -> Activations:
        """Return what exists at the peak, of an input of so many elements, which are indices for an embedding."""
        indices = inputs if any(op.kind == "embedding" for op in self.ops) else 0
        return Activations(max(self.peak, self.held) - indices, 8 * indices)

    def beside(self, paths: Iterable[Any], shape: Shape, fields: Iterable[str], scope: str) -> list[Shape]:
        """Return the shapes of lists of layers that read the same input, which exists until they are joined."""
        before = self.held
        self.held, self.written, shapes = before + self.written, 0, []
        for path, field in zip(paths, fields, strict=True):
            shapes.append(self.layers(path, shape, field, scope))
            self.held, self.written = self.held + self.written, 0
        self.held, self.written = before, self.held - before
        return shapes

    def name(self, kind: str, options: dict[str, Any], field: str, scope: str) -> str:
        """Return the layer's own name, else its kind and a running number within its scope."""
        own = _take_name(options, field)
        name = f"{scope}{own}" if own else ""
        stem = f"{scope}{kind}{'_' if kind[-1].isdigit() else ''}"
        while not name or (not own and name in self.names):
            self.numbers[stem] += 1
            name = f"{stem}{self.numbers[stem]}"
        if name in self.names:
            raise InputError("name-taken", f"Two layers are called '{shown(name)}'.", field=field)
        self.names.add(name)
        return name

    def residual(self, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        inner = _scope(options, scope, field)
        body, shortcut = _take(options, field, layers=None, shortcut=[])
        left, right = self.beside((body, shortcut), shape, (f"{field}.layers", f"{field}.shortcut"), inner)
        if left != right:
            where = f"residual {inner}".rstrip(". ")
            text = f"The two sides of {where} have different shapes, {format_shape(left)} and {format_shape(right)}."
            raise InputError("shape-mismatch", text, field=field)
        return self.emit(elementwise.add(left), self.name("add", {}, field, inner), field)

    def branches(self, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        inner = _scope(options, scope, field)
        paths, combine = _take(options, field, layers=None, combine="concat")
        if not isinstance(paths, list) or len(paths) < 2:
            raise InputError("bad-layer", "Branches need at least two lists of layers.", field=f"{field}.layers")
        if combine not in ("concat", "add"):
            text = f"Branches can be combined by concat or add, not by '{shown(combine)}'."
            raise InputError("bad-option", text, field=f"{field}.combine")
        shapes = self.beside(paths, shape, (f"{field}.layers[{i}]" for i in range(len(paths))), inner)
        if len({s if combine == "add" else s[1:] for s in shapes}) > 1:
            where = f"branches {inner}".rstrip(". ")
            text = f"The shapes of {where} do not fit together: {', '.join(map(format_shape, shapes))}."
            raise InputError("shape-mismatch", text, field=field)
        if combine == "add":
            return self.emit(elementwise.add(shapes[0], inputs=len(shapes)), self.name("add", {}, field, inner), field)
        joined = (sum(s[0] for s in shapes), *shapes[0][1:])
        return self.emit(elementwise.copy(joined), self.name("concat", {}, field, inner), field)

    def repeat(self, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        named, inner = options.get("name"), _scope(options, scope, field)
        count, body, first = _take(options, field, count=None, layers=None, first=0)
        for label, value in (("count", count), ("first", first)):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_OPS:
                text = f"`{label}` must be a whole number from 0 to {MAX_OPS}."
                raise InputError("bad-option", text, field=f"{field}.{label}")
        for turn in range(first, first + count):
            self.visit(f"{field}.count")
            shape = self.layers(body, shape, f"{field}.layers", f"{inner}{turn}." if named else scope)
        return shape

    def flatten(self, options: dict[str, Any], shape: Shape, field: str, _scope: str) -> Shape:
        _refuse(options, field, ("then",))
        return (prod(shape),)

    def tokens(self, options: dict[str, Any], shape: Shape, field: str, _scope: str) -> Shape:
        """View an image as a sequence: channels × height × width as positions × channels."""
        _refuse(options, field, ("then",))
        if len(shape) < 2:
            raise wrong_shape("an image", shape).at(field=field)
        return (prod(shape[1:]), shape[0])

    def select(self, options: dict[str, Any], shape: Shape, field: str, _scope: str) -> Shape:
        """View one position of the first dimension."""
        index = options.pop("index", 0)
        _refuse(options, field, ("index", "then"))
        whole = isinstance(index, int) and not isinstance(index, bool)
        if len(shape) < 2 or not whole or not 0 <= index < shape[0]:
            text = f"Position {shown(index)} cannot be selected from {format_shape(shape)}."
            raise InputError("bad-option", text, field=field)
        return shape[1:]


def split(layer: Any, field: str) -> tuple[str, dict[str, Any]]:
    """Return kind and options (a fresh dict) of a layer as written."""
    if isinstance(layer, str):
        return layer, {}
    if isinstance(layer, dict) and len(layer) == 1:
        kind, options = next(iter(layer.items()))
        if options is None or isinstance(options, dict):
            return kind, dict(options or {})
    text = "A layer must be a kind, or a kind with a mapping of options: `conv: {channels: 96}`."
    raise InputError("bad-layer", text, field=field)


def _take(options: dict[str, Any], field: str, **defaults: Any) -> list[Any]:
    """Return these options, or their defaults. Raises InputError where there are others."""
    values = [options.pop(name, default) for name, default in defaults.items()]
    _refuse(options, field, (*defaults, "name", "then"))
    return values


def _scope(options: dict[str, Any], scope: str, field: str) -> str:
    name = _take_name(options, field)
    return f"{scope}{name}." if name else scope


def _take_name(options: dict[str, Any], field: str) -> str | None:
    name = options.pop("name", None)
    if name is None or (isinstance(name, str) and len(name) <= MAX_NAME_LENGTH):
        return name
    raise InputError("bad-option", f"A name must be text of up to {MAX_NAME_LENGTH} characters.", field=f"{field}.name")


def _refuse(options: Iterable[str], field: str, known: Sequence[str]) -> None:
    for option in options:
        text, choices = f"There is no option '{shown(option)}'.", nearest(option, known) or known
        raise InputError("unknown-option", text, field=f"{field}.{option}", nearest=choices)


def checked(kind: Callable[..., Op], options: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the options converted to the types in the layer function's annotations. Raises InputError."""
    known = {name: hint for name, hint in kind.__annotations__.items() if name not in ("shape", "return")}
    result = {}
    for option, value in options.items():
        if option not in known:
            _refuse([option], field, [*known, "name", "then"])
        try:
            result[option] = msgspec.convert(value, known[option])
        except msgspec.ValidationError as error:
            from hwbench.files.messages import complaint  # which valid networks do without

            text = f"`{option}`: {complaint(error).sentence}"
            raise InputError("bad-option", text, field=f"{field}.{option}") from None
    defaults = kind.__kwdefaults__ or {}
    missing = [option for option in known if option not in result and option not in defaults]
    if missing:
        raise InputError("missing-option", f"The option '{missing[0]}' is missing.", field=field)
    return result
