"""The structure that docs/architecture.md describes: imports, folders, names, errors, notices and plain words.

Everything is read from the sources; nothing of hwbench is imported but the table of notices.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from hwbench.notice_texts import TEXTS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hwbench"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

MAX_FILES = 22
"""Of one folder."""

VAGUE_NAMES = {"found", "one", "told", "said", "asked", "held", "made", "given", "who", "kept"}
"""Names that do not say what a variable holds."""

BANNED = {
    # idioms of our own where plain English has a word
    r"\bc[ao]me of\b": "was fitted to, comes from",
    r"\bof ours\b": "our",
    r"(?<!there )\b(is|are) none\b|\bnone of (it|them) is\b": "is not a ..., no ... is",
    r"\b(stands?|stood) (in(?! for)|beside|there)\b": "is in, is shown next to",
    r"\bh[eo]lds? (\w+ ){1,3}against\b|\bh[eo]lds? (it|them|ours|each|our \w+ \w+) to\b": "compares with",
    r"\bas (it|they) (comes?|stands?)\b": "unchanged, in the order given",
    r"\bfor want of\b": "because ... is unknown",
    r"\bgo(es)? with(out)?\b": "needs, can be combined with",
    r"\bnames no (file|folder)\b": "is not a file, is not a directory",
    r"too (large|long|small) to be meant": "out of range",
    r"\b(is|are|was|were) (said|told)\b": "is stated, is reported",
    r"\bsays? so\b": "reports it",
    r"\bwhat (\w+ ){1,4}asks? for\b": "needs",
    r"\bbeside (ours|it|them)\b": "next to",
    r"\bmoods?\b": "varies",
    # a package is not a room
    r"\bground floor\b|\bhouse\b|\bdoors?\b": "base modules, project, boundary",
    r"\brooms\b|\b(this|that|own|same|other|one|each|every|measure|report|predict|study) room\b": "package",
}
"""Pattern: what to write instead."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in SOURCES}


def place(path: Path, node: ast.AST | int) -> str:
    line = node if isinstance(node, int) else getattr(node, "lineno", 0)
    return f"{path.relative_to(ROOT)}:{line}"


def check(name: str, faults: list[str]) -> None:
    """Fail with the faults of a check."""
    assert not faults, "\n".join([name, *faults])


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield every module that a file imports, wherever in it: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{place(path, node)}: relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module or "", node


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    result: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            position = stack.index(node)
            component = stack[position:]
            del stack[position:]
            if len(component) > 1:
                result.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return result


def test_no_import_circle() -> None:
    graph = {name: {other for other, _ in imports(path) if other in MODULES} for name, path in MODULES.items()}
    itself = [name for name, others in graph.items() if name in others]
    found = [" <-> ".join(component) for component in circles(graph)] + itself
    check("circles", [f"hwbench/{names.split('.')[1]}/: {names}" for names in found])


def test_the_api_does_not_import_its_own_face() -> None:
    """The face names every module of the API, so that an import of the face by one of them would be a circle."""
    paths = (path for name, path in MODULES.items() if name.startswith("hwbench.api."))
    nodes = [(path, node) for path in paths for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)]
    assert nodes
    check("api", [place(path, node) for path, node in nodes if node.module == "hwbench.api"])


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_folders_are_small() -> None:
    """configs/ and results/ hold as many files as there are devices and runs."""
    for top in ("hwbench", "tests", "benchmarks", "docs"):
        for folder in {path.parent for path in (ROOT / top).rglob("*.*")}:
            files = [path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".pyc"]
            assert len(files) <= MAX_FILES, folder


