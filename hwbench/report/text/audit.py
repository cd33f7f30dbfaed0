"""Other counters beside ours as text."""

from collections.abc import Iterable
from typing import Protocol

from hwbench.report.text.layout import Style, sentences, table
from hwbench.units import si


class Audited(Protocol):
    """What the text needs of `workload.audit.Audit`, which needs torch to import."""

    counter: str
    version: str | None
    unit: str | None
    macs: float | None
    ratio: float | None
    explanations: tuple[str, ...]
    error: str | None


def audit(found: Iterable[Audited], macs: int, style: Style) -> list[str]:
    """A row a counter and the reasons for each difference; counters that are not installed on one line."""
    rows, reasons, missing = [("hwbench", "", "mac", si(macs, "MAC"), "1")], [], []
    for one in found:
        if one.version is None:
            missing.append(one.counter)
            continue
        count = si(one.macs, "MAC") if one.macs is not None else "-"
        ratio = f"{one.ratio:.4g}" if one.ratio is not None else "-"
        rows.append((one.counter, one.version, one.unit or "-", count, ratio))
        told = (one.error,) if one.error else one.explanations
        reasons += [line for text in told for line in sentences(f"{one.counter} {text}", style)]
    lines = table(("counter", "version", "counts", "a sample", "of ours"), rows, "lllrr", style)
    lines += ["", *reasons] if reasons else []
    return lines + ([f"not installed: {', '.join(missing)}"] if missing else [])
