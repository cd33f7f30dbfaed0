"""Run language models in llama.cpp beside what was predicted of them: `run_language`."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hwbench.api.checks import check_duration
from hwbench.api.language.estimates import check_cache, estimate_language
from hwbench.api.machines import host_device
from hwbench.api.measurements import Progress
from hwbench.api.records import not_saved, prepare
from hwbench.api.records import save as save_record
from hwbench.errors import InputError, shown
from hwbench.machine.host.describe import host
from hwbench.machine.host.files import Files
from hwbench.machine.host.memory import free_memory
from hwbench.measure import session
from hwbench.measure import settings as cpus
from hwbench.measure.language import llama_cpp
from hwbench.measure.language.llama_cpp import LlamaRun
from hwbench.measure.subject import LanguagePhase
from hwbench.notices import notice, unique
from hwbench.predict.language import LanguageEstimate
from hwbench.predict.language.memory import cache_bytes
from hwbench.study.language import LanguageRun, phase_run
from hwbench.units import Bytes
from hwbench.workload.language import LanguageModel, language_model
from hwbench.workload.language.formats import block_format

DEFAULT_SYNTHETIC = "q4_k_m"
"""The format of weights that are written where none is asked for."""


def run_language(
    model: str,
    *,
    weights: str | None = None,
    kv_dtype: str | None = None,
    prompt: int = 128,
    generate: int = 32,
    threads: int | None = None,
    fused_attention: bool = False,
    keep: str | None = None,
    budget: float | str = 20.0,
    save: str | bool = False,
    progress: Progress | None = None,
    command: Sequence[str] = ("hwbench.run_language",),
) -> LanguageRun:
    """Time a prompt and the generation after it in llama.cpp on this machine's CPU, beside the forecast.

    A model is a `.gguf` file, or a name of the catalog, of which a file with random weights is written and removed
    afterwards, or kept as `keep`. `name?layers=4` has fewer layers. Raises InputError where it does not fit in memory,
    and without the package xllamacpp.
    """
    seconds, cache = check_duration(budget, "budget"), check_cache(kv_dtype or "f16")
    if prompt < 0 or generate < 0 or prompt + generate == 0:
        raise InputError("nothing-to-do", "There is neither a prompt nor anything to generate.", field="generate")
    is_file = model.endswith(".gguf")
    described = language_model(model, weights or (None if is_file else DEFAULT_SYNTHETIC))
    if is_file and keep:
        raise InputError("exclusive", "The file is there already.", field="keep")
    machine = host()
    settings = cpus.settings(machine)
    cpus.refuse_threads(threads, settings)
    count = threads or max(settings.threads)
    memory = _memory(described, prompt + generate, cache)
    llama_cpp.refuse_missing()
    prepare(save)
    if keep and os.path.exists(keep):
        raise InputError("exists", "There is such a file already.", file=keep)
    show = progress or (lambda _share, _text: None)
    with _file(model, described, keep, show) as path:
        show(0.3, "measuring in llama.cpp")
        request = LlamaRun(path, described.name, described.weights, prompt, generate, settings.cpus[:count], count,
                           seconds, memory, cache, fused_attention)  # fmt: skip
        record = session.record(lambda: llama_cpp.measure(request), machine, settings.classes, tuple(command))
    record, saved, trouble = save_record(record, save)
    located = host_device()
    notices = [*located.notices, *described.notices, *record.notices, *not_saved(trouble)]
    prediction: LanguageEstimate | None = None
    try:
        prediction = estimate_language(
            model, located.device.with_cores(count), weights=described.weights, kv_dtype=cache, prompt=prompt,
            generate=generate, fused_attention=fused_attention,
        )  # fmt: skip
        notices += prediction.notices
    except InputError as error:
        notices.append(notice("no-prediction", dtype=described.weights, reason=error.message))
    first = record.measurements[0]
    assert isinstance(first.subject, LanguagePhase)
    return LanguageRun(
        model=described.name,
        title=described.title,
        weights=described.weights,
        kv_dtype=cache,
        synthetic=not is_file,
        weights_bytes=described.size,
        device=machine.device.title,
        runtime=first.subject.runtime or "llama.cpp",
        isa=first.isa,
        threads=count,
        interval_level=0.95,
        runs=tuple(phase_run(each, prediction) for each in record.measurements),
        check_command=f"{prediction.check_command} -t {count}" if prediction and is_file else None,
        file=model if is_file else keep,
        path=saved,
        run=record,
        notices=unique(notices),
        trouble=trouble,
    )


def _memory(model: LanguageModel, context: int, kv_dtype: str) -> int:
    """Return the bytes that the process may take. Raises InputError where the machine has fewer for the model."""
    cache = cache_bytes(model, context + 8, 1, block_format(kv_dtype), 512)
    free = free_memory(Files())
    if free is not None and model.size + cache > free:
        message = (
            f"{model.title} in {model.weights} needs {Bytes(model.size + cache)}, and {Bytes(free)} are free: fewer"
            f" layers take less ({shown(model.name, 60)}?layers=4)."
        )
        raise InputError("out-of-memory", message, field="model")
    return 2 * model.size + cache + llama_cpp.EXTRA_BYTES


@contextmanager
def _file(model: str, described: LanguageModel, keep: str | None, progress: Progress) -> Iterator[str]:
    """Give the path of a model's file: its own, or one that is written here and removed again unless it is kept."""
    if described.path:
        yield described.path
        return
    progress(0.0, "writing a file of random weights")
    path = _written(model, described, os.path.dirname(os.path.abspath(keep)) if keep else None)
    try:
        yield path
        if keep:
            os.replace(path, keep)
    finally:
        if os.path.exists(path):
            os.remove(path)


def _written(model: str, described: LanguageModel, folder: str | None) -> str:
    """Return the path of a new file of a model with random weights. Raises InputError where it cannot be written."""
    from hwbench.measure.language import synthetic
    from hwbench.workload.language.catalog import described as entry

    blocks = entry(model).blocks
    synthetic.architecture(blocks)
    where = folder or tempfile.gettempdir()
    file = None
    try:
        with tempfile.NamedTemporaryFile(dir=where, suffix=".gguf", delete=False) as file:
            synthetic.write(file, blocks, described)
        return file.name
    except BaseException as error:
        if file is not None and os.path.exists(file.name):
            os.remove(file.name)
        if isinstance(error, OSError):
            message = f"A model of {Bytes(described.size)} cannot be written: {error.strerror}."
            raise InputError("not-writable", message, file=where) from None
        raise
