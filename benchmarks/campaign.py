"""Time many networks in every runtime on this machine, and write the table that the time model is fitted to.

One process per network; in it runtimes and dtypes take turns, so that a drift of the machine affects all alike. One
thread is timed by CPU time, because other work shares the machine. Before and after each sample a small matrix product
is timed: where it, or wall over CPU time, tells of a disturbance, the sample is left out. Results are appended to
FOLDER/times.jsonl, a line each, so that a run that was stopped goes on where it was.
Usage: python benchmarks/campaign.py run FOLDER [--runtimes A,B] [--dtypes fp32,bf16] [--batches 1,4] [--only PREFIX]
                                                [--threads 1] [--minutes 60] [--drawn 0:12] [--names FILE]
                                                [--again]
       python benchmarks/campaign.py table FOLDER [FOLDER ...] --device epyc-9r14-core > results/measured/CPU/times.csv
       python benchmarks/campaign.py order TABLE [TABLE ...]     are runtimes of a network forecast in their order?
       python benchmarks/campaign.py noise FOLDER OTHER          how far are two runs of the campaign apart?
"""

import argparse
import gc
import itertools
import json
import multiprocessing
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from hwbench.files import content

PACKAGES = ("torch", "torchvision", "timm", "transformers", "onnx", "onnxruntime", "openvino", "numpy")
RUNTIMES = ("torch-eager", "onnxruntime", "openvino", "torch-compile")
TORCHVISION = """
    alexnet vgg11 resnet18 resnet50 wide_resnet50_2 resnext50_32x4d squeezenet1_0 squeezenet1_1 mobilenet_v2
    mobilenet_v3_small mobilenet_v3_large shufflenet_v2_x0_5 shufflenet_v2_x1_0 mnasnet0_5 mnasnet1_0 densenet121
    googlenet inception_v3 efficientnet_b0 efficientnet_b2 regnet_y_400mf regnet_x_800mf vit_b_32 vit_b_16 swin_t
    convnext_tiny maxvit_t
""".split()  # noqa: SIM905
TIMM = """
    resnet10t resnet26d resnetv2_18 seresnet18 legacy_seresnet18 skresnet18 ecaresnet26t gcresnext26ts resnest14d
    regnetx_002 regnety_004 regnetz_005 efficientnet_lite0 tf_efficientnetv2_b0 mixnet_s mobilenetv3_small_100
    mobilenetv4_conv_small fbnetc_100 spnasnet_100 hardcorenas_a ghostnet_100 ghostnetv2_100 lcnet_050 tinynet_a
    rexnet_100 semnasnet_100 dla46_c dla34 darknet17 ese_vovnet19b_dw selecsls42b hgnetv2_b0 repvgg_a0 repvit_m1
    mobileone_s0 fastvit_t8 efficientformer_l1 efficientformerv2_s0 efficientvit_b0 efficientvit_m0 edgenext_xx_small
    mobilevit_xxs mobilevitv2_050 levit_128s convnext_atto convnextv2_atto poolformer_s12 poolformerv2_s12 pvt_v2_b0
    pit_ti_224 deit_tiny_patch16_224 vit_small_patch32_224 cait_xxs24_224 xcit_nano_12_p16_224 coat_lite_tiny
    crossvit_tiny_240 tnt_s_patch16_224 twins_svt_small visformer_tiny gcvit_xxtiny coatnet_nano_rw_224 mixer_s32_224
    mixer_s16_224 gmlp_ti16_224 resmlp_12_224 hrnet_w18_small halonet26t lambda_resnet26t botnet26t_256
    bat_resnext26ts nf_regnet_b0 convit_tiny starnet_s1 tiny_vit_5m_224 repghostnet_050 swiftformer_xs mambaout_femto
    vit_relpos_small_patch16_224 swin_s3_tiny_224 beit_base_patch16_224 cspresnet50 res2net50_14w_8s
""".split()  # noqa: SIM905
TRANSFORMERS = """
    distilbert bert albert mobilebert squeezebert electra convbert mpnet fnet layoutlm dinov2 segformer regnet levit
    cvt wav2vec2
""".split()  # noqa: SIM905
PATIENCE_S = 600
"""Seconds after which a network's process is ended."""
ROUNDS, SAMPLE_S = 7, 0.02
"""Samples of each, and the least CPU time of one."""
MAX_WALL, MAX_GAUGE = 1.15, 1.06
"""Wall over CPU time, and the gauge's time over its usual one, from which a sample is disturbed."""
MIN_SAMPLES = 3
DIFFERENT = 1.2
"""Ratio of times from which two runtimes differ."""
SLOW_S = 0.25
"""Time from which a network is not run at a larger batch."""
KEY = ("model", "batch", "threads", "runtime", "dtype")
UNSUPPORTED = (("onnxruntime", "bf16"),)


