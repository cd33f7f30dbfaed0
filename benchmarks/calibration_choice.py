"""Which twelve networks should calibrate a device? Random ones, or those that tell most of its three factors?

Each device is held out of a fit to the others, and its factors are fitted to twelve rows of its table: random ones, the
D-optimal ones (those that make the determinant of the information of compute, memory and overhead largest), and the
D-optimal ones among 30 random rows. Prints the mean error of the whole table.
Usage: python benchmarks/calibration_choice.py TABLE TABLE [TABLE ...]     of one runtime, on two or more devices
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwbench.predict.data import tables
from hwbench.predict.fitting import cases as rows
from hwbench.predict.fitting import fit
from hwbench.predict.fitting.device_factors import free_factors
from hwbench.predict.fitting.problem import Free, Problem, fitted, predicted, selected, with_values
from hwbench.predict.model.parameters import Runtime, parameters

ERROR = 0.15
"""Deviation of the logarithm of a row's error."""
AMONG, STEP = 30, 1e-4


def sensitivities(runtime: Runtime, free: Sequence[Free], table: Problem) -> Any:
    """Return by how much the logarithm of each row's time grows with that of each factor."""
    values = np.array([each.prior for each in free])
    before = np.log(predicted(table, with_values(runtime, free, values)))
    moved = [values * np.exp(STEP * (np.arange(len(free)) == k)) for k in range(len(free))]
    return np.stack([np.log(predicted(table, with_values(runtime, free, each))) - before for each in moved], 1) / STEP


def optimal(slopes: Any, free: Sequence[Free], among: Sequence[int]) -> list[int]:
    """Return the rows that, one after the other, add most to the determinant of the information."""
    information, chosen = np.diag([each.deviation**-2 for each in free]), []
    for _ in range(fit.TIMINGS):
        gains = {row: slopes[row] @ np.linalg.solve(information, slopes[row]) for row in among if row not in chosen}
        chosen.append(max(gains, key=gains.__getitem__))
        information = information + np.outer(slopes[chosen[-1]], slopes[chosen[-1]]) / ERROR**2
    return chosen


def error(runtime: Runtime, free: Sequence[Free], table: Problem, chosen: Sequence[int]) -> float:
    """Return the mean error of a table whose device was calibrated by the chosen rows."""
    own = fitted(runtime, free, [selected(table, np.isin(np.arange(len(table.times)), chosen))])
    return float(np.abs(predicted(table, own) / table.times - 1).mean())


def main(paths: Sequence[str]) -> None:
    """Print the table."""
    by_runtime, _ = rows.cases(tables.read(paths))
    [(name, usable)] = by_runtime.items()
    full, problems = parameters().runtimes[name], fit._problems(usable)
    shared = fit.priors.free(name, fit.priors.START[name])
    own = [each for table in problems for each in free_factors(table.hardware.label, full)]
    print(
        f"{'device':<42}{'random: mean':>14}{'worst':>8}{'D-optimal':>12}{f'of {AMONG} random: mean':>22}{'worst':>8}"
    )
    for table in problems:
        others = [each for each in problems if each.hardware.label != table.hardware.label]
        other = fit._with_expected(fit._refitted(full, (*shared, *own), others), others)
        free = free_factors(table.hardware.label, other, table.hardware.architecture, table.hardware.kind)
        slopes, draws = sensitivities(other, free, table), np.random.default_rng(0)
        count = len(table.times)
        drawn = [draws.choice(count, fit.TIMINGS, replace=False) for _ in range(fit.REPEATS)]
        pools = [draws.choice(count, AMONG, replace=False).tolist() for _ in range(fit.REPEATS)]
        blind = [error(other, free, table, each) for each in drawn]
        picked = [error(other, free, table, optimal(slopes, free, pool)) for pool in pools]
        best = error(other, free, table, optimal(slopes, free, range(count)))
        print(
            f"{table.name:<42}{np.mean(blind):>14.1%}{max(blind):>8.1%}{best:>12.1%}{np.mean(picked):>22.1%}"
            f"{max(picked):>8.1%}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
