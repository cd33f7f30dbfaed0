"""A network written as a list of layers becomes ops, shapes inferred from layer to layer.

A layer is `kind` or `kind: {option: value, ...}`. Any layer may have a `name` and `then`, a list of layers that
follow it. Beside the kinds of `layers.py` there are structures: `residual` (layers, added to a shortcut), `branches`
(lists of layers side by side, concatenated or added), `repeat`, and the free views `flatten`, `tokens` and `select`.
"""

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

import msgspec

from hwbench.errors import InputError, nearest, shown
from hwbench.files.documents import said
from hwbench.workload.layers import elementwise
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import Op, Shape
from hwbench.workload.shapes import format_shape

MOST_OPS = 100_000
MOST_DIMENSIONS = 16
LONGEST_NAME = 100
LARGEST = 1 << 62
_KINDS = {kind.__name__: kind for kind in layers.KINDS}


def build(listed: Any, shape: Shape, field: str = "layers") -> tuple[Op, ...]:
    """The ops of a list of layers as a YAML file holds it, fed with one sample of `shape`.

    Raises InputError whose `field` is the path of the layer in the file and whose message names the layer.
    """
    builder = _Builder()
    builder.layers(listed, shape, field, "")
    if not builder.ops:
        raise InputError("has no layers", field=field)
    return tuple(builder.ops)


