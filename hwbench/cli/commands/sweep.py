"""`hwbench sweep`."""

from typing import Any

from hwbench import api
from hwbench.cli import options, sweeping
from hwbench.cli.progress import line


@options.command()
@sweeping.sweep_options
def sweep(form: str | None, as_json: bool, path: str | None, **parameters: Any) -> None:
    """Estimate models on devices at dtypes and batch sizes, and show which devices are best in time against power.

    \b
    Examples:
      hwbench sweep --model alexnet --batch 1..64
      hwbench sweep -m resnet50 --kind gpu --dtype fp16 --batch 1..64 -o all.csv
      hwbench sweep -m alexnet -d rtx3090 -d rtx4090 --batch 1,8 --format csv
    """
    form = sweeping.check(form, as_json, path)
    with line() as progress:
        sweeping.write(api.sweep(progress=progress, **parameters), form, path)
