"""Training steps: forward pass, backward pass and optimizer, run, timed apart, and counted as they are. Needs torch."""

from pathlib import Path
from typing import Any

import pytest

import hwbench
from hwbench.errors import HwbenchError, InputError
from hwbench.measure.store import load
from hwbench.measure.subject import ForwardPass, TrainingStep
from hwbench.workload.optimizers import OPTIMIZERS
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")

from hwbench.measure.inference import model as models  # noqa: E402
from hwbench.measure.inference.tasks import PreparedModel, RunSetting  # noqa: E402
from hwbench.measure.torch.device import CPU  # noqa: E402

pytestmark = pytest.mark.realtime

LENET = ModelRequest("lenet5", training=True, batch=4)
OWN = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.frozen = torch.nn.Linear(8, 16), torch.nn.Linear(16, 16)
        self.frozen.requires_grad_(False)

    def forward(self, x, *, scale):
        return {"y": self.frozen(self.first(x)) * scale}

def net():
    return Net(), (torch.ones(3, 8),), {"scale": torch.ones(3, 16)}

def constant():
    return torch.nn.Flatten(), (torch.ones(3, 8),)
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "nets_to_train.py").write_text(OWN)
    return f"torch:{tmp_path}/nets_to_train.py:"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_updates_the_weights_and_keeps_the_states_that_are_stated(optimizer: str) -> None:
    step = PreparedModel(models.build(LENET), RunSetting(CPU, batch=4, optimizer=optimizer)).network
    assert isinstance(step.eager, torch.nn.Module)
    assert step.eager.training
    before = [each.clone() for each in step.eager.parameters()]
    for group in step.optimizer.param_groups:
        group["lr"] = 0.1
    step.call()
    assert not any(torch.equal(a, b) for a, b in zip(before, step.eager.parameters(), strict=True))
    assert all(each.grad is None for each in step.eager.parameters())
    values = sum(
        v.numel() for state in step.optimizer.state.values() for v in state.values() if v is not None and v.dim()
    )
    assert values == OPTIMIZERS[optimizer].states * sum(each.numel() for each in before)
    assert list(step.seconds()) == ["forward", "backward", "optimizer"]


def test_a_step_is_finite_unless_its_data_is_not() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Sigmoid(), torch.nn.Linear(16, 4))
    from hwbench.measure.engines.torch_training import TrainingNetwork

    step = TrainingNetwork("torch-eager", module, [(torch.ones(5, 8),)], "fp32", 1, 5, "cpu", "sgd")
    assert step.is_finite()
    step.inputs = [(torch.full((5, 8), torch.inf),)]
    assert not step.is_finite()


def test_a_training_run_is_of_the_training_operations(tmp_path: Path) -> None:
    answer = hwbench.run("lenet5", mode="training", batches=(4,), threads=1, budget=0.2, save=str(tmp_path))
    (run,) = answer.runs
    step = hwbench.count("lenet5", mode="training", batch=4)
    assert (run.mode, run.optimizer, run.batch, run.flops) == ("training", "sgd", 4, step.flops)
    assert run.flops > 2 * 4 * hwbench.count("lenet5").flops
    assert run.utilization == pytest.approx(run.flops / run.time_s / run.peak_flops_per_second)
    assert sum(part.share for part in run.parts) == pytest.approx(1)
    assert run.memory.weights_bytes == run.memory.gradients_bytes == 4 * 61706
    assert run.memory.optimizer_bytes == 0
    subject = load(answer.path).measurements[0].subject
    assert isinstance(subject, TrainingStep)
    assert [part.name for part in subject.parts] == ["forward", "backward", "optimizer"]
    assert hwbench.compare(answer.path, answer.path)


def test_ones_own_module_trains_what_it_does_not_freeze(own: str) -> None:
    (run,) = hwbench.run(f"{own}net", mode="training", optimizer="adam", threads=1, budget=0.2).runs
    assert run.batch == 3
    assert run.memory.weights_bytes == 4 * (8 * 16 + 16 + 16 * 16 + 16)
    assert run.memory.gradients_bytes == 4 * (8 * 16 + 16)
    assert run.memory.optimizer_bytes == 2 * run.memory.gradients_bytes


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"runtimes": ("onnxruntime",)}, "inference-only"),
        ({"layers": True}, "inference-only"),
        ({"optimizer": "adams"}, "unknown-optimizer"),
        ({"mode": "inference", "optimizer": "sgd"}, "not-training"),
    ],
)
def test_what_cannot_be_trained_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        hwbench.run("lenet5", **{"mode": "training", **change})
    assert caught.value.code == code


def test_a_module_without_anything_to_train_is_refused(own: str) -> None:
    with pytest.raises((InputError, HwbenchError), match="nothing to train"):
        hwbench.run(f"{own}constant", mode="training", threads=1, budget=0.2)


def test_steps_are_not_taken_for_inferences() -> None:
    assert not isinstance(TrainingStep("lenet5", 4, "sgd"), ForwardPass)
