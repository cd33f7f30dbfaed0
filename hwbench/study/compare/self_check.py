"""The false-positive rate of `hwbench compare` on this machine, from A/A pairs of runs.

Both runs of a pair measure the same kernels in fresh processes, in turns, so that every difference is a false one.
"""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.measure.record import Record
from hwbench.stats.intervals import LEVEL, proportion_interval
from hwbench.study.compare.runs import MARGIN, compare_runs


class SelfCheck(Answer, Struct, frozen=True):
    """The outcome of `pairs` A/A comparisons.

    In `false_positives` of them some kernel was called faster or slower: `rate`, with its interval (Clopper and Pearson
    1934). In `significant` of them some difference was significant, however small; `stated` is the share that the level
    allows. `worst_ratio` is the ratio furthest from 1, of `worst_kernel`.
    """

    SCHEMA: ClassVar[str] = "self-check"
    pairs: int
    processes: int
    kernels: int
    level: float
    margin: float
    false_positives: int
    rate: float
    interval: tuple[float, float]
    significant: int
    significant_rate: float
    significant_interval: tuple[float, float]
    stated: float
    worst_ratio: float
    worst_kernel: str
    holds: bool


def self_check(pairs: Sequence[tuple[Record, Record]], margin: float = MARGIN, level: float = LEVEL) -> SelfCheck:
    """Compare the runs of each pair; it `holds` unless the interval of the rate lies above what the level allows.

    Raises ValueError without pairs, InputError for runs that cannot be compared.
    """
    if not pairs:
        raise ValueError("a self-check needs a pair of runs")
    comparisons = [compare_runs(a, b, margin, level) for a, b in pairs]
    count = len(comparisons)
    false = sum(any(metric.verdict in ("faster", "slower") for metric in each.metrics) for each in comparisons)
    significant = sum(any(metric.p_equal < 1 - level for metric in each.metrics) for each in comparisons)
    metrics = [metric for each in comparisons for metric in each.metrics]
    worst = max(metrics, key=lambda metric: max(metric.ratio, 1 / metric.ratio))
    interval = proportion_interval(false, count, level)
    return SelfCheck(
        pairs=count,
        processes=min(run.processes for pair in pairs for run in pair),
        kernels=len(comparisons[0].metrics),
        level=level,
        margin=margin,
        false_positives=false,
        rate=false / count,
        interval=interval,
        significant=significant,
        significant_rate=significant / count,
        significant_interval=proportion_interval(significant, count, level),
        stated=1 - level,
        worst_ratio=worst.ratio,
        worst_kernel=" ".join(dict.fromkeys(p for p in (worst.kernel, worst.variant, worst.isa, worst.dtype) if p)),
        holds=interval[0] <= 1 - level,
    )
