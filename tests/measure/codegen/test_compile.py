"""The cache of compiled kernels: used by the next process, renewed with its sources, and never in the way."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba
import pytest

from hwbench.measure.codegen import compile as compiled

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]

SOURCE = """
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled

@compiled
def twice(number):
    return number * 2
"""

MULTIPLY = """
import numpy as np
from hwbench.measure.gemm import loops as gemm_loops
from hwbench.measure.gemm import product as gemm
a = np.arange(12000, dtype=np.float32).reshape(100, 120) % 7
b = np.arange(13200, dtype=np.float32).reshape(120, 110) % 5
assert (gemm.matmul(a, b) == a @ b).all()
stats = gemm_loops.run.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "doubling.py").write_text(SOURCE)
    return tmp_path


def fresh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as a new process would import it."""
    spec = importlib.util.spec_from_file_location("doubling", folder / "doubling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "doubling", module)
    spec.loader.exec_module(module)
    return module


def hits(module: ModuleType) -> int:
    assert module.twice(21) == 42
    return sum(module.twice.stats.cache_hits.values())


def test_the_next_import_compiles_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hits(fresh(folder, monkeypatch)) == 0
    assert hits(fresh(folder, monkeypatch)) == 1


def test_other_sources_are_other_kernels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hits(fresh(folder, monkeypatch)) == 0
    monkeypatch.setattr(compiled, "digest", lambda _module: "changed")
    assert hits(fresh(folder, monkeypatch)) == 0
    assert hits(fresh(folder, monkeypatch)) == 1


def test_the_digest_covers_what_a_module_takes_from_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh(folder, monkeypatch)
    importlib.import_module("hwbench.measure.gemm.loops")
    found = compiled.reached("hwbench.measure.gemm.loops")
    expected = ("gemm.loops", "gemm.microkernel", "codegen.vectors", "codegen.gate")
    assert {f"hwbench.measure.{name}" for name in expected} <= found
    assert "hwbench.measure.codegen.vectors" in compiled.reached("doubling")
    assert compiled.digest("doubling") != compiled.digest("hwbench.measure.gemm.loops")


LOOPS = sorted((ROOT / "hwbench").rglob("*loops.py"))


@pytest.mark.parametrize("path", LOOPS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_host_code_is_no_source_of_kernels(path: Path) -> None:
    """An edit of anything but loops and their building blocks must not compile them again."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    importlib.import_module(name)
    reached = compiled.reached(name)
    assert len(reached) <= (12 if path.stem == "tile_loops" else 10)
    packages = ("hwbench.measure.codegen.", "hwbench.measure.gemm.")
    assert not [module for module in reached if not module.startswith(packages) and not module.endswith("loops")]


def test_only_loops_hold_compiled_functions() -> None:
    holders = [
        path.name
        for path in (ROOT / "hwbench").rglob("*.py")
        if re.search(r"^@(partial\()?compiled", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(set(holders)) == [
        "amx_loops.py",
        "dot_loops.py",
        "gate.py",
        "loops.py",
        "quantized_loops.py",
        "tile_loops.py",
    ]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff"])
@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
def test_broken_files_are_compiled_again(folder, monkeypatch, kind, content) -> None:
    assert hits(fresh(folder, monkeypatch)) == 0
    files = list((folder / "cache").rglob(kind))
    assert files
    for file in files:
        file.write_bytes(content)
    assert hits(fresh(folder, monkeypatch)) == 0
    assert hits(fresh(folder, monkeypatch)) == 1


def test_a_folder_that_cannot_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder / "file" / "below"))
    assert hits(fresh(folder, monkeypatch)) == 0


def test_code_from_nowhere_is_not_cached() -> None:
    names: dict[str, object] = {"__name__": "nowhere"}
    exec(compile("def twice(number): return number * 2", "<nowhere>", "exec"), names)
    function = compiled.compiled(names["twice"])  # type: ignore[arg-type]
    assert function(21) == 42


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_second_process_compiles_no_kernel(tmp_path: Path) -> None:
    assert run(MULTIPLY, NUMBA_CACHE_DIR=str(tmp_path)) == "0 1"
    assert run(MULTIPLY, NUMBA_CACHE_DIR=str(tmp_path)) == "1 0"


def test_a_full_disk_costs_time_alone(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    assert run(limit + MULTIPLY, NUMBA_CACHE_DIR=str(tmp_path)) == "0 1"
    assert not [file for file in tmp_path.rglob("*.nb?") if file.stat().st_size]


@pytest.mark.parametrize("environment", [{"NUMBA_CPU_NAME": "generic"}, {"NUMBA_ENABLE_AVX": "0"}])
def test_a_cpu_without_avx(tmp_path: Path, environment: dict[str, str]) -> None:
    script = MULTIPLY + "\nprint(gemm.make_plan('fp32').tile.lanes)"
    script += (
        "\nc = np.zeros((3, 65), np.float32); gemm.matmul(a[:3], b[:, :65], c); assert (c == a[:3] @ b[:, :65]).all()"
    )
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path), **environment) == "0 1\n4"
