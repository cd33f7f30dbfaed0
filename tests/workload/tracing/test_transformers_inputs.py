"""Arguments of models of transformers that their documentation describes: sound, patches, parts of larger models.

Skipped where torch or transformers is not installed.
"""

import re

import pytest

from hwbench.errors import InputError
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hwbench.workload.tracing import batches, sources, stand_ins  # noqa: E402
from hwbench.workload.tracing.build import Built, build_module  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # transformers' own warnings

WIDTH = 32
SMALL = f"hidden_size={WIDTH}&num_hidden_layers=1&num_attention_heads=2&intermediate_size=64"


def traced(model: str) -> Workload:
    found = sources.workload(ModelRequest(f"hf:{model}"))
    assert found.uncounted == ()
    return found


def block(tokens: int, width: int = WIDTH, feed: int = 64) -> int:
    """Four projections, attention, and two matrices of a feed-forward part."""
    return tokens * (4 * width * width + 2 * tokens * width + 2 * width * feed)


def test_a_spectrum_has_the_documented_layout() -> None:
    """1,024 frames of 128 bins are 101 × 12 patches of 16², ten apart, and two tokens more."""
    found = traced(f"audio-spectrogram-transformer?{SMALL}")
    assert found.macs == 101 * 12 * 16 * 16 * WIDTH + block(101 * 12 + 2)


def test_a_tower_takes_patches_of_images_and_their_grid() -> None:
    """224² pixels are 14² patches of 2 · 3 · 16² values, of which four become a vector of 48."""
    options = f"hidden_size={WIDTH}&depth=1&num_heads=2&intermediate_size=64&out_hidden_size=48"
    found = traced(f"qwen3_vl_vision?{options}")
    assert found.samples == 1
    assert found.macs == 196 * 1536 * WIDTH + block(196) + 49 * (128 * 128 + 128 * 48)


def test_an_argument_that_is_documented_as_optional_is_found_to_be_needed() -> None:
    assert traced("bros?num_hidden_layers=1").macs > block(128, 768, 3072)  # which asks for the boxes of words


def test_codes_of_sound_have_a_row_for_each_codebook() -> None:
    sizes = "hidden_size=32&num_hidden_layers=1&num_attention_heads=2&ffn_dim=64"
    assert traced(f"musicgen_decoder?{sizes}").macs == block(128)


def test_a_part_has_the_values_that_the_whole_model_gives_it() -> None:
    assert traced("glm4v_text?num_hidden_layers=1").macs > 10**9


def test_a_part_takes_what_the_whole_model_gives_it() -> None:
    """Five tokens (four masks and their quality) attend to 64² places of the image, twice, and these once to them."""
    tokens, places, width, inner = 5, 64**2, 256, 128
    there = 2 * tokens * width * inner + 2 * places * width * inner + 2 * tokens * places * inner
    back = 2 * places * width * inner + 2 * tokens * width * inner + 2 * tokens * places * inner
    upscaled = places * width * 64 * 4 + 4 * places * 64 * 32 * 4
    masks = 4 * (2 * width * width + width * 32 + 32 * 16 * places) + 2 * width * width + width * 4
    found = traced("sam_mask_decoder?num_hidden_layers=1")
    assert found.samples == 1
    assert found.macs == block(tokens, width, 2048) + 2 * there + back + upscaled + masks


def test_a_hybrid_without_attention_layers_runs_without_a_cache() -> None:
    options = "hidden_size=64&num_hidden_layers=1&mamba_n_heads=8&mamba_d_head=16&intermediate_size=64&vocab_size=100"
    found = traced(f"bamba?{options}")
    assert sum(op.macs for op in found.ops if op.name.startswith("lm_head")) == 128 * 64 * 100


def test_arguments_have_the_documented_dtype() -> None:
    """States of 17, actions of 4 and one return for each of 128 times are three tokens; times are looked up."""
    ends = 128 * (17 + 4 + 1) * 128
    assert traced("decision_transformer").macs == 2 * ends + 3 * block(3 * 128, 128, 512)


def test_a_tower_takes_packed_patches_and_how_many_there_are_each_way() -> None:
    """Of 196 patches of 768 values, a vector is made by one query of all."""
    head = 2 * WIDTH * WIDTH + 196 * 2 * WIDTH * WIDTH + 2 * 196 * WIDTH + 2 * WIDTH * 64
    assert traced(f"siglip2_vision_model?{SMALL}").macs == 196 * 768 * WIDTH + block(196) + head


def test_a_tower_takes_a_multiple_of_the_patches_that_are_pooled() -> None:
    assert traced("gemma4_vision?num_hidden_layers=1").input_shape == (12 * 12, 3 * 16 * 16)


def test_a_tower_takes_how_many_patches_are_merged_later() -> None:
    assert traced(f"video_llama_3_vision?{SMALL}").macs == 196 * 768 * WIDTH + block(196)


def test_vectors_are_as_wide_as_the_layer_takes_that_reads_them() -> None:
    """A patch has 768 values and its row and column."""
    options = SMALL.replace("intermediate_size", "d_ff") + "&d_kv=16"
    found = traced(f"pix2struct_vision_model?{options}")
    assert found.input_shape == (128, 770)
    assert found.macs == 128 * 768 * WIDTH + block(128) + 128 * WIDTH * 64  # the feed-forward part is gated


def test_a_series_is_as_long_as_the_model_reads() -> None:
    found = traced("patchtsmixer?context_length=40&patch_length=8&patch_stride=4")
    assert found.input_shape == (40, 1)


