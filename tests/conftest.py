"""What is slow without a mark of its own: most cases of a test with `sample(n)`, and whatever drives a browser.

Commands that tests start have no terminal: readline, which pytest loads, states its width in the environment.
"""

import os

import pytest

for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)
    os.unsetenv(name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use a browser as slow, and the cases of sampled tests but for `n` that are evenly spread."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("sample"):
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in tests.values():
        mark = cases[0].get_closest_marker("sample")
        assert mark is not None
        step = -(-len(cases) // mark.args[0])
        for index, item in enumerate(cases):
            if index % step:
                item.add_marker(pytest.mark.slow)
