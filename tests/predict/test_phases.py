"""Phases of traced language models: tokens, not inferences, and compiled unless a runtime is asked for."""

from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.predict.estimate import estimate
from hwbench.predict.model.grid import grid
from hwbench.report.text.estimate import single
from hwbench.workload import load

DECODE = replace(load.workload("lenet5"), phase="decode")


def test_a_phase_is_compiled_unless_a_runtime_is_asked_for() -> None:
    for name, runtime in (("rtx3090", "torch-compile-cuda"), ("ryzen9-7950x", "torch-compile-cpu")):
        device = catalog.device(name)
        found = estimate(DECODE, device)
        assert (found.runtime, found.forecast and found.forecast.runtime) == (runtime, runtime)
        assert grid(DECODE, [device], "fp32", (1,)).runtimes == (runtime,)
        assert estimate(replace(DECODE, phase=None), device).runtime.startswith("torch-eager")
    assert estimate(DECODE, catalog.device("rtx3090"), runtime="torch-eager-cuda").runtime == "torch-eager-cuda"


def test_what_a_rate_counts() -> None:
    device = catalog.device("rtx3090")
    for phase, unit in (("decode", "tokens/s"), ("prefill", "inferences/s"), (None, "inferences/s")):
        found = estimate(replace(DECODE, phase=phase), device)
        assert found.to_dict()["phase"] == phase
        assert unit in "\n".join(single(found))