class _Builder:
    """Collects ops in order of execution; each method returns the shape that it leaves."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.names: set[str] = set()
        self.numbers: Counter[str] = Counter()
        self.turns = 0
        self.structures: dict[str, Callable[[dict[str, Any], Shape, str, str], Shape]] = {
            "residual": self.residual,
            "branches": self.branches,
            "repeat": self.repeat,
            "flatten": self.flatten,
            "tokens": self.tokens,
            "select": self.select,
        }

    def layers(self, listed: Any, shape: Shape, field: str, scope: str) -> Shape:
        if not isinstance(listed, list):
            raise InputError("must be a list of layers", field=field)
        for position, layer in enumerate(listed):
            shape = self.layer(layer, shape, f"{field}[{position}]", scope)
        return shape

    def layer(self, layer: Any, shape: Shape, field: str, scope: str) -> Shape:
        kind, options = split(layer, field)
        inside = f"{field}.{kind}" if isinstance(layer, dict) else field
        then = options.pop("then", [])
        if kind in self.structures:
            shape = self.structures[kind](options, shape, inside, scope)
        elif kind in _KINDS:
            shape = self.op(kind, options, shape, inside, scope)
        else:
            choices = nearest(kind, [*_KINDS, *self.structures])
            raise InputError(f"there is no layer kind '{shown(kind)}'", field=field, nearest=choices)
        return self.layers(then, shape, f"{inside}.then", scope)

    def op(self, kind: str, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        name = self.name(kind, options, field, scope)
        try:
            op = _KINDS[kind](shape, **checked(_KINDS[kind], options, field))
        except InputError as error:
            raise InputError(
                f"layer {name}: {error.message}", field=error.field or field, nearest=error.nearest
            ) from None
        return self.emit(op, name, field)

    def emit(self, op: Op, name: str, field: str) -> Shape:
        if len(self.ops) >= MOST_OPS:
            raise InputError(f"the network has more than {MOST_OPS} layers", field=field)
        if max(op.macs, op.params, op.input_elements, op.output_elements) > LARGEST:
            raise InputError(f"layer {name}: is larger than any machine's memory", field=field)
        if len(op.output_shape) > MOST_DIMENSIONS:
            raise InputError(f"layer {name}: leaves more than {MOST_DIMENSIONS} dimensions", field=field)
        self.ops.append(msgspec.structs.replace(op, name=name))
        return op.output_shape

    def name(self, kind: str, options: dict[str, Any], field: str, scope: str) -> str:
        """The layer's own name, else its kind and a running number within its scope."""
        given = _given(options, field)
        name = f"{scope}{given}" if given else ""
        stem = f"{scope}{kind}{'_' if kind[-1].isdigit() else ''}"
        while not name or (not given and name in self.names):
            self.numbers[stem] += 1
            name = f"{stem}{self.numbers[stem]}"
        if name in self.names:
            raise InputError(f"two layers are called '{shown(name)}'", field=field)
        self.names.add(name)
        return name

    def residual(self, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        inner = _scope(options, scope, field)
        body, shortcut = options.pop("layers", None), options.pop("shortcut", [])
        _refuse(options, field, ("layers", "shortcut", "name", "then"))
        left = self.layers(body, shape, f"{field}.layers", inner)
        right = self.layers(shortcut, shape, f"{field}.shortcut", inner)
        if left != right:
            sides = f"{format_shape(left)} and {format_shape(right)}"
            what = f"residual {inner}".rstrip(". ")
            raise InputError(f"{what}: the two sides have different shapes, {sides}", field=field)
        return self.emit(elementwise.add(left), self.name("add", {}, field, inner), field)

    def branches(self, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        inner = _scope(options, scope, field)
        paths, combine = options.pop("layers", None), options.pop("combine", "concat")
        _refuse(options, field, ("layers", "combine", "name", "then"))
        if not isinstance(paths, list) or len(paths) < 2:
            raise InputError("needs a list of at least two lists of layers", field=f"{field}.layers")
        if combine not in ("concat", "add"):
            raise InputError(f"combine is concat or add, not '{shown(combine)}'", field=f"{field}.combine")
        shapes = [self.layers(path, shape, f"{field}.layers[{i}]", inner) for i, path in enumerate(paths)]
        rest = {s if combine == "add" else s[1:] for s in shapes}
        if len(rest) > 1:
            listed = ", ".join(map(format_shape, shapes))
            what = f"branches {inner}".rstrip(". ")
            raise InputError(f"{what}: shapes that do not fit together, {listed}", field=field)
        if combine == "add":
            return self.emit(elementwise.add(shapes[0], inputs=len(shapes)), self.name("add", {}, field, inner), field)
        joined = (sum(s[0] for s in shapes), *shapes[0][1:])
        return self.emit(elementwise.copy(joined), self.name("concat", {}, field, inner), field)

    def repeat(self, options: dict[str, Any], shape: Shape, field: str, scope: str) -> Shape:
        named, first = options.get("name"), options.pop("first", 0)
        inner = _scope(options, scope, field)
        count, body = options.pop("count", None), options.pop("layers", None)
        _refuse(options, field, ("count", "layers", "first", "name", "then"))
        for label, value in (("count", count), ("first", first)):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_OPS:
                raise InputError(f"must be a whole number up to {MOST_OPS}", field=f"{field}.{label}")
        for turn in range(first, first + count):
            self.turns += 1  # views are no ops, yet repeating them takes time
            if self.turns > MOST_OPS:
                raise InputError(f"the network repeats more than {MOST_OPS} times", field=f"{field}.count")
            shape = self.layers(body, shape, f"{field}.layers", f"{inner}{turn}." if named else scope)
        return shape

    def flatten(self, options: dict[str, Any], shape: Shape, field: str, _scope: str) -> Shape:
        _refuse(options, field, ("then",))
        return (prod(shape),)

    def tokens(self, options: dict[str, Any], shape: Shape, field: str, _scope: str) -> Shape:
        """A view of an image as a sequence: channels × height × width as positions × channels."""
        _refuse(options, field, ("then",))
        if len(shape) < 2:
            raise InputError(f"tokens need an image, got {format_shape(shape)}", field=field)
        return (prod(shape[1:]), shape[0])

    def select(self, options: dict[str, Any], shape: Shape, field: str, _scope: str) -> Shape:
        """A view of one position of the first dimension."""
        index = options.pop("index", 0)
        _refuse(options, field, ("index", "then"))
        whole = isinstance(index, int) and not isinstance(index, bool)
        if len(shape) < 2 or not whole or not 0 <= index < shape[0]:
            raise InputError(f"cannot select {shown(index)} of {format_shape(shape)}", field=field)
        return shape[1:]


def split(layer: Any, field: str) -> tuple[str, dict[str, Any]]:
    """Kind and options (a fresh dict) of a layer as written."""
    if isinstance(layer, str):
        return layer, {}
    if isinstance(layer, dict) and len(layer) == 1:
        kind, options = next(iter(layer.items()))
        if options is None or isinstance(options, dict):
            return kind, dict(options or {})
    raise InputError("a layer is a kind, or a kind with a mapping of options: `conv: {channels: 96}`", field=field)


def _scope(options: dict[str, Any], scope: str, field: str) -> str:
    name = _given(options, field)
    return f"{scope}{name}." if name else scope


def _given(options: dict[str, Any], field: str) -> str | None:
    """The name in the options, taken out of them."""
    name = options.pop("name", None)
    if name is None or (isinstance(name, str) and len(name) <= LONGEST_NAME):
        return name
    raise InputError(f"must be text of at most {LONGEST_NAME} characters", field=f"{field}.name")


def _refuse(options: dict[str, Any], field: str, known: tuple[str, ...]) -> None:
    for option in options:
        message = f"unknown option '{shown(option)}'"
        raise InputError(message, field=f"{field}.{option}", nearest=nearest(option, known) or known)


def checked(kind: Callable[..., Op], options: dict[str, Any], field: str) -> dict[str, Any]:
    """The options with the types that the layer function's annotations ask for."""
    if not options and not kind.__annotations__.keys() - {"shape", "return"}:
        return {}  # an activation, say: most layers of most networks
    known = {name: hint for name, hint in kind.__annotations__.items() if name not in ("shape", "return")}
    found = {}
    for option, value in options.items():
        if option not in known:
            message = f"unknown option '{shown(option)}'"
            raise InputError(message, field=f"{field}.{option}", nearest=nearest(option, [*known, "name", "then"]))
        try:
            found[option] = msgspec.convert(value, known[option])
        except msgspec.ValidationError as error:
            raise InputError(f"{option}: {said(error)}", field=f"{field}.{option}") from None
    defaults = kind.__kwdefaults__ or {}
    missing = [option for option in known if option not in found and option not in defaults]
    if missing:
        raise InputError(f"missing option {missing[0]!r}", field=field)
    return found
