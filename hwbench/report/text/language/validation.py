"""Forecasts of language models next to measured rates, as text: errors by device, impossible rates, rows left out."""

from collections.abc import Sequence

from hwbench import answers
from hwbench.predict.replay.language import LanguageRow, LanguageValidation
from hwbench.report.text.format import cut, number, percent
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.report.text.validation import left_out

MAX_ROWS = 12


@answers.lines.register
def summary(answer: LanguageValidation, style: Style = PLAIN, rows: bool = False) -> list[str]:
    """Return the errors of forecasts; with `rows` every row instead of the worst."""
    models, devices = {row.model for row in answer.rows}, {row.device for row in answer.rows}
    title = f"{number(answer.all.n, 'rate')} of {number(len(models), 'model')} on {number(len(devices), 'device')}"
    cells = [
        (cut(group.device, 28), group.kind, str(group.all.n), percent(group.all.mape), _signed(group.all.bias),
         percent(group.all.interval_coverage), percent(group.roofline.mape))
        for group in answer.groups
    ]  # fmt: skip
    every = ("all", "", str(answer.all.n), percent(answer.all.mape), _signed(answer.all.bias),
             percent(answer.all.interval_coverage), percent(answer.roofline.mape))  # fmt: skip
    header = ("device", "time", "n", "MAPE", "bias", "cover", "of roofline")
    lines = [*heading(title, style), "", *table(header, [*cells, every], "llrrrrr", style)]
    if answer.impossible:
        text = (
            f"{number(len(answer.impossible), 'rate')} above the bound, left out: no device can do this with these "
            "weights. It is speculative decoding, a sum over users, or another size than stated."
        )
        lines += ["", *sentences(text, style), *_rows(answer.impossible[:MAX_ROWS], style)]
    listed = answer.rows if rows else sorted(answer.rows, key=lambda row: -abs(row.error))[:MAX_ROWS]
    if listed:
        lines += ["", *heading("every rate" if rows else "the largest errors", style, "dim"), *_rows(listed, style)]
    return [*lines, "", *left_out(answer.skipped, style)]


def _rows(rows: Sequence[LanguageRow], style: Style) -> list[str]:
    cells = []
    for row in rows:
        what = f"{row.tokens} {'read' if row.kind == 'prompt' else 'generated'}"
        what += (f" after {row.context}" if row.context else "") + (f" × {row.batch}" if row.batch > 1 else "")
        several = f"{row.devices} × " if row.devices > 1 else ""
        rates = (f"{rate:.4g}/s" for rate in (row.measured_per_s, row.expected_per_s, row.bound_per_s))
        cells.append(
            (several + cut(row.device, 24), f"{cut(row.model, 22)} {row.weights}", what, *rates, _signed(row.error))
        )
    header = ("device", "model", "tokens", "measured", "expected", "bound", "time off")
    return table(header, cells, "lllrrrr", style, spare=("bound",))


def _signed(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.0f} %"
