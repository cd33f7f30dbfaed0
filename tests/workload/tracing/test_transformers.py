"""Architectures of transformers, built from config classes without weights, against formulas of their families.

Skipped where torch or transformers is not installed.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hwbench.workload.tracing import sources  # noqa: E402
from hwbench.workload.tracing import transformers as language  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.no_cover, pytest.mark.filterwarnings("ignore")]  # transformers' own

TOKENS = 24


def traced(model: str, **options: Any) -> Workload:
    return sources.workload(ModelRequest(f"hf:{model}", **options))


class Block(msgspec.Struct, frozen=True):
    """A transformer block: the widths that its multiply-adds follow from."""

    width: int
    feed: int
    heads: int
    kv_heads: int | None = None
    head: int | None = None
    gated: bool = False  # a third matrix in the feed-forward part
    experts: int = 1  # that run for each token
    router: int = 0  # experts that the router scores
    shared: int = 0  # width of an expert that always runs, with its gate

    def macs(self, tokens: int, keys: int | None = None) -> int:
        """Projections of every token, attention over all keys, and the feed-forward part."""
        head = self.head or self.width // self.heads
        kv = self.kv_heads or self.heads
        projections = self.width * head * (2 * self.heads + 2 * kv)
        attention = 2 * (keys or tokens) * self.heads * head
        matrices = 3 if self.gated else 2
        feed = self.experts * matrices * self.width * self.feed + self.router * self.width
        shared = (3 * self.width * self.shared + self.width) if self.shared else 0
        return tokens * (projections + attention + feed + shared)


def encoder(layers: int, block: Block, pooler: bool = True, extra: int = 0) -> Callable[[int], int]:
    """Blocks, and a pooler that sees the first token."""
    return lambda tokens: layers * block.macs(tokens) + pooler * block.width**2 + tokens * extra


def decoder(layers: int, block: Block, vocabulary: int, extra: int = 0) -> Callable[[int], int]:
    """Blocks, and a score for every word."""
    return lambda tokens: layers * block.macs(tokens) + tokens * (block.width * vocabulary + extra)


def seq2seq(layers: int, block: Block) -> Callable[[int], int]:
    """Encoder and decoder blocks; the decoder's have a second attention."""
    without_feed = msgspec.structs.replace(block, feed=0)
    return lambda tokens: layers * (2 * block.macs(tokens) + without_feed.macs(tokens))


BASE = Block(width=768, feed=3072, heads=12)
SMALL = "hidden_size=64&intermediate_size=160&num_hidden_layers=2&num_attention_heads=4"
GROUPED = f"{SMALL}&num_key_value_heads=2&vocab_size=500"
GATED = Block(width=64, feed=160, heads=4, kv_heads=2, gated=True)
EXPERTS = f"{GROUPED}&num_experts_per_tok=2"

