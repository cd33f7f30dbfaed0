"""`hwbench sweep`."""

from typing import Any

from hwbench import api
from hwbench.cli import language, options, output, sweeping
from hwbench.cli.progress import line
from hwbench.errors import InputError


@options.command()
@sweeping.sweep_options
@language.shared_options
def sweep(form: str | None, as_json: bool, path: str | None, **parameters: Any) -> None:
    """Estimate models on devices at dtypes and batch sizes, and show which devices are best in time against power.

    \b
    Examples:
      hwbench sweep alexnet --batch 1..64
      hwbench sweep -m resnet50 --kind gpu --dtype fp16 --batch 1..64 -o all.csv
      hwbench sweep -m alexnet -d rtx3090 -d rtx4090 --batch 1,8 --format csv
      hwbench sweep -m llama3-8b -m qwen3-8b -d rtx3090 --weights q4_0,q8_0
    """
    models, wanted = parameters["models"], {name: parameters.get(name) for name in language.SHARED}
    if any(language.is_asked(model, wanted, parameters["runtime"]) for model in models):
        if path or options.form(form, as_json) == "csv":
            raise InputError("bad-format", "Language models are swept as text or JSON.", field="form")
        own = {name: value for name, value in parameters.items() if name not in ("models", "devices")}
        chosen = language.options_of(own, "batches", *language.FILTERS)
        forms = chosen.pop("weights").split(",") if "weights" in chosen else [None]
        answer = api.sweep_language(models, parameters["devices"], weights=forms, **chosen)
        output.show(answer, as_json or form == "json")
        return
    for name in wanted:
        parameters.pop(name, None)
    form = sweeping.check(form, as_json, path)
    with line() as progress:
        sweeping.write(api.sweep(progress=progress, **parameters), form, path)
