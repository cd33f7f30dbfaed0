"""The shape of the command line: a command is options, one call of the API, rendering."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwbench.cli.main import COMMANDS

FOLDER = Path(__file__).parents[2] / "hwbench" / "cli" / "commands"
FILES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "__init__")
WITHOUT_API = {"completion", "devices", "explore", "fleet", "models", "report", "results", "study"}
"""Groups, which list their catalog by invoking a command, the completion, and the local page, served or written."""


def _commands(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(_makes_a_command(item) for item in node.decorator_list):
            yield node


def _makes_a_command(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr in ("command", "group")


def _called(function: ast.FunctionDef) -> list[str]:
    """The functions of the API that a command calls."""
    return [
        node.func.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "api"
    ]


def test_every_command_has_a_file() -> None:
    assert [name.replace("-", "_") for name in sorted(COMMANDS)] == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_command_asks_the_api_once(path: Path) -> None:
    for function in _commands(ast.parse(path.read_text(encoding="utf-8"))):
        names = _called(function)
        calls = {name.removesuffix("_language") for name in names}  # one of two, by the model that is named
        assert len(set(names)) == len(names), (path.name, function.name, names)
        assert len(calls) == (0 if function.name in WITHOUT_API else 1), (path.name, function.name, calls)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_command_imports_at_the_top_and_no_other_command(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert all(node in tree.body for node in imports)
    assert not any("cli.commands" in (getattr(node, "module", None) or "") for node in imports)
