"""Which runtime is fastest, and why: what the engines' own profiles say of the time of layers."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from hwbench.measure.engines.base import EngineLayer
from hwbench.study.inference import Inference

PRODUCTS = re.compile(r"conv(?!ert)|matmul|gemm|mm$|fullyconnected|(^|:|_)linear|attention|lstm|gru|rnn|einsum")
"""Kinds of layers, in small letters, that multiply matrices; engines' names differ."""
PartName = Literal["products", "layers", "between"]
PARTS: tuple[PartName, ...] = ("products", "layers", "between")
MIN_SHARE = 0.1
"""Of the difference of two times: a part below it is no reason."""


class Part(Struct, frozen=True):
    """A part of an inference in two runs: seconds and layers of the fastest run, and of its baseline.

    `products` are layers that multiply matrices, `layers` the others, `between` is the time outside of layers.
    """

    part: PartName
    time_s: float
    baseline_time_s: float
    layers: int = 0
    baseline_layers: int = 0

    @property
    def saved_s(self) -> float:
        """The seconds by which the fastest run is shorter here."""
        return self.baseline_time_s - self.time_s


class FastestRun(Struct, frozen=True):
    """The fastest run at one batch, next to the first other one that was asked for.

    `parts` are those that make it faster, the largest first; empty where an engine has no profile. `tied` are the
    runtimes at dtypes whose intervals overlap with it.
    """

    batch: int
    runtime: str
    dtype: str
    precision: str
    time_s: float
    baseline: str
    baseline_dtype: str
    baseline_precision: str
    baseline_time_s: float
    ratio: float
    parts: tuple[Part, ...] = ()
    tied: tuple[str, ...] = ()


Profiles = Mapping[tuple[str, str, int], Sequence[EngineLayer]]
"""The layers of runs by runtime, dtype and batch."""


def contenders(runs: Sequence[Inference]) -> list[tuple[Inference, Inference]]:
    """Return for each batch the fastest run, and the first other one; batches with one run are left out."""
    batches: dict[int, list[Inference]] = {}
    for run in runs:
        batches.setdefault(run.batch, []).append(run)
    fastest = [min(rows, key=lambda run: run.time_s) for rows in batches.values() if len(rows) > 1]
    return [(best, next(run for run in batches[best.batch] if run is not best)) for best in fastest]


def fastest(runs: Sequence[Inference], profiles: Profiles) -> tuple[FastestRun, ...]:
    """Return the fastest run of each batch with the reasons."""
    return tuple(_compared(best, other, runs, profiles) for best, other in contenders(runs))


def _compared(best: Inference, other: Inference, runs: Sequence[Inference], profiles: Profiles) -> FastestRun:
    layers = [profiles.get((run.runtime, run.dtype, run.batch), ()) for run in (best, other)]
    ties = [
        run for run in runs if run.batch == best.batch and run is not best and run.interval_s[0] <= best.interval_s[1]
    ]
    return FastestRun(
        batch=best.batch,
        runtime=best.runtime,
        dtype=best.dtype,
        precision=best.precision or best.dtype,
        time_s=best.time_s,
        baseline=other.runtime,
        baseline_dtype=other.dtype,
        baseline_precision=other.precision or other.dtype,
        baseline_time_s=other.time_s,
        ratio=other.time_s / best.time_s,
        parts=_parts(best.time_s, other.time_s, *layers) if all(layers) else (),
        tied=tuple(f"{run.runtime} in {run.dtype}" for run in ties),
    )


def _parts(
    time_s: float, baseline_s: float, ours: Sequence[EngineLayer], theirs: Sequence[EngineLayer]
) -> tuple[Part, ...]:
    """Return the parts that make up the difference, those that save most first."""
    here, there = _sums(time_s, ours), _sums(baseline_s, theirs)
    parts = [Part(part, here[part][0], there[part][0], here[part][1], there[part][1]) for part in PARTS]
    least = MIN_SHARE * (baseline_s - time_s)
    return tuple(sorted((part for part in parts if part.saved_s > least), key=lambda part: -part.saved_s))


def _sums(time_s: float, layers: Sequence[EngineLayer]) -> dict[PartName, tuple[float, int]]:
    """Return seconds and layers of each part; a profile of more than the whole time is scaled down to it."""
    every = sum(layer.time_s for layer in layers)
    scale = min(1.0, time_s / every) if every else 1.0
    products = [layer.time_s for layer in layers if PRODUCTS.search(layer.kind.lower())]
    inside = scale * sum(products)
    return {
        "products": (inside, len(products)),
        "layers": (scale * every - inside, len(layers) - len(products)),
        "between": (time_s - scale * every, 0),
    }