def test_as_much_of_a_head_rotates_as_the_sections_state() -> None:
    """32 heads of 128, of which 64 rotate, and two of keys; a gated feed-forward part."""
    layer = 128 * (4096 * 128 * (2 * 32 + 2 * 2) + 2 * 128 * 4096 + 3 * 4096 * 13696)
    assert traced("glm_image_text?num_hidden_layers=1").macs == layer


def test_there_are_as_many_heads_of_keys_as_of_queries_where_none_are_stated() -> None:
    """The feed-forward part has two matrices."""
    assert traced(f"nemotron?{SMALL}&head_dim=16&vocab_size=100").macs == block(128) + 128 * WIDTH * 100


def test_a_codec_reads_the_strides_of_its_convolutions() -> None:
    """Convolutions as torch counts them in a real run; and four LSTM layers of 32 over 75 steps of a second."""
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig(num_filters=2, hidden_size=32)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 1, 24_000))
    recurrent = 4 * 75 * 4 * 32 * (32 + 32)
    assert 2 * traced("encodec?num_filters=2&hidden_size=32").macs == counter.get_total_flops() + 2 * recurrent


@pytest.mark.parametrize(("model", "code"), [("esm", "config-needed"), ("layoutxlm", "unknown-model")])
def test_what_no_default_makes_is_refused_by_name(model: str, code: str) -> None:
    with pytest.raises(InputError) as raised:
        traced(model)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("model", "code", "text"),
    [
        ("deepseek_v2", "config-needed", "hf:deepseek_v2 has no value for num_experts_per_tok"),
        ("musicgen_melody", "not-buildable", "count hf:musicgen_melody_decoder"),
        ("bert?hidden_size=7", "not-buildable", "not a multiple of the number of attention heads (12)). State them"),
        ("sam2_video", "not-traceable", "return it with its arguments from a factory"),
        ("nllb-moe", "needs-values", "--real runs it"),
    ],
)
def test_a_refusal_says_why_and_the_way_out(model: str, code: str, text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)) as raised:
        traced(model)
    assert raised.value.code == code
    assert "Error" not in raised.value.message
    assert raised.value.message.count(". ") < 2


def test_a_tower_without_axes_of_positions_takes_none() -> None:
    """Images are read, and their vectors take the places of tokens in the text."""
    options = "num_hidden_layers=1&vision_config.num_hidden_layers=1"
    found = traced(f"video_llama_3?{options}")
    assert found.samples == 1
    assert {name.partition(".")[0] for name in (op.name for op in found.ops if op.macs)} >= {"vision_model"}


def test_numbers_of_small_buffers_have_their_values() -> None:
    """Of five blocks the last four also hold 200 queries, and masks are made while the buffer of shares is not zero."""
    sizes = "hidden_size=64&num_hidden_layers=5&num_attention_heads=2&image_size=128"
    found = traced(f"eomt?{sizes}")
    attention = 2 * 64 * (69**2 + 4 * 269**2)
    assert sum(op.count * op.macs for op in found.ops if op.kind == "attention") == attention


class ByPositions(torch.nn.Module):
    """A layer for as many rows as positions and ids say, too large to run on real weights."""

    def __init__(self) -> None:
        super().__init__()
        self.large = torch.nn.Linear(1 << 14, 1 << 13, bias=False, device="meta")

    def forward(self, rows: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Use the values of what is made of positions, and of the ids."""
        last = torch.arange(ids.shape[1], device=ids.device).max().item()
        rows = rows[:, : int(last) + 1]
        return self.large(rows[ids == 0])


def test_values_of_positions_and_inputs_are_known_where_weights_are_too_large() -> None:
    rows, ids = torch.empty(2, 9, 1 << 14, device="meta"), torch.empty(2, 8, dtype=torch.int64, device="meta")
    module = ByPositions()
    trace = batches.run(Built(module, (rows[:, :8], ids), {}, 2, ""), ModelRequest(""))
    assert sum(op.macs for op in trace.ops) == 16 << 27
    assert trace.assumes


def test_a_spectrum_next_to_a_wave_is_of_the_same_sound() -> None:
    """A second of 16,000 samples, of which 320 are a step, is 50 steps for both encoders."""
    found = traced("xcodec2")
    assert {op.output_shape for op in found.ops if op.name.endswith("intermediate_dense:addmm")} == {(50, 4096)}


def test_large_values_of_positions_are_not_computed() -> None:
    """All pairs of 2,000 points, of which no shape follows, would take seconds in a trace that keeps values."""
    points = torch.zeros(2000, 1), torch.zeros(1, 2000)
    assert stand_ins.is_large(points)
    assert not stand_ins.is_large(points[:1])
    assert not stand_ins.is_large((torch.zeros(20, 1), torch.zeros(1, 20)))


class Strided(torch.nn.Module):
    """A layer that reads as many rows as an integer of its own says, and is too large to run on real weights."""

    def __init__(self) -> None:
        super().__init__()
        self.large = torch.nn.Linear(1 << 14, 1 << 13, bias=False)
        self.register_buffer("stride", torch.tensor(4))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Use each fourth row."""
        return self.large(rows[:, :: int(self.stride)])


def test_integers_of_a_module_have_their_values() -> None:
    module = build_module(Strided, "strided")
    built = Built(module, (torch.empty(2, 8, 1 << 14, device="meta"),), {}, 2, "")
    assert sum(op.macs for op in batches.run(built, ModelRequest("")).ops) == 4 << 27
