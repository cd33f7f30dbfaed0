"""Notebooks of the documentation run from the first cell to the last, and draw what their cells end in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
RUNNER = """
import ast, json, sys
scope, shown = {}, []
for number, cell in enumerate(json.load(sys.stdin)["cells"]):
    if cell["cell_type"] == "code":
        *body, last = ast.parse("".join(cell["source"])).body
        alone = isinstance(last, ast.Expr)
        exec(compile(ast.Module([*body, *([] if alone else [last])], []), f"cell {number}", "exec"), scope)
        value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), scope) if alone else None
        draw = getattr(value, "_repr_html_", None)
        shown.append("" if value is None else draw() if draw else repr(value))
print(json.dumps([len(each) for each in shown]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(notebook: Path) -> None:
    for package in ("torch", "plotly"):
        pytest.importorskip(package)
    text = notebook.read_text(encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HWBENCH_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER], input=text, capture_output=True, text=True, env=environment,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    assert sizes
    assert all(sizes)


def test_notebooks_have_no_outputs_and_are_linked() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert NOTEBOOKS
    for notebook in NOTEBOOKS:
        assert f"{notebook.name})" in pages
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
