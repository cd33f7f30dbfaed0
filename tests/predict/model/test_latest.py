"""The memory of latest results."""

from hwbench.predict.model.latest import latest


def test_results_are_kept_by_the_identity_of_the_first_argument_and_the_values_of_others() -> None:
    asked: list[tuple[list[int], int, int]] = []

    @latest(2)
    def total(values: list[int], more: int, *, twice: int = 1) -> int:
        asked.append((values, more, twice))
        return twice * (sum(values) + more)

    one, alike = [1, 2], [1, 2]
    assert [total(one, 3), total(one, 3), total(alike, 3)] == [6, 6, 6]
    assert [values is one for values, _, _ in asked] == [True, False]
    assert total(one, 4, twice=2) == 14  # a third: the two are forgotten
    assert total(one, 4, twice=2) == 14
    assert len(asked) == 3
    assert total(one, 3) == 6
    assert len(asked) == 4