def packages_of_the_page() -> dict[str, str]:
    """Return the packages that docs/architecture.md lists below `hwbench/`, with their subjects."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = text.partition("    hwbench/")[2].partition("    tests/")[0].splitlines()[1:]
    result, parents = {}, ["hwbench"]
    for line in lines:
        match = re.match(r"( +)(\w+)/ +(\S.*)", line)
        assert match, line
        depth = (len(match[1]) - 4) // 2
        parents = [*parents[:depth], match[2]]
        result["/".join(parents)] = match[3]
    return result


def test_the_page_lists_every_package() -> None:
    packages = {str(path.parent.relative_to(ROOT)) for path in SOURCES if path.name == "__init__.py"} - {"hwbench"}
    assert packages_of_the_page().keys() == packages


def bound(body: list[ast.stmt]) -> set[str]:
    """Return the names that statements bind at the top of a module."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.If):
            names |= bound(node.body)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_every_package_has_a_face() -> None:
    faults = []
    for path in SOURCES:
        if path.name != "__init__.py":
            continue
        body = tree(path)
        names = bound(body.body)
        if (stub := path.with_suffix(".pyi")).exists():  # names that `__getattr__` imports
            names |= bound(tree(stub).body)
        if not ast.get_docstring(body):
            faults.append(f"{place(path, 1)}: no docstring")
        if "__all__" not in names:
            faults.append(f"{place(path, 1)}: no __all__")
            continue
        value = next(
            node.value
            for node in body.body
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and "__all__" in bound([node])
        )
        public = ast.literal_eval(value) if isinstance(value, (ast.List, ast.Tuple)) else []
        there = names | {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == module(path)}
        faults += [f"{place(path, value)}: {name} is not there" for name in public if name not in there]
        defined = {node.name for node in body.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        hidden = {name for name in defined if not name.startswith("_")} - set(public)
        faults += [f"{place(path, value)}: {name} is not in __all__" for name in sorted(hidden)]
    check("faces", faults)


def test_faces_are_light() -> None:
    names = sorted(module(path) for path in SOURCES if path.name == "__init__.py")
    heavy = {"click", "distributed", "numba", "onnx", "plotly", "rich", "scipy", "torch"}
    program = f"import sys, {', '.join(names)}; print(*sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_public_class_name_twice() -> None:
    classes: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(place(path, node))
    check("classes", [f"{places[-1]}: {name} is also at {places[0]}" for name, places in classes.items() if places[1:]])


def called(node: ast.AST) -> str:
    """Return the last name of what a call calls, or nothing."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def literal(node: ast.expr) -> str:
    """Return the text of a string with `{}` where a value is put in, or nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


def faults_of_error(call: ast.Call) -> Iterator[str]:
    """Yield what is wrong with the code and the sentence of one `InputError(...)`."""
    if len(call.args) != 2:
        yield "no code and message"
        return
    code, message = call.args
    if isinstance(code, ast.Constant) and not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", str(code.value)):
        yield f"code {code.value!r} is not kebab-case"
    sentence = literal(message)
    if sentence and not re.match(r"[A-Z`'\"{0-9]", sentence):
        yield f"not a whole sentence: {sentence}"
    if sentence and not re.search(r"[.?}]$", sentence):
        yield f"no period at the end: {sentence}"
    if re.search(r"(^|[\s(`])--[a-z]", sentence):
        yield f"names an option: {sentence}"


def test_every_input_error_has_a_code_and_a_sentence() -> None:
    faults = [
        f"{place(path, node)}: {fault}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and called(node) == "InputError"
        for fault in faults_of_error(node)
    ]
    check("errors", faults)


MATCHES = {"startswith", "endswith", "removeprefix", "removesuffix", "replace", "partition", "split", "find", "index"}
PATTERNS = {"match", "search", "fullmatch", "sub", "findall", "finditer"}


def is_message(node: ast.AST, caught: set[str]) -> bool:
    """Return whether an expression is the sentence of an error or a notice."""
    if isinstance(node, ast.Attribute):
        return node.attr in {"message", "reason"} and isinstance(node.value, ast.Name)
    if called(node) in {"str", "repr"} and isinstance(node, ast.Call) and node.args:
        return isinstance(node.args[0], ast.Name) and node.args[0].id in caught
    return False


def matched(node: ast.AST, caught: set[str]) -> bool:
    """Return whether an expression looks for words in the sentence of an error or a notice."""
    if isinstance(node, ast.Compare) and any(isinstance(test, (ast.In, ast.NotIn)) for test in node.ops):
        return any(is_message(value, caught) for value in node.comparators)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr in MATCHES and is_message(node.func.value, caught):
        return [literal(value) for value in node.args] != ["\n"]  # the first line alone is not read
    return node.func.attr in PATTERNS and any(is_message(value, caught) for value in node.args)


FOREIGN = {"hwbench/files/documents.py", "hwbench/files/messages.py", "hwbench/measure/store.py"}
"""These read the path that msgspec appends to its messages: it has no other way to tell it."""


def test_no_code_reads_messages() -> None:
    faults = []
    for path in SOURCES:
        if str(path.relative_to(ROOT)) in FOREIGN:
            continue
        caught = {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.ExceptHandler) and node.name}
        faults += [f"{place(path, node)}: reads a message" for node in ast.walk(tree(path)) if matched(node, caught)]
    check("matches", faults)


