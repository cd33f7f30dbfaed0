"""A file by which onnx aborts, hangs or exhausts memory ends the process that reads it, and nothing else."""

import os
import sys
from pathlib import Path

import pytest

from hwbench.errors import HwbenchError, InputError
from hwbench.workload import load
from hwbench.workload.onnx import isolated
from hwbench.workload.request import ModelRequest
from tests.workload.onnx.test_hostile_graphs import node, written

pytest.importorskip("onnx")
PYTHON = sys.executable
READER = """
import os, resource, sys, time
class Graph:
    def workload(self, path, request):
        {line}
from hwbench.workload import onnx
sys.modules["hwbench.workload.onnx.graph"] = onnx.graph = Graph()
from hwbench.workload.onnx import isolated
isolated.CPU_S, isolated.MEMORY_BYTES = 1.0, 1 << 30
isolated.main()
"""


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An executable in place of Python's, which a test fills with what onnx does."""
    path = tmp_path / "reader"
    monkeypatch.setattr(sys, "executable", str(path))
    return path


@pytest.mark.slow
def test_a_graph_is_counted_as_in_this_process(tmp_path: Path) -> None:
    from hwbench.workload.onnx import graph

    path = written(tmp_path, [node("Relu")], [2, 3])
    odd = os.path.join(os.path.dirname(path), os.fsdecode(b"\xff.onnx"))
    os.rename(path, odd)
    for request in (ModelRequest(odd), ModelRequest(odd, input="2x3")):
        assert load.workload(request) == graph.workload(odd, request)
    with pytest.raises(InputError) as caught:
        load.workload(ModelRequest(odd, input="9x9"))
    with pytest.raises(InputError) as here:
        graph.workload(odd, ModelRequest(odd, input="9x9"))
    assert vars(caught.value) == vars(here.value)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("os.abort()", "not-inferable"),
        ("while True: pass", "not-inferable"),
        ("return bytes(2 << 30)", "too-large"),
        ("os.kill(os.getpid(), 11)", "not-inferable"),
    ],
)
def test_what_ends_the_reader_is_an_error_about_the_file(reader: Path, line: str, code: str) -> None:
    source = READER.format(line=line)
    reader.write_text(f"#!/bin/sh\nexec {PYTHON} -c '{source}' \"$4\"\n")
    reader.chmod(0o755)
    with pytest.raises(InputError) as caught:
        isolated.workload("x.onnx", ModelRequest("x.onnx"))
    assert (caught.value.code, caught.value.file) == (code, "x.onnx")


def test_a_defect_of_ours_is_no_fault_of_the_file(reader: Path) -> None:
    reader.write_text("#!/bin/sh\necho 'KeyError: 3' >&2\nexit 1\n")
    reader.chmod(0o755)
    with pytest.raises(HwbenchError) as caught:
        isolated.workload("x.onnx", ModelRequest("x.onnx"))
    assert not isinstance(caught.value, InputError)
