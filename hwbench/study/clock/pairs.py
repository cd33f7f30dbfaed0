"""Pairs of devices in which the lower clock wins: their number, by class, and the most striking ones."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hwbench.stats import regression
from hwbench.study.clock.results import Between, Inversions, Member, Striking
from hwbench.study.clock.scores import ScoreRow

MIN_PAIRS = 30
"""Pairs of two microarchitectures in the table of all."""
MAX_STRIKING = 3

Mask = NDArray[np.bool_]


def near(rows: list[ScoreRow], window: float) -> Mask | None:
    """Return which pairs are at most `window` years apart, (rows, rows); None where no year is known."""
    years = np.array([np.nan if row.year is None else row.year for row in rows])
    if np.all(np.isnan(years)):
        return None
    mask: Mask = np.abs(years[:, None] - years[None, :]) <= window + 1e-9
    return mask


def total(counts: regression.PairCounts, window: float | None = None) -> Inversions:
    """Return the counts of all pairs, each once."""
    pairs, equal, inverted = (round(float(c.sum()) / 2) for c in (counts.pairs, counts.equal_clock, counts.inverted))
    return Inversions(pairs, inverted, equal, inverted / (pairs - equal) if pairs > equal else None, window)


def between(a: list[ScoreRow], b: list[ScoreRow], a_name: str, b_name: str) -> Between:
    """Return the pairs of one row of each side."""
    clock, score = (np.sign(_column(a, name)[:, None] - _column(b, name)[None, :]) for name in ("clock", "score"))
    pairs, equal, inverted = clock.size, int(np.sum(clock == 0)), int(np.sum(clock * score < 0))
    wins = int(np.sum((clock < 0) & (score > 0)))
    share = inverted / (pairs - equal) if pairs > equal else None
    return Between(a_name, b_name, (len(a), len(b)), pairs, inverted, equal, share, wins)


def of_classes(rows: list[ScoreRow], a: str, b: str) -> Between:
    """Return the pairs of two classes, each of one or more names separated by commas."""
    first, second = ([row for row in rows if names_in(text) & set(row.labels)] for text in (a, b))
    return between(first, second, a, b)


def names_in(text: str) -> set[str]:
    """Return the names in a list with commas, in lower case."""
    return {name.strip().casefold() for name in text.split(",")} - {""}


def of_microarchitectures(rows: list[ScoreRow]) -> tuple[Between, ...]:
    """Return every two microarchitectures with MIN_PAIRS pairs, those with the largest share of inversions first."""
    members: dict[str, list[ScoreRow]] = {}
    for row in rows:
        if row.microarchitecture:
            members.setdefault(row.microarchitecture, []).append(row)
    table = [
        between(members[a], members[b], a, b)
        for a, b in combinations(sorted(members), 2)
        if len(members[a]) * len(members[b]) >= MIN_PAIRS
    ]
    return tuple(sorted(table, key=lambda row: (-(row.share or 0.0), -row.pairs, row.a, row.b)))


def striking(rows: list[ScoreRow], mask: Mask | None) -> tuple[Striking, ...]:
    """Return the most striking pairs, each device once: by log of the clock ratio × log of the score ratio.

    The product is large only where the clock is much lower and the score much higher.
    """
    clock, score = np.log(_column(rows, "clock")), np.log(_column(rows, "score"))
    lead = np.minimum(clock[:, None] - clock[None, :], 0) * np.minimum(score[None, :] - score[:, None], 0)
    if mask is not None:
        lead = np.where(mask, lead, 0.0)
    result: list[Striking] = []
    used: set[str] = set()
    for flat in np.argsort(-lead, axis=None, kind="stable")[: 50 * len(rows)]:
        i, j = divmod(int(flat), len(rows))
        if lead[i, j] <= 0 or len(result) == MAX_STRIKING:
            break
        if not used & (devices := {rows[i].device, rows[j].device}):
            used |= devices
            result.append(Striking(*(Member(row.device, row.clock, row.score, row.year) for row in (rows[i], rows[j]))))
    return tuple(result)


def _column(rows: list[ScoreRow], name: str) -> regression.Array:
    return np.array([getattr(row, name) for row in rows], dtype=float)
