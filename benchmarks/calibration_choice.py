"""Which twelve networks should calibrate a device? Random ones, or those that tell most of its three factors?

Each device is held out of a fit to the others, and its factors are fitted to twelve rows of its table: random ones, the
D-optimal ones (those that make the determinant of the information of compute, memory and overhead largest), and the
D-optimal ones among 30 random rows. Prints the mean error of the whole table.
Tables of one device tell what timings cost where the parameters were fitted to it, so that no factor has anything to
correct: errors of the families that were not timed, of networks and of small ones of one kind of layer, by runtime.
Usage: python benchmarks/calibration_choice.py TABLE TABLE [TABLE ...]     of one runtime, on two or more devices
       python benchmarks/calibration_choice.py TABLE                       of any runtimes, on one device
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
COUNTS = (7, 12, 40)
"""Random timings of networks where there is nothing to correct."""


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


def at_home(name: str, table: Problem) -> None:
    """Print the errors of a fitted device in a runtime: as it is, and calibrated by random timings of networks."""
    runtime = parameters().runtimes[name]
    free = free_factors(table.hardware.label, runtime, table.hardware.architecture, table.hardware.kind)
    families = np.array(table.families)
    small = np.array([family.startswith("layers:") for family in table.families])
    draws, lines = np.random.default_rng(0), [("-", [off(runtime, table, small, families == "")])]
    for count in COUNTS:
        off_by = []
        for _ in range(fit.REPEATS):
            timed = np.isin(np.arange(len(small)), draws.choice(np.flatnonzero(~small), count, replace=False))
            own = fitted(runtime, free, [selected(table, timed)])
            off_by.append(off(own, table, small, np.isin(families, families[timed])))
        lines.append((str(count), off_by))
    for timings, off_by in lines:
        networks, layers = np.mean(off_by, axis=0)
        print(f"{name:<18}{timings:>8}{networks:>10.1%}{max(each[0] for each in off_by):>8.1%}{layers:>14.1%}")


def off(runtime: Runtime, table: Problem, small: Any, timed: Any) -> tuple[float, float]:
    """Return the mean errors of networks and of small ones whose families were not timed."""
    errors = np.abs(predicted(table, runtime) / table.times - 1)
    return float(errors[~small & ~timed].mean()), float(errors[small & ~timed].mean())


def main(paths: Sequence[str]) -> None:
    """Print the table."""
    by_runtime, _ = rows.cases(tables.read(paths))
    if len({case.device.label for usable in by_runtime.values() for case in usable}) == 1:
        print(f"{'runtime':<18}{'timings':>8}{'networks':>10}{'worst':>8}{'small ones':>14}")
        for name, usable in by_runtime.items():
            at_home(name, fit._problems(usable)[0])
        return
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
