"""What is slow without a mark of its own: most cases of a test with `sample(n)`, and whatever drives a browser.

Cases beyond the sample run without coverage, with which they take up to four times as long: there other tests have
been over the same lines.
Two tests run at a time, so that OpenBLAS has one thread: more of them wait for each other.
Commands that tests start have no terminal: readline, which pytest loads, states its width in the environment. Nor do
they see the devices, calibrations and runs of whoever runs the tests.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

import coverage
import pytest

from tests.browser import browser  # noqa: F401

for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)
    os.unsetenv(name)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
HOME = tempfile.mkdtemp(prefix="hwbench-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ |= {"XDG_CONFIG_HOME": os.path.join(HOME, "config"), "XDG_DATA_HOME": os.path.join(HOME, "data")}


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
                item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Stop what pytest-cov leaves running under `no_cover`: in each process of xdist it starts coverage twice."""
    stopped = []
    while item.get_closest_marker("no_cover") and (running := coverage.Coverage.current()):
        running.stop()
        stopped.append(running)
    try:
        yield
    finally:
        for one in reversed(stopped):
            one.start()
