"""`hwbench count`."""

from typing import Any, cast

import click

from hwbench.cli import options, output
from hwbench.errors import InputError
from hwbench.workload.ops import CONVENTIONS, Convention


@click.command(short_help="What a model must do: parameters, operations and traffic by layer.")
@options.model_option
@click.option("--convention", type=click.Choice(list(CONVENTIONS)), default="flop", show_default=True)
@click.option("--dtype", default="fp32", show_default=True, help="Number format of weights and activations.")
@click.option("--batch", default="1", show_default=True, help="Batch size.")
@click.option("--audit", is_flag=True, help="Run other installed counters too, and explain where they differ.")
@options.tracing_options
@options.json_option
def count(model: str, convention: str, dtype: str, batch: str, audit: bool, as_json: bool, **tracing: Any) -> None:
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
      hwbench count --model matmul:4096x4096x4096 --json

    \b
    Traced models need the extra hwbench[torch]; torch:module:factory runs that module of yours:
      hwbench count --model hf:bert --context 128
      hwbench count --model hf:bert?num_hidden_layers=4 --context 512
    """
    from hwbench.dtypes import BITS
    from hwbench.workload.counting import counted

    formats, sizes = options.dtypes(dtype), options.batches(batch)
    if len(formats) > 1 or len(sizes) > 1:
        raise InputError("counts one dtype and one batch at a time", field="--dtype" if len(formats) > 1 else "--batch")
    workload = options.builder(model, tracing)(formats[0], sizes[0])
    chosen = cast("Convention", convention)
    size = sizes[0]
    found = counted(workload, chosen, formats[0], BITS.get(formats[0], BITS["fp32"]), size)
    others: tuple[Any, ...] = ()
    if audit:
        from hwbench.workload import load

        others = load.audit(options.request(model, formats[0], size, tracing), workload)
    if as_json:
        body = found.body()
        output.write_json("count", {**body, "audit": others} if audit else body, workload.notices)
        return
    from hwbench.report.text import workload as report

    lines = report.summary(found, output.style())
    if audit:
        lines += ["", *report.audit(others, workload.macs, output.style())]
    output.write_lines(lines, workload.notices)
