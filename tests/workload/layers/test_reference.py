"""Every catalogued network against an independent build of it in torch: torchvision, transformers, or by hand.

Skipped where these are not installed. `python tests/workload/layers/test_reference.py` prints what the builds count, on
meta tensors: that is where `tests/golden/models.csv` and `weight_layers.csv` come from.
"""

import csv
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hwbench.workload import load

Layers = list[tuple[str, int, int]]


def counted(module: Any, *inputs: Any) -> tuple[Layers, int, int]:
    """Weight layers (name, parameters, MACs) in order of execution, all parameters, and torch's own count of MACs."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    layers: Layers = []

    def hook(name: str) -> Callable[..., None]:
        def record(layer: Any, _: Any, output: Any) -> None:
            per_output = layer.weight[0].numel()
            layers.append((name, sum(p.numel() for p in layer.parameters()), output.numel() * per_output))

        return record

    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(hook(name))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(*inputs)
    return layers, sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2


def torchvision_model(name: str) -> tuple[Layers, int, int]:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        options = {"init_weights": False} if name.startswith("vgg") else {}
        return counted(getattr(models, name)(weights=None, **options), torch.empty(1, 3, 224, 224))


def googlenet() -> tuple[Layers, int, int]:
    """torchvision's, with the paper's 5×5 convolutions and biases in place of batch normalization."""
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        module = models.googlenet(weights=None, init_weights=False, aux_logits=False)
        for name, layer in list(module.named_modules()):
            if name.startswith("inception") and name.endswith("branch3.1"):
                layer.conv = torch.nn.Conv2d(layer.conv.in_channels, layer.conv.out_channels, 5, padding=2)
            if hasattr(layer, "bn"):
                layer.bn = torch.nn.Identity()
                layer.conv.bias = torch.nn.Parameter(torch.empty(layer.conv.out_channels))
        return counted(module, torch.empty(1, 3, 224, 224))


def bert_base() -> tuple[Layers, int, int]:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    with torch.device("meta"):
        module = transformers.BertModel(transformers.BertConfig())
        return merged(*counted(module, torch.zeros(1, 128, dtype=torch.int64)))


def vit_b_16() -> tuple[Layers, int, int]:
    """transformers', since torchvision's hides its projections in one attention call."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    with torch.device("meta"):
        module = transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=1000))
        return merged(*counted(module, torch.empty(1, 3, 224, 224)))


def merged(layers: Layers, params: int, macs: int) -> tuple[Layers, int, int]:
    """Query, key and value as the one product that the catalog has in their place."""
    joined: Layers = []
    for layer in layers:
        name, layer_params, layer_macs = layer
        if re.search(r"\.(key|value|k_proj|v_proj)$", name):
            before = joined.pop()
            joined.append((before[0], before[1] + layer_params, before[2] + layer_macs))
        else:
            joined.append(layer)
    return joined, params, macs


def mobilenet_v1() -> tuple[Layers, int, int]:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    with torch.device("meta"):
        module = transformers.MobileNetV1ForImageClassification(transformers.MobileNetV1Config(num_labels=1000))
        return counted(module, torch.empty(1, 3, 224, 224))


def by_hand(input_shape: tuple[int, ...], build: Callable[[Any], list[Any]]) -> tuple[Layers, int, int]:
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        return counted(torch.nn.Sequential(*build(torch.nn)), torch.empty(1, *input_shape))


def alexnet_layers(nn: Any, groups: int, padding: int, pooled: int = 9216) -> list[Any]:
    return [
        *(nn.Conv2d(3, 96, 11, 4, padding), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=groups), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=groups), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=groups), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Flatten(), nn.Linear(pooled, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
    ]


def lenet5_layers(nn: Any) -> list[Any]:
    return [
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    ]


TORCHVISION = {
    "alexnet-owt": "alexnet",
    "squeezenet1.0": "squeezenet1_0",
    "mobilenet-v2": "mobilenet_v2",
    **{name: name for name in ("vgg11", "vgg13", "vgg16", "vgg19", "densenet121")},
    **{name: name for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")},
}
OTHERS: dict[str, tuple[str, Callable[[], tuple[Layers, int, int]]]] = {
    "alexnet": ("torch modules by hand", lambda: by_hand((3, 224, 224), lambda nn: alexnet_layers(nn, 1, 2))),
    "alexnet-grouped": (
        "torch modules by hand after Caffe's prototxt",
        lambda: by_hand((3, 227, 227), lambda nn: alexnet_layers(nn, 2, 0)),
    ),
    "alexnet-mxnet": (
        "torch modules by hand after MXNet's symbol",
        lambda: by_hand((3, 224, 224), lambda nn: alexnet_layers(nn, 1, 0, 6400)),
    ),
    "bert-base": ("transformers BertModel", bert_base),
    "googlenet": ("torchvision googlenet with 5×5 and biases in place of batch normalization", googlenet),
    "lenet5": ("torch modules by hand", lambda: by_hand((1, 32, 32), lenet5_layers)),
    "mobilenet-v1": ("transformers MobileNetV1ForImageClassification of 1000 classes", mobilenet_v1),
    "vit-b-16": ("transformers ViTForImageClassification of 1000 classes", vit_b_16),
}


def reference(name: str) -> tuple[Layers, int, int]:
    return torchvision_model(TORCHVISION[name]) if name in TORCHVISION else OTHERS[name][1]()


@pytest.mark.parametrize("name", sorted([*TORCHVISION, *OTHERS]))
def test_the_reference_counts_the_same(name: str) -> None:
    layers, params, macs = reference(name)
    workload = load.workload(name)
    assert workload.params == params
    assert workload.macs == macs
    ours = [(op.params, op.macs) for op in workload.ops if op.params and op.macs]
    assert ours == [layer[1:] for layer in layers]


def main() -> None:
    """Print both golden files, one after the other."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    found = {name: reference(name) for name in sorted([*TORCHVISION, *OTHERS])}
    print("name,params,macs,reference")
    for name, (_, params, macs) in found.items():
        how = f"torchvision {TORCHVISION[name]}" if name in TORCHVISION else OTHERS[name][0]
        writer.writerow([name, params, macs, f"{how}; torch FlopCounterMode on meta"])
    print("model,layer,params,macs")
    for name, (layers, _, _) in found.items():
        writer.writerows([name, *layer] for layer in layers)


if __name__ == "__main__":
    main()
