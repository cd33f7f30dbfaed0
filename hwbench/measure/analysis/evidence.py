"""The best evidence of a machine: of each ceiling the best-graded measurement of any of its saved runs.

Runs that were interrupted or disturbed, and measurements of grade D, count only where there are no others.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.measure import store
from hwbench.measure.environment.snapshot import DISTURBANCES
from hwbench.measure.record import Measurement, Record
from hwbench.measure.summary import Grade, graded, interval
from hwbench.notices import Notice, notice

MAX_RUNS = 40
"""Newest runs that are searched for those of one machine."""
CEILING_KERNELS = {"clock", "fma", "matmul", "stream", "working-set", "launch"}
"""Kernels whose measurements make a device's ceilings."""
MATRIX_ISAS = ("amx", "amx-bf16", "amx-int8", "amx-tile", "sme")
HERE, WORKER = "here", "cluster"
"""The `setting` in the environment of a run that was made in the machine's own, not in one to compare it with, and of
one that a worker of a cluster answered."""
Doubt = Literal["interrupted", "disturbed", "poor"]


class Evidence(Struct, frozen=True):
    """One measurement of a run, its grade, and why it counts only where there is no other; None where it is sound."""

    run: str
    measurement: Measurement
    grade: Grade
    doubt: Doubt | None

    @property
    def rank(self) -> tuple[bool, str]:
        """What the best evidence has least of."""
        return self.doubt is not None, self.grade


def saved(machine: str, where: str | None = None) -> Iterator[Record]:
    """Yield the saved runs of a machine as it is, the newest first; files that cannot be read are skipped.

    `machine` is the key in the environments of its runs.
    """
    for name in reversed(store.names(where)[-MAX_RUNS:]):
        try:
            run = store.load(name, where)
        except InputError:
            continue
        if machine_of(run) == machine and _is_here(run):
            yield run


def machine_of(run: Record) -> str | None:
    """Return the key of the machine of a run; records of workers, which may state any machine, are of none of them."""
    key = run.environment.get("machine")
    return f"{WORKER}-{key}" if run.environment.get("setting") == WORKER else key


def _is_here(run: Record) -> bool:
    return bool(run.environment.get("setting", HERE) == HERE)


def best(runs: Iterable[Record], *, prefer_first: bool = False) -> tuple[Evidence, ...]:
    """Return the best evidence of a CPU's ceilings in runs of one machine, the newest first.

    Measurements whose answers were wrong are left out. With `prefer_first` the ceilings that the first run measured are
    its own, and the others complete them.
    """
    chosen: dict[tuple[str, ...], list[Evidence]] = {}
    first: str | None = None
    for run in runs:
        first = first or run.id
        for key, measurements in _by_key(run).items():
            known = chosen.get(key)
            if known and (_rank(known) == (False, "A") or (prefer_first and known[0].run == first)):
                continue
            candidates = [_evidence(run, item) for item in measurements]
            if not known or _rank(candidates) < _rank(known):
                chosen[key] = candidates
    every = [each for candidates in chosen.values() for each in candidates]

    def later(each: Evidence) -> int:
        return 0 if prefer_first and each.run == first else 1 if each.doubt is None else 2

    least: dict[tuple[object, ...], int] = {}
    for each in every:
        ceiling = _ceiling(each.measurement)
        least[ceiling] = min(least.get(ceiling, 2), later(each))
    return tuple(each for each in every if later(each) == least[_ceiling(each.measurement)])


def completed(run: Record, others: Iterable[Record], *, prefer: bool) -> tuple[Record, tuple[Evidence, ...]]:
    """Return a run with the best evidence of its machine's ceilings, and that evidence; its own first if `prefer`."""
    rest = [other for other in others if other.id != run.id]
    own = [run] if prefer or _is_here(run) or not rest else []
    evidence = best([*own, *rest], prefer_first=prefer)
    others_of_run = [item for item in run.measurements if not _is_ceiling(item)]
    return replace(run, measurements=(*(each.measurement for each in evidence), *others_of_run)), evidence


def sources(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Return the ids of the runs, the newest first, each with its kernels where there are several runs."""
    kernels: dict[str, list[str]] = {}
    for each in sorted(evidence, key=lambda each: each.run, reverse=True):
        kernels.setdefault(each.run, []).append(each.measurement.kernel)
    if len(kernels) < 2:
        return tuple(kernels)
    return tuple(f"{run} ({', '.join(sorted(set(names)))})" for run, names in kernels.items())


def doubts(evidence: Sequence[Evidence]) -> list[Notice]:
    """Return a notice of the runs on which ceilings rest that are doubtful, for each reason."""
    runs: dict[Doubt, list[Evidence]] = {}
    for each in evidence:
        if each.doubt and each.measurement.kernel != "working-set":  # whose levels show whether they can be used
            runs.setdefault(each.doubt, []).append(each)
    return [
        notice("ceilings-doubtful", why=why, runs=sources(of), kernels=sorted({each.measurement.kernel for each in of}))
        for why, of in runs.items()
    ]


def _is_ceiling(measurement: Measurement) -> bool:
    return measurement.kernel in CEILING_KERNELS and measurement.where != "gpu"


def _by_key(run: Record) -> dict[tuple[str, ...], list[Measurement]]:
    """Return the measurements of ceilings that are chosen together: a sweep of working sets is one."""
    groups: dict[tuple[str, ...], list[Measurement]] = {}
    for item in run.measurements:
        if _is_ceiling(item) and item.checked is not False:
            groups.setdefault(("working-set",) if item.kernel == "working-set" else item.key, []).append(item)
    return groups


def _evidence(run: Record, measurement: Measurement) -> Evidence:
    grade, _ = graded(measurement, interval(measurement))
    doubt: Doubt | None = "poor" if grade == "D" else None
    if any(each.code in DISTURBANCES for each in run.notices):
        doubt = "disturbed"
    if measurement.stopped == "interrupted":
        doubt = "interrupted"
    return Evidence(run.id, measurement, grade, doubt)


def _rank(evidence: Sequence[Evidence]) -> tuple[bool, str]:
    """Return the rank of measurements that are chosen together: that of the one in the middle."""
    ranks = sorted(each.rank for each in evidence)
    return ranks[len(ranks) // 2]


def engine(measurement: Measurement) -> Literal["matrix", "vector"]:
    """Return what a CPU computed a measurement with."""
    return "matrix" if (measurement.isa or "").startswith(MATRIX_ISAS) else "vector"


def _ceiling(measurement: Measurement) -> tuple[object, ...]:
    """Return what a measurement is a ceiling of: the fastest library, size or access pattern counts."""
    item = measurement
    if item.kernel == "matmul":
        return item.kernel, engine(item), item.dtype, item.threads
    return (item.kernel, item.threads) if item.kernel == "stream" else item.key
