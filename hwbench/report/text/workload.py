"""Workloads as text: the layers of a network, the counts of other counters, and lists of models."""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import UnsetType

from hwbench import answers
from hwbench.dtypes import dtype
from hwbench.report.text.format import (
    MAX_LAYERS,
    alike,
    integer,
    intensity,
    layer_name,
    memory_use,
    percent,
    remark,
    shared_name,
)
from hwbench.report.text.layout import PLAIN, Style, field, heading, sentences, table
from hwbench.units import si
from hwbench.workload.counting import Count
from hwbench.workload.ops import CONVENTIONS, Convention, Part, Workload
from hwbench.workload.shapes import format_shape
from hwbench.workload.tree import Branch

_HEADINGS: dict[Convention, str] = {"flop": "FLOP", "mac": "MAC", "mac-bias": "MAC+bias"}
_UNITS: dict[Convention, str] = {"flop": "FLOP", "mac": "MAC", "mac-bias": "op"}


@answers.lines.register
def summary(count: Count, style: Style = PLAIN, all_layers: bool = False) -> list[str]:
    """Return a row a layer and the totals: output shape, parameters, operations, traffic and intensity."""
    workload, convention, batch, bits = count.workload, count.convention, count.batch, dtype(count.dtype).bits
    total = workload.work(bits, batch)
    others = ", ".join(
        f"{si(workload.operations(name, batch), _UNITS[name])} ({name})" for name in CONVENTIONS if name != convention
    )
    shape = format_shape(workload.input_shape)
    lines = [*heading(f"{workload.title} · input {shape} · batch {batch} · {count.dtype}", style), ""]
    table_of = _layers if isinstance(count.tree, UnsetType) else _modules
    lines += [*table_of(count, style, all_layers), ""]
    for name, text in (
        ("parameters", f"{integer(workload.params)} ({si(workload.params * bits / 8, 'B')} at {count.dtype})"),
        *(("", text) for text in _kinds_of_params(count)),
        (
            "operations",
            f"{integer(count.count)} = {si(count.count, 'op' if count.integer_ops else _UNITS[convention])}",
        ),
        *([("", f"{si(count.flops, 'FLOP')}, {si(count.integer_ops, 'OP')} on integers")] if count.integer_ops else []),
        ("convention", f"{convention}: {CONVENTIONS[convention]}"),
        ("", f"{others} in the other conventions"),
        ("elementwise", f"{si(count.elementwise_flops, 'FLOP')}{_of_indices(count)}, not included above"),
        (
            "traffic",
            f"{si(total.traffic, 'B')}: input {si(total.input_bytes, 'B')}, "
            f"weights {si(total.weight_bytes, 'B')}, output {si(total.output_bytes, 'B')}",
        ),
        ("memory", memory_use(count.memory)),
        *((part, _part(count, part)) for part in count.parts),
        ("intensity", f"{total.intensity:.4g} FLOP/B"),
        ("not counted", ", ".join(workload.uncounted) or "nothing: every layer is counted"),
    ):
        lines += field(name, text, style)
    lines += published(workload, style)
    return (
        lines
        if isinstance(count.audit, UnsetType)
        else [*lines, "", *audit(count.audit, workload.macs // workload.samples, style)]
    )


def _part(count: Count, part: Part) -> str:
    """Return what a part of a training step computes and moves."""
    own = count.parts[part]
    text = f"{si(own.flops, 'FLOP')}, elementwise {si(own.elementwise_flops, 'FLOP')}, {si(own.traffic_bytes, 'B')}"
    keeps = f", keeps {si(count.memory.optimizer_bytes, 'B')}" if part == "optimizer" else ""
    return text + (", what checkpoints run again" if part == "recompute" else keeps)


def _kinds_of_params(count: Count) -> list[str]:
    """Return which parameters are trainable, no embeddings, or at work for one token, where that is not all of them."""
    kinds = {
        "trainable": count.trainable_params,
        "without embeddings": count.non_embedding_params,
        "at work for one token": count.active_params,
    }
    listed = [f"{integer(n)} {kind}" for kind, n in kinds.items() if n is not None and n != count.params]
    return [", ".join(listed)] if listed else []


def _of_indices(count: Count) -> str:
    """Return the elementwise operations on integers, as those of indices and of numbers that are scaled."""
    return f", {si(count.elementwise_integer_ops, 'OP')} on integers" if count.elementwise_integer_ops else ""


def _layers(count: Count, style: Style, all_layers: bool) -> list[str]:
    """Return a row a layer; of many layers, those that blocks repeat as one."""
    groups = [(layer.name, [layer]) for layer in count.layers]
    if len(groups) > MAX_LAYERS and not all_layers:
        groups = alike(count.layers, lambda x: (x.kind, x.output_shape, x.params, x.macs, x.traffic_bytes))
    rows = []
    for name, layers in groups:
        params, flops, traffic = (sum(getattr(x, y) for x in layers) for y in ("params", "flops", "traffic_bytes"))
        operations = sum(layer.conventions[count.convention] for layer in layers)
        label = layer_name(name, sum(layer.count for layer in layers))
        start = (label, layers[0].kind, format_shape(layers[0].output_shape), integer(params) if params else "-")
        rows.append(
            (
                *start,
                integer(operations) if operations else "-",
                si(traffic, "B"),
                intensity(flops / traffic) if flops and traffic else "-",
            )
        )
    header = ("layer", "kind", "output", "params", _HEADINGS[count.convention], "traffic", "FLOP/B")
    roles = ["dim" if row[3] == "-" else "" for row in rows]
    lines = table(header, rows, "lllrrrr", style, roles, ("FLOP/B", "traffic", "kind", "output"))
    notes = remark(count.layers)
    if len(groups) < len(count.layers):
        notes.append(f"... one row for what blocks repeat; all {len(count.layers)} layers with --layers")
    return lines + [line for note in notes for line in heading(note, style, "dim")]


def _modules(count: Count, style: Style, all_modules: bool) -> list[str]:
    """Return a row a module, those inside indented; those that are alike as one, with their sum."""
    assert not isinstance(count.tree, UnsetType)
    rows = []
    for depth, name, times, module in [(0, "all", 1, count.tree), *_indented(count.tree.inner, all_modules)]:
        operations = times * module.conventions[count.convention]
        rows.append(
            (
                f"{'  ' * depth}{layer_name(name, times)}",
                integer(times * module.params) if module.params else "-",
                integer(operations) if operations else "-",
                percent(operations / count.count) if operations else "-",
                si(times * module.traffic_bytes, "B"),
            )
        )
    header = ("module", "params", _HEADINGS[count.convention], "share", "traffic")
    roles = ["dim" if row[1] == row[2] == "-" else "" for row in rows]
    lines = table(header, rows, "lrrrr", style, roles, ("traffic", "share"))
    alike_rows = any(" ×" in row[0] for row in rows)
    return lines + (heading("×N: N modules that are alike, added up", style, "dim") if alike_rows else [])


def _indented(
    modules: Sequence[Branch], every: bool, depth: int = 1, times: int = 1
) -> Iterator[tuple[int, str, int, Branch]]:
    """Yield depth and name of each module, how many of the whole are like it, and one of them."""
    groups: dict[Hashable, list[Branch]] = {}
    for module in modules:
        groups.setdefault(module.path if every else _shape(module), []).append(module)
    for group in groups.values():
        yield depth, shared_name(group), times * len(group), group[0]
        yield from _indented(group[0].inner, every, depth + 1, times * len(group))


def _shape(module: Branch) -> Hashable:
    """Return what modules share that are alike: their names but for numbers, their totals, and all that is in them."""
    totals = (module.params, module.macs, module.elementwise_flops, module.traffic_bytes)
    return (re.sub(r"\d+", "*", module.name), totals, tuple(map(_shape, module.inner)))


def published(workload: Workload, style: Style) -> list[str]:
    """Return the published counts next to those of hwbench."""
    figures = workload.published
    if figures is None:
        return []
    same = (figures.params, figures.macs) == (workload.params, workload.macs)
    own = f"hwbench counts {integer(workload.params)} parameters, {integer(workload.macs)} MACs"
    text = f"{integer(figures.params)} parameters, {integer(figures.macs)} MACs a sample"
    lines = field("published", f"{text}: {'equal' if same else own}", style)
    return lines + field("", figures.source, style) + (field("", figures.url, style) if figures.url else [])


def model_list(workloads: Iterable[Workload], style: Style = PLAIN) -> list[str]:
    """Return a row for each model."""
    rows = [
        (
            w.name,
            w.title,
            format_shape(w.input_shape),
            integer(w.params),
            si(w.operations("flop", 1), "FLOP"),
            str(len(w.ops)),
        )
        for w in workloads
    ]
    header = ("name", "title", "input", "params", "a sample", "ops")
    return table(header, rows, "lllrrr", style, spare=("ops", "input"))


class Audited(Protocol):
    """The attributes of `workload.audit.audit.Audit` that its text needs; importing that module needs torch."""

    counter: str
    version: str | None
    unit: str | None
    macs: float | None
    ratio: float | None
    explanations: tuple[str, ...]
    error: str | None


def audit(counters: Iterable[Audited], macs: int, style: Style = PLAIN) -> list[str]:
    """Return a row for each counter, the reasons of each difference, and the counters that are not installed."""
    rows, reasons, missing = [("hwbench", "", "mac", si(macs, "MAC"), "1")], [], []
    for counter in counters:
        if counter.version is None:
            missing.append(counter.counter)
            continue
        count = si(counter.macs, "MAC") if counter.macs is not None else "-"
        ratio = f"{counter.ratio:.4g}" if counter.ratio is not None else "-"
        rows.append((counter.counter, counter.version, counter.unit or "-", count, ratio))
        texts = (counter.error,) if counter.error else counter.explanations
        reasons += [line for text in texts for line in sentences(text, style)]
    lines = table(("counter", "version", "counts", "a sample", "ratio"), rows, "lllrr", style)
    lines += ["", *reasons] if reasons else []
    return lines + ([f"not installed: {', '.join(missing)}"] if missing else [])
