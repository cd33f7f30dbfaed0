"""Fit the time model of llama.cpp to measured tokens/s, and print its errors on devices that were held out.

    python benchmarks/language.py accuracy     each device in turn predicted from the others
    python benchmarks/language.py fit [CLASS]  the same, and write hwbench/predict/language/parameters.json
    python benchmarks/language.py campaign     our own tables of CPUs: each format, then each shape, from the others

The tables are those of ../shared/data/measured/llm; without them there is nothing to do.
"""

import csv
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from scipy.optimize import least_squares

from hwbench.machine import catalog
from hwbench.machine.device import Peak, PeakTerm
from hwbench.predict.data.llama_bench import catalogued
from hwbench.predict.language.hardware import Accelerator, accelerator_of
from hwbench.predict.language.model import generation_time, prompt_time
from hwbench.predict.language.parameters import (
    PATH,
    UNFITTED,
    ErrorBand,
    LanguageParameters,
    RuntimeParameters,
    shipped,
)
from hwbench.workload.language import language_model
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.work import StepWork, decode_step, prompt_steps

DATA = Path(__file__).parents[2] / "shared" / "data" / "measured" / "llm"
CITED = Path(__file__).parents[1] / "results" / "published" / "language" / "cited.csv"
OWN = Path(__file__).parents[1] / "results" / "measured"
GUESTS = {"AMD EPYC": ("zen4", 30e9, 3.7e9), "Intel(R) Xeon(R) Processor": ("sapphire-rapids", 9.2e9, 2.9e9)}
"""Devices of our own tables, one thread of a guest each: architecture, bandwidth in B/s (1.1 times that of its fastest
generation, since what `hwbench bench` reads in huge pages tells little of a file's pages of 4 KiB) and clock in Hz."""
LEVEL = 0.8
CORES = {
    "i7-12700h-p-cores": ("i7-12700h", 0),
    "i7-12700h-e-cores": ("i7-12700h", 1),
    "ryzen9-7950x": ("ryzen9-7950x", 0),
}
FILES = {
    "cuda": ("llama_bench_xiongjiedai_llama3.csv", "llama_bench_dgx_spark_batched.csv"),
    "metal": ("llama_bench_xiongjiedai_llama3.csv",),
    "cpu": ("llama_bench_ik_cpu.csv", "llama_bench_cpu_formats.csv", "epyc-9r14", "emerald-rapids"),
    "amd": ("llama_bench_strix_halo.csv", CITED.name),
    "metal-m3": (CITED.name,),
}
DERIVED = {
    "amd": ("cuda", ("compute", "attention")),
    "metal-m3": ("metal", ("decode", "compute")),
}
"""Classes of too few rows for a fit of their own: those of another one, of which these parameters are fitted."""
KINDS = {
    "generation": "generation", "prompt": "prompt", "batched": "batched", "fused": "prompt with fused attention",
    "several": "prompt on several cards",
}  # fmt: skip
COLD = "gb10", 512, 1
"""The first prompt of a run of the GB10's table is a cold start, as its header says: left out."""
HOT, COOL_S = "apple-m1-max-gpu", 2.0
"""A laptop that slows down as it heats up: after its first prompts, which take a second, a pass of the same 512 tokens
takes up to 1.5 times as long, and decoding weights, measured after all prompts, is slower too."""

PAGED = "Intel(R) Xeon(R) Processor"
"""A guest that reads pages of 4 KiB at half the rate of huge ones, as desktops do not: its generation only tests the
model."""


class Case(Struct, frozen=True):
    """One row: what had to be done, on what, and how long it took for the whole batch, in s."""

    device: str
    model: str
    weights: str
    kind: str
    accelerator: Accelerator
    step: StepWork
    time: float
    devices: int
    fused: bool
    architecture: str

    @property
    def spread(self) -> str:
        """The spread that a case belongs to."""
        if self.kind != "prompt":
            return self.kind
        return "several" if self.devices > 1 else "fused" if self.fused else "prompt"

    @property
    def fits(self) -> bool:
        """True for cases that the parameters of a class are fitted to.

        Prompts on several cards depend on how passes overlap, which is fitted after the rest; fused attention in passes
        of 2048 tokens came with other kernels than those that the rest was measured with, and only tests the model, as
        do the times of a chip below its clock and of a guest's small pages.
        """
        slowed = self.time > COOL_S if self.kind == "prompt" else self.weights != "f16"
        if (self.device == HOT and slowed) or (self.device == PAGED and self.kind == "generation"):
            return False
        return self.kind != "prompt" or (self.devices == 1 and not self.fused)


