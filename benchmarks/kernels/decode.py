"""Compare the products of quantized weights with a vector with reading memory, and with llama.cpp's generation.

Usage: python benchmarks/kernels/decode.py [q4_0|q8_0|q4_k]... [threads=1] [seconds=3]

Products and reads take turns on one matrix that is larger than the caches; `cached` is the product of one that is not,
on one thread, times the threads. llama.cpp, where it is installed, generates with a synthetic model of two layers as
wide as Llama 2 7B (for q4_k in its mix q4_k_m); its rate is that of the weights which each token reads, all but the
table of embeddings, and so includes what else a token takes.
"""

import os
import sys
import tempfile
import time

from msgspec.structs import replace

from hwbench.dtypes import QUANTIZED
from hwbench.measure.kernels.matmul import decode
from hwbench.measure.kernels.team import first
from hwbench.measure.language import synthetic
from hwbench.measure.settings import settings
from hwbench.workload.language import language_model
from hwbench.workload.language.catalog import described

MODEL, GENERATE = "llama2-7b?layers=2", 32


def best(product: decode.DecodeProduct, seconds: float, threads: int, repetitions: int = 1) -> dict[str, float]:
    """Return the bytes a second of products and reads that take turns, each the best of all."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    calls = {"product": product.multiply, "read": product.read}
    rates = dict.fromkeys(calls, 0.0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, call in calls.items():
            before = clock()
            call(repetitions)
            rates[name] = max(rates[name], repetitions * product.size / (clock() - before))
    return rates


def by_llama_cpp(name: str, threads: int, seconds: float) -> float | None:
    """Return the bytes of weights a second that llama.cpp's generation reads, None where it is not installed."""
    try:
        import xllamacpp  # noqa: F401
    except ImportError:
        return None
    from hwbench.measure.language.llama_cpp import EXTRA_BYTES, LlamaRun, measure
    from hwbench.measure.subject import LanguagePhase

    weights = "q4_k_m" if name == "q4_k" else name
    model = language_model(MODEL, weights)
    read = sum(tensor.size for tensor in model.tensors if not tensor.name.startswith("token_embd"))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        with open(path, "wb") as file:
            synthetic.write(file, described(MODEL).blocks, model)
        run = LlamaRun(path, MODEL, weights, 16, GENERATE, (), threads, seconds, 2 * model.size + EXTRA_BYTES)
        rows = [each for each in measure(run) if each.variant == "generation"]
    (subject,) = (row.subject for row in rows)
    assert isinstance(subject, LanguagePhase)
    return read * subject.tokens / min(map(rows[0].value, rows[0].samples))


def main(arguments: list[str]) -> None:
    """Print a line for each format."""
    options = dict(argument.split("=") for argument in arguments if "=" in argument)
    threads, seconds = int(options.get("threads", "1")), float(options.get("seconds", "3"))
    here = settings(threads=(threads,))
    print(f"{threads} thread(s), best of all: GB/s of weights; of the read or of the cached rate, whichever is lower")
    for name in [argument for argument in arguments if argument in QUANTIZED] or QUANTIZED:
        tasks = decode.tasks(replace(here, dtypes=(name,), threads=(threads,)))
        size = tasks[0].size.split("x")
        large = decode.DecodeProduct(name, int(size[2]), int(size[1]), first(here, threads))
        small = decode.DecodeProduct(name, 200, decode.DEPTH, first(here, 1))
        for product in (large, small):
            product.prepare()
            assert product.right()
        rates, cached = best(large, seconds, threads), threads * best(small, seconds, 1, 20)["product"]
        llama = by_llama_cpp(name, threads, 3 * seconds)
        again = best(large, seconds, threads)
        product, read = (max(rates[key], again[key]) / 1e9 for key in ("product", "read"))
        beside = "" if llama is None else f"  llama.cpp {llama / 1e9:.1f} (ratio {product / llama * 1e9:.2f})"
        share = product / min(read, cached / 1e9)
        print(
            f"{name}: {product:.1f}, read {read:.1f}, cached {cached / 1e9:.1f}, share {share:.2f}{beside}", flush=True
        )
        for used in (large, small):
            used.close()


if __name__ == "__main__":
    main(sys.argv[1:])
