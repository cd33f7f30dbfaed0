"""Simulate how often the verdicts of `hwbench compare` on saved runs are right: more trials than the tests run.

Figures of docs/comparing.md. Everything is seeded: two starts print the same.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir))

from tests.study import test_runs as simulated

TRIALS, FEWER = 2000, 600
KERNELS = 8
WORST = (0.0175, 0.03)
QUIET = (0.005, 0.015)
"""Spread between processes and within them: the largest on the machine of docs/comparing.md, and the median."""


def main() -> None:
    """Print the share of trials in which each thing happens."""
    alike = [simulated._compared(seed, 1.0).metrics[0] for seed in range(TRIALS)]
    report("A/A: significantly different", [metric.p_equal < 0.05 for metric in alike])
    report("A/A: faster or slower", [metric.verdict in ("faster", "slower") for metric in alike])
    many = [simulated._compared(seed, 1.0, KERNELS) for seed in range(FEWER)]
    report(f"A/A: any of {KERNELS} kernels different", [any(m.p_equal < 0.05 for m in run.metrics) for run in many])
    report("a difference of 5 % is found", detected(1.05, TRIALS, 1))
    report(f"a difference of 5 % is found in each of {KERNELS} kernels", detected(1.05, FEWER, KERNELS))
    ends = [simulated._compared(5000 + seed, 1.2).metrics[0].interval for seed in range(TRIALS)]
    report("the interval contains the truth", [low <= 1.2 <= high for low, high in ends])
    margin = [simulated._compared(9000 + seed, 1.03).metrics[0].verdict for seed in range(TRIALS)]
    report("a difference of the margin is called equivalent", [verdict == "equivalent" for verdict in margin])
    for name, noise in (("median", QUIET), ("worst", WORST)):
        simulated.BETWEEN, simulated.WITHIN = noise
        report(f"at the {name} noise a difference of 5 % is found", detected(1.05, FEWER, 1))


def detected(scale: float, trials: int, kernels: int) -> list[bool]:
    """Return whether each kernel of each trial is called faster."""
    runs = [simulated._compared(1000 + seed, scale, kernels) for seed in range(trials)]
    return [metric.verdict == "faster" for run in runs for metric in run.metrics]


def report(what: str, happened: list[bool]) -> None:
    """Print a line: what happens, in how many of 100 cases, of how many."""
    print(f"{what:60}{100 * sum(happened) / len(happened):6.1f} %  of {len(happened):,}", flush=True)


if __name__ == "__main__":
    main()
