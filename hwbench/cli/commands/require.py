"""`hwbench require`."""

import click

from hwbench.cli import options, output
from hwbench.errors import InputError
from hwbench.units import PerSecond, Quantity, Seconds

MOST_DEVICES = 15


@click.command(short_help="What a rate or a latency asks for, and which devices deliver it.")
@options.model_option
@click.option("--rate", metavar="R", help="Inferences a second: 30/s.")
@click.option("--latency", metavar="T", help="Time of one batch: 5ms.")
@click.option("--utilization", default=1.0, show_default=True, help="Share of the roofline that runs reach.")
@click.option("--dtype", default="fp32", show_default=True)
@click.option("--batch", default="1", show_default=True)
@click.option("--all", "everything", is_flag=True, help=f"List every device, not only the first {MOST_DEVICES}.")
@options.json_option
def require(
    model: str,
    rate: str | None,
    latency: str | None,
    utilization: float,
    dtype: str,
    batch: str,
    everything: bool,
    as_json: bool,
) -> None:
    """Give the FLOP/s and B/s that a target needs, and the catalogued devices that deliver, cheapest in watts first.

    \b
    Examples:
      hwbench require --model alexnet --rate 30/s
      hwbench require --model bert-base --latency 5ms --dtype fp16 --utilization 0.3
    """
    from hwbench.machine import catalog
    from hwbench.study import requirement
    from hwbench.workload import load

    if rate is None and latency is None:
        raise InputError("a target is needed: --rate 30/s or --latency 5ms")
    formats, sizes = options.dtypes(dtype), options.batches(batch)
    if len(formats) > 1 or len(sizes) > 1:
        raise InputError("takes one dtype and one batch", field="--dtype" if len(formats) > 1 else "--batch")
    workload = load.workload(model)
    target = {"rate": _target(PerSecond, rate, "--rate"), "latency": _target(Seconds, latency, "--latency")}
    devices, faults = catalog.valid_devices()
    found = requirement.require(
        workload, devices.values(), **target, utilization=utilization, dtype=formats[0], batch=sizes[0]
    )
    if as_json:
        output.write_json("require", found, faults)
        return
    from hwbench.report.text.requirement import requirement as report

    most = len(found.devices) if everything else MOST_DEVICES
    output.write_lines(report(found, output.style(), most), faults)


def _target(kind: type[Quantity], text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return float(kind.parse_positive(text))
    except InputError as error:
        raise error.at(field=option) from None
