"""Laws of estimates over random parts of the catalog; `python -m tests.predict.laws` counts them over all of it."""

import functools

import numpy as np
import pytest

from tests.predict.laws import Count, cases, laws

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]
MIN_CASES = 20_000


@functools.cache
def counts() -> dict[str, Count]:
    random = np.random.default_rng(1)
    total: dict[str, Count] = {}
    for case in cases(random, batches=3, devices=96, share=0.25):
        for law, count in laws(case, random).items():
            total[law] = total.get(law, Count()) + count
    return total


def test_no_estimate_breaks_a_law() -> None:
    assert {law: count.worst for law, count in counts().items() if count.broken} == {}


def test_enough_estimates_were_tried() -> None:
    assert min(count.cases for law, count in counts().items() if "boost" not in law) >= MIN_CASES / 2
    assert counts()["roofline ≤ expected × boost"].cases >= MIN_CASES
