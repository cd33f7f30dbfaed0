"""Modules exported by torch.onnx: their ONNX count equals the trace of the module they came from."""

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from hwbench.errors import InputError  # noqa: E402
from hwbench.workload.onnx import graph as onnx_graph  # noqa: E402
from hwbench.workload.ops import Workload  # noqa: E402
from hwbench.workload.request import ModelRequest  # noqa: E402
from hwbench.workload.tracing import trace as torch_trace  # noqa: E402

pytestmark = pytest.mark.slow

BATCH = 2


class ResidualBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1)
        )
        self.shortcut = nn.Conv2d(8, 16, 1, 2)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.body(x) + self.shortcut(x))


class Attention(nn.Module):
    def __init__(self, heads: int = 4, width: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))


class Recurrent(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x)[0]


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 16)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 100)

    def forward(self, x: Any) -> Any:
        return self.head(F.gelu(self.norm(self.words(x))))


class Einsum(nn.Module):
    def __init__(self, equation: str, *shape: int) -> None:
        super().__init__()
        self.equation = equation
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Any) -> Any:
        return torch.einsum(self.equation, x, self.weight)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.shared = nn.Linear(16, 16)

    def forward(self, x: Any) -> Any:
        x = self.words(x)
        return self.shared(self.shared(x)) @ self.words.weight.t()


class Upsampler(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode=self.mode))


def alexnet_like() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(32, 10),
    )  # fmt: skip


def separable() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.Conv2d(8, 16, 1), nn.Hardswish())


IMAGE, SEQUENCE = (BATCH, 8, 12, 12), (BATCH, 6, 32)
IDS = "ids"
MODULES: dict[str, tuple[Any, Any]] = {
    "alexnet-like": (alexnet_like, (BATCH, 3, 96, 96)),
    "residual": (ResidualBlock, IMAGE),
    "depthwise": (separable, IMAGE),
    "grouped": (lambda: nn.Conv2d(8, 16, 3, groups=4, dilation=2), IMAGE),
    "conv1d": (lambda: nn.Conv1d(6, 8, 3, bias=False), SEQUENCE),
    "conv3d": (lambda: nn.Conv3d(2, 4, 3), (BATCH, 2, 5, 6, 7)),
    "transposed": (lambda: nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1), IMAGE),
    "grouped-transposed": (lambda: nn.ConvTranspose2d(8, 8, 4, 2, groups=2, bias=False), IMAGE),
    "mlp": (lambda: nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 8)), (BATCH, 32)),
    "linear-of-sequence": (lambda: nn.Linear(32, 16), SEQUENCE),
    "attention": (Attention, SEQUENCE),
    "lstm": (lambda: Recurrent(nn.LSTM(32, 24, 2, batch_first=True)), SEQUENCE),
    "gru": (lambda: Recurrent(nn.GRU(32, 24, batch_first=True)), SEQUENCE),
    "rnn": (lambda: Recurrent(nn.RNN(32, 24, batch_first=True)), SEQUENCE),
    "bidirectional": (lambda: Recurrent(nn.LSTM(32, 24, bidirectional=True, batch_first=True)), SEQUENCE),
    "encoder-layer": (lambda: nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), SEQUENCE),
    "embedding": (Embedded, IDS),
    "tied": (Tied, IDS),
    "group-norm": (lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.GroupNorm(4, 8), nn.SiLU()), IMAGE),
    "instance-norm": (lambda: nn.Sequential(nn.Conv2d(8, 8, 3), nn.InstanceNorm2d(8, affine=True)), IMAGE),
    "upsample": (lambda: Upsampler("nearest"), (BATCH, 4, 6, 6)),
    "bilinear": (lambda: Upsampler("bilinear"), (BATCH, 4, 6, 6)),
    "pixel-shuffle": (lambda: nn.Sequential(nn.Conv2d(8, 16, 3), nn.PixelShuffle(2)), IMAGE),
    "einsum": (lambda: Einsum("btc,cd->btd", 32, 16), SEQUENCE),
    "einsum-batched": (lambda: Einsum("...c,hcd->h...d", 2, 32, 16), SEQUENCE),
    "einsum-outer": (lambda: Einsum("btc,d->btcd", 5), SEQUENCE),
    "pools": (lambda: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(8, 4, 3), nn.AdaptiveMaxPool2d(1)), IMAGE),
}