FORMULAS: dict[str, Callable[[int], int]] = {
    "bert": encoder(12, BASE),
    "roberta": encoder(12, BASE),
    "xlm-roberta": encoder(12, BASE),
    "distilbert": encoder(6, BASE, pooler=False),
    "albert": encoder(12, Block(width=4096, feed=16384, heads=64), extra=128 * 4096),
    "electra?hidden_size=768&intermediate_size=3072&num_attention_heads=12": encoder(
        12, BASE, pooler=False, extra=128 * 768
    ),
    "gpt2": decoder(12, BASE, 50257),
    "gpt_neox?hidden_size=64&intermediate_size=256&num_hidden_layers=2&num_attention_heads=4&vocab_size=500": decoder(
        2, Block(width=64, feed=256, heads=4), 500
    ),
    "gptj?n_embd=64&n_layer=2&n_head=4&rotary_dim=8&vocab_size=500": decoder(
        2, Block(width=64, feed=256, heads=4), 500
    ),
    "opt": decoder(12, BASE, 50272),
    "bloom": decoder(2, Block(width=64, feed=256, heads=8), 250880),
    "llama?" + GROUPED: decoder(2, GATED, 500),
    "mistral?" + GROUPED + "&head_dim=16": decoder(2, GATED, 500),
    "qwen2?" + GROUPED: decoder(2, GATED, 500),
    "qwen3?" + GROUPED + "&head_dim=32": decoder(2, msgspec.structs.replace(GATED, head=32), 500),
    "gemma?" + GROUPED + "&head_dim=32": decoder(2, msgspec.structs.replace(GATED, head=32), 500),
    "gemma2?" + GROUPED + "&head_dim=32": decoder(2, msgspec.structs.replace(GATED, head=32), 500),
    "phi3?" + GROUPED + "&pad_token_id=0": decoder(2, GATED, 500),
    "phi?" + GROUPED: decoder(2, msgspec.structs.replace(GATED, gated=False), 500),
    "stablelm?" + GROUPED: decoder(2, GATED, 500),
    "olmo?" + GROUPED: decoder(2, GATED, 500),
    "granite?" + GROUPED: decoder(2, GATED, 500),
    "starcoder2?" + GROUPED: decoder(2, msgspec.structs.replace(GATED, gated=False), 500),
    "cohere?" + GROUPED: decoder(2, GATED, 500),
    "mixtral?" + EXPERTS + "&num_local_experts=8": decoder(2, msgspec.structs.replace(GATED, experts=2, router=8), 500),
    "qwen2_moe?" + EXPERTS + "&num_experts=8&moe_intermediate_size=48&shared_expert_intermediate_size=96": decoder(
        2, msgspec.structs.replace(GATED, feed=48, experts=2, router=8, shared=96), 500
    ),
    "qwen3_moe?" + EXPERTS + "&num_experts=8&moe_intermediate_size=48": decoder(
        2, msgspec.structs.replace(GATED, feed=48, experts=2, router=8), 500
    ),
    "olmoe?" + EXPERTS + "&num_experts=8": decoder(2, msgspec.structs.replace(GATED, experts=2, router=8), 500),
    "t5": seq2seq(6, Block(width=512, feed=2048, heads=8)),
    "bart": seq2seq(12, Block(width=1024, feed=4096, heads=16)),
    "mbart": seq2seq(12, Block(width=1024, feed=4096, heads=16)),
    "pegasus": seq2seq(12, Block(width=1024, feed=4096, heads=16)),
    "marian": seq2seq(12, Block(width=1024, feed=4096, heads=16)),
    "m2m_100": seq2seq(12, Block(width=1024, feed=4096, heads=16)),
}


@pytest.mark.parametrize("model", FORMULAS)
def test_text_models_equal_their_formulas(model: str) -> None:
    found = traced(model, context=TOKENS)
    assert found.uncounted == ()
    assert found.macs == FORMULAS[model](TOKENS)
    assert found.params == parameters(model)


def parameters(model: str) -> int:
    built = language.build(model, ModelRequest(f"hf:{model}", context=TOKENS))
    return sum(parameter.numel() for parameter in built.module.parameters())


