"""What is shown on a terminal while something takes time, and that nothing is left of it."""

import io
import sys

import pytest

from hwbench.cli import output, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("model", "training", "slow"), [
    ("alexnet", False, False), ("alexnet", True, True), ("hf:bert", False, True), ("graph.onnx", False, True),
    ("own.py:make", False, True), ("net.yaml", False, False), (None, True, False),
])  # fmt: skip
def test_only_models_that_are_traced_are_worth_a_line(model: object, training: bool, slow: bool) -> None:
    assert bool(output.tracing(model, training=training)) == slow


def test_a_status_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with output.status("tracing hf:bert"):
        assert "hf:bert" in sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert sys.stderr.getvalue().endswith(output.CLEAR)  # type: ignore[attr-defined]


def test_nothing_is_shown_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with output.status("tracing hf:bert"), progress.line("preparing") as show:
        assert show is None
    assert not sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_line_that_was_never_drawn_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.line("preparing") as show:
        assert show is not None
    assert sys.stderr.getvalue().endswith(output.CLEAR)  # type: ignore[attr-defined]
