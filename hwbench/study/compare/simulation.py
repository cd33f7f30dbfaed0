"""Simulated runs of a known ratio: how often the verdicts of `compare_runs` are wrong.

Rates have a level for each process and samples that are only ever slower than it, as interference makes them.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from hwbench.measure.record import Measurement, Record, Sample
from hwbench.study.compare.runs import RunComparison, compare_runs

PROCESSES, SAMPLES = 5, 9
WORK = 1e9
RATE = 1e11


class Noise(Struct, frozen=True):
    """Spread between and within processes, as shares.

    The defaults are at or above what a busy machine showed (docs/explanation/comparing.md).
    """

    between: float = 0.01
    within: float = 0.015


DEFAULT_NOISE = Noise()


def compare_simulated(
    seed: int,
    scale: float,
    kernels: int = 1,
    noise: Noise = DEFAULT_NOISE,
    *,
    turns: str | None = "turns",
    processes: int = PROCESSES,
) -> RunComparison:
    """Return the comparison of two simulated runs, of which the second is `scale` times as fast.

    `turns` is what runs in turns have in common, None for runs one after the other.
    """
    random = np.random.default_rng(seed)
    a, b = ([noisy_rates(random, factor, noise, processes) for _ in range(kernels)] for factor in (1.0, scale))
    return compare_runs(record("a", a, turns), record("b", b, turns))


def noisy_rates(
    random: np.random.Generator, scale: float, noise: Noise, processes: int = PROCESSES
) -> NDArray[np.float64]:
    """Return rates in FLOP/s of [processes, samples]."""
    level = random.normal(0, noise.between, (processes, 1))
    rates: NDArray[np.float64] = scale * RATE * np.exp(level - random.exponential(noise.within, (processes, SAMPLES)))
    return rates


def record(name: str, kernels: Sequence[NDArray[np.float64]], turns: str | None = None) -> Record:
    """Return a run whose kernels have these rates of [processes, samples]."""
    measurements = tuple(
        Measurement(
            kernel="matmul",
            variant=f"v{number}",
            unit="FLOP/s",
            work=WORK,
            samples=tuple(
                Sample(wall_s=WORK / rate, repetitions=1, cpu_s=WORK / rate, process=process)
                for process, row in enumerate(rates.tolist())
                for rate in row
            ),
            dtype="fp32",
            size="512x512x512",
            timer="cpu",
        )
        for number, rates in enumerate(kernels)
    )
    created, processes = "2026-11-24T08:00:00Z", max(map(len, kernels))
    return Record(name, created, "0", ("bench",), {}, {}, {}, measurements, (), processes, turns=turns)
