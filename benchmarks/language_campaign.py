"""Time language models of several shapes in several formats on this CPU, in llama.cpp, and write a table of them.

    python benchmarks/language_campaign.py results/measured/epyc-9r14/language.csv
    python benchmarks/language_campaign.py results/measured/emerald-rapids/language.csv --budget 6
        --shapes qwen3-0.6b?layers=12,tinyllama-1.1b?layers=6,llama3.2-1b?layers=4,llama2-7b?layers=2
        --formats q4_0,q8_0,q4_k_m,f16,q6_k,q5_0,iq4_nl,q3_k_m

Models have the widths of catalogued ones, few layers and random weights; each is written, timed on one thread by CPU
time in a process of its own, and removed. Rows that the table has are left alone, so an interrupted campaign goes on.
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hwbench.machine.host.describe import host
from hwbench.measure.language import synthetic
from hwbench.measure.language.llama_cpp import EXTRA_BYTES, LlamaRun, measure
from hwbench.measure.subject import LanguagePhase
from hwbench.measure.summary import interval
from hwbench.workload.language import language_model
from hwbench.workload.language.catalog import described

SHAPES = (
    "qwen3-0.6b?layers=12", "tinyllama-1.1b?layers=6", "llama3.2-1b?layers=4", "qwen2.5-1.5b?layers=6",
    "llama3.2-3b?layers=3", "llama2-7b?layers=2", "smollm2-360m?layers=16",
)  # fmt: skip
FORMATS = ("q4_0", "q8_0", "q4_k_m", "q6_k", "f16", "q5_k_m", "q3_k_m", "q2_k", "q5_0", "q5_1", "iq4_nl")
PROMPT, GENERATE, PROCESSES = 128, 32, 1
COLUMNS = (
    "device", "model", "weight_dtype", "kv_dtype", "phase", "n_tokens", "context", "batch", "n_devices", "runtime",
    "tokens_per_s", "low", "high", "samples", "process", "note",
)  # fmt: skip


def rows(shape: str, weights: str, process: int, folder: str, budget: float) -> Iterator[dict[str, object]]:
    """Yield a row for the prompt and one for the generation."""
    model = language_model(shape, weights)
    path = os.path.join(folder, "model.gguf")
    with open(path, "wb") as file:
        synthetic.write(file, described(shape).blocks, model)
    memory = 2 * model.size + EXTRA_BYTES
    run = LlamaRun(path, shape, weights, PROMPT, GENERATE, (), 1, budget, memory)
    for each in measure(run):
        assert isinstance(each.subject, LanguagePhase)
        assert each.checked
        time, tokens = interval(each), each.subject.tokens
        yield {
            "device": host().device.title, "model": shape, "weight_dtype": weights, "kv_dtype": "f16",
            "phase": {"prompt": "pp", "generation": "tg"}[each.variant], "n_tokens": tokens,
            "context": each.subject.context, "batch": 1, "n_devices": 1, "runtime": each.subject.runtime,
            "tokens_per_s": f"{tokens / time.value:.4g}", "low": f"{tokens / time.high:.4g}",
            "high": f"{tokens / time.low:.4g}", "samples": len(each.accepted), "process": process,
            "note": f"threads=1 isa={each.isa}",
        }  # fmt: skip


def main() -> None:
    """Measure what the table lacks, formats before shapes, and append a pair of rows at a time."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for a prompt and a generation")
    options = parser.parse_args()
    table, done = options.table, set()
    if table.is_file():
        with table.open(encoding="utf-8") as file:
            done = {(row["model"], row["weight_dtype"], int(row["process"])) for row in csv.DictReader(file)}
    table.parent.mkdir(parents=True, exist_ok=True)
    every = [
        (shape, weights, n)
        for n in range(PROCESSES)
        for weights in options.formats.split(",")
        for shape in options.shapes.split(",")
    ]
    wanted = [key for key in every if key not in done]
    with tempfile.TemporaryDirectory() as folder, table.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not table.stat().st_size:
            writer.writeheader()
        for number, key in enumerate(wanted):
            writer.writerows(rows(*key, folder, options.budget))
            file.flush()
            print(f"{number + 1} of {len(wanted)}: {key}", flush=True)


if __name__ == "__main__":
    main()
