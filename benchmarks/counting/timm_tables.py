"""Compare MACs and activations with timm's published tables, for every model that builds at its listed image size.

Needs a venv of its own: pip install -e . torch torchvision timm. timm counts with fvcore and attention taken apart:
activations are the outputs of convolutions and of products of matrices, scores included. fvcore counts normalization
and pooling among the MACs, so that ours are a little less.
Prints medians and ranges of the ratio ours / table, the models that stand furthest apart, and those that do not run.
Usage: python benchmarks/counting/timm_tables.py TABLE.csv... [--limit N] [--json FILE]
"""

import argparse
import csv
import json
import logging
import signal
import statistics
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

PROCESSES = 2
PATIENCE = 120
"""Seconds for one model."""

Row = dict[str, Any]


def listed(paths: list[str]) -> list[Row]:
    """Return the models of the tables, each once for each image size."""
    rows: dict[tuple[str, int], Row] = {}
    for path in paths:
        with open(path) as file:
            for line in csv.DictReader(line for line in file if not line.startswith("#")):
                if line.get("infer_gmacs"):
                    side = int(line["infer_img_size"])
                    rows[line["model"], side] = {
                        "model": line["model"],
                        "side": side,
                        "gmacs": float(line["infer_gmacs"]),
                        "macts": float(line["infer_macts"]),
                        "params": float(line["param_count"]),
                    }
    return list(rows.values())


def counted(row: Row) -> Row:
    """Return the row with hwbench's counts, or with the reason why they are missing."""
    from hwbench.errors import InputError
    from hwbench.workload.request import ModelRequest
    from hwbench.workload.tracing import sources

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(PATIENCE)
    start = time.perf_counter()
    try:
        found = sources.workload(ModelRequest(f"timm:{row['model']}", image_size=row["side"]))
    except InputError as error:
        return row | {"error": str(error)}
    except Exception as error:
        return row | {"error": f"RAISED {type(error).__name__}: {error}"}
    finally:
        signal.alarm(0)
    products = [op for op in found.ops if op.macs]
    scores = sum(op.elementwise_flops // 6 * op.count for op in products if op.kind == "attention")
    return row | {
        "our_gmacs": found.macs / 1e9,
        "our_macts": (scores + sum(op.output_elements * op.count for op in products)) / 1e6,
        "our_params": found.params / 1e6,
        "uncounted": found.uncounted,
        "seconds": time.perf_counter() - start,
    }


def _out_of_time(*_: Any) -> None:
    raise TimeoutError(f"took more than {PATIENCE} s")


def summary(name: str, ratios: list[float]) -> str:
    """Print median, 5 to 95 % range and extremes of one ratio."""
    cuts = statistics.quantiles(ratios, n=20, method="inclusive")
    return (
        f"{name:34}{len(ratios):>7}{statistics.median(ratios):>9.4f}{cuts[0]:>9.4f}{cuts[-1]:>9.4f}"
        f"{min(ratios):>9.3f}{max(ratios):>9.3f}"
    )


def show(rows: list[Row]) -> None:
    """Print the tables."""
    done = [row for row in rows if "error" not in row]
    print(f"{len(rows)} models, {len(done)} traced, {sum(row['seconds'] for row in done):.0f} s of tracing")
    print(f"{'ours / table':34}{'models':>7}{'median':>9}{'5 %':>9}{'95 %':>9}{'least':>9}{'most':>9}")
    for theirs in ("gmacs", "macts", "params"):
        ours = f"our_{theirs}"
        large = [row for row in done if row[theirs] >= 0.5]  # the tables have two decimals
        print(summary(ours, [row[ours] / row[theirs] for row in large]))
    print("\nFurthest apart:")
    for row in sorted(done, key=_apart)[-25:]:
        print(
            f"  {row['model']:50}{row['side']:>5}  gmacs {row['our_gmacs']:.2f} / {row['gmacs']:.2f}"
            f"  macts {row['our_macts']:.2f} / {row['macts']:.2f}  params {row['our_params']:.2f} / {row['params']:.2f}"
        )
    print("\nUncounted operators:")
    for row in done:
        if row["uncounted"]:
            print(f"  {row['model']}: {', '.join(row['uncounted'])}")
    print("\nNot traced:")
    for row in rows:
        if "error" in row:
            print(f"  {row['model']} at {row['side']}: {row['error'][:200]}")


def _apart(row: Row) -> float:
    pairs = ((row["our_gmacs"], row["gmacs"]), (row["our_macts"], row["macts"]))
    return max(abs(ours - theirs) / max(theirs, 0.5) for ours, theirs in pairs)


def main() -> None:
    """Trace and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--limit", type=int, help="every nth model, so that about this many are traced")
    parser.add_argument("--json", help="also write the rows to this file")
    options = parser.parse_args()
    rows = listed(options.tables)
    if options.limit:
        rows = rows[:: max(1, len(rows) // options.limit)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        rows = list(pool.map(counted, rows, chunksize=8))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file)
    show(rows)


if __name__ == "__main__":
    sys.exit(main())
