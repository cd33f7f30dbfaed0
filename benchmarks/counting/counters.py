"""Print time, memory and answer of each installed counter on the same networks, each in a process of its own.

Memory is what the process's peak grew by after importing torch and torchvision; the counter's own imports are part of
it. Time is the counter's alone, the median of five fresh processes. Needs a venv with torchvision and the counters.
Usage: python benchmarks/counting/counters.py
"""

import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

TRUTH = {"resnet50": 4_089_184_256, "vit_b_16": 17_563_828_224}
SIDE = 224
PROCESSES = 5


def hwbench(model: str) -> float:
    """Count with hwbench: no weights, no arithmetic."""
    from hwbench.workload.request import ModelRequest
    from hwbench.workload.tracing import sources

    return sources.workload(ModelRequest(f"torchvision:{model}")).macs


def fvcore(model: str) -> float:
    """Count with fvcore, which traces with torch.jit."""
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(*_real(model)).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return float(analysis.total())


def torch_flop_counter(model: str) -> float:
    """Count with FlopCounterMode on real tensors, as its documentation shows."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module, image = _real(model)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return counter.get_total_flops() / 2


def torch_flop_counter_on_meta(model: str) -> float:
    """Count with FlopCounterMode on tensors without data."""
    import torch
    import torchvision
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module, image = torchvision.models.get_model(model).eval(), torch.empty(1, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return counter.get_total_flops() / 2


def ptflops(model: str) -> float:
    """Count with ptflops, which runs the model with patched functions."""
    from ptflops import get_model_complexity_info

    return float(
        get_model_complexity_info(
            _real(model)[0], (3, SIDE, SIDE), as_strings=False, print_per_layer_stat=False, backend="pytorch"
        )[0]
    )


def thop(model: str) -> float:
    """Count with thop, which runs the model with hooks by layer class."""
    from thop import profile

    module, image = _real(model)
    return float(profile(module, inputs=(image,), verbose=False)[0])


def torchinfo(model: str) -> float:
    """Count with torchinfo, which runs the model with hooks, parameters × outputs."""
    from torchinfo import summary

    return float(summary(_real(model)[0], input_size=(1, 3, SIDE, SIDE), verbose=0).total_mult_adds)


def calflops(model: str) -> float:
    """Count with calflops, which runs the model with patched functions."""
    from calflops import calculate_flops

    return float(
        calculate_flops(_real(model)[0], input_shape=(1, 3, SIDE, SIDE), print_results=False, output_as_string=False)[1]
    )


COUNTERS: tuple[tuple[str, Callable[[str], float]], ...] = (
    ("hwbench", hwbench),
    ("fvcore", fvcore),
    ("torch", torch_flop_counter),
    ("torch", torch_flop_counter_on_meta),
    ("ptflops", ptflops),
    ("thop", thop),
    ("torchinfo", torchinfo),
    ("calflops", calflops),
)
"""The package that each needs, and how it counts."""


def _real(model: str) -> tuple[Any, Any]:
    import torch
    import torchvision

    return torchvision.models.get_model(model).eval(), torch.rand(1, 3, SIDE, SIDE)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _measure(counter: str, model: str) -> None:
    """Count once in this process, timed after everything is imported."""
    import torchvision

    warnings.simplefilter("ignore")
    torchvision.models.get_model_builder(model)
    function = {function.__name__: function for _, function in COUNTERS}[counter]
    before, start = _peak(), time.perf_counter()
    macs = function(model)
    seconds = time.perf_counter() - start
    print(json.dumps({"macs": macs, "seconds": seconds, "growth": (_peak() - before) / 1024}))


def _measured(counter: str, model: str) -> dict[str, float] | str:
    runs = []
    for _ in range(PROCESSES):
        done = subprocess.run(
            [sys.executable, __file__, counter, model], capture_output=True, text=True, check=False, env=os.environ
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1][:80]
        runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main() -> None:
    """Print a table for each network."""
    if len(sys.argv) == 3:
        _measure(*sys.argv[1:])
        return
    for model, truth in TRUTH.items():
        print(f"{model}: {truth / 1e6:,.1f} MMAC\n{'counter':30}{'time':>10}{'memory':>12}{'MMAC':>12}{'ratio':>8}")
        for package, function in COUNTERS:
            if importlib.util.find_spec(package) is None:
                print(f"{function.__name__:30}{'not installed':>18}")
                continue
            found = _measured(function.__name__, model)
            if isinstance(found, str):
                print(f"{function.__name__:30}  {found}")
                continue
            macs = found["macs"]
            print(
                f"{function.__name__:30}{found['seconds']:>8.2f} s{found['growth']:>8.1f} MiB"
                f"{macs / 1e6:>12,.1f}{macs / truth:>8.3f}"
            )


if __name__ == "__main__":
    main()
