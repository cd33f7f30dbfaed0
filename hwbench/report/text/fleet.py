"""The hosts of a cluster, as text."""

from collections.abc import Sequence

from hwbench.measure.cluster import Failure, Success
from hwbench.report.text.layout import Style, table
from hwbench.report.text.runs import runs
from hwbench.study.compare.runs import RunComparison


def fleet(
    good: Sequence[Success],
    bad: Sequence[Failure],
    paths: Sequence[str | None],
    comparisons: Sequence[RunComparison],
    style: Style,
) -> list[str]:
    """A row a host that gave a record, those that gave none, and each record against the first."""
    total = len(good) + len(bad)
    lines = [style.paint(f"{len(good)} of {total} host{'' if total == 1 else 's'} measured", "bold"), ""]
    rows = [
        (one.host, one.run.id, str(one.run.environment.get("brand", "-"))[:40], path or "not saved")
        for one, path in zip(good, paths, strict=True)
    ]
    lines += table(("host", "run", "processor", "record"), rows, "llll", style, spare=("processor",))
    for one in comparisons:
        lines += ["", "", *runs(one, style)]
    return lines
