"""Change single lines of chosen modules, run their tests on each change, and print how many changes the tests notice.

    python benchmarks/mutants.py [--each 12] [--seed 0] [--workers 2] [--module stats/comparison ...]

A change that no test notices is printed: either a test is missing, or the change has no meaning. Runs in a copy of the
checkout without the folder of measurements beside it, so that nothing rests on data that a fresh clone lacks. Only the
tests that are about a module count, of the fast ones: a change that merely moves some golden number has no test.
"""

import argparse
import ast
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
    "stats/comparison": ("tests/stats", "tests/study/compare"),
    "stats/intervals": ("tests/stats", "tests/measure/test_summary.py"),
    "stats/regression": ("tests/stats",),
    "stats/ranks": ("tests/stats", "tests/predict/replay/test_metrics.py"),
    "machine/device": ("tests/machine/test_peak.py",),
    "measure/summary": ("tests/measure/test_summary.py",),
    "predict/estimate": ("tests/predict/test_estimate.py",),
    "predict/forecast": ("tests/predict/test_parts_of_a_forecast.py", "tests/predict/test_forecast.py"),
    "predict/roofline": ("tests/predict/test_roofline.py",),
    "predict/model/cpu": ("tests/predict/model",),
    "predict/model/gpu": ("tests/predict/model",),
    "predict/model/launch": ("tests/predict/model", "tests/predict/test_forecast.py"),
    "predict/model/time": ("tests/predict/model", "tests/predict/test_forecast.py"),
    "predict/model/hardware": ("tests/predict/model", "tests/predict/test_forecast.py"),
    "predict/fitting/fit": ("tests/predict/fitting",),
    "study/requirement": ("tests/study/test_requirement.py",),
    "study/compare/runs": ("tests/study/compare",),
    "study/compare/decomposition": ("tests/study/compare",),
    "study/sweep/panel": ("tests/study/sweep",),
    "workload/formulas/cost": ("tests/workload/formulas",),
    "workload/formulas/aten": ("tests/workload/formulas", "tests/workload/tracing/test_trace.py"),
}
"""The tests about each module."""
FAST = "not slow and not realtime"
TIMEOUT_S = 600
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
    """Yield the expressions of function bodies, annotations and documentation left out."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                for node in ast.walk(statement):
                    if isinstance(
                        node, (ast.BinOp, ast.Compare, ast.BoolOp, ast.Constant, ast.UnaryOp, ast.IfExp, ast.Call)
                    ):
                        yield node


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
    elif isinstance(fresh, ast.Constant) and type(fresh.value) in (int, float):
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


@contextmanager
def borrowed(copies: "Queue[Path]") -> Iterator[Path]:
    """Yield a copy of the checkout that nobody else uses meanwhile."""
    copy = copies.get()
    try:
        yield copy
    finally:
        copies.put(copy)


def noticed(copy: Path, path: str, source: str, tests: tuple[str, ...]) -> bool:
    """Return whether the tests fail with a module's source replaced."""
    file = copy / path
    before = file.read_text(encoding="utf-8")
    file.write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "-m", FAST, *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        return done.returncode != 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        file.write_text(before, encoding="utf-8")


def score(copies: "Queue[Path]", module: str, each: int, seed: int) -> tuple[int, int, list[str]]:
    """Return how many changes of a module were noticed, of how many, and the others."""
    path = f"hwbench/{module}.py"
    with borrowed(copies) as copy:
        source = (copy / path).read_text(encoding="utf-8")
        if noticed(copy, path, source, TESTS[module]):
            raise SystemExit(f"The tests of {module} fail, or are missing, without any change.")
    every = list(dict.fromkeys(mutants(source)))  # those of nested functions come twice
    chosen = random.Random(f"{seed}/{module}").sample(every, min(each, len(every)))

    def judge(mutant: tuple[int, str, str]) -> bool:
        with borrowed(copies) as copy:
            return noticed(copy, path, mutant[2], TESTS[module])

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
        copies: Queue[Path] = Queue()
        for index in range(options.workers):
            copy = Path(folder) / str(index) / "hwbench"
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", "build", "dist", ".*_cache"))
            copies.put(copy)
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