PATCHES = 14 * 14
VIT = 3 * 16 * 16 * 768 * PATCHES  # the patches' own projection
IMAGE_MODELS: dict[str, int | None] = {
    # MACs of one image of the config's size; None where no formula is written here
    "vit": VIT + 12 * BASE.macs(PATCHES + 1) + 768**2,
    "deit": VIT + 12 * BASE.macs(PATCHES + 2) + 768**2,
    "beit": VIT + 12 * BASE.macs(PATCHES + 1),
    "dinov2": 3 * 14 * 14 * 768 * 256 + 12 * BASE.macs(257),
    "resnet": 4_087_136_256,  # ResNet-50 without its classifier: 4,089,184,256 less 2048 · 1000
    "convnext": 3 * 16 * 96 * 56**2
    + sum(n * (49 * d + 8 * d * d) * s * s for n, d, s in ((3, 96, 56), (3, 192, 28), (9, 384, 14), (3, 768, 7)))
    + sum(4 * (d // 2) * d * s * s for d, s in ((192, 28), (384, 14), (768, 7))),
    "swin": None, "swinv2": None, "regnet": None, "mobilevit": None, "segformer": None, "levit": None, "pvt": None,
    "poolformer": None, "mobilenet_v2": None, "vit_mae": None, "dpt": None, "glpn": None,
}  # fmt: skip
OTHERS = (
    "clip", "siglip", "wav2vec2", "hubert", "whisper", "deberta-v2?num_hidden_layers=2", "mobilebert",
    "longformer?num_hidden_layers=2", "falcon?num_hidden_layers=2", "mpt?n_layers=2", "gpt_neo", "squeezebert",
    "mamba?num_hidden_layers=1", "deepseek_v3?num_hidden_layers=4", "gpt_oss?num_hidden_layers=2",
)  # fmt: skip


@pytest.mark.parametrize("model", [*IMAGE_MODELS, *OTHERS])
def test_other_models_are_counted_in_full(model: str) -> None:
    found = traced(model)
    expected = IMAGE_MODELS.get(model)
    assert found.macs == expected if expected else found.macs > 10**6
    assert found.uncounted == ()
    assert found.params == parameters(model)


def test_clip_sees_text_and_image() -> None:
    """Text: 12 blocks of 512, 77 tokens. Image: 12 blocks of 768, 49 patches of 32 × 32 and a class. Projections."""
    text = 12 * Block(width=512, feed=2048, heads=8).macs(77) + 512 * 512
    image = 3 * 32 * 32 * 768 * 49 + 12 * BASE.macs(50) + 768 * 512
    assert traced("clip").macs - text - image in range(2 * 512 + 1)  # and the product of both


LLAMA = "llama?" + GROUPED
CONTEXT = 100


def test_prefill_and_decode() -> None:
    prefill = traced(LLAMA, phase="prefill", context=CONTEXT)
    decode = traced(LLAMA, phase="decode", context=CONTEXT)
    assert decode.macs == 2 * GATED.macs(1, keys=CONTEXT + 1) + 64 * 500
    assert prefill.macs == 2 * GATED.macs(CONTEXT) + CONTEXT * 64 * 500
    assert decode.params == prefill.params


def test_the_cache_is_memory_and_traffic() -> None:
    token = 2 * 2 * 2 * 16  # keys and values, of two layers, two heads of 16
    prefill = traced(LLAMA, phase="prefill", context=CONTEXT)
    decode = traced(LLAMA, phase="decode", context=CONTEXT)
    assert prefill.state_elements == CONTEXT * token
    assert decode.state_elements == (CONTEXT + 1) * token
    (attention,) = [op for op in decode.ops if op.kind == "attention"]
    assert attention.count == 2
    assert attention.input_elements == (CONTEXT + 1) * token // 2 + 64  # keys, values and the query
    (append,) = [
        op for op in decode.ops if op.name.endswith(":cat") and op.output_elements == (CONTEXT + 1) * token // 4
    ]
    assert (append.count, append.input_elements) == (4, append.output_elements)
    longer = traced(LLAMA, phase="decode", context=2 * CONTEXT)
    assert longer.work(32).input_bytes > decode.work(32).input_bytes
    assert longer.work(32).weight_bytes == decode.work(32).weight_bytes


def test_autocast_decodes() -> None:
    decode = traced(LLAMA, phase="decode", context=CONTEXT, autocast="bf16")
    assert decode.macs == 2 * GATED.macs(1, keys=CONTEXT + 1) + 64 * 500
    assert {op.dtype for op in decode.ops if op.kind == "attention"} == {"bf16"}


def test_a_sliding_window_bounds_the_cache() -> None:
    model = f"mistral?{GROUPED}&head_dim=16&sliding_window=32"
    short, long = (traced(model, phase="decode", context=context) for context in (64, 640))
    assert short.macs == long.macs == 2 * GATED.macs(1, keys=32) + 64 * 500
    assert short.state_elements == long.state_elements


def test_one_token_reads_only_its_experts() -> None:
    model = f"mixtral?{EXPERTS}&num_local_experts=8"
    decode = traced(model, phase="decode", context=CONTEXT)
    grouped = [op for op in decode.ops if op.kind == "grouped_matmul"]
    assert sum(op.weight_elements * op.count for op in grouped) == 2 * 2 * 3 * 64 * 160  # layers, experts, matrices
    assert sum(op.params * op.count for op in grouped) == 2 * 8 * 3 * 64 * 160
    assert decode.macs == 2 * msgspec.structs.replace(GATED, experts=2, router=8).macs(1, CONTEXT + 1) + 64 * 500


def test_mixture_of_experts_under_autocast() -> None:
    model = f"mixtral?{EXPERTS}&num_local_experts=8"
    assert traced(model, context=TOKENS, autocast="bf16").macs == traced(model, context=TOKENS).macs


def test_a_training_step_of_a_language_model() -> None:
    found = traced(LLAMA, context=TOKENS, training=True, batch=2)
    attention = 2 * 2 * TOKENS * TOKENS * 64
    forward = 2 * GATED.macs(TOKENS) + TOKENS * 64 * 500
    assert found.macs == 2 * (3 * (forward - attention) + attention * 7 // 2)


SEVENTY_BILLION = "&".join(
    f"{key}={value}"
    for key, value in {
        "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
    }.items()
)  # fmt: skip
MEMORY = """
import resource, sys
import torch, transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import sources
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = sources.workload(ModelRequest("hf:llama?" + sys.argv[1], phase="decode", context=8000))
print(found.params, found.macs, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_seventy_billion_parameters_take_no_memory() -> None:
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, SEVENTY_BILLION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    params, macs, kilobytes = map(int, done.stdout.split())
    block = Block(width=8192, feed=28672, heads=64, kv_heads=8, gated=True)
    assert params == 70_553_706_496
    assert macs == 80 * block.macs(1, keys=8001) + 8192 * 128256
    assert kilobytes < 2**20


def test_repeated_layers_fold() -> None:
    small, large = (traced(f"llama?{GROUPED}&num_hidden_layers={layers}") for layers in (2, 8))
    assert len(small.ops) == len(large.ops)


@pytest.mark.parametrize(
    ("model", "options", "code"),
    [
        ("bertt", {}, "unknown-model"),
        ("bert?layers=2", {}, "unknown-override"),
        ("bert?num_hidden_layers", {}, "not-an-override"),
        ("bert", {"phase": "decode"}, "no-phases"),
        ("t5", {"phase": "prefill"}, "no-phases"),
        ("bert?hidden_size=7", {}, "not-buildable"),
    ],
)
def test_errors(model: str, options: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as raised:
        traced(model, **options)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "kind",
    ["bert", "gpt2", "t5", "swin", "segformer", "deberta-v2", "wav2vec2", "mamba", "mixtral?num_hidden_layers=2"],
)
def test_mixed_precision_multiplies_as_often(kind: str) -> None:
    plain = traced(kind)
    mixed = traced(kind, autocast="fp16")
    assert (mixed.macs, mixed.params, mixed.uncounted) == (plain.macs, plain.params, ())
    assert {op.dtype for op in mixed.ops if op.kind == "linear"} == {"fp16"}


def test_a_value_that_the_config_has_no_default_for() -> None:
    """Four heads of 128 over 64 wide, two of keys and values; two experts of 8 wide, both of which run."""
    sizes = "hidden_size=64&num_attention_heads=4&num_key_value_heads=2&vocab_size=100&num_hidden_layers=1"
    experts = "num_experts=2&moe_intermediate_size=8&num_experts_per_tok=2"
    found = traced(f"qwen3_moe?{sizes}&head_dim=128&{experts}", context=16)
    block = Block(64, 8, 4, kv_heads=2, head=128, gated=True, experts=2, router=2)
    assert found.macs == block.macs(16) + 16 * 64 * 100
    with pytest.raises(InputError, match="has no 'head_dimension'"):
        traced("qwen3_moe?head_dimension=128")


def test_images_become_tokens_of_the_text() -> None:
    """An image of 336 pixels is 24² patches of 14; the text has as many tokens more."""
    tiny = "text_config.num_hidden_layers=1&vision_config.num_hidden_layers=2"
    found = traced(f"llava?{tiny}")
    assert found.assumed == ()
    longer = traced(f"llava?{tiny}", context=128 + 576)
    assert found.macs == longer.macs


@pytest.mark.parametrize(
    "kind", ["qwen2_vl?vision_config.depth=1", "qwen2_5_vl?vision_config.depth=1", "gemma3", "blip-2"]
)
def test_models_of_images_and_text(kind: str) -> None:
    joint = "&" if "?" in kind else "?"
    assert traced(f"{kind}{joint}text_config.num_hidden_layers=1").uncounted == ()


@pytest.mark.parametrize("kind", ["clvp_encoder", "ovis2_vision"])
def test_a_part_of_a_model_by_its_own_config(kind: str) -> None:
    assert traced(kind).macs > 0