def test_every_notice_has_a_text_and_every_text_a_notice() -> None:
    used, strings = {}, set()
    for path in SOURCES:
        if path == PACKAGE / "notice_texts.py":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.add(node.value)
            if isinstance(node, ast.Call) and called(node) in {"notice", "Notice"} and node.args:
                used[literal(node.args[0])] = place(path, node)
    unknown = [f"{where}: no text for {code}" for code, where in used.items() if code and code not in TEXTS]
    unused = [f"hwbench/notice_texts.py:1: {code} is never noticed" for code in TEXTS if code not in strings]
    check("notices", unknown + unused)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", code) for code in TEXTS)


def test_click_is_known_to_the_command_line_alone() -> None:
    faults = [
        place(path, node)
        for path in SOURCES
        for name, node in imports(path)
        if name.partition(".")[0] == "click" and PACKAGE / "cli" not in path.parents
    ]
    assert not faults


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what people read in a file: the lines of a page; strings, docstrings and comments of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


@pytest.mark.parametrize("paths", [PAGES, SOURCES], ids=["pages", "sources"])
def test_words_are_plain(paths: list[Path], request: pytest.FixtureRequest) -> None:
    faults = []
    for path in paths:
        for line, text in prose(path):
            for pattern, instead in BANNED.items():
                if match := re.search(pattern, text):
                    faults.append(f"{place(path, line)}: {match.group()!r}: write {instead}")
    check(f"words of {request.node.callspec.id}", faults)


def variables(path: Path) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node
        elif isinstance(node, ast.arg):
            yield node.arg, node
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node


def test_names_tell_what_they_hold() -> None:
    faults = [
        f"{place(path, node)}: {name}"
        for path in SOURCES
        for name, node in variables(path)
        if name.lstrip("_") in VAGUE_NAMES
    ]
    check("names", faults)


def test_limits_are_named_min_and_max() -> None:
    faults = [
        f"{place(path, node)}: {name}"
        for path in SOURCES
        for name, node in variables(path)
        if name.isupper() and re.search(r"(^|_)(LEAST|MOST|LARGEST|SMALLEST|HIGHEST|LOWEST|MAXIMUM|MINIMUM)(_|$)", name)
    ]
    check("limits", faults)


def test_a_command_calls_one_function_of_the_api() -> None:
    """Or its twin for language models."""
    faults = []
    for path in sorted((ROOT / "hwbench" / "cli" / "commands").glob("*.py")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                calls = {
                    call.func.attr.removesuffix("_language")
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and isinstance(call.func.value, ast.Name)
                    and call.func.value.id == "api"
                }
                if len(calls) > 1:
                    faults.append(f"{place(path, node)}: {', '.join(sorted(calls))}")
    check("calls of the API", faults)
