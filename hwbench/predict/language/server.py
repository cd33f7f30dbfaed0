"""Servers that batch continuously (vLLM and the like) in their steady state: a plain model that nothing was fitted to.

A step computes the next token of every running sequence, and in what is left of BUDGET tokens a piece of a waiting
prompt. A sequence that ends is replaced at once, so that prompts are read as fast as sequences end.
"""

import math
from collections.abc import Iterator

from msgspec.structs import replace

from hwbench.predict.language.model import Parts, prompt_time
from hwbench.predict.language.parameters import UNFITTED
from hwbench.predict.language.phases import Phase, Scenario, Stage, phase_of
from hwbench.workload.language.formats import BlockFormat, block_format
from hwbench.workload.language.work import StepWork, mixed_step, weighted

BUDGET = 2048
"""Tokens of a step: vLLM's default with chunked prefill."""


def server_phases(stage: Stage, scenario: Scenario) -> Iterator[Phase]:
    """Yield the prompt of one request and its generation, while `scenario.batch` requests are always under way.

    Where prompts and tokens are more than steps hold, requests wait for others to end: that is part of the prompt.
    """
    cache, prompt, generate = block_format(scenario.kv_dtype), scenario.prompt, scenario.generate
    running = min(float(scenario.batch), BUDGET * generate / (generate + prompt))
    flow = running * prompt / generate if generate else float(min(scenario.batch * prompt, BUDGET))
    piece = max(min(float(prompt), BUDGET - running), flow)
    share = flow / piece if piece else 0.0
    full = _step(stage, scenario, running, piece, cache)
    bare = _step(stage, scenario, running, 0.0, cache) if running else full
    mean = weighted(((bare[0], 1.0 - share), (full[0], share)))
    spent = Parts(*(
        (1.0 - share) * getattr(bare[1], name) + share * getattr(full[1], name) for name in Parts.__struct_fields__
    ))  # fmt: skip
    if prompt:
        steps = float(math.ceil(prompt / piece))
        if running:  # requests that wait for their turn do so for as long as others take to end
            steps = max(steps, (scenario.batch - running) * generate / running * spent.total / full[1].total)
        else:
            steps = max(steps, scenario.batch * prompt / piece)
        phase = phase_of("prompt", full[0], steps, full[1], "prompt", UNFITTED, stage)
        yield replace(phase, tokens_per_s=flow / (spent.total if running else full[1].total))
    if generate:
        phase = phase_of("generation", mean, generate, spent, "batched", UNFITTED, stage)
        yield replace(phase, tokens_per_s=running * generate / phase.expected_time_s)


def _step(stage: Stage, scenario: Scenario, running: float, piece: float, cache: BlockFormat) -> tuple[StepWork, Parts]:
    """Return a step of so many sequences at their mean context with a piece of a prompt, and its time."""
    prompt, context = scenario.prompt, scenario.prompt + scenario.generate / 2
    step = mixed_step(stage.model, running, context, piece, prompt, cache)
    parts = stage.spend(prompt_time, step, fused_attention=True)
    cached = step.cache_bytes / (stage.known.fused_cache * stage.device.bandwidth)
    return step, replace(parts, cache=cached / (1 if stage.link is None else stage.devices))