def subjects(numbers: range) -> list[str]:
    """Return the networks in an order that makes any first part a fair sample of all.

    Those of one kind of layer are the zoo's, and those drawn of each kind by these numbers.
    """
    from hwbench.workload.tracing import drawn_layers, layer_zoo

    groups = [[f"layers:{name}" for name in layer_zoo.LAYERS]]
    groups += [[f"layers:{kind}-{number}" for kind in drawn_layers.KINDS for number in numbers]]
    groups += [[f"torchvision:{name}" for name in TORCHVISION] + [f"timm:{name}" for name in TIMM]
               + [f"hf:{name}" for name in TRANSFORMERS]]  # fmt: skip
    placed = [
        (k / len(names), name) for names in groups for k, name in enumerate(random.Random(0).sample(names, len(names)))
    ]
    return [name for _, name in sorted(placed)]


def built(model: str, batch: int) -> tuple[Any, tuple[Any, ...]]:
    """Return a network with random weights as a module of tensors alone, and its inputs."""
    from hwbench.measure.inference.model import build
    from hwbench.workload.request import ModelRequest

    own = build(ModelRequest(model))
    return own.positional, own.inputs(batch, count=1)[0]


class Gauge:
    """A small matrix product whose time tells whether the machine is disturbed."""

    def __init__(self) -> None:
        import torch

        self.a, self.b, self.times = torch.randn(192, 192), torch.randn(192, 192), []
        for _ in range(300):
            self()
        self.times.clear()  # those between samples find other data in the caches

    def __call__(self) -> float:
        """Return the CPU seconds of one run."""
        start = time.process_time()
        for _ in range(4):
            self.a @ self.b
        self.times.append(time.process_time() - start)
        return self.times[-1]

    @property
    def usual(self) -> float:
        """The time of an undisturbed run."""
        return statistics.quantiles(self.times, n=5)[0]


def measured(calls: dict[Any, Callable[[], Any]], rounds: int, threads: int) -> dict[Any, dict[str, Any]]:
    """Return time, samples and disturbance of each call, taken in turns."""
    gauge, samples, order = Gauge(), {key: [] for key in calls}, random.Random(1)
    clock = time.process_time if threads == 1 else time.perf_counter
    once = {}
    for key, call in calls.items():
        call()
        start = clock()
        call()
        once[key] = max(clock() - start, 1e-7)
    gc.disable()
    for _ in range(rounds):
        for key in order.sample(list(calls), len(calls)):
            count = max(1, round(SAMPLE_S / once[key]))
            if once[key] < SAMPLE_S:
                calls[key]()
            before, wall, start = gauge(), time.perf_counter(), clock()
            for _ in range(count):
                calls[key]()
            spent, wall = clock() - start, time.perf_counter() - wall
            once[key] = min(once[key], spent / count)
            samples[key].append((spent / count, wall / spent, max(before, gauge())))
    gc.enable()
    usual = gauge.usual
    return {key: _summary(some, usual) for key, some in samples.items()}


def _summary(samples: list[tuple[float, float, float]], usual: float) -> dict[str, Any]:
    clean = [time for time, wall, gauge in samples if wall <= MAX_WALL and gauge <= MAX_GAUGE * usual]
    kept = clean if len(clean) >= MIN_SAMPLES else sorted(time for time, _, _ in samples)[:MIN_SAMPLES]
    middle = statistics.median(kept)
    return {
        "time_s": middle, "least_s": min(kept), "samples": len(clean), "of": len(samples),
        "spread": (max(kept) - min(kept)) / middle, "gauge_s": usual,
        "wall": statistics.median(wall for _, wall, _ in samples),
    }  # fmt: skip