BY_DYNAMO = (
    "alexnet-like", "residual", "depthwise", "transposed", "attention", "lstm", "encoder-layer", "embedding", "tied",
    "bilinear", "einsum-batched",
)  # fmt: skip
"""Modules that the newer exporter exports too; it takes seconds for each."""

AS_WRITTEN = ("residual", "tied")
"""Modules whose parameters that exporter's optimizer merges or doubles."""


def test_each_class_of_module_is_here() -> None:
    assert len(MODULES) >= 20


def example(shape: Any) -> Any:
    return torch.randint(0, 50, (BATCH, 7)) if shape == IDS else torch.randn(*shape)


def distinct(module: nn.Module) -> nn.Module:
    """The module with parameters that an optimizer cannot take for each other."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def export(module: nn.Module, args: tuple[Any, ...], path: Path, dynamo: bool, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), args, str(path), dynamo=dynamo, verbose=False, **options)


def traced(module: nn.Module, args: tuple[Any, ...]) -> Workload:
    found = torch_trace.trace(module.eval(), args, batch=BATCH)
    assert not found.uncounted
    return Workload("torch", "", (1,), tuple(found.ops), unused_params=found.params.unclaimed)


def same_counts(found: Workload, truth: Workload) -> None:
    assert found.uncounted == ()
    assert found.operations("mac", found.batch) == truth.operations("mac", found.batch)
    assert found.params == truth.params


@pytest.mark.parametrize(
    ("name", "dynamo"),
    [(name, False) for name in MODULES if name != "encoder-layer"] + [(name, True) for name in BY_DYNAMO],
)
def test_count_is_the_trace_of_the_module(tmp_path: Path, name: str, dynamo: bool) -> None:
    if dynamo:
        pytest.importorskip("onnxscript")
    make, shape = MODULES[name]
    module, args, path = distinct(make()), (example(shape),), tmp_path / "model.onnx"
    options = {"optimize": name not in AS_WRITTEN} if dynamo else {"input_names": ["x"], "do_constant_folding": False}
    export(module, args, path, dynamo, **options)
    same_counts(onnx_graph.workload(str(path), ModelRequest("onnx:model")), traced(module, args))


class Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        transformers = pytest.importorskip("transformers")
        config = transformers.BertConfig(
            vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=64, attn_implementation="eager",
        )  # fmt: skip
        self.bert = transformers.BertModel(config, add_pooling_layer=False)

    def forward(self, ids: Any, mask: Any) -> Any:
        return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state


def test_bert_with_an_open_batch_and_sequence(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    module, path = distinct(Bert()), tmp_path / "bert.onnx"
    ids = torch.randint(0, 200, (BATCH, 10))
    args = (ids, torch.ones_like(ids))
    open_ = {0: torch.export.Dim("batch", min=2, max=64), 1: torch.export.Dim("sequence", min=2, max=60)}
    export(module, args, path, dynamo=True, dynamic_shapes=(open_, open_), input_names=["ids", "mask"])
    with pytest.raises(InputError, match="'sequence'"):
        onnx_graph.workload(str(path), ModelRequest("onnx:bert"))
    found, truth = onnx_graph.workload(str(path), ModelRequest("onnx:bert", input="2x10:int64")), traced(module, args)
    assert (found.uncounted, found.macs) == ((), truth.macs)
    assert found.params == truth.params
    longer = onnx_graph.workload(str(path), ModelRequest("onnx:bert", input="3x20:int64"))
    assert longer.macs == 2 * found.macs + 2 * (2 * 2 * 10 * 10 * 32)  # two layers of two products grow as a square


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "swin_t", "vit_b_16"])
def test_torchvision_models_with_an_open_batch(tmp_path: Path, name: str) -> None:
    models = pytest.importorskip("torchvision").models
    module, path = distinct(models.get_model(name, weights=None)), tmp_path / "model.onnx"
    args = (torch.randn(BATCH, 3, 224, 224),)
    options = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}, "do_constant_folding": False}
    export(module, args, path, False, training=torch.onnx.TrainingMode.PRESERVE, **options)
    same_counts(onnx_graph.workload(str(path), ModelRequest("onnx:model")), traced(module, args))
