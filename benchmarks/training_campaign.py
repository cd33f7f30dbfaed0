"""Time training steps of many networks on this machine, beside their inferences, for the time model of backward passes.

One process per network, one thread, CPU time. An inference, the forward and the backward pass of a step, and the update
of every optimizer take turns, so that other work on the machine disturbs all alike: what is fitted is their ratio.
Results are appended to FOLDER/times.jsonl, so that a run that was stopped goes on where it was.
Usage: python benchmarks/training_campaign.py run FOLDER [--minutes 60] [--drawn 4] [--only PREFIX] [--batches 2,8]
       python benchmarks/training_campaign.py table FOLDER > results/measured/epyc-9r14/training.csv
       python benchmarks/training_campaign.py fit results/measured/epyc-9r14/training.csv [--write]
"""

import argparse
import csv
import gc
import json
import math
import multiprocessing
import os
import statistics
import time
from importlib import import_module, metadata
from typing import Any

import campaign

from hwbench.files import content
from hwbench.workload.optimizers import OPTIMIZERS

RUNTIME = "torch-eager-cpu"
PARTS = ("inference", "forward", "backward", *OPTIMIZERS)
ROUNDS, SAMPLE_S, SLOW_S = 7, 0.03, 0.4
"""Turns, the least time of one, and the time of a step from which a network is not run at a larger batch."""


def timed(model: str, batch: int) -> dict[str, Any]:
    """Return the CPU seconds of each part at one batch: the median of turns, and their spread."""
    import torch

    from hwbench.measure.engines import engine
    from hwbench.measure.engines.torch_training import TrainingNetwork
    from hwbench.measure.inference import model as models
    from hwbench.workload.request import ModelRequest

    torch.set_num_threads(1)
    own = models.build(ModelRequest(model))
    inputs = own.inputs(batch)
    setting = {"dtype": "fp32", "threads": 1, "batch": batch, "device": "cpu"}
    inference = engine("torch-eager").prepare(own.positional, inputs, **setting)
    step = TrainingNetwork("torch-eager", own.positional, inputs, optimizer="sgd", **setting)
    rates = {name: getattr(torch.optim, kind)(step.eager.parameters(), lr=1e-12, **more)
             for name, (kind, more) in ((name, each.settings) for name, each in OPTIMIZERS.items())}  # fmt: skip
    samples: dict[str, list[float]] = {part: [] for part in PARTS}
    clock = time.thread_time
    gc.disable()
    for number in range(ROUNDS + 1):
        times, begin = 0, clock()
        while times == 0 or clock() - begin < SAMPLE_S:
            inference.call(times)
            times += 1
        samples["inference"].append((clock() - begin) / times)
        began = clock()
        while clock() - began < SAMPLE_S:
            marks = [clock()]
            losses = step.losses(number)
            marks.append(clock())
            torch.autograd.backward(losses)
            marks.append(clock())
            for optimizer in rates.values():
                optimizer.step()
                marks.append(clock())
            step.optimizer.zero_grad()
            for part, start, stop in zip(PARTS[1:], marks, marks[1:], strict=False):
                samples[part].append(stop - start)
        if number == 0:
            for values in samples.values():  # warms up
                values.clear()
    return {
        **{part: statistics.median(values) for part, values in samples.items()},
        "spread": (max(samples["backward"]) - min(samples["backward"])) / statistics.median(samples["backward"]),
        "load": os.getloadavg()[0],
    }  # fmt: skip