def time_network(
    model: str, batch: int, runtimes: list[str], dtype: str, threads: int, emit: Callable[..., None]
) -> float:
    """Time one network at one batch and dtype in every runtime, and hand each result to `emit`; return the longest."""
    import torch

    from hwbench.measure.engines import engine

    torch.set_num_threads(threads)
    module, inputs = built(model, batch)
    prepared, took = {}, {}
    for runtime in runtimes:
        start = time.perf_counter()
        try:
            own = engine(runtime).prepare(module, [inputs], dtype=dtype, threads=threads, batch=batch)
            own.call()
        except Exception as error:  # an engine's own, of a network that it cannot run
            emit(runtime, failed=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            continue
        prepared[runtime], took[runtime] = own, time.perf_counter() - start
    results = measured({key: own.call for key, own in prepared.items()}, ROUNDS, threads)
    for runtime, result in results.items():
        own = prepared[runtime]
        precision = dtype if dtype == "fp32" else own.precision  # asked of the engine, by a profile
        emit(runtime, **result, precision=precision, version=own.version, prepared_s=took[runtime])
        own.close()
    return max((result["time_s"] for result in results.values()), default=0.0)


def run(options: argparse.Namespace) -> None:
    """Time what is not in the folder's file yet, a process each."""
    [folder] = options.folder
    os.makedirs(folder, exist_ok=True)
    path, end = os.path.join(folder, "times.jsonl"), time.time() + 60 * options.minutes
    _write_machine(folder)
    done = {_key(row) for row in _rows(path)}
    for package in (*PACKAGES[:4], "onnxscript", *PACKAGES[5:]):  # once, before processes fork
        import_module(package)
    names = content.read_text(options.names).split() if options.names else subjects(options.drawn)
    for model in names:
        settings = [(batch, options.threads, runtime, dtype) for batch in options.batches for dtype in options.dtypes
                    for runtime in options.runtimes if (runtime, dtype) not in UNSUPPORTED]  # fmt: skip
        wanted = [setting for setting in settings if options.again or (model, *setting) not in done]
        if not model.startswith(options.only) or not wanted or time.time() > end:
            continue
        child = multiprocessing.get_context("fork").Process(target=time_settings, args=(path, model, wanted))
        child.start()
        child.join(PATIENCE_S)
        reason = "" if child.exitcode == 0 else f"ended with {child.exitcode}"
        if child.is_alive():
            child.kill()
            child.join()
            reason = f"took more than {PATIENCE_S} s"
        done = {_key(row) for row in _rows(path)}
        for setting in wanted if reason else ():
            if (model, *setting) not in done:
                _append(path, {**dict(zip(KEY, (model, *setting), strict=True)), "failed": reason})
        print(f"{time.strftime('%H:%M:%S')} {model} {reason[-150:]}", flush=True)


def time_settings(path: str, model: str, wanted: list[tuple[int, int, str, str]]) -> None:
    """Time one network, in a process of its own: batch by batch and dtype by dtype, the runtimes of each in turns."""
    slow = 0.0
    groups: dict[tuple[int, int, str], list[str]] = {}
    for batch, threads, runtime, dtype in wanted:
        groups.setdefault((batch, threads, dtype), []).append(runtime)
    for (batch, threads, dtype), runtimes in sorted(groups.items()):

        def emit(runtime: str, batch: int = batch, threads: int = threads, dtype: str = dtype, **values: Any) -> None:
            row = dict(zip(KEY, (model, batch, threads, runtime, dtype), strict=True))
            _append(
                path,
                {**row, **values, "load": os.getloadavg()[0], "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
            )

        if batch > 1 and slow > SLOW_S:
            for runtime in runtimes:
                emit(runtime, failed="left out: long enough at a smaller batch")
            continue
        took = time_network(model, batch, runtimes, dtype, threads, emit)
        slow = max(slow, took)


def table(options: argparse.Namespace) -> None:
    """Print the times of folders as a table with the machine in comments, without what ran in another dtype."""
    rows = {_key(row): row for folder in options.folder for row in _rows(os.path.join(folder, "times.jsonl"))}
    timed = [row for _, row in sorted(rows.items()) if "time_s" in row and row["precision"] == row["dtype"]]
    machine = json.loads(content.read_text(os.path.join(options.folder[0], "machine.json")))
    days = sorted({row["at"][:10] for row in timed})
    load, wall, spread = (statistics.median(row[name] for row in timed) for name in ("load", "wall", "spread"))
    print(f"# benchmarks/campaign.py, {days[0]} to {days[-1]}: median CPU time of one thread.")
    print(f"# {machine['cpu']}, family {machine['family']}, model {machine['model']}, {' '.join(machine['flags'])}")
    print(f"# {', '.join(f'{name} {version}' for name, version in machine['packages'].items())}")
    print(f"# Median load of {machine['cpus']} cores {load:.1f}, wall over CPU time {wall:.3f}, spread {spread:.3f}.")
    print("device,model,image_size,batch,dtype,layout,runtime,time_ms,source")
    for row in timed:
        version = ".".join(row["version"].split(".")[:2])
        head, _, how = row["runtime"].partition("-")
        runtime = f"{head}-{version}-{how}" if how else f"{head}-{version}"
        device = options.device if row["threads"] == 1 else f"{options.device} units={row['threads']}"
        cells = (
            device,
            row["model"],
            "",
            row["batch"],
            row["dtype"],
            "nchw",
            runtime,
            f"{1e3 * row['time_s']:.5g}",
            "campaign",
        )
        print(",".join(map(str, cells)))


def order(options: argparse.Namespace) -> None:
    """Print how many pairs of runtimes that differ by more than DIFFERENT are forecast in the order of their times."""
    from hwbench.predict.data import tables
    from hwbench.predict.replay.replay import replay

    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in replay(tables.read(options.folder)).rows:
        groups.setdefault((row.device, row.model, row.batch, row.dtype), []).append(row)
    pairs = [pair for rows in groups.values() for pair in itertools.combinations(rows, 2)
             if max(each.measured_s for each in pair) > DIFFERENT * min(each.measured_s for each in pair)]  # fmt: skip
    right = sum((a.measured_s < b.measured_s) == (a.forecast_s < b.forecast_s) for a, b in pairs)
    print(f"{right} of {len(pairs)} pairs in order ({100 * right / len(pairs):.0f} %)")


def noise(options: argparse.Namespace) -> None:
    """Print by runtime how far the times of two folders are apart: mean, and 90 % of all."""
    one, other = ({_key(row): row["time_s"] for row in _rows(os.path.join(folder, "times.jsonl")) if "time_s" in row}
                  for folder in options.folder)  # fmt: skip
    for runtime in sorted({key[3] for key in one.keys() & other.keys()}):
        apart = sorted(abs(one[key] / other[key] - 1) for key in one.keys() & other.keys() if key[3] == runtime)
        mean, most = statistics.mean(apart), apart[int(0.9 * len(apart))]
        print(f"{runtime}: {len(apart)} times, {100 * mean:.1f} % apart in the mean, 90 % below {100 * most:.1f} %")


def _write_machine(folder: str) -> None:
    """Write what the machine is."""
    from importlib import metadata

    lines = content.read_text("/proc/cpuinfo").splitlines()
    words = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in words.get("flags", "").split() if flag.startswith(("avx", "amx", "fma"))]
    machine = {
        "cpu": words.get("model name"), "family": words.get("cpu family"), "model": words.get("model"),
        "flags": flags, "cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }  # fmt: skip
    with open(os.path.join(folder, "machine.json"), "w") as file:
        json.dump(machine, file, indent=1)


def _append(path: str, row: dict[str, Any]) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def _rows(path: str) -> Iterator[dict[str, Any]]:
    if os.path.exists(path):
        with open(path) as file:
            yield from map(json.loads, file)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "table", "order", "noise"])
    parser.add_argument("folder", nargs="+")

    def words(text: str) -> list[str]:
        return text.split(",")

    parser.add_argument("--runtimes", type=words, default=list(RUNTIMES[:3]))
    parser.add_argument("--dtypes", type=words, default=["fp32"])
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")], default=[1, 4])
    parser.add_argument("--drawn", type=lambda text: range(*map(int, text.split(":"))), default=range(12))
    parser.add_argument("--names", help="a file of networks instead of those of this module")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="host")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", default="")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    {"run": run, "table": table, "order": order, "noise": noise}[options.command](options)


if __name__ == "__main__":
    main()
