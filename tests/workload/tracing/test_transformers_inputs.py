"""Arguments of models of transformers that their documentation describes: sound, patches, parts of larger models.

Skipped where torch or transformers is not installed.
"""

import pytest

from hwbench.errors import InputError
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hwbench.workload.tracing import batches, sources  # noqa: E402
from hwbench.workload.tracing.build import Built  # noqa: E402

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


@pytest.mark.parametrize(("model", "code"), [("esm", "config-needed"), ("layoutxlm", "unknown-model")])
def test_what_no_default_makes_is_refused_by_name(model: str, code: str) -> None:
    with pytest.raises(InputError) as raised:
        traced(model)
    assert raised.value.code == code


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
