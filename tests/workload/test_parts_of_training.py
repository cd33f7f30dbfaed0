"""The parts of a training step: passes, what checkpoints run again, and the update of the weights, by hand."""

from typing import Any

import pytest

import hwbench
from hwbench.errors import InputError
from hwbench.report.text.workload import summary
from hwbench.workload.optimizers import OPTIMIZERS, update

torch = pytest.importorskip("torch")
nn = torch.nn
BATCH, PRODUCT = 4, 4 * 8 * 16
PARAMS = 2 * (8 * 16 + 16 + 16 * 8 + 8)


class Block(nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self, checkpoint: Any) -> None:
        super().__init__()
        self.up, self.down, self.checkpoint = nn.Linear(8, 16), nn.Linear(16, 8), checkpoint

    def inside(self, x: Any) -> Any:
        return self.down(self.up(x).relu())

    def forward(self, x: Any) -> Any:
        return x + (self.checkpoint(self.inside, x) if self.checkpoint else self.inside(x))


def counted(reentrant: bool | None = None, **options: Any) -> Any:
    from torch.utils import checkpoint

    def again(function: Any, x: Any) -> Any:
        return checkpoint.checkpoint(function, x, use_reentrant=reentrant)

    network = nn.Sequential(*(Block(None if reentrant is None else again) for _ in range(2)))
    return hwbench.count(network, torch.empty(BATCH, 8, requires_grad=True), mode="training", **options)


@pytest.mark.parametrize(
    ("reentrant", "again"),
    [
        (None, 0),
        (False, 2 * PRODUCT),  # what is saved of `up`; the last product of each block is not needed
        (True, 4 * PRODUCT),
    ],
)
def test_checkpoints_run_again(reentrant: bool | None, again: int) -> None:
    parts = counted(reentrant).parts
    assert parts["forward"].macs == 4 * PRODUCT
    assert parts["backward"].macs == 8 * PRODUCT
    assert (parts["recompute"].macs if again else 0) == again
    assert ("recompute" in parts) == bool(again)


def test_the_meter_agrees_about_what_is_run_again() -> None:
    from torch.utils import checkpoint

    from hwbench.workload.tracing.observe import Observation

    network = Block(lambda function, x: checkpoint.checkpoint(function, x, use_reentrant=True))
    observation = Observation(network)
    observation.start()
    network(torch.ones(BATCH, 8, requires_grad=True)).sum().backward()
    observation.stop()
    assert observation.work("block").parts == {
        "forward": 4 * PRODUCT,
        "backward": 8 * PRODUCT,
        "recompute": 4 * PRODUCT,
    }


@pytest.mark.parametrize(
    ("name", "states", "flops"), [("sgd", 0, 2), ("momentum", 1, 4), ("adam", 2, 13), ("AdamW", 2, 14)]
)
def test_updates(name: str, states: int, flops: int) -> None:
    plain, answer = counted(), counted(optimizer=name)
    own = answer.parts["optimizer"]
    assert (own.elementwise_flops, own.macs) == (flops * PARAMS, 0)
    assert own.traffic_bytes == 4 * PARAMS * (3 + 2 * states)  # weights twice, gradients once, states twice
    assert answer.optimizer_state_bytes == 4 * states * PARAMS
    assert answer.flops == plain.flops
    assert answer.workload.capacity(32) - plain.workload.capacity(32) == 4 * states * PARAMS
    assert answer.workload.capacity(32) == answer.memory.peak_bytes
    assert any(line.startswith("optimizer") for line in summary(answer))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_operations_are_those_that_torch_runs(name: str) -> None:
    from hwbench.workload.tracing.observe import Observation

    kind, options = OPTIMIZERS[name].settings
    weights = nn.Parameter(torch.ones(1000))
    optimizer = getattr(torch.optim, kind)([weights], foreach=False, weight_decay=0.0 if name == "adam" else 0.01)
    weights.grad = torch.ones(1000)
    optimizer.step()
    observation = Observation()
    observation.start()
    optimizer.step()
    observation.stop()
    ran = sum(op.elementwise_flops * op.count for op in observation.work("step").workload.ops)
    assert ran // 1000 == update(name, 1000).elementwise_flops // 1000
    assert not options


def test_frozen_weights_are_not_updated() -> None:
    network = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    network[0].requires_grad_(False)
    answer = hwbench.count(network, torch.empty(2, 8), mode="training", optimizer="adamw")
    assert answer.parts["optimizer"].elementwise_flops == 14 * (16 * 4 + 4)


def test_only_training_has_an_optimizer() -> None:
    for options, code in (({}, "not-training"), ({"mode": "training"}, "unknown-optimizer")):
        with pytest.raises(InputError) as error:
            hwbench.count("alexnet", optimizer="adamw" if not options else "adamx", **options)  # type: ignore[arg-type]
        assert (error.value.field, error.value.code) == ("optimizer", code)
