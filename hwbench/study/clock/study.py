"""Does clock speed predict scores? Each suite of a table is studied, with intervals of its numbers.

Log score is fitted on log clock alone, with cores, and with an effect for each microarchitecture. R² is given in sample
and for microarchitectures not seen in fitting; the verdict follows from the latter (`verdict.GRADES`).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, structs

from hwbench.errors import InputError, nearest, shown
from hwbench.notices import Notice, notice
from hwbench.stats import ranks, regression
from hwbench.study.clock import pairs as clock_pairs
from hwbench.study.clock import verdict
from hwbench.study.clock.results import ClockStudy, Cores, Intervals, Suite
from hwbench.study.clock.scores import ScoreRow, ScoreTable

MIN_ROWS = 30
MAX_ROWS = 3000
"""Rows of a suite of which all pairs are compared; from more, as many are drawn."""
MAX_SUITES = 100
FEW_GROUPS = 10
WINDOW = 1.0
"""Years between two devices of similar date."""


class _Arrays(Struct, frozen=True):
    """A suite's rows: logs less their means, the group of each, and the number of each group in resamples.

    Each row is a group (`clustered` is False) where there is one microarchitecture, or all are unknown.
    """

    clock: regression.Array
    score: regression.Array
    groups: regression.Labels
    clustered: bool
    weights: regression.Array


def study(
    table: ScoreTable, suites: Sequence[str] = (), pairs: Sequence[tuple[str, str]] = (), window: float = WINDOW
) -> ClockStudy:
    """Study every suite of a table (or those named) that has MIN_ROWS rows. Raises InputError where none has.

    `pairs` are two classes each, by microarchitecture, family or device, several with commas; `window` is in years.
    """
    rows_of: dict[str, list[ScoreRow]] = {}
    for row in table.rows:
        rows_of.setdefault(row.suite, []).append(row)
    chosen = _chosen(rows_of, suites)
    _check(pairs, [row for name in chosen for row in rows_of[name]])
    refusals = {name: _refusal(name, rows_of[name]) for name in chosen}
    refused = [refusal for refusal in refusals.values() if refusal]
    if len(chosen) - len(refused) > MAX_SUITES:
        message = f"The table has {len(chosen) - len(refused)} suites to study, more than {MAX_SUITES}: choose some."
        raise InputError("too-many-suites", message, field="suites")
    studied = [_suite(name, rows_of[name], pairs, window) for name in chosen if not refusals[name]]
    if not studied:
        reasons = " ".join(map(str, (refused or table.notices)[:3])) or "No row can be used."
        file = None if table.title == "catalog" else table.title
        raise InputError("nothing-to-study", f"No suite can be studied. {reasons}", file=file)
    notices = (*table.notices, *refused)
    return ClockStudy(
        data=table.title, level=regression.LEVEL, window_years=window, suites=tuple(studied), notices=notices
    )


def _chosen(rows_of: dict[str, list[ScoreRow]], suites: Sequence[str]) -> list[str]:
    known = {name.casefold(): name for name in rows_of}
    for name in suites:
        if name.casefold() not in known:
            choices = [known[close] for close in nearest(name, known)] or sorted(rows_of)
            raise InputError("unknown-suite", f"There is no suite '{shown(name)}'.", field="suites", nearest=choices)
    return list(dict.fromkeys(known[name.casefold()] for name in suites)) or sorted(rows_of)


def _check(pairs: Sequence[tuple[str, str]], rows: list[ScoreRow]) -> None:
    """Raise InputError for a pair with a class that has no rows, or with a row that is in both classes."""
    labels = {label for row in rows for label in row.labels}
    for pair in pairs:
        sides = [clock_pairs.names_in(text) for text in pair]
        if len(sides) != 2 or not all(sides):
            raise InputError("empty-class", "A pair needs two classes, and one of them is empty.", field="pairs")
        for name in sorted(sides[0] | sides[1]):
            if name not in labels:
                message = f"No row has a microarchitecture, family or device '{shown(name)}'."
                raise InputError("unknown-class", message, field="pairs", nearest=nearest(name, labels))
        if any(sides[0] & set(row.labels) and sides[1] & set(row.labels) for row in rows):
            raise InputError("classes-overlap", "Some rows are in both classes of the pair.", field="pairs")


def _refusal(name: str, rows: list[ScoreRow]) -> Notice | None:
    known = [row for row in rows if row.microarchitecture] or rows
    if len(known) < MIN_ROWS:
        return notice("suite-too-small", suite=shown(name, 60), rows=len(known), minimum=MIN_ROWS)
    for what, values in (("clock", {row.clock for row in known}), ("score", {row.score for row in known})):
        if len(values) == 1:
            return notice("suite-constant", suite=shown(name, 60), what=what)
    return None


def _suite(name: str, rows: list[ScoreRow], pairs: Sequence[tuple[str, str]], window: float) -> Suite:
    known, notes = _known(rows)
    arrays = _arrays(known)
    near = clock_pairs.near(known, window)
    clock, score = (np.array([getattr(row, field) for row in known]) for field in ("clock", "score"))
    counts = regression.pair_counts(clock, score, arrays.groups)
    fitted = (arrays.clock[:, None], arrays.score, arrays.groups)
    r2_clock = regression.pooled(*fitted[:2]) or 0.0
    r2_clock_cv = regression.pooled_unseen(*fitted) if arrays.clustered else None
    repeated = arrays.clustered and np.bincount(arrays.groups).max() > 1  # else each row has an effect of its own
    near_pairs = None if near is None else regression.pair_counts(clock, score, arrays.groups, near)
    intervals, slope_clock, slope_within = _intervals(arrays, counts)
    suite = Suite(
        suite=name,
        n=len(known),
        devices=len({row.device for row in known}),
        microarchitectures=len({row.microarchitecture for row in known} - {None}) or None,
        clock_hz=(float(clock.min()), float(clock.max())),
        r2_clock=r2_clock,
        r2_clock_cv=r2_clock_cv,
        r2_microarchitecture=regression.grouped(*fitted) if repeated else None,
        r2_microarchitecture_seen=regression.grouped_seen(*fitted)[0] if repeated else None,
        r2_microarchitecture_cv=regression.grouped_unseen(*fitted) if repeated else None,
        slope_clock=slope_clock,
        slope_within=slope_within,
        cores=_cores(arrays, known),
        spearman=ranks.spearman(arrays.clock, arrays.score),
        ci=intervals.r2_clock,
        intervals=intervals,
        inversions=clock_pairs.total(counts),
        inversions_window=clock_pairs.total(near_pairs, window) if near_pairs else None,
        between=clock_pairs.of_microarchitectures(known),
        pairs=tuple(clock_pairs.of_classes(known, *pair) for pair in pairs),
        striking=clock_pairs.striking(known, near),
        grade=verdict.grade(r2_clock if r2_clock_cv is None else r2_clock_cv),
        notes=tuple(notes),
    )
    return structs.replace(suite, verdict=verdict.verdict(suite))


def _known(rows: list[ScoreRow]) -> tuple[list[ScoreRow], list[Notice]]:
    """Return the rows to study, those of known microarchitecture unless all are unknown, and notices about them."""
    known = [row for row in rows if row.microarchitecture]
    notes = []
    if not known:
        known = rows
        notes.append(notice("no-microarchitecture-known"))
    elif len(known) < len(rows):
        notes.append(notice("rows-without-microarchitecture", rows=len(rows) - len(known)))
    if len(known) > MAX_ROWS:
        notes.append(notice("rows-drawn", drawn=MAX_ROWS, rows=len(known)))
        drawn = np.random.default_rng(0).choice(len(known), MAX_ROWS, replace=False)
        known = [known[i] for i in np.sort(drawn)]
    counts = Counter(row.microarchitecture for row in known)
    names, alone = counts.keys() - {None}, list(counts.values()).count(1)
    if len(names) == 1:
        notes.append(notice("one-microarchitecture", name=shown(min(map(str, names)), 60)))
    elif names and alone > len(known) / 2:
        notes.append(notice("rows-alone", alone=alone, rows=len(known)))
    elif 1 < len(names) < FEW_GROUPS:
        notes.append(notice("few-microarchitectures", count=len(names)))
    return known, notes


def _arrays(rows: list[ScoreRow]) -> _Arrays:
    names = [row.microarchitecture for row in rows]
    clustered = len(set(names)) > 1
    groups = np.unique([str(name) for name in names], return_inverse=True)[1] if clustered else np.arange(len(rows))
    clock, score = (regression.centered(np.log([getattr(row, field) for row in rows])) for field in ("clock", "score"))
    return _Arrays(clock, score, groups, clustered, regression.draws(int(groups.max()) + 1))


def _cores(arrays: _Arrays, rows: list[ScoreRow]) -> Cores | None:
    """Return the effect of cores in the rows where they are known; None where all rows have the same."""
    known = np.array([row.cores is not None for row in rows])
    cores = np.log([row.cores or 1.0 for row in rows])[known]
    if known.sum() < MIN_ROWS or np.ptp(cores) == 0:
        return None
    clock, cores, score = map(regression.centered, (arrays.clock[known], cores, arrays.score[known]))
    design = np.column_stack([clock, cores])
    groups = np.unique(arrays.groups[known], return_inverse=True)[1]
    slope = regression.slope(regression.moments(_constant(design), score, groups), 2)
    return Cores(
        n=int(known.sum()),
        r2=regression.pooled(design, score),
        r2_cv=regression.pooled_unseen(design, score, groups) if arrays.clustered else None,
        r2_microarchitecture=regression.grouped(design, score, groups) if arrays.clustered else None,
        slope=slope.value,
        slope_interval=slope.interval,
    )


def _constant(design: regression.Array) -> regression.Array:
    return np.column_stack([np.ones(len(design)), design])


def _intervals(arrays: _Arrays, counts: regression.PairCounts) -> tuple[Intervals, float, float | None]:
    """Return intervals of everything but cores, and the slopes over all and within microarchitectures."""
    clock, score, groups, weights = arrays.clock, arrays.score, arrays.groups, arrays.weights
    total = regression.moments(np.ones((len(clock), 1)), score, groups)
    line = regression.moments(_constant(clock[:, None]), score, groups)
    slope = regression.slope(line, 1)
    unseen = effects = None
    inside: regression.Slope | None = None
    if arrays.clustered:
        left = regression.within(clock, groups)
        unseen = regression.unseen_interval(total, line)
        if np.any(np.abs(left) > 1e-12):
            apart = regression.moments(left[:, None], regression.within(score, groups), groups)
            effects = regression.r_squared_interval(total, apart)
            inside = regression.slope(apart, 0)
    intervals = Intervals(
        level=regression.LEVEL,
        r2_clock=regression.r_squared_interval(total, line),
        r2_clock_cv=unseen,
        r2_microarchitecture=effects,
        slope_clock=slope.interval,
        slope_within=inside.interval if inside else None,
        spearman=regression.interval(ranks.spearman_resampled(clock, score, groups, weights[: len(weights) // 4])),
        inversions=regression.interval(regression.inversions_resampled(counts, weights)),
    )
    return intervals, slope.value, inside.value if inside else None
