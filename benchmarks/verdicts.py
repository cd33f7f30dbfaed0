"""How often the verdicts of `hwbench compare` on saved runs are right, by seeded simulation.

Figures of docs/explanation/comparing.md: two starts print the same.
"""

from hwbench.study.compare.runs import Metric
from hwbench.study.compare.simulation import DEFAULT_NOISE, Noise, compare_simulated

TRIALS, FEWER = 2000, 600
KERNELS = 8
NOISES = {"median": Noise(0.005, 0.015), "worst": Noise(0.0175, 0.03)}
"""What the machine of docs/explanation/comparing.md showed: in the median, and at worst."""


def main() -> None:
    """Print the share of trials in which each thing happens."""
    alike = [compare_simulated(seed, 1.0).metrics[0] for seed in range(TRIALS)]
    show("A/A: significantly different", [metric.p_equal < 0.05 for metric in alike])
    show("A/A: faster or slower", list(map(differs, alike)))
    many = [compare_simulated(20_000 + seed, 1.0, KERNELS) for seed in range(TRIALS)]
    show(f"A/A: any of {KERNELS} kernels different", [any(m.p_equal < 0.05 for m in each.metrics) for each in many])
    show("a difference of 5 % is found", called_faster(1.05, TRIALS, 1))
    show(f"a difference of 5 % is found in each of {KERNELS} kernels", called_faster(1.05, FEWER, KERNELS))
    ends = [compare_simulated(5000 + seed, 1.2).metrics[0].interval for seed in range(TRIALS)]
    show("the interval holds the truth", [low <= 1.2 <= high for low, high in ends])
    margin = [compare_simulated(9000 + seed, 1.03).metrics[0].verdict for seed in range(TRIALS)]
    show("a difference of the margin is called equivalent", [verdict == "equivalent" for verdict in margin])
    for name, noise in NOISES.items():
        show(f"at the {name} noise a difference of 5 % is found", called_faster(1.05, FEWER, 1, noise))

    for drift in (0.05, 0.08):
        apart = [compare_simulated(seed, 1 + drift, turns=None).metrics[0] for seed in range(TRIALS)]
        show(f"A/A, not in turns, a drift of {100 * drift:g} %: faster or slower", list(map(differs, apart)))
    for processes in (1, 2, 5):
        noisy = [compare_simulated(n, 1.0, 1, Noise(0.04), processes=processes).metrics[0] for n in range(TRIALS)]
        show(f"A/A, 4 % between processes, of which {processes}: faster or slower", list(map(differs, noisy)))


def differs(metric: Metric) -> bool:
    """Return whether a kernel is called faster or slower."""
    return metric.verdict in ("faster", "slower")


def called_faster(scale: float, trials: int, kernels: int, noise: Noise = DEFAULT_NOISE) -> list[bool]:
    """Return whether each kernel of each trial is called faster."""
    runs = [compare_simulated(1000 + seed, scale, kernels, noise) for seed in range(trials)]
    return [metric.verdict == "faster" for run in runs for metric in run.metrics]


def show(what: str, happened: list[bool]) -> None:
    """Print what happens, in how many of 100 cases, of how many."""
    print(f"{what:64}{100 * sum(happened) / len(happened):6.1f} %  of {len(happened):,}", flush=True)


if __name__ == "__main__":
    main()
