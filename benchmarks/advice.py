"""Advice for training steps, tried: the gain that is forecast, with its interval, beside the gain that is measured.

Ten changes of six networks on one thread: a larger batch, bf16, a compiled module, images channels last. The steps
before and after a change take turns in one process; what is forecast rests on a quick `hwbench bench` before them all.
Usage: python benchmarks/advice.py [--budget 20]
"""

import argparse
import os
import tempfile
from typing import Any

import torch
from torch import nn

import hwbench

HERE = f"torch:{os.path.relpath(__file__)}:"
CASES = {
    f"{HERE}cnn": (4, "batch", "runtime", "layout"),
    "resnet18": (2, "dtype", "layout"),
    "mobilenet-v2": (2, "batch"),
    f"{HERE}vit": (4, "dtype"),
    f"{HERE}llama": (2, "batch", "dtype"),
    f"{HERE}lstm": (4, "batch"),
}
"""Networks with the batch before the change, and the changes that are counted."""


def cnn() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """Return a small network of convolutions, with images."""
    layers: list[nn.Module] = []
    for channels, wider in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 8 * 8, 10)), (torch.empty(4, 3, 64, 64),)


class Blocks(nn.Module):
    """Blocks of attention over patches of images, and a linear layer over their mean."""

    def __init__(self, width: int = 192, depth: int = 6) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        block = nn.TransformerEncoderLayer(width, 3, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the classes of images."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        result: torch.Tensor = self.head(self.blocks(tokens).mean(1))
        return result


def vit() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """Return a small vision transformer, with images."""
    return Blocks(), (torch.empty(4, 3, 224, 224),)


def llama() -> tuple[nn.Module, tuple[()], dict[str, torch.Tensor]]:
    """Return a small llama, with tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=4096, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, use_cache=False,
    )  # fmt: skip
    return LlamaForCausalLM(config), (), {"input_ids": torch.zeros(2, 128, dtype=torch.int64)}


def lstm() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """Return an LSTM of two layers, with sequences."""
    return nn.LSTM(128, 256, 2, batch_first=True), (torch.empty(4, 64, 128),)


def main() -> None:
    """Print a line a case, and how many gains lay in the interval of the forecast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for the runs of a network")
    budget = parser.parse_args().budget
    os.environ["HWBENCH_RESULTS"] = tempfile.mkdtemp(prefix="hwbench-advice-")
    hwbench.bench("clock", "fma", "memory", threads=[1], save=True)
    inside: list[bool] = []
    for name, (batch, *changes) in CASES.items():
        options: dict[str, Any] = {"batch": batch, "tried": True, "threads": 1, "budget": budget}
        answer = hwbench.explain(name, mode="training", **options)
        advice = {each.change: each for each in answer.explanation.advice}
        for change in changes:
            label = f"{name.rpartition(':')[2]:13} batch {batch}  {change:8}"
            each = advice.get(change)
            if each is None or each.measured_gain is None:
                print(f"{label} not tried", flush=True)
                continue
            row = f"{label} {each.value:14} measured ×{each.measured_gain:.2f}"
            if each.gain is not None and each.gain_interval is not None:
                low, high = each.gain_interval
                row += (
                    f"  forecast ×{each.gain:.2f}, {low:.2f} to {high:.2f}  {'inside' if each.is_inside else 'outside'}"
                )
                inside.append(bool(each.is_inside))
            print(row, flush=True)
    print(f"{sum(inside)} of {len(inside)} measured gains lie in the interval; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
