"""Training steps explained: measured here, with what is advised measured beside them. Needs torch."""

from typing import Any

import pytest

import hwbench
from hwbench.api import steps
from hwbench.errors import InputError
from hwbench.measure.summary import interval
from hwbench.predict.improvements import Improvement

pytest.importorskip("torch")
pytestmark = pytest.mark.realtime


def test_what_is_advised_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that are forecast to help, and channels last, whose runs differ from the others in the layout alone."""
    gains = {("batch", "16"): 6.0, ("bandwidth", "2"): 1.3, ("layout", "channels-last"): 1.0}
    changes = tuple(Improvement(*change, gain) for change, gain in gains.items())
    monkeypatch.setattr(steps, "improvements", lambda *_, **__: changes)
    answer = hwbench.explain("lenet5", mode="training", batch=2, tried=True, threads=1, budget=0.5)
    found = answer.explanation
    tried = {each.change: each for each in found.advice}
    assert tried["batch"].measured_gain > 1
    subjects = [each.subject for each in answer.run.measurements]
    assert [(each.batch, each.layout) for each in subjects] == [(2, "nchw"), (16, "nchw"), (2, "nhwc")]
    times = {each.subject.layout: interval(each).value for each in answer.run.measurements if each.subject.batch == 2}
    assert tried["layout"].measured_gain == pytest.approx(times["nchw"] / times["nhwc"])
    assert sum(block.flops for block in found.blocks) == hwbench.count("lenet5", mode="training", batch=2).flops
    assert found.optimizer > 0
    assert "batch 16" in str(answer)
    assert answer.to_dict()["schema"] == "hwbench.step/1"


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({"tried": True}, "not-training", "tried"),
        ({"optimizer": "sgd"}, "not-training", "optimizer"),
        ({"mode": "training", "record": "latest"}, "inference-only", "mode"),
        ({"mode": "training", "optimizer": "sgdx"}, "unknown-optimizer", "optimizer"),
    ],
)
def test_what_cannot_be_explained_is_refused(asked: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        hwbench.explain("lenet5", **asked)
    assert (caught.value.code, caught.value.field) == (code, field)
