"""What would make a language model faster on a device: changes tried by the model of its time."""

from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from hwbench.predict.language.memory import LADDER
from hwbench.predict.language.phases import Phase, Scenario, Stage, generation_phase
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.tensors import LanguageModel

MIN_GAIN = 1.05
"""Gain from which a change is worth a word."""
MORE_SEQUENCES, SMALLER_CACHE = 8, "q8_0"


class LanguageGain(Struct, frozen=True):
    """A change (`weights`, `kv_dtype`, `batch`; `bandwidth` and `compute` of the device) to a `value`.

    `gain` is the generated tokens a second of all sequences with it over those without.
    """

    change: str
    value: str
    gain: float


def gains(stage: Stage, scenario: Scenario, other: Callable[[str], LanguageModel] | None) -> tuple[LanguageGain, ...]:
    """Return the changes that raise the rate of the generation, the largest gain first."""
    now = _generation(stage, scenario).tokens_per_s
    tried = [
        LanguageGain(*name, _generation(*how).tokens_per_s / now) for name, how in _changes(stage, scenario, other)
    ]
    return tuple(sorted((each for each in tried if each.gain >= MIN_GAIN), key=lambda each: -each.gain))


def _changes(
    stage: Stage, scenario: Scenario, other: Callable[[str], LanguageModel] | None
) -> Iterator[tuple[tuple[str, str], tuple[Stage, Scenario]]]:
    device, batch = stage.device, MORE_SEQUENCES * scenario.batch
    if other is not None and (smaller := _smaller(stage.model, other)):
        yield ("weights", smaller.weights), (replace(stage, model=smaller), scenario)
    if scenario.kv_dtype != SMALLER_CACHE:
        yield ("kv_dtype", SMALLER_CACHE), (stage, replace(scenario, kv_dtype=SMALLER_CACHE))
    yield ("batch", str(batch)), (stage, replace(scenario, batch=batch))
    yield ("bandwidth", "2"), (replace(stage, device=replace(device, bandwidth=2 * device.bandwidth)), scenario)
    fast = replace(device, cycles=2 * device.cycles, rate=2 * device.rate)
    yield ("compute", "2"), (replace(stage, device=fast), scenario)


def _smaller(model: LanguageModel, other: Callable[[str], LanguageModel]) -> LanguageModel | None:
    """Return a model in the next format that is a tenth smaller."""
    return next((each for each in map(other, LADDER) if each.size < 0.9 * model.size), None)


def _generation(stage: Stage, scenario: Scenario) -> Phase:
    cache = block_format(scenario.kv_dtype)
    return generation_phase(stage, scenario.generate, scenario.batch, scenario.prompt, cache, scenario.fused_attention)
