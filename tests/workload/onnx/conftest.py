"""Graphs are counted in the process of the tests, which is quicker; tests/workload/onnx/test_isolated.py does not."""

import pytest

from hwbench.workload.onnx import isolated


@pytest.fixture(autouse=True)
def _in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.path.stem.endswith("isolated"):
        graph = pytest.importorskip("hwbench.workload.onnx.graph", exc_type=ImportError)
        monkeypatch.setattr(isolated, "workload", graph.workload)
