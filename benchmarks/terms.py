"""What each term of the time model is worth: errors of forecasts as they are, and with the term taken out.

    python benchmarks/terms.py results/measured/epyc-9r14/times.csv
    python benchmarks/terms.py torch-eager-cuda TABLE.csv ...   # of one runtime

The other parameters stay as they were fitted. A fit without the term would make up for a part of it, so that the
difference is the most that leaving the term out costs.
"""

import sys
from typing import Any

import numpy as np
from msgspec.structs import replace

from hwbench.predict.data import tables
from hwbench.predict.data.tables import Defaults
from hwbench.predict.fitting.cases import cases
from hwbench.predict.fitting.problem import predicted, problem
from hwbench.predict.model.parameters import PartFactors, Runtime, parameters

NONE, ALL = 1e-18, 1e18
"""As little of a term as no term, and a rate that takes no time."""
MOVED = 0.05
"""Share by which a forecast must change to be one that a term concerns."""
GPU = {
    "shares of the peak that kernels reach": {"compute": 1.0},
    "shares of the bandwidth that kernels reach": {"memory": 1.0},
    "prologue and ramp of products": {"prologue": NONE, "ramp": NONE},
    "feeding the matrix engine": {"feed": NONE},
    "channels that are no multiple of 8": {"misaligned": 1.0},
    "narrow groups": {"group_width": NONE, "ragged_group": 1.0},
    "windows of depthwise convolutions": {
        "window_last": 1.0, "window_first": 1.0, "wide_window": 1.0, "wide_tensor": 1.0,
    },
    "copies between layouts": dict.fromkeys(
        ("transpose_window", "transpose_point", "transpose_grouped", "transpose_mixed"), NONE
    ),
    "bias of convolutions": {"bias": NONE},
    "scores of attention, and masks": {"score_bytes": NONE, "score_bytes_half": NONE, "masked": 1.0},
    "the last-level cache": {"cache_share": NONE},
    "launches on the device": {"launch": NONE},
    "time of the host": {"host": NONE},
    "rows of norms, interpolation": {"row": NONE, "interpolation": NONE},
}  # fmt: skip
CPU = {
    "shares of the peak that kernels reach": {"compute": 1.0},
    "share of the bandwidth": {"memory": 1.0},
    "rates of the caches": {"cached_weights": ALL, "cached_activations": ALL},
    "prologue of products": {"prologue": NONE},
    "channels that do not fill vectors": {"ragged": NONE, "thin": 0.0},
    "work that does not divide evenly": {"uneven": NONE},
    "reordering and packing weights": {"reorder": 1.0, "packed": 1.0},
    "elements that are not vectorized": {"per_element": NONE},
    "pages of new results": {"fresh": 0.0},
    "windows written out as a matrix": {"unfold": {}},
    "padding that is not computed": {"clipped": 0.0},
    "calls of operators": {"launch_convolution": NONE, "launch_product": NONE, "launch_light": NONE, "calls": NONE},
    "ops merged into the product before": {"epilogue": {}},
}  # fmt: skip


def without(runtime: Runtime, values: dict[str, Any]) -> Runtime:
    """Return the parameters of a runtime with a term's replaced; a number for a table replaces all of its values."""
    part = "gpu" if runtime.gpu else "cpu"
    own = getattr(runtime, part)
    tables = {name: getattr(own, name) for name in values if isinstance(getattr(own, name), dict)}
    flat = {name: dict.fromkeys(table, values[name]) for name, table in tables.items() if values[name] != {}}
    return replace(runtime, **{part: replace(own, **{**values, **flat})})


def main(files: list[str]) -> None:
    """Print a Markdown table for each runtime of the tables."""
    usable, _ = cases(tables.read([file for file in files if file.endswith(".csv")], Defaults()))
    for name, rows in usable.items():
        if name not in files and not all(file.endswith(".csv") for file in files):
            continue
        groups: dict[Any, list[Any]] = {}
        for case in rows:
            groups.setdefault((case.device.label, case.dtype, case.layout, case.version), []).append(case)
        problems = [problem(some, some[0].device) for some in groups.values()]
        runtime = parameters().runtimes[name]
        own = replace(runtime, devices={}, architectures={}, others=PartFactors())
        forms = {"all terms": runtime, "factors of the device": own} if runtime.devices else {"all terms": runtime}
        forms |= {term: without(runtime, values) for term, values in (GPU if runtime.gpu else CPU).items()}
        print(f"| {name}: left out | mean error | bias | forecasts it changes by 5 % | their error with it | without |")
        print("|---|---|---|---|---|---|")
        usual = np.concatenate([predicted(each, runtime) / each.times - 1 for each in problems])
        for term, changed in forms.items():
            errors = np.concatenate([predicted(each, changed) / each.times - 1 for each in problems])
            moved = np.abs((errors + 1) / (usual + 1) - 1) > MOVED
            own = [f"{np.abs(some[moved]).mean():.1%}" if moved.any() else "" for some in (usual, errors)]
            figures = [f"{np.abs(errors).mean():.1%}", f"{errors.mean():+.1%}", f"{moved.mean():.0%}", *own]
            print(f"| {term} | {' | '.join(figures)} |")
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