def time_model(path: str, model: str, batches: list[int]) -> None:
    """Append the times of a network at each batch to a file, until a step takes long."""
    for batch in batches:
        row: dict[str, Any] = {"model": model, "batch": batch}
        try:
            row |= timed(model, batch)
        except Exception as error:  # of a network that does not train so
            row["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        campaign._append(path, row | {"at": time.strftime("%Y-%m-%d", time.gmtime())})
        if row.get("forward", 0.0) + row.get("backward", 0.0) > SLOW_S:
            break


def run(options: argparse.Namespace) -> None:
    """Time what is not in the folder's file yet, a process each."""
    os.makedirs(options.folder, exist_ok=True)
    path, end = os.path.join(options.folder, "times.jsonl"), time.time() + 60 * options.minutes
    campaign._write_machine(options.folder)
    done = {row["model"] for row in campaign._rows(path)}
    for package in campaign.PACKAGES[:4]:  # once, before processes fork
        import_module(package)
    for model in campaign.subjects(range(options.drawn)):
        if model in done or not model.startswith(options.only) or time.time() > end:
            continue
        child = multiprocessing.get_context("fork").Process(target=time_model, args=(path, model, options.batches))
        child.start()
        child.join(180)
        if child.is_alive():
            child.kill()
            child.join()
        print(time.strftime("%H:%M:%S"), model, child.exitcode, flush=True)


def table(options: argparse.Namespace) -> None:
    """Print the times of a folder as a table, in ms, with the machine in comments."""
    rows = [row for row in campaign._rows(os.path.join(options.folder, "times.jsonl")) if "failed" not in row]
    machine = json.loads(content.read_text(os.path.join(options.folder, "machine.json")))
    load, spread = (statistics.median(row[name] for row in rows) for name in ("load", "spread"))
    print(
        f"# benchmarks/training_campaign.py, {min(row['at'] for row in rows)}: CPU time of one thread, medians, in ms."
    )
    print(
        f"# {machine['cpu']}, family {machine['family']}, model {machine['model']}; torch {metadata.version('torch')}"
    )
    print(f"# Other work shared the machine: median load {load:.1f}; samples of a row spread by {100 * spread:.0f} %.")
    print(",".join(("device", "model", "batch", "dtype", *PARTS)))
    for row in sorted(rows, key=lambda row: (row["model"], row["batch"])):
        times = (f"{1e3 * row[part]:.4g}" for part in PARTS)
        print(",".join(("epyc-9r14-core", row["model"], str(row["batch"]), "fp32", *times)))


def timings(path: str) -> tuple[list[Any], dict[str, list[tuple[float, int, float]]]]:
    """Return the steps of a table by their operators, and the seconds, tensors and bytes of each optimizer."""
    from msgspec.structs import replace

    from hwbench.errors import InputError
    from hwbench.machine import catalog
    from hwbench.predict.data import splits
    from hwbench.predict.fitting import training
    from hwbench.workload import load
    from hwbench.workload.request import ModelRequest

    steps, updates = [], {name: [] for name in OPTIMIZERS}
    for row in csv.DictReader(line for line in content.read_text(path).splitlines() if not line.startswith("#")):
        batch, name = int(row["batch"]), row["model"]
        try:
            workload = load.workload(ModelRequest(name, training=True, batch=batch, optimizer="sgd"))
        except InputError as error:  # of one that chooses by values in training
            print(f"left out: {name}: {error}")
            continue
        *ops, update = workload.ops
        measured = (1e-3 * float(row["forward"]), 1e-3 * float(row["backward"]))
        step, device = replace(workload, ops=tuple(ops)), catalog.device(row["device"])
        steps.append(training.timed_step(splits.family(name), measured, step, batch, device, RUNTIME))
        for optimizer, times in updates.items():
            times.append((1e-3 * float(row[optimizer]), update.groups, 4.0 * update.weight_elements))
    return steps, updates


def fit(options: argparse.Namespace) -> None:
    """Print the errors of families that were held out, and write the factors of all into the parameters if asked."""
    from msgspec.structs import replace

    from hwbench.predict.fitting import training
    from hwbench.predict.model.parameters import PATH, dumped, parameters

    steps, updates = timings(options.folder)
    held = training.held_out(steps)
    for what, chosen in (("networks", False), ("kinds of layers", True)):
        some = [each for each in held if each.step.family.startswith("layers:") == chosen]
        print(f"{what}:", *(f"{name} {value:.3g}" for name, value in training.summary(some, held).items()))
        for family in sorted({each.step.family for each in some}):
            errors = [each.error for each in some if each.step.family == family]
            print(f"    {family}:", *(f"{100 * math.expm1(error):+.0f} %" for error in errors))
    optimizers = {name: training.updates(rows) for name, rows in updates.items()}
    for name, (step, tensor, byte) in optimizers.items():
        errors = [abs((step + tensor * n + byte * size) / time - 1) for time, n, size in updates[name]]
        print(f"{name}: {step:.2g} s, {tensor:.2g} s a tensor, {byte:.2g} s a byte; {statistics.mean(errors):.3g} off")
    found = training.training(steps, optimizers)
    print(found)
    if options.write:
        file = parameters()
        runtime = replace(file.runtimes[RUNTIME], training=found)
        with open(PATH, "w") as output:
            output.write(dumped(replace(file, runtimes={**file.runtimes, RUNTIME: runtime})))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table", "fit"))
    parser.add_argument("folder")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--drawn", type=int, default=4, help="networks drawn of each kind of layer")
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--batches", type=lambda text: [int(each) for each in text.split(",")], default=[2, 8])
    arguments = parser.parse_args()
    {"run": run, "table": table, "fit": fit}[arguments.what](arguments)
