"""The memory of latest results."""

from msgspec import Struct

from hwbench.predict.model.latest import latest


class Pair(Struct):
    left: int
    right: int


def test_results_are_kept_by_the_identity_of_structs_and_the_values_of_other_arguments() -> None:
    asked: list[tuple[Pair, int, int]] = []

    @latest(2)
    def total(values: Pair, more: int, *, twice: int = 1) -> int:
        asked.append((values, more, twice))
        return twice * (values.left + values.right + more)

    one, alike = Pair(1, 2), Pair(1, 2)
    assert [total(one, 3), total(one, 3), total(alike, 3)] == [6, 6, 6]
    assert [values is one for values, _, _ in asked] == [True, False]
    assert total(one, 4, twice=2) == 14  # a third: the two are forgotten
    assert total(one, 4, twice=2) == 14
    assert len(asked) == 3
    assert total(one, 3) == 6
    assert len(asked) == 4
