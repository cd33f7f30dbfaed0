"""Network files as torch modules, whose leaves compute what the file's ops count, in the same order."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any, Literal

import torch
from torch import nn

from hwbench.errors import InputError
from hwbench.workload.layers import network
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import Op, Shape
from hwbench.workload.tracing.layer_modules import FACTORIES, IN_PLACE, Applied, Lookup, total

_KINDS = {kind.__name__: kind for kind in layers.KINDS}
Readers = Literal["input", "shared", "own"]
"""Who reads a tensor: `own` the next layer alone, `shared` other branches too; `input` is the network's input."""


class Network(nn.Module):
    """The module of a list of layers. `leaves` pairs the name of each op with the module that computes it.

    `rows` is the number of values of an index in the input, None where the input is no index.
    """

    def __init__(self, body: Any, leaves: list[tuple[str, Any]], rows: int | None) -> None:
        super().__init__()
        self.body = body
        self.leaves = tuple(leaves)
        self.rows = rows

    def forward(self, data: Any) -> Any:
        """Apply all layers to a batch."""
        return self.body(data)


class _Branches(nn.Module):
    """Paths side by side, joined; a residual's are its layers and a shortcut."""

    def __init__(self, paths: list[Any], join: Any) -> None:
        super().__init__()
        self.paths, self.join = nn.ModuleList(paths), join

    def forward(self, data: Any) -> Any:
        return self.join([path(data) for path in self.paths])


class _Assembler:
    """Walks a list of layers that `network.build` accepted, and its ops with them."""

    def __init__(self, ops: tuple[Op, ...], inplace: bool) -> None:
        self.inplace = inplace
        self.ops: Iterator[Op] = iter(ops)
        self.leaves: list[tuple[str, Any]] = []
        self.lookups: list[Lookup] = []
        self.structures = {"residual": self.residual, "branches": self.branches, "repeat": self.repeat}

    def sequence(self, listed: list[Any], shape: Shape, readers: Readers) -> tuple[Any, Shape, Readers]:
        modules = []
        for layer in listed:
            kind, options = network.split(layer, "")
            then = options.pop("then", [])
            options.pop("name", None)
            if kind in self.structures:
                module, shape, readers = self.structures[kind](options, shape, readers)
            elif kind in _KINDS:
                module, shape, readers = self.leaf(kind, options, shape, readers)
            else:
                module, shape = _view(kind, options, shape)
            modules.append(module)
            if then:
                module, shape, readers = self.sequence(then, shape, readers)
                modules.append(module)
        return (modules[0] if len(modules) == 1 else nn.Sequential(*modules)), shape, readers

    def leaf(self, kind: str, options: dict[str, Any], shape: Shape, readers: Readers) -> tuple[Any, Shape, Readers]:
        op = next(self.ops)
        module = FACTORIES[kind](network.checked(_KINDS[kind], options, ""), shape, op)
        if kind in IN_PLACE:
            module.inplace = self.inplace and readers == "own"
        if isinstance(module, Lookup):
            if readers != "input":
                text = f"Layer {op.name} looks up values that another layer computes, which torch cannot run."
                raise InputError("not-runnable", text)
            self.lookups.append(module)
        return self.joined(module, op), op.output_shape, "own"

    def joined(self, module: Any, op: Op) -> Any:
        """Return the module, and record that it computes the op."""
        self.leaves.append((op.name, module))
        return module

    def residual(self, options: dict[str, Any], shape: Shape, readers: Readers) -> tuple[Any, Shape, Readers]:
        outside: Readers = "input" if readers == "input" else "shared"
        body, _, left = self.sequence(options["layers"], shape, outside)
        shortcut, _, _ = self.sequence(options.get("shortcut", []), shape, outside)
        op = next(self.ops)
        join = self.joined(self.sum(left), op)
        return _Branches([body, shortcut], join), op.output_shape, "own"

    def branches(self, options: dict[str, Any], shape: Shape, readers: Readers) -> tuple[Any, Shape, Readers]:
        outside: Readers = "input" if readers == "input" else "shared"
        paths = [self.sequence(path, shape, outside) for path in options["layers"]]
        op = next(self.ops)
        join = self.sum(paths[0][2]) if options.get("combine") == "add" else Applied(partial(torch.cat, dim=1))
        return _Branches([path for path, _, _ in paths], self.joined(join, op)), op.output_shape, "own"

    def sum(self, readers: Readers) -> Applied:
        """Return the sum of equal shapes, which overwrites the first where nobody else reads it."""
        return Applied(partial(total, inplace=self.inplace and readers == "own"))

    def repeat(self, options: dict[str, Any], shape: Shape, readers: Readers) -> tuple[Any, Shape, Readers]:
        modules = []
        for _ in range(options["count"]):
            module, shape, readers = self.sequence(options["layers"], shape, readers)
            modules.append(module)
        return nn.Sequential(*modules), shape, readers


def _view(kind: str, options: dict[str, Any], shape: Shape) -> tuple[Any, Shape]:
    if kind == "flatten":
        return nn.Flatten(), (prod(shape),)
    if kind == "tokens":
        return Applied(lambda data: data.flatten(2).transpose(1, 2)), (prod(shape[1:]), shape[0])
    index = options.get("index", 0)
    return Applied(lambda data: data[:, index]), shape[1:]


def module(listed: list[Any], shape: Shape, inplace: bool = True) -> Network:
    """Return the module of a list of layers for samples of `shape`, with random weights. Raises InputError.

    Where several embeddings read the input, the largest table takes its indices; the others take positions, as
    position and segment embeddings do. Without `inplace` nothing is overwritten, as a backward pass needs it.
    """
    assembler = _Assembler(network.build(listed, shape), inplace)
    body, _, _ = assembler.sequence(listed, shape, "input")
    rows = None
    if assembler.lookups:
        rows = max(assembler.lookups, key=lambda lookup: lookup.table.num_embeddings).take_input()
    whole = Network(body, assembler.leaves, rows)
    whole.eval()
    return whole