def rows(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table."""
    own = OWN / name / "language.csv"
    path = CITED if name == CITED.name else own if own.is_file() else DATA / name
    with path.open(encoding="utf-8") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def cases(family: str) -> list[Case]:
    """Return the rows of a class of devices. Prints the devices that the catalog does not know."""
    models: dict[tuple[str, str], Any] = {}
    result = []
    for name in FILES[family]:
        for row in rows(name):
            accelerator = located(row)
            if accelerator.family != family:
                continue
            batch, context, count = int(row["batch"]), int(row["context"]), int(row["n_tokens"] or 128)
            if row["phase"] == "pp" and (row["device"], count, batch) == COLD and context == 0:
                continue
            key = (catalogued(row["model"]) or row["model"], row["weight_dtype"])
            model = models.setdefault(key, None) or language_model(*key)
            models[key] = model
            microbatch = 2048 if "ubatch=2048" in row["note"] else 512
            kind, half, tokens, fused = "prompt", block_format("f16"), batch * count, "fa=1" in row["note"]
            if row["phase"] == "tg":
                step = decode_step(model, batch, context + count / 2, half, microbatch, fused=fused)
                tokens = batch
                kind = "batched" if batch > 1 else "generation"
            else:
                step = prompt_steps(model, count, batch, context, microbatch, half)
            result.append(
                Case(
                    row["device"], *key, kind, accelerator, step, tokens / float(row["tokens_per_s"]),
                    int(row["n_devices"]), fused, architecture_of(row["device"], family),
                )
            )  # fmt: skip
    return result


def architecture_of(name: str, family: str) -> str:
    """Return the architecture of a GPU: instruction sets matter more than architectures of CPUs."""
    return "" if family == "cpu" else catalog.device(name).units[0].architecture


def located(row: dict[str, str]) -> Accelerator:
    """Return the device of a row, with the cores that its threads ran on."""
    name = row["device"]
    if name in GUESTS:
        architecture, bandwidth, clock = GUESTS[name]
        peak = Peak(
            "vector", "avx2", "int8", None, "dense", (PeakTerm(name, architecture, 1, clock, "base", 512.0, "assumed"),)
        )
        return Accelerator("cpu", bandwidth, clock, peak, 32 * clock, None)
    if name not in CORES:
        return accelerator_of(catalog.device(name))
    catalogued, position = CORES[name]
    device = catalog.device(catalogued)
    threads = int(re.search(r"threads=(\d+)", row["note"])[1])  # type: ignore[index]
    units = replace(device.units[position], count=threads)
    return accelerator_of(replace(device, units=(units,)))


Vector = np.ndarray[Any, Any]


class Fit(Struct, frozen=True):
    """A class of devices: where the search starts, the parameters of logarithms, and which fix others."""

    start: dict[str, float]
    build: Callable[[dict[str, float]], dict[str, Any]]


def gpu(values: dict[str, float]) -> dict[str, Any]:
    """Return parameters of a GPU."""
    return {
        "stream": min(values["stream"], 1.0), "power": values["power"], "cache": values["cache"],
        "fused_cache": min(values.get("fused_cache", values["cache"]), 1.0), "tile": values.get("tile", TILE),
        "batched_compute": values.get("batched_compute", values["compute"]),
        "layer": values["layer"] * 1e-6, "hop": values.get("hop", 0.0) * 1e-6,
        "decode": {"plain": values["decode_plain"], "quantized": values["decode"]},
        "compute": {"plain": values["compute_plain"], "quantized": values["compute"]},
        "prompt_power": values["prompt_power"], "dequantize": values.get("dequantize", 0.0),
        "score": values["score"], "token": values.get("token", 0.0) * 1e-6, "output": 0.0,
    }  # fmt: skip


def cpu(values: dict[str, float]) -> dict[str, Any]:
    """Return parameters of a CPU. Formats that mix two codings share the parameters of both."""
    codings, stream = ("plain", "k", "i", "split"), min(values["stream"], 1.0)
    decode = {"quantized": values["decode"], **{coding: values[f"decode_{coding}"] for coding in codings}}
    decode |= {name: decode[shared] for name, shared in DECODED_AS.items()}
    compute = {"quantized": values["compute"], **{coding: values[f"compute_{coding}"] for coding in codings}}
    compute |= {"k-split": compute["k"], "k-table": compute["k"]}
    compute |= {name: decode[name] / WEIGHTS_A_CYCLE for name in ("legacy-single", "split-single")}
    return {
        "stream": stream, "power": values["power"], "cache": stream, "fused_cache": stream,
        "layer": values["layer"] * 1e-6, "output": values["output"], "decode": decode, "compute": compute,
        "batched_compute": values["compute"], "tile": 0.0, "hop": 0.0,
        "prompt_power": 4.0, "dequantize": 0.0, "score": 0.0, "token": 0.0,
    }  # fmt: skip


CONVERTED = 8.0
"""Weights in f16 that Zen 4 converts in a cycle: of its two conversions of 8 numbers one is of what they are multiplied
by. Where no format like it is measured, nothing else says how fast f16 is."""
DECODED_AS = {"k-split": "split", "split-single": "split", "k-table": "i", "legacy-single": "quantized"}
WEIGHTS_A_CYCLE = 16.0
"""Weights that a core multiplies in a cycle at its rate, two operations each; a token's decoded ones are fewer."""
FITS = {
    "cuda": Fit(
        {"stream": 0.95, "decode_plain": 3.3, "decode": 11, "cache": 0.45, "layer": 80, "power": 5, "hop": 200,
         "fused_cache": 0.7, "batched_compute": 0.28, "tile": 8,
         "compute_plain": 0.6, "compute": 0.8, "score": 30, "prompt_power": 3, "token": 1.2, "dequantize": 1.4}, gpu,
    ),
    "metal": Fit(
        {"stream": 0.83, "decode_plain": 3.6, "decode": 7.8, "cache": 0.11, "layer": 100, "power": 5,
         "compute_plain": 0.66, "compute": 0.51, "score": 9, "prompt_power": 3}, gpu,
    ),
    "cpu": Fit(
        {"stream": 0.7, "power": 2, "decode": 3, "decode_plain": CONVERTED, "decode_k": 3, "decode_i": 3,
         "decode_split": 3, "layer": 100, "output": 30, "compute": 0.9, "compute_plain": 0.5, "compute_k": 0.9,
         "compute_i": 0.2, "compute_split": 0.7}, cpu,
    ),
}  # fmt: skip
TILE = 8.0
"""Tokens by which products of a few are padded, for classes of devices without measurements of them."""
NOWHERE = ErrorBand(0.0, 0.0)


def parameters(family: str, logarithms: Sequence[float]) -> RuntimeParameters:
    """Return the parameters of a point of the search."""
    fit = FITS[family]
    values = dict(zip(fit.start, [float(value) for value in np.exp(logarithms)], strict=True))
    return RuntimeParameters(
        how="", devices=(), generation=NOWHERE, prompt=NOWHERE, batched=NOWHERE, **fit.build(values)
    )


def expected(case: Case, known: RuntimeParameters) -> float:
    """Return the time of a case in the model."""
    if case.kind == "prompt":
        return prompt_time(case.step, case.accelerator, known, case.devices, case.fused).total
    return generation_time(case.step, case.accelerator, known, case.devices, case.fused).total


def fitted(family: str, cases_of_all: list[Case]) -> RuntimeParameters:
    """Return the parameters that fit cases best, each device and kind of time with the same weight."""
    every = [case for case in cases_of_all if case.fits]
    groups: dict[tuple[str, str], int] = {}
    for case in every:
        groups[case.device, case.kind] = groups.get((case.device, case.kind), 0) + 1
    weights = np.array([groups[case.device, case.kind] ** -0.5 for case in every])

    def residuals(point: Vector) -> Vector:
        known = parameters(family, list(point))
        return weights * np.array([np.log(expected(case, known) / case.time) for case in every])

    start = np.log(list(FITS[family].start.values()))
    prior = lambda point: 0.02 * (point - start)  # noqa: E731 - what no case depends on stays where it was
    solution = least_squares(
        lambda point: np.append(residuals(point), prior(point)), start, loss="soft_l1", f_scale=0.05, x_scale=0.3
    )
    known = parameters(family, list(solution.x))
    return replace(known, overlap=overlap(known, [case for case in cases_of_all if case.devices > 1]))


def overlap(known: RuntimeParameters, every: list[Case]) -> float:
    """Return the share of the possible overlap of several cards that fits their prompts best, 1 without any."""
    prompts = [case for case in every if case.kind == "prompt" and not case.fused]
    shares = [step / 50 for step in range(51)] if prompts else [1.0]

    def error(share: float) -> float:
        return sum(abs(np.log(expected(case, replace(known, overlap=share)) / case.time)) for case in prompts)

    return min(shares, key=error)


def derived(family: str, every: list[Case]) -> RuntimeParameters:
    """Return the parameters of another class, some of them scaled to fit cases, each device with the same weight."""
    base, names = DERIVED[family]
    known = shipped().families[base]
    known = replace(known, attention=known.compute["quantized"] if "attention" in names else None)
    counts: dict[str, int] = {}
    for case in every:
        counts[case.device] = counts.get(case.device, 0) + 1

    def scaled(point: Vector) -> RuntimeParameters:
        values: dict[str, Any] = {}
        for name, factor in zip(names, [float(value) for value in np.exp(point)], strict=True):
            old = getattr(known, name)
            scales = isinstance(old, dict)
            values[name] = {key: item * factor for key, item in old.items()} if scales else old * factor
        return replace(known, **{**values, "stream": min(values.get("stream", known.stream), 1.0)})

    weights = np.array([counts[case.device] ** -0.5 for case in every])
    logs = lambda point: weights * np.array([np.log(expected(c, scaled(point)) / c.time) for c in every])  # noqa: E731
    solution = least_squares(
        lambda point: np.append(logs(point), 0.1 * point), np.zeros(len(names)), loss="soft_l1", f_scale=0.2
    )
    return scaled(solution.x)


def held_out(family: str, every: list[Case], group: str = "device") -> list[tuple[Case, float]]:
    """Return the logarithm of measured over expected time of each case, its `group` being left out of the fit."""
    result = []
    fit = derived if family in DERIVED else fitted
    for name in sorted({getattr(case, group) for case in every}):
        known = fit(family, [case for case in every if getattr(case, group) != name])
        own = [case for case in every if getattr(case, group) == name]
        result += [(case, float(np.log(case.time / expected(case, known)))) for case in own]
    return result


def spread(errors: list[tuple[Case, float]]) -> ErrorBand:
    """Return the interval of logarithms that holds LEVEL of the cases, n of a device weighing as much as root n.

    They share what is particular to it: less than n observations, and more than one.
    """
    if not errors:
        return NOWHERE
    counts: dict[str, int] = {}
    for case, _ in errors:
        counts[case.device] = counts.get(case.device, 0) + 1
    order = sorted((abs(error), counts[case.device] ** -0.5) for case, error in errors)
    total, seen = sum(weight for _, weight in order), 0.0
    for size, weight in order:
        seen += weight
        if seen >= LEVEL * total:
            return ErrorBand(-round(size, 4), round(size, 4))
    return NOWHERE


def one_measurement(errors: list[tuple[Case, float]]) -> list[tuple[Case, float]]:
    """Return the errors that remain where one measured case of each device, format and kind scales its forecasts."""
    scales: dict[tuple[str, str, str], float] = {}
    for case, error in errors:
        scales.setdefault((case.device, case.weights, case.kind), error)
    return [(case, error - scales[case.device, case.weights, case.kind]) for case, error in errors]


def describe(kind: str, errors: list[tuple[Case, float]]) -> None:
    """Print the error of a kind of time by device and in all, and what intervals of other devices hold."""
    if not errors:
        return
    names = sorted({case.device for case, _ in errors})
    inside, alone = 0, len(names) == 1
    for name in names:
        own = [error for case, error in errors if case.device == name]
        others = spread([pair for pair in errors if pair[0].device != name]) if not alone else NOWHERE
        inside += sum(others.low <= error <= others.high for error in own)
        print(f"    {name:20} {len(own):4} rows  error {mape(own):5.1f} %  bias {100 * np.mean(own):+6.1f} %")
    every = [error for _, error in errors]
    by_device = np.mean([mape([e for c, e in errors if c.device == name]) for name in names])
    single = [error for case, error in errors if case.devices == 1]
    covered = "-" if alone else f"{100 * inside / len(every):.0f} %"
    print(
        f"  {kind}: error {mape(every):.1f} % of {len(every)} rows, {by_device:.1f} % a device,"
        f" {mape(single):.1f} % on one card; {covered} within the interval from other devices;"
        f" {mape([e for _, e in one_measurement(errors)]):.1f} % with one own measurement a format"
    )


def mape(errors: Sequence[float]) -> float:
    """Return the mean absolute error in per cent of the measured time."""
    return float(100 * np.mean(np.abs(np.exp(-np.array(errors)) - 1))) if len(errors) else float("nan")


def judge_campaign() -> None:
    """Print how well each table of our own is predicted from its other formats, and from its other shapes."""
    every = cases("cpu")
    for guest, (group, name) in itertools.product(GUESTS, (("weights", "format"), ("model", "shape"))):
        errors = held_out("cpu", [case for case in every if case.device == guest], group)
        print(f"{guest}, each {name} predicted from the others")
        for kind in ("generation", "prompt"):
            own = [(case, error) for case, error in errors if case.kind == kind]
            print(f"  {kind}: error {mape([error for _, error in own]):.1f} %", *errors_by(group, own), sep="\n")


def errors_by(group: str, errors: list[tuple[Case, float]]) -> Iterator[str]:
    """Yield a line with the error of each value of a field of cases."""
    for each in sorted({getattr(case, group) for case, _ in errors}):
        some = [error for case, error in errors if getattr(case, group) == each]
        yield f"    {each:24} error {mape(some):5.1f} %  bias {100 * np.mean(some):+6.1f} %"


def run(write: bool, chosen: Sequence[str]) -> None:
    """Print the errors of every class, and write the parameters fitted to all devices of the `chosen` ones."""
    families = dict(shipped().families)
    for family in chosen:
        every = cases(family)
        names = sorted({case.device for case in every})
        print(f"{family}: {len(every)} rows of {len(names)} devices, each predicted from the others")
        errors = held_out(family, every)
        kinds = {kind: [pair for pair in errors if pair[0].spread == kind] for kind in KINDS}
        if kinds["batched"]:  # of one device, without which nothing is fitted to them
            kinds["batched"] = [pair for pair in held_out(family, every, "model") if pair[0].kind == "batched"]
            print("  batched, each model predicted from the others:", *errors_by("model", kinds["batched"]), sep="\n")
        for kind, pairs in kinds.items():
            describe(KINDS[kind], pairs)
        base = shipped().families[DERIVED[family][0]] if family in DERIVED else None
        spreads = {kind: spread(pairs) if pairs else None for kind, pairs in kinds.items()}
        spreads["prompt"] = spreads["prompt"] or UNFITTED
        if base:
            spreads = at_least(base, spreads)
        spreads["batched"] = spreads["batched"] or max(UNFITTED, spreads["generation"], key=lambda band: band.high)
        best = derived(family, every) if family in DERIVED else fitted(family, every)
        how = f"least squares of log time on {len(every)} rows of llama-bench; spreads with each device held out"
        known = msgspec.convert(significant(msgspec.to_builtins(best)), RuntimeParameters)
        shares = [bound(case) / case.time for case in every]
        print(f"  no time is below the roofline: the shortest is {1 / max(shares):.2f} times as long")
        own = {kind: spread(one_measurement(kinds[kind])).high for kind in tuple(KINDS)[:3] if kinds[kind]}
        left = base.calibrated if base else own
        architectures = tuple(sorted({case.architecture for case in every if case.architecture}))
        families[family] = replace(
            known, how=how, devices=tuple(names), calibrated=left, architectures=architectures, **spreads
        )
    if write:
        encoded = msgspec.json.format(msgspec.json.encode(LanguageParameters(families, LEVEL)), indent=1)
        Path(PATH).write_bytes(encoded + b"\n")
        print(f"written: {PATH}")


def at_least(base: RuntimeParameters, spreads: dict[str, ErrorBand | None]) -> dict[str, ErrorBand | None]:
    """Return spreads of a few rows, none narrower than that of the class whose other parameters are used."""
    floors = {kind: getattr(base, kind) or base.prompt for kind in spreads}
    return {kind: band and max(band, floors[kind], key=lambda each: each.high) for kind, band in spreads.items()}


def bound(case: Case) -> float:
    """Return the roofline of a case in s, with all of its devices at once."""
    step, device = case.step, case.accelerator
    return max(step.flops / device.bound.flops_per_second, step.traffic / device.bandwidth) / case.devices


def significant(value: Any) -> Any:
    """Return numbers with four digits."""
    if isinstance(value, dict):
        return {key: significant(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    if not DATA.is_dir():
        sys.exit(f"There are no measurements in {DATA}.")
    if sys.argv[1:] == ["campaign"]:
        judge_campaign()
    else:
        run(sys.argv[1:2] == ["fit"], sys.argv[2:] or (*FITS, *DERIVED))
