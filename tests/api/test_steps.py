"""Training steps explained: measured here, with what is advised measured beside them. Needs torch."""

from typing import Any

import pytest

import hwbench
from hwbench.api import steps
from hwbench.errors import InputError
from hwbench.predict.improvements import Improvement

pytest.importorskip("torch")
pytestmark = pytest.mark.realtime


def test_what_is_advised_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = (Improvement("batch", "16", 6.0), Improvement("bandwidth", "2", 1.3))
    monkeypatch.setattr(steps, "improvements", lambda *_, **__: changes)
    answer = hwbench.explain("lenet5", mode="training", batch=2, tried=True, threads=1, budget=0.5)
    found = answer.explanation
    tried = {each.change: each for each in found.advice}
    assert tried["batch"].measured_gain > 1
    assert [each.subject.batch for each in answer.run.measurements] == [2, 16]
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
