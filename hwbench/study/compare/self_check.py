"""How often a comparison on this machine claims a difference that is none: A/A pairs, compared as any two runs are.

Both runs of a pair are of the same kernels in fresh processes, taken in turns, so that every verdict of a difference
is a false one.
"""

from collections.abc import Sequence

from msgspec import Struct

from hwbench.measure.record import Record
from hwbench.stats.comparison import LEVEL, proportion_interval
from hwbench.study.compare.runs import MARGIN, compare_runs


class SelfCheck(Struct, frozen=True):
    """The outcome of `pairs` A/A comparisons.

    `false_positives` of them called some kernel faster or slower: `rate`, with its interval (Clopper and Pearson 1934).
    `significant` of them found some difference significant, however small; `stated` is the share that the level allows
    of that. `worst_ratio` is the ratio furthest from 1, of `worst_kernel`.
    """

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
    """Compare the runs of each pair. It `holds` unless the interval of the rate lies above what the level allows.

    Raises ValueError without pairs, InputError for runs that cannot be compared.
    """
    if not pairs:
        raise ValueError("a self-check needs a pair of runs")
    compared = [compare_runs(a, b, margin, level) for a, b in pairs]
    false = sum(any(one.verdict in ("faster", "slower") for one in each.metrics) for each in compared)
    significant = sum(any(one.p_equal < 1 - level for one in each.metrics) for each in compared)
    metrics = [one for each in compared for one in each.metrics]
    worst = max(metrics, key=lambda one: max(one.ratio, 1 / one.ratio))
    count = len(compared)
    interval = proportion_interval(false, count, level)
    return SelfCheck(
        pairs=count,
        processes=min(one.processes for pair in pairs for one in pair),
        kernels=len(compared[0].metrics),
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
