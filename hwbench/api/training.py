"""Training steps of `run`: what can be asked of them, and what an answer states of them besides."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict

from hwbench.api.lookup import ModelOptions
from hwbench.dtypes import dtype as known_dtype
from hwbench.errors import InputError
from hwbench.measure.subject import TrainingStep
from hwbench.study import inference as study
from hwbench.workload.ops import Workload
from hwbench.workload.optimizers import check_optimizer

EAGER, COMPILED = "torch-eager", "torch-compile"


def optimizer_of(name: str | None, options: ModelOptions, runtimes: Sequence[str], layers: bool) -> str | None:
    """Return the optimizer of training steps, None in inference. Raises InputError where a step cannot be run so."""
    if options.get("mode") != "training":
        if name is not None:
            raise InputError(
                "not-training", "Only steps of training have an optimizer (mode training).", field="optimizer"
            )
        return None
    if foreign := [runtime for runtime in runtimes if runtime not in (EAGER, COMPILED)]:
        text = f"{foreign[0]} does not train networks: choose from {EAGER}, {COMPILED}."
        raise InputError("inference-only", text, field="runtimes", nearest=(EAGER, COMPILED))
    if layers:
        raise InputError("inference-only", "Layers are timed in inference alone.", field="layers")
    return check_optimizer(name or "sgd")


def step_values(network: Any, setting: Any, subject: Any, workload: Workload, free: float | None) -> dict[str, Any]:
    """Return the values of an `Inference` that those of training have besides: the parts of a step and its memory."""
    assert isinstance(subject, TrainingStep)
    need = workload.memory(known_dtype(setting.dtype).bits, setting.batch)
    memory = study.TrainingMemory(**asdict(need), free_bytes=None if free is None else int(free))
    parts = study.step_parts(network.seconds())
    return {"mode": "training", "optimizer": subject.optimizer, "parts": parts, "memory": memory}
