"""`hwbench count`."""

from functools import partial
from typing import Any

import click

from hwbench import api
from hwbench.cli import language, options, output, values
from hwbench.report.text import workload as text
from hwbench.workload.counting import ATTENTION
from hwbench.workload.ops import CONVENTIONS


@options.command()
@options.model_option()
@click.option(
    "--convention", type=values.Choice(list(CONVENTIONS)), default="flop", show_default=True,
    help="What counts as an operation.",
)  # fmt: skip
@click.option(
    "--attention", type=values.Choice(list(ATTENTION)), default="full", show_default=True,
    help="Count every pair of a query and a key, or those that causal and windowed attention computes.",
)  # fmt: skip
@options.dtype_option()
@options.batch_option()
@language.option("--weights", metavar="F", help="Format of the weights: q4_k_m, q8_0, f16, fp8, ...")
@language.option("--kv-dtype", metavar="F", help="Number format of the cache: f16, q8_0, q4_0 [default: f16].")
@click.option("--audit", is_flag=True, help="Run other installed counters too, and explain where they differ.")
@options.layers_option
@click.option("--tree", is_flag=True, help="Add up by module instead of by layer.")
@click.option("--depth", type=click.IntRange(1, 100), metavar="N", help="Levels of that tree [default: 2].")
@options.optimizer_option
@options.tracing_options
@options.json_option
def count(model: str, layers: bool, tree: bool, depth: int | None, as_json: bool, **parameters: Any) -> None:
    """Count a model's parameters, operations and traffic, layer by layer.

    \b
    Conventions:
      flop      2 per multiply-add of convolution, linear, matmul and attention
      mac       1 per multiply-add
      mac-bias  parameters × output positions, the bias counted as one

    \b
    Examples:
      hwbench count --model alexnet
      hwbench count --model alexnet --convention mac-bias
      hwbench count --model resnet50 --tree --depth 2
      hwbench count llama3-8b --weights q4_k_m
      hwbench count --model matmul:4096x4096x4096 --json

    \b
    Traced models, also your own, with the extra hwbench[torch]:
      hwbench count --model hf:bert --context 128
      hwbench count --model hf:bert?num_hidden_layers=4 --context 512
      hwbench count --model hf:mistral --context 8192 --attention computed
    """
    wanted = {name: parameters.pop(name) for name in ("weights", "kv_dtype")}
    if language.is_asked(model, wanted, None):
        language.options_of(
            {name: value for name, value in parameters.items() if name not in ("convention", "attention")}
        )
        output.show(api.count_language(model, **wanted), as_json)
        return
    with output.status(output.tracing(model, training=parameters["mode"] == "training")):
        answer = api.count(model, depth=depth or 2 if tree or depth else None, **parameters)
    output.show(answer, as_json, partial(text.summary, answer, all_layers=layers))
