"""`hwbench estimate`."""

from functools import partial
from typing import Any

import click

from hwbench import api
from hwbench.answers import Answer
from hwbench.cli import language, options, output
from hwbench.errors import InputError
from hwbench.report.text import estimate as text
from hwbench.report.text.layout import Style


@options.command()
@options.model_option()
@options.device_option(required=True)
@options.dtype_option(several=True)
@options.batch_option(several=True)
@options.clock_option
@partial(options.runtime_option, more=", or all")
@options.math_option
@options.layers_option
@click.option("--roofline", is_flag=True, help="Draw the roofline with the layers on it.")
@options.optimizer_option
@options.tracing_options
@language.language_options
@options.json_option
def estimate(
    model: str,
    device: str,
    layers: bool,
    roofline: bool,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Estimate the ideal, the roofline and the forecast time of MODEL on DEVICE, layer by layer.

    MODEL and DEVICE are arguments or the options --model and --device.

    \b
    Examples:
      hwbench estimate alexnet rtx3090
      hwbench estimate resnet50 rtx4090 --dtype fp32,fp16 --batch 1,8,64
      hwbench estimate alexnet rtx3090 --set clock=3GHz --roofline
      hwbench estimate resnet50 i9-10940x --runtime all
      hwbench estimate --model vgg16 --device host --json

    \b
    Traced models, also your own, with the extra hwbench[torch]:
      hwbench estimate --model hf:resnet --device rtx3090 --dtype amp --batch 256
      hwbench estimate hf:llama h100-sxm --phase decode --context 4096

    \b
    Language models by name, hub name or file, without torch:
      hwbench estimate llama3-8b rtx3090 --weights q4_k_m --prompt 512
      hwbench estimate llama3.1-8b rtx3090 --batch 1,8 --context 2048,32768
      hwbench estimate meta-llama/Llama-3.1-70B rtx4090 --weights q4_0 --devices 2
    """
    wanted = {name: parameters.pop(name) for name in language.NAMES}
    if language.is_asked(model, wanted, parameters["runtime"]):
        output.show(_language(model, device, wanted, {**parameters, "layers": layers, "roofline": roofline}), as_json)
        return
    runtimes = parameters["runtime"] or ""
    several = len(parameters["dtypes"]) * len(parameters["batches"] or "1") > 1 or runtimes == "all" or "," in runtimes
    for field, value in (("layers", layers), ("roofline", roofline)):
        if value and several:
            raise InputError("single-value", "This needs a single dtype, batch size and runtime.", field=field)
    if roofline and as_json:
        raise InputError("exclusive", "The roofline is drawn as text and cannot be JSON.", field="roofline")
    with output.status(output.tracing(model, training=parameters["mode"] == "training")):
        answer = api.estimate_all(model, device, **parameters)
    if several:
        output.show(answer, as_json)
        return
    single = answer.estimates[0]

    def lines(style: Style) -> list[str]:
        return [*text.single(single, style, layers), *(text.drawing(single, style) if roofline else ())]

    output.show(single, as_json, lines)


def _language(model: str, device: str, wanted: dict[str, Any], parameters: dict[str, Any]) -> Answer:
    """Return the estimate of a language model. Raises InputError for options of other models."""
    batches = parameters["batches"] or (1,)
    if parameters["dtypes"] != ("fp32",):
        raise InputError("not-for-language", "Language models have weights in a format instead.", field="dtypes")
    for field in ("inputs", "batch_dim", "image_size", "phase", "channels_last", "strict", "layers", "roofline"):
        if parameters.get(field):
            raise InputError("not-for-language", "Language models do not have this option.", field=field)
    common = {name: parameters[name] for name in ("context", "clock", "settings", "runtime")}
    contexts = common["context"] if isinstance(common["context"], tuple) else None
    if len(batches) == 1 and not contexts:
        return api.estimate_language(model, device, batch=batches[0], **wanted, **common)
    for field in ("cpu", "gpu_layers", "clock"):
        if {**wanted, **common}.pop(field) is not None:
            raise InputError("single-value", "This needs a single batch size and context.", field=field)
    if contexts:
        common["context"] = None
    own = {name: value for name, value in {**wanted, **common}.items() if name not in ("cpu", "gpu_layers", "clock")}
    return api.sweep_language(
        [model], [device], batches=batches, contexts=contexts, **{**own, "weights": [own["weights"]]}
    )
