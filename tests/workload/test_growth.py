"""What grows with the batch, from the ops of one run at two sizes of it."""

from typing import Any

from hwbench.workload.growth import multiples, per_sample
from hwbench.workload.ops import Op


def op(**fields: Any) -> Op:
    return Op(**{"kind": "linear", "output_shape": (2, 7), "name": "a:mm"} | fields)


def test_amounts_that_grow_are_those_of_a_sample_and_the_others_count_once() -> None:
    small = op(
        output_shape=(4, 7), macs=40, input_elements=10 + 2 * 6, weight_elements=50, output_elements=14, groups=6
    )
    large = op(
        output_shape=(6, 7), macs=60, input_elements=10 + 3 * 6, weight_elements=50, output_elements=21, groups=9
    )
    expected = op(output_shape=(2, 7), macs=20, input_elements=6, weight_elements=60, output_elements=7, groups=3)
    assert per_sample([small], [large], (2, 3)) == (expected,)


def test_what_reads_no_data_may_grow_too() -> None:
    """As queries of a model that are repeated to the batch."""
    small, large = (op(output_shape=(n, 7), macs=10 * n, output_elements=7 * n, constant=True) for n in (2, 3))
    expected = op(output_shape=(7,), macs=10, output_elements=7)
    assert per_sample([small], [large], (2, 3)) == (expected,)


def test_what_reads_data_may_not_grow() -> None:
    same = op(macs=10, output_elements=7)
    assert per_sample([same], [same], (2, 3)) == (op(macs=10, output_elements=7, constant=True),)


def test_other_costs_are_not_those_of_samples() -> None:
    assert per_sample([op(macs=4)], [op(macs=9)], (2, 3)) is None  # a square
    assert per_sample([op(macs=30)], [op(macs=40)], (2, 3)) is None  # 10 that do not grow
    assert per_sample([op()], [op(), op()], (2, 3)) is None
    assert per_sample([op(name="a")], [op(name="b")], (2, 3)) is None


def test_multiples() -> None:
    assert multiples([op(macs=4), op(macs=5)], [op(macs=6), op(macs=5)], (2, 3))
    assert not multiples([op(macs=4)], [op(macs=9)], (2, 3))
    assert not multiples([op(macs=4)], [op(macs=6, params=1)], (2, 3))
