"""llama.cpp, timed in a process of its own with limits: reading a prompt, and generating tokens after it.

The package is xllamacpp, a build of llama.cpp's server for Python. Files come from anybody, and what reads them is C++:
a fault there ends that process, not this one.
"""

import math
import os
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from msgspec import Struct, json

from hwbench.errors import InputError, shown
from hwbench.files import isolation
from hwbench.measure import harness
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement
from hwbench.measure.subject import LanguagePhase

EXTRA_BYTES = 4 << 30
"""Memory beyond weights, their copy in another layout, and the cache: code, stacks and intermediate results."""
MAX_CPU_S = 3600
SAMPLES = harness.SamplingLimits(share=0.8, min_samples=5, max_samples=50)
_ISAS = ("AVX512", "AVX2", "AVX", "SVE", "NEON")
"""Instruction sets that a build of llama.cpp may name, the widest first."""


class LlamaRun(Struct, frozen=True):
    """What is timed: a file, tokens of the prompt and to generate, threads on `cpus`, formats, and for how long.

    `memory_bytes` is what the process may take.
    """

    path: str
    model: str
    weights: str
    prompt: int
    generate: int
    cpus: tuple[int, ...]
    threads: int
    budget_s: float
    memory_bytes: int
    kv_dtype: str = "f16"
    fused_attention: bool = False


class _Failed(Struct, frozen=True):
    """Why nothing was measured."""

    code: str
    message: str


def refuse_missing() -> None:
    """Raise InputError where the package is not installed."""
    if find_spec("xllamacpp") is None:
        message = "Running language models needs xllamacpp, which is not installed: pip install 'hwbench[llm]'."
        raise InputError("missing-extra", message, field="runtime")


def measure(run: LlamaRun) -> tuple[Measurement, ...]:
    """Return the times of the prompt and of the generation, measured in a fresh process. Raises InputError."""
    try:
        answered = isolation.answer("hwbench.measure.language.llama_cpp", json.encode(run), timeout=2 * MAX_CPU_S)
    except subprocess.TimeoutExpired:
        raise InputError("too-slow", f"It takes longer than {2 * MAX_CPU_S} s.", field="model") from None
    except isolation.EndedBySystemError as reason:
        raise InputError("not-runnable", f"The system ended llama.cpp ({reason}).", file=run.path) from None
    measurements, error = json.decode(answered, type=tuple[tuple[Measurement, ...], _Failed | None])
    if error:
        field = None if error.code == "not-runnable" else "runtime"
        raise InputError(error.code, error.message, field=field, file=run.path if field is None else None)
    return measurements


class _Model:
    """A file loaded by llama.cpp, with one sequence."""

    def __init__(self, run: LlamaRun) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = run.path
        parameters.n_ctx = max(run.prompt, 1) + run.generate + 8
        parameters.n_parallel, parameters.n_gpu_layers = 1, 0
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = run.threads
        parameters.warmup, parameters.verbosity = False, 0
        kinds, fused = xllamacpp.ggml_type, xllamacpp.llama_flash_attn_type
        parameters.cache_type_k = parameters.cache_type_v = getattr(kinds, f"GGML_TYPE_{run.kv_dtype.upper()}")
        state = "ENABLED" if run.fused_attention else "DISABLED"
        parameters.flash_attn_type = getattr(fused, f"LLAMA_FLASH_ATTN_TYPE_{state}")
        self.server = xllamacpp.Server(parameters)
        self.tokens = [3 + index * 7 % 251 for index in range(max(run.prompt, 1))]

    def complete(self, generate: int, cached: bool, scored: bool = False) -> Any:
        """Return the answer to the prompt, whose cache is used where it is `cached`; with scores of its tokens."""
        answer = self.server.handle_completions({
            "prompt": self.tokens, "n_predict": generate, "cache_prompt": cached, "ignore_eos": True,
            "temperature": 0.0, "samplers": ["top_k"], "top_k": 1, "logprobs": int(scored),
        })  # fmt: skip
        return json.decode(answer) if isinstance(answer, str | bytes) else answer


def tasks(run: LlamaRun) -> list[Task]:
    """Return the tasks that time the prompt and the generation of a file that is loaded now. Raises InputError."""
    import xllamacpp

    try:
        model = _Model(run)
    except Exception as error:  # llama.cpp raises RuntimeError for whatever is wrong with a file
        raise InputError(
            "not-runnable", f"It cannot be loaded by llama.cpp: {shown(error, 200)}", file=run.path
        ) from None
    build = f"llama.cpp in xllamacpp {version('xllamacpp')}"
    system = xllamacpp.get_system_info()
    isa = next((name.lower() for name in _ISAS if f"{name} = 1" in system), None)

    def repeated(once: Callable[[], Any]) -> Callable[[int], None]:
        def call(repetitions: int) -> None:
            for _ in range(repetitions):
                once()

        return call

    def is_finite() -> bool:
        score = model.complete(1, cached=True, scored=True)["choices"][0]["logprobs"]["content"][0]["logprob"]
        return isinstance(score, float) and math.isfinite(score)

    def read() -> Any:
        return model.complete(1, cached=False)

    def generated() -> Any:
        return model.complete(run.generate, cached=True)

    def task(phase: Any, tokens: int, once: Callable[[], Any], warm: Callable[[], Any] | None) -> Task:
        context = run.prompt if phase == "generation" else 0
        return Task(
            kernel="language", variant=phase, unit="s", work=1, call=repeated(once), dtype=run.weights, isa=isa,
            threads=run.threads, size=f"{run.model} {tokens} tokens after {context}",
            timer="cpu" if run.threads == 1 else "wall", own_threads=True, warm=warm,
            check=is_finite,
            subject=LanguagePhase(
                run.model, run.weights, phase, tokens, context, run.kv_dtype, run.fused_attention, build
            ),
        )  # fmt: skip

    # the last token of the prompt gives the first one that is generated
    every = [task("prompt", run.prompt, read, None)] if run.prompt else []
    every += (
        [task("generation", run.generate, generated, lambda: model.complete(1, cached=True))] if run.generate else []
    )
    return every


def _answer(run: LlamaRun) -> tuple[tuple[Measurement, ...], _Failed | None]:
    try:
        return harness.measure(tasks(run), run.budget_s, limits=SAMPLES), None
    except InputError as error:
        return (), _Failed(error.code, error.message)
    except ImportError as error:
        return (), _Failed("missing-extra", f"xllamacpp cannot be loaded ({shown(error, 200)}).")
    except MemoryError:
        return (), _Failed("not-runnable", "It does not fit in the memory that it may take.")


def main() -> None:
    """Answer the request on standard input."""
    isolation.serve(_respond)


def _respond(body: bytes) -> bytes:
    run = json.decode(body, type=LlamaRun)
    if hasattr(os, "sched_setaffinity") and run.cpus:
        os.sched_setaffinity(0, run.cpus)
    isolation.limit(run.memory_bytes, MAX_CPU_S * run.threads)
    return json.encode(_answer(run))


if __name__ == "__main__":
    main()
