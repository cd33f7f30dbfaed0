"""Change single lines of chosen modules, run their tests on each change, and print how many changes the tests notice.

    python benchmarks/mutants.py [--each 12] [--seed 0] [--workers 2] [--module stats/comparison ...]

A change that no test notices is printed: either a test is missing, or the change has no meaning. Runs in a copy of the
checkout without the folder of measurements beside it, so that nothing rests on data that a fresh clone lacks. Only the
tests that are about a module count, of the fast ones: a change that merely moves some golden number has no test. Tests
run in copies of one process that has loaded the libraries (POSIX only), so that a change takes seconds.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]
TESTS: dict[str, tuple[str, ...]] = {
    "stats/comparison": ("tests/stats/test_ratio_of_medians.py",),
    "stats/intervals": ("tests/stats/test_intervals.py",),
    "stats/regression": ("tests/stats/test_regression.py",),
    "stats/ranks": ("tests/stats/test_ranks.py",),
    "machine/device": ("tests/machine/test_peak.py", "tests/machine/test_device.py"),
    "measure/summary": ("tests/measure/test_summary.py",),
    "predict/estimate": ("tests/predict/test_estimate.py",),
    "predict/forecast": ("tests/predict/test_parts_of_a_forecast.py", "tests/predict/test_forecast.py"),
    "predict/model/cpu": ("tests/predict/model/test_cpu_model.py",),
    "predict/model/gpu": ("tests/predict/model/test_gpu_model.py",),
    "predict/model/launch": ("tests/predict/model/test_launch_of_op.py",),
    "predict/model/time": ("tests/predict/model", "tests/predict/test_parts_of_a_forecast.py"),
    "predict/model/hardware": ("tests/predict/model",),
    "predict/model/bounds": ("tests/predict/model/test_bounds.py",),
    "predict/model/parameters": ("tests/predict/model/test_parameter_files.py", "tests/predict/model/test_runtimes.py"),
    "predict/model/grid": ("tests/predict/model/test_grid.py",),
    "predict/model/runtimes": ("tests/predict/model/test_runtimes.py",),
    "predict/fitting/fit": (
        "tests/predict/fitting/test_fit_by_hand.py",
        "tests/predict/fitting/test_intervals_of_fits.py",
    ),
    "predict/fitting/problem": ("tests/predict/fitting/test_fit_by_hand.py",),
    "predict/fitting/device_factors": ("tests/predict/fitting/test_fit_by_hand.py",),
    "predict/language/estimate": ("tests/predict/language/test_estimate.py",),
    "predict/language/memory": ("tests/predict/language/test_memory_of_a_small_model.py",),
    "predict/language/phases": ("tests/predict/language/test_language_time_model.py",),
    "predict/language/model": ("tests/predict/language/test_language_time_model.py",),
    "predict/language/hardware": ("tests/predict/language/test_language_time_model.py",),
    "predict/improvements": ("tests/predict/test_improvements.py",),
    "predict/replay/metrics": ("tests/predict/replay/test_metrics.py",),
    "study/explain": ("tests/study/test_explain.py",),
    "study/achieved": ("tests/study/test_achieved.py",),
    "study/runtimes": ("tests/study/test_runtimes.py",),
    "study/inference": ("tests/study/test_inference.py",),
    "study/requirement": ("tests/study/test_requirement.py",),
    "study/clock/study": ("tests/study/clock/test_clock_parts.py", "tests/study/clock/test_clock.py"),
    "study/clock/elasticity": ("tests/study/clock/test_clock_model.py",),
    "study/clock/pairs": ("tests/study/clock/test_clock_parts.py", "tests/study/clock/test_clock.py"),
    "study/clock/verdict": ("tests/study/clock/test_clock_parts.py",),
    "study/compare/runs": ("tests/study/compare/test_runs.py",),
    "study/compare/decomposition": (
        "tests/study/compare/test_decomposition.py",
        "tests/study/compare/test_compare_devices.py",
    ),
    "study/compare/devices": ("tests/study/compare/test_compare_devices.py",),
    "study/sweep/panel": ("tests/study/sweep",),
    "study/sweep/front": ("tests/study/sweep",),
    "study/sweep/sweep": ("tests/study/sweep",),
    "workload/formulas/cost": ("tests/workload/formulas",),
    "workload/formulas/aten": ("tests/workload/formulas",),
    "workload/formulas/onnx": ("tests/workload/formulas",),
    "workload/formulas/onnx_cost": ("tests/workload/formulas",),
    "workload/formulas/tally": ("tests/workload/formulas",),
    "workload/language/work": ("tests/workload/language/test_steps.py",),
    "workload/language/formats": ("tests/workload/language/test_formats.py",),
    "workload/language/mixes": ("tests/workload/language/test_mixes.py", "tests/workload/language/test_formats.py"),
    "workload/language/transformer": ("tests/workload/language/test_blocks.py",),
}
"""The tests about each module."""
SIMULATIONS = (
    "stats/test_intervals.py::test_intervals_of_correlated_samples",
    "stats/test_ratio_of_medians.py::test_processes_of_unequal_sample_counts",
    "predict/model/test_launch_of_op.py::test_derived_fields_of_the_packed_traces",
    "predict/fitting/test_intervals_of_fits.py::test_factors_of_devices_are_found",
    "predict/language/test_accuracy.py::test_no_measured_time_is_below",
    "predict/test_estimate.py::test_every_device_estimates_at_every_dtype",
    "predict/test_estimate.py::test_a_batch_takes_no_longer_than_its_samples",
    "study/test_requirement.py::test_a_share_of_the_roofline_as_the_judge",
    "study/test_requirement.py::test_a_verdict_is_that_of_the_interval",
    "study/clock/test_clock.py::test_the_catalog",
    "study/compare/test_runs.py::test_the_overall_interval_carries",
    "study/compare/test_runs.py::test_any_false_verdict_among_many",
)
"""Tests left out for their time: simulations and whole catalogs."""
WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
    "predict/model/grid": ("BLOCK =", "height ="),
    "predict/fitting/problem": ("MAX_ROUNDS =", "begin =", "start ="),
    "study/sweep/sweep": ("MAX_PANEL_", "step ="),
}
"""Beginnings of lines that say in what pieces something is computed, or where a search begins and ends: no answer
changes by more than a search leaves open."""
OPTIONS = ("-x", "-q", "--assert=plain", "-m", "not slow and not realtime")
CPU_S, WALL_S = 40, 600
SERVER = f"""
import json, os, resource, signal, sys
import hypothesis, msgspec, numpy, pytest, scipy.special, scipy.stats, yaml

hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("patient")  # a busy machine notices no change
for line in sys.stdin:
    child = os.fork()
    if not child:
        signal.alarm({WALL_S})
        resource.setrlimit(resource.RLIMIT_CPU, ({CPU_S}, {CPU_S}))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(pytest.main(json.loads(line)))
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Runs pytest with each line's arguments in a copy of itself, and answers with its status: 0 where all pass."""
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield every change of a module as its line, what it changes and the changed source."""
    tree = ast.parse(source)
    for node in _changeable(tree):
        for changed in _changes(node):
            before, after = ast.unparse(node), ast.unparse(changed)
            text = _replaced(source, node, after)
            if text is not None and text != source:
                yield node.lineno, f"{before} -> {after}", text  # type: ignore[attr-defined]


def _changeable(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the expressions of a module: bodies, tables and defaults; annotations and settings of classes left out."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.Compare, ast.BoolOp, ast.Constant, ast.UnaryOp, ast.IfExp, ast.Call)):
            yield node
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.arg, ast.AnnAssign)):
                child.annotation = ast.Name("_")
            elif isinstance(child, ast.FunctionDef):
                child.returns = None
            elif isinstance(child, ast.ClassDef):
                child.keywords = []
            elif isinstance(child, ast.keyword) and child.arg == "strict":
                child.value = ast.Name("_")


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    fresh = ast.parse(ast.unparse(node), mode="eval").body
    if isinstance(fresh, (ast.BinOp, ast.BoolOp)) and type(fresh.op) in SWAPS:
        fresh.op = SWAPS[type(fresh.op)]()  # type: ignore[assignment]
        yield fresh
    elif isinstance(fresh, ast.Compare) and type(fresh.ops[0]) in SWAPS:
        fresh.ops[0] = SWAPS[type(fresh.ops[0])]()  # type: ignore[assignment]
        yield fresh
    elif isinstance(fresh, ast.UnaryOp) and isinstance(fresh.op, (ast.Not, ast.USub)):
        yield fresh.operand
    elif isinstance(fresh, ast.IfExp):
        yield fresh.body
        yield fresh.orelse
    elif isinstance(fresh, ast.Constant) and isinstance(fresh.value, bool):
        yield ast.Constant(not fresh.value)
    elif isinstance(fresh, ast.Constant) and isinstance(fresh.value, (int, float)):
        yield ast.Constant(fresh.value + 1)
        yield ast.Constant(fresh.value * 2 if fresh.value else 3)
    elif isinstance(fresh, ast.Call) and isinstance(fresh.func, ast.Name) and fresh.func.id in ("min", "max"):
        fresh.func.id = "max" if fresh.func.id == "min" else "min"
        yield fresh


def _replaced(source: str, node: ast.AST, text: str) -> str | None:
    """Return the source with a node's text replaced; None where that is no longer a program."""
    lines = source.encode().split(b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    begin = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
    end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
    whole = source.encode()
    changed = (whole[:begin] + f"({text})".encode() + whole[end:]).decode()
    try:
        ast.parse(changed)
    except SyntaxError:  # inside an f-string
        return None
    return changed


class Copy:
    """A copy of the checkout, and a process that runs its tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv*", "build", "dist", ".*_cache"))
        settings = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER], cwd=folder, env=os.environ | settings, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def passes(self, path: str, source: str, tests: tuple[str, ...]) -> bool:
        """Return whether the tests pass with a module's source replaced."""
        file = self.folder / path
        before = file.read_text(encoding="utf-8")
        file.write_text(source, encoding="utf-8")
        try:
            assert self.server.stdin
            assert self.server.stdout
            left_out = (f"--deselect=tests/{name}" for name in SIMULATIONS)
            print(json.dumps([*OPTIONS, *left_out, *tests]), file=self.server.stdin, flush=True)
            return int(self.server.stdout.readline()) == 0
        finally:
            file.write_text(before, encoding="utf-8")


@contextmanager
def borrowed(copies: "Queue[Copy]") -> Iterator[Copy]:
    """Yield a copy of the checkout that nobody else uses meanwhile."""
    copy = copies.get()
    try:
        yield copy
    finally:
        copies.put(copy)


def score(copies: "Queue[Copy]", module: str, each: int, seed: int) -> tuple[int, int, list[str]]:
    """Return how many changes of a module were noticed, of how many, and the others."""
    path = f"hwbench/{module}.py"
    source = (ROOT / path).read_text(encoding="utf-8")
    with borrowed(copies) as copy:
        if not copy.passes(path, source, TESTS[module]):
            raise SystemExit(f"The tests of {module} fail, or are missing, without any change.")
    lines, equivalent = source.splitlines(), WITHOUT_EFFECT.get(module, ())
    every = [m for m in dict.fromkeys(mutants(source)) if not lines[m[0] - 1].strip().startswith(equivalent)]
    chosen = random.Random(f"{seed}/{module}").sample(every, min(each, len(every)))

    def judge(mutant: tuple[int, str, str]) -> bool:
        with borrowed(copies) as copy:
            return not copy.passes(path, mutant[2], TESTS[module])

    with ThreadPoolExecutor(copies.qsize()) as pool:
        killed = list(pool.map(judge, chosen))
    survivors = [f"{path}:{line}: {what}" for (line, what, _), dead in zip(chosen, killed, strict=True) if not dead]
    return sum(killed), len(chosen), survivors


def main() -> None:
    """Print the table and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--module", action="append", choices=list(TESTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hwbench-mutants-") as folder:
        copies: Queue[Copy] = Queue()
        for index in range(options.workers):
            copies.put(Copy(Path(folder) / str(index) / "hwbench"))
        total = [0, 0]
        for module in options.module or TESTS:
            began = time.perf_counter()
            killed, count, alive = score(copies, module, options.each, options.seed)
            total[0], total[1] = total[0] + killed, total[1] + count
            share = f"{killed / count:.0%}" if count else "-"
            print(f"{module:32}{killed:5} of {count:4} {share:>6}{time.perf_counter() - began:8.0f} s")
            print(*(f"    {survivor}" for survivor in alive), sep="\n", end="\n" * bool(alive), flush=True)
        print(f"{'all':32}{total[0]:5} of {total[1]:4} {total[0] / max(total[1], 1):>6.0%}")


if __name__ == "__main__":
    main()
