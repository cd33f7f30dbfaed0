"""Workloads as text: the layers of a network in the manner of a model summary, and lists of models."""

from collections.abc import Iterable

from hwbench import answers
from hwbench.dtypes import dtype
from hwbench.report.text.format import integer, intensity, layer
from hwbench.report.text.layout import PLAIN, Style, field, heading, table
from hwbench.units import si
from hwbench.workload.counting import Count
from hwbench.workload.ops import CONVENTIONS, Convention, Workload
from hwbench.workload.shapes import format_shape

_HEADINGS: dict[Convention, str] = {"flop": "FLOP", "mac": "MAC", "mac-bias": "MAC+bias"}
_UNITS: dict[Convention, str] = {"flop": "FLOP", "mac": "MAC", "mac-bias": "op"}


@answers.lines.register
def summary(count: Count, style: Style = PLAIN) -> list[str]:
    """Return a row a layer and the totals: output shape, parameters, operations, traffic and intensity."""
    workload, convention, batch, bits = count.workload, count.convention, count.batch, dtype(count.dtype).bits
    rows, roles = [], []
    for op in workload.ops:
        work = op.work(bits, workload.repeats(batch))
        rows.append(
            (
                layer(op.name, op.count),
                op.kind,
                format_shape(op.output_shape),
                integer(op.params * op.count) if op.params else "-",
                integer(op.operations(convention, workload.repeats(batch))) if op.macs else "-",
                si(work.traffic, "B"),
                intensity(work.intensity) if work.flops else "-",
            )
        )
        roles.append("" if op.params else "dim")
    header = ("layer", "kind", "output", "params", _HEADINGS[convention], "traffic", "FLOP/B")
    total = workload.work(bits, batch)
    others = ", ".join(
        f"{si(workload.operations(name, batch), _UNITS[name])} ({name})" for name in CONVENTIONS if name != convention
    )
    shape = format_shape(workload.input_shape)
    lines = [*heading(f"{workload.title} · input {shape} · batch {batch} · {count.dtype}", style), ""]
    lines += [*table(header, rows, "lllrrrr", style, roles, ("FLOP/B", "traffic", "kind")), ""]
    for name, text in (
        ("parameters", f"{integer(workload.params)} ({si(workload.params * bits / 8, 'B')} at {count.dtype})"),
        ("operations", f"{integer(count.count)} = {si(count.count, _UNITS[convention])}"),
        ("convention", f"{convention}: {CONVENTIONS[convention]}"),
        ("", f"{others} by the other conventions"),
        ("elementwise", f"{si(total.elementwise_flops, 'FLOP')}, apart from the above"),
        (
            "traffic",
            f"{si(total.traffic, 'B')}: input {si(total.input_bytes, 'B')}, "
            f"weights {si(total.weight_bytes, 'B')}, output {si(total.output_bytes, 'B')}",
        ),
        ("intensity", f"{total.intensity:.4g} FLOP/B"),
        ("not counted", ", ".join(workload.uncounted) or "nothing: every layer has a formula"),
    ):
        lines += field(name, text, style)
    return lines + published(workload, style)


def published(workload: Workload, style: Style) -> list[str]:
    """The published counts beside ours."""
    told = workload.published
    if told is None:
        return []
    same = (told.params, told.macs) == (workload.params, workload.macs)
    verdict = "equal to ours" if same else f"ours {integer(workload.params)} parameters, {integer(workload.macs)} MACs"
    lines = field(
        "published", f"{integer(told.params)} parameters, {integer(told.macs)} MACs a sample: {verdict}", style
    )
    return lines + field("", told.source, style) + (field("", told.url, style) if told.url else [])


def model_list(workloads: Iterable[Workload], style: Style = PLAIN) -> list[str]:
    """A row a model."""
    rows = [
        (w.name, w.title, format_shape(w.input_shape), integer(w.params), si(w.macs, "MAC"), str(len(w.ops)))
        for w in workloads
    ]
    return table(
        ("name", "title", "input", "params", "per sample", "ops"), rows, "lllrrr", style, spare=("ops", "input")
    )
