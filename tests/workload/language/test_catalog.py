"""Language models of the catalog: their parameters are those that publishers state, and those of transformers."""

import math
from functools import cache

import pytest

from hwbench.errors import InputError
from hwbench.workload.language import catalog, is_language_model, language_model
from hwbench.workload.language.catalog import ModelCard

SCALES = {"K": 3, "M": 6, "B": 9, "T": 12}


@cache
def cards() -> dict[str, ModelCard]:
    return catalog.cards()


PUBLISHED = [name for name, card in catalog.cards().items() if card.published]


def test_there_are_many() -> None:
    assert len(cards()) >= 60


def tolerance(text: str) -> tuple[float, float]:
    """Return a printed number of parameters, and half of its last digit."""
    digits = text.replace(",", "").strip("KMBT ")
    power = SCALES.get(text[-1], 0)
    places = len(digits.partition(".")[2])
    return float(digits) * 10**power, 0.5 * 10 ** (power - places) if text[-1] in SCALES else 0.0


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    published = cards()[name].published
    assert published is not None
    model = language_model(name)
    count = model.params
    if not published.embedding and model.embedding:
        count -= model.embedding.count
    stated, half = tolerance(published.params)
    assert abs(count - stated) <= half


@pytest.mark.parametrize("name", list(catalog.cards()))
def test_blocks_add_up(name: str) -> None:
    model = language_model(name, "f16")
    assert model.active_params <= model.params
    assert len(model.layers) == cards()[name].blocks.layers
    assert 2 * model.params <= model.size < 2.02 * model.params


@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B", "LLAMA 3.1 8b", "llama3.1-8b"])
def test_names_of_the_hub_are_aliases(name: str) -> None:
    assert language_model(name).name == "llama3.1-8b"


def test_aliases_mean_one_file() -> None:
    from hwbench.files import folders

    assert list(folders.lint_names(catalog.KIND)) == []


def test_names_of_networks_are_not_language_models() -> None:
    assert not is_language_model("alexnet")
    assert is_language_model("llama3-8b")


def test_unknown_names_have_neighbours() -> None:
    with pytest.raises(InputError) as caught:
        language_model("llama3-9b")
    assert "llama3-8b" in caught.value.nearest


EXPERTS = [("mixtral-8x7b", 8, 2), ("deepseek-v3", 256, 8), ("gpt-oss-20b", 32, 4)]


@pytest.mark.parametrize(("name", "count", "used"), EXPERTS)
def test_experts_used_by_many_tokens(name: str, count: int, used: int) -> None:
    model = language_model(name)
    expert = next(tensor for tensor in model.tensors if tensor.experts == count)
    assert model.used_share(expert) == pytest.approx(used / count)
    assert model.used_share(expert, 2) == pytest.approx(1 - (1 - used / count) ** 2)
    assert model.used_share(expert, 10_000) == pytest.approx(1.0)


def test_cache_of_a_token() -> None:
    llama, deepseek = language_model("llama3-8b"), language_model("deepseek-v3")
    assert sum(layer.cached for layer in llama.layers) == 32 * 2 * 8 * 128
    assert sum(layer.cached for layer in deepseek.layers) == 61 * (512 + 64)


def test_windows_and_states() -> None:
    gemma = language_model("gemma3-4b")
    assert [index for index, layer in enumerate(gemma.layers) if layer.window is None] == [5, 11, 17, 23, 29]
    hybrid = language_model("qwen3-next-80b-a3b")
    assert [index for index, layer in enumerate(hybrid.layers) if layer.cached] == list(range(3, 48, 4))
    assert hybrid.layers[0].state > 0
    assert math.isclose(gemma.layers[0].tokens(4096), 1024)
