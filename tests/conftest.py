"""The mark `sample(n)`: about n cases of a test run in `make check`, the others are slow."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of sampled tests as slow, but for `n` that are evenly spread."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sample"):
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in tests.values():
        mark = cases[0].get_closest_marker("sample")
        assert mark is not None
        step = -(-len(cases) // mark.args[0])
        for index, item in enumerate(cases):
            if index % step:
                item.add_marker(pytest.mark.slow)
