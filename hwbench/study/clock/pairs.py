"""Pairs of devices in which the lower clock wins: how many, between which classes, and the most striking by name."""

import numpy as np
from numpy.typing import NDArray

from hwbench.stats import regression
from hwbench.study.clock.results import Between, Inversions, Member, Striking
from hwbench.study.clock.scores import ScoreRow

LEAST_PAIRS = 30
"""Pairs below which two microarchitectures are not told apart in the table of all."""
STRIKING = 3

Mask = NDArray[np.bool_]


def near(rows: list[ScoreRow], window: float) -> Mask | None:
    """Which pairs are at most `window` years apart, (rows, rows); None where no year is known."""
    years = np.array([np.nan if row.year is None else row.year for row in rows])
    if np.all(np.isnan(years)):
        return None
    found: Mask = np.abs(years[:, None] - years[None, :]) <= window + 1e-9
    return found


def total(counts: regression.PairCounts, window: float | None = None) -> Inversions:
    """All pairs, each once."""
    pairs, equal, inverted = (round(float(c.sum()) / 2) for c in (counts.pairs, counts.equal_clock, counts.inverted))
    return Inversions(pairs, inverted, equal, inverted / (pairs - equal) if pairs > equal else None, window)


def between(a: list[ScoreRow], b: list[ScoreRow], a_name: str, b_name: str) -> Between:
    """Pairs of one row of each side."""
    clock = np.sign(_column(a, "clock")[:, None] - _column(b, "clock")[None, :])
    score = np.sign(_column(a, "score")[:, None] - _column(b, "score")[None, :])
    inverted = clock * score < 0
    pairs, equal = inverted.size, int(np.sum(clock == 0))
    wins = int(np.sum(inverted & (clock < 0)))
    share = int(inverted.sum()) / (pairs - equal) if pairs > equal else None
    return Between(a_name, b_name, (len(a), len(b)), pairs, int(inverted.sum()), equal, share, wins)


def of_classes(rows: list[ScoreRow], a: str, b: str) -> Between:
    """Pairs of two classes, each of one or more names with commas between."""
    ours, theirs = ([row for row in rows if named(text) & set(row.labels)] for text in (a, b))
    return between(ours, theirs, a, b)


def named(text: str) -> set[str]:
    """The names in a list with commas, in lower case."""
    return {name.strip().casefold() for name in text.split(",")} - {""}


def of_microarchitectures(rows: list[ScoreRow]) -> tuple[Between, ...]:
    """Every two microarchitectures that have LEAST_PAIRS pairs, those with the largest share of inversions first."""
    members: dict[str, list[ScoreRow]] = {}
    for row in rows:
        if row.microarchitecture:
            members.setdefault(row.microarchitecture, []).append(row)
    names = sorted(members)
    found = [
        between(members[a], members[b], a, b)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if len(members[a]) * len(members[b]) >= LEAST_PAIRS
    ]
    return tuple(sorted(found, key=lambda one: (-(one.share or 0.0), -one.pairs, one.a, one.b)))


def striking(rows: list[ScoreRow], looked_at: Mask | None) -> tuple[Striking, ...]:
    """The pairs that stand out most, each device once: by log of the clock ratio × log of the score ratio.

    The product asks for both: a clock that is much lower, and a score that is much higher.
    """
    clock, score = np.log(_column(rows, "clock")), np.log(_column(rows, "score"))
    lead = np.minimum(clock[:, None] - clock[None, :], 0) * np.minimum(score[None, :] - score[:, None], 0)
    if looked_at is not None:
        lead = np.where(looked_at, lead, 0.0)
    found: list[Striking] = []
    used: set[str] = set()
    for flat in np.argsort(-lead, axis=None, kind="stable")[: 50 * len(rows)]:
        i, j = divmod(int(flat), len(rows))
        if lead[i, j] <= 0 or len(found) == STRIKING:
            break
        if not used & {rows[i].device, rows[j].device}:
            used |= {rows[i].device, rows[j].device}
            found.append(Striking(_member(rows[i]), _member(rows[j])))
    return tuple(found)


def _member(row: ScoreRow) -> Member:
    return Member(row.device, row.clock, row.score, row.year)


def _column(rows: list[ScoreRow], name: str) -> regression.Array:
    return np.array([getattr(row, name) for row in rows], dtype=float)
