"""`hwbench estimate`."""

from typing import Any, cast

import click

from hwbench.api import lookup
from hwbench.cli import options, output
from hwbench.errors import InputError
from hwbench.machine.device import ClockKind

MOST_ROWS = 10_000


@click.command(short_help="How long a model takes on a device, and what holds it back.")
@options.model_option
@options.device_option(required=True)
@click.option("--dtype", default="fp32", show_default=True, help="Number format, or several: fp32,fp16.")
@click.option("--batch", default="1", show_default=True, help="Batch size, or several: 1,8,64.")
@options.clock_option
@options.runtime_option
@click.option("--layers", is_flag=True, help="List every layer, however many.")
@click.option("--roofline", is_flag=True, help="Draw the roofline with the layers on it.")
@options.tracing_options
@options.json_option
def estimate(
    model: str,
    device: str,
    settings: tuple[str, ...],
    dtype: str,
    batch: str,
    clock: str | None,
    runtime: str | None,
    layers: bool,
    roofline: bool,
    as_json: bool,
    **tracing: Any,
) -> None:
    """Give the ideal, the roofline and the expected time of a model on a device, layer by layer.

    \b
    Examples:
      hwbench estimate --model alexnet --device rtx3090
      hwbench estimate --model resnet50 --device rtx4090 --dtype fp32,fp16 --batch 1,8,64
      hwbench estimate --model alexnet --device rtx3090 --set clock=3GHz --roofline
      hwbench estimate --model resnet50 --device i9-10940x --runtime torch-compile-cpu
      hwbench estimate --model vgg16 --device host --json

    \b
    Traced models need the extra hwbench[torch]; torch:module:factory runs that module of yours:
      hwbench estimate --model hf:resnet --device rtx3090 --dtype amp --batch 256
      hwbench estimate --model hf:llama --phase decode --context 4096 --device h100-sxm --dtype bf16
    """
    from hwbench.predict.estimate import estimate as predict

    formats, sizes = options.dtypes(dtype), options.batches(batch)
    if len(formats) * len(sizes) > MOST_ROWS:
        raise InputError(f"more than {MOST_ROWS} rows", field="--batch")
    if layers and len(formats) * len(sizes) > 1:
        raise InputError("lists the layers of one dtype and one batch", field="--layers")
    if roofline and (as_json or len(formats) * len(sizes) > 1):
        raise InputError("draws one dtype and one batch, as text", field="--roofline")
    if clock and any(setting.startswith("clock") for setting in settings):
        raise InputError("chooses among the device's clocks: leave it out beside --set clock", field="--clock")
    chosen, warnings = lookup.device(device, settings)
    kind = cast("ClockKind | None", clock and clock.replace("-", "_"))
    build = options.builder(model, tracing)
    found = [predict(build(name, size), chosen, name, size, kind, runtime) for name in formats for size in sizes]
    told = tuple(dict.fromkeys([*warnings, *(notice for one in found for notice in one.notices)]))
    if as_json:
        if len(found) == 1:
            output.write_json("estimate", found[0], told)
        else:
            output.write_json("estimates", {"estimates": found}, told)
        return
    from hwbench.report.text import estimate as report

    if len(found) == 1:
        lines = report.one(found[0], output.style(), layers)
        if roofline:
            from hwbench.report.text import roofline as plot

            lines += ["", *plot.roofline(found[0], output.style())]
        output.write_lines(lines, told)
    else:
        output.write_lines(report.many(found, output.style()), told)
