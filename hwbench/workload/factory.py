"""Modules of the user by name: `torch:package.module:factory` and `torch:path/file.py:factory`.

A module is looked for where Python looks, then in the working folder; nothing else is imported from there.
"""

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown

FILE = ".py"


class FactoryName(Struct, frozen=True):
    """A function of a module, which is in a `file` or is imported, from the working `folder` where Python lacks it."""

    module: str
    function: str
    folder: str | None = None
    file: str | None = None

    @classmethod
    def parse(cls, name: str) -> "FactoryName":
        """Return what a name without `torch:` means. Raises InputError where there is no such module or function."""
        module, _, function = name.rpartition(":")
        if not module or not function:
            text = f"'{shown(name)}' is not of the form torch:package.module:factory or torch:file.py:factory."
            raise InputError("not-a-factory", text, field="model")
        if module.endswith(FILE):
            file = os.path.abspath(module)
            if not os.path.isfile(file):
                raise InputError("not-readable", "There is no such file.", file=module)
            _check_function(file, function)
            return cls(os.path.splitext(os.path.basename(file))[0], function, os.path.dirname(file), file)
        with suppress(ImportError, ValueError):  # of a malformed name
            if importlib.util.find_spec(module.partition(".")[0]) is not None:
                return cls(module, function)
        stem = os.path.abspath(os.path.join(*module.split(".")))
        here = next(
            (path for path in (stem + FILE, os.path.join(stem, f"__init__{FILE}")) if os.path.isfile(path)), None
        )
        if here is None:
            text = f"There is no module '{shown(module)}', neither installed nor in the working folder."
            raise InputError("missing-package", text, field="model")
        _check_function(here, function)
        return cls(module, function, os.getcwd())

    def load(self) -> Callable[[], Any]:
        """Return the function, which sees the modules next to its own. Raises InputError where it cannot be loaded."""
        try:
            with self._beside():
                loaded = self._imported()
        except KeyboardInterrupt:
            raise
        except Exception as error:  # whatever the user's module raises
            reason = shown(f"{type(error).__name__}: {error}", 300)
            text = f"'{shown(self.module)}' cannot be imported ({reason})."
            raise InputError("missing-package", text, field="model") from error
        function = getattr(loaded, self.function, None)
        if not callable(function):
            text = f"The module '{shown(self.module)}' has no function '{shown(self.function)}'."
            raise InputError("not-a-factory", text, field="model")

        def make() -> Any:
            with self._beside():
                return function()

        return make

    def _imported(self) -> Any:
        spec = importlib.util.spec_from_file_location(self.module, self.file) if self.file else None
        if spec is None or spec.loader is None:
            return importlib.import_module(self.module)
        loaded = sys.modules[self.module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Let Python find modules of the folder, after all others."""
        if self.folder is None:
            yield
            return
        sys.path.append(self.folder)
        try:
            yield
        finally:
            sys.path.remove(self.folder)


def _check_function(file: str, function: str) -> None:
    """Raise InputError where a file does not define a function, as far as that can be read without running it."""
    names = _names(file)
    if names and function not in names:
        raise InputError(
            "not-a-factory", f"There is no '{shown(function)}' in it.", file=file, nearest=nearest(function, names)
        )


def _names(path: str) -> set[str]:
    """Return the names that a file defines or imports at its top; none where it cannot be parsed."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return set()
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names - {"*"} if "*" not in names else set()
