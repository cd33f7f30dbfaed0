"""`hwbench run`."""

import sys
from functools import partial
from typing import Any

import click

from hwbench import api
from hwbench.answers import Answer
from hwbench.cli import language, options, output
from hwbench.cli.progress import line
from hwbench.cli.saving import save_option
from hwbench.errors import InputError

_LANGUAGE = ("weights", "kv_dtype", "prompt", "generate", "fused_attention", "keep")
_NETWORK = ("dtypes", "batches", "compiled", "layers", "inputs", "values", "batch_dim", "image_size", "mode", "phase",
            "context", "optimizer", "channels_last", "strict", "real")  # fmt: skip


@options.command()
@options.model_option()
@options.runtimes_option
@options.dtype_option(several=True)
@options.batch_option(several=True)
@click.option("--on", "on", default="cpu", show_default=True, metavar="PLACE", help="Where it runs: cpu, cuda, mps.")
@click.option("--device", "-d", "place", hidden=True, help="Former name of --on.")
@click.option("--threads", type=click.IntRange(1, 4096), metavar="N", help="Threads on a CPU [default: all cores].")
@click.option("--compile", "compiled", is_flag=True, help="Another name of --runtime torch-compile.")
@click.option("--layers", is_flag=True, help="Time every layer too, by hooks in torch, else by the engine's profile.")
@language.shared_options
@click.option("--keep", metavar="FILE", help="Keep the language model that is written, in this .gguf file.")
@partial(options.optimizer_option, default="sgd")
@options.budget_option("10s")
@save_option
@options.tracing_options
@options.json_option
def run(
    model: str, on: str, place: str | None, runtimes: tuple[str, ...] | None, as_json: bool, **parameters: Any
) -> None:
    """Time real forward passes or training steps, with random weights on random inputs, beside what is predicted.

    The module is built from the catalog's layers, or by the package in its name; its parameters must be those that
    are counted, its output finite, of the right shape and that of torch in fp32. Needs the extra hwbench[torch], and
    hwbench[onnxruntime] or hwbench[openvino] for these runtimes. A training step is a forward pass, the backward pass
    of the summed outputs and an optimizer's update, each timed apart.

    Language models are run by llama.cpp on the CPU: .gguf files, or catalogued names, of which a file with random
    weights is written first. Needs the extra hwbench[llm].

    \b
    Examples:
      hwbench run --model alexnet --threads 1 --budget 2s
      hwbench run -m lenet5 --batch 1,8 --dtype fp32,bf16 --threads 1 --budget 1s
      hwbench run -m lenet5 --runtime torch,openvino --threads 1 --budget 2s
      hwbench run -m lenet5 --mode training --batch 8 --threads 1 --budget 1s
      hwbench run --model squeezenet1.0 --layers --threads 1 --budget 1s --json

    \b
    With the extra hwbench[llm]:
      $ hwbench run model.gguf --prompt 512 --generate 128
      $ hwbench run "llama3-8b?layers=4" --weights q4_0 --threads 1
    """
    wanted = {name: parameters.pop(name) for name in _LANGUAGE}
    command = ("hwbench", *sys.argv[1:])
    runtime = runtimes[0] if runtimes and len(runtimes) == 1 else None
    answer: Answer
    with line("preparing") as progress:
        if language.is_asked(model, wanted, runtime):
            if runtimes and runtimes != ("llama.cpp",):
                message = "Language models are run by llama.cpp alone."
                raise InputError("not-for-language", message, field="runtimes", nearest=("llama.cpp",))
            for field in _NETWORK:
                if parameters.pop(field, None) not in (None, (), {}, False, ("fp32",), "inference"):
                    raise InputError("not-for-language", "Language models do not have this option.", field=field)
            answer = api.run_language(model, progress=progress, command=command, **stated_values(wanted), **parameters)
        else:
            parameters |= {"runtimes": runtimes} if runtimes else {}
            answer = api.run(model, on=place or on, progress=progress, command=command, **parameters)
    click.get_current_context().exit(output.finish(answer, as_json))


def stated_values(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}
