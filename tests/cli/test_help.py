"""Help: every command has an example, every example runs, and the shell completes what can be typed."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from hwbench import __version__
from hwbench.cli.main import COMMANDS, hwbench


def _commands(command: click.Command, path: str, above: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Path and help text of a command and of all below it."""
    with click.Context(command, above, path.rpartition(" ")[2], **command.context_settings) as context:
        yield path, command.get_help(context)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from _commands(below, f"{path} {name}", context)


HELP = dict(_commands(hwbench, "hwbench"))
EXAMPLES = list(
    dict.fromkeys(
        line.strip().partition(" > ")[0]
        for text in HELP.values()
        for line in text.splitlines()
        if line.strip().startswith("hwbench ")
        and "tcp://" not in line  # a cluster: tests/measure/test_cluster.py
        and not line.strip().startswith("hwbench explore")  # a server: tests/explore/test_server.py
    )
)


def test_every_command_is_walked() -> None:
    assert {f"hwbench {name}" for name in COMMANDS} <= set(HELP)
    assert {f"hwbench devices {name}" for name in ("list", "show", "search", "lint", "new")} <= set(HELP)
    assert {f"hwbench models {name}" for name in ("list", "show", "search", "lint")} <= set(HELP)
    assert len(EXAMPLES) >= 20


@pytest.mark.parametrize("path", HELP)
def test_help_has_an_example(cli: Callable[..., Any], path: str) -> None:
    answer = cli(*path.split()[1:], "--help")
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out.startswith(f"Usage: {path} ")
    assert f"\n    {path}" in answer.out.partition("Example")[2]
    assert max(map(len, answer.out.splitlines())) <= 80
    assert cli(*path.split()[1:], "-h") == answer


def test_the_page_of_the_documentation_has_every_command_and_option() -> None:
    pytest.importorskip("mkdocs")
    from docs.generated import command_line

    page = command_line()
    sections = dict(re.findall(r"^#+ (hwbench [\w -]+)\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(HELP) - {"hwbench"}
    for path, text in HELP.items():
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text.partition("Options:")[2]))
        assert all(option in sections.get(path, page) for option in options), path


MEASURING = {"bench", "calibrate", "explain", "fleet", "report", "results", "run", "self-check"}


def marks(example: str) -> list[pytest.MarkDecorator]:
    """Return how an example is marked: it measures this machine, or traces a large model, or is quick."""
    words = example.split()
    return (
        [pytest.mark.realtime]
        if words[1] in MEASURING or "--live" in words
        else [pytest.mark.slow]
        if "hf:" in example
        else []
    )


@pytest.mark.sample(24)
@pytest.mark.parametrize("example", [pytest.param(example, marks=marks(example)) for example in EXAMPLES])
def test_example_runs(cli: Callable[..., Any], example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write a file
    if "latest" in example:
        assert cli("bench clock --quick --budget 300ms").code == 0
    answer = cli(*shlex.split(example)[1:])
    assert answer.code == 0, answer.err
    assert answer.err == ""
    assert answer.out.strip()


def test_options_have_help() -> None:
    """A bare option says nothing: each has words, choices or a default beside it."""
    for path, text in HELP.items():
        options = text.partition("\nOptions:\n")[2].partition("\nCommands:\n")[0]
        for option in re.split(r"\n(?=  -)", options):
            words = re.sub(r"^ *(-\w, )?--?[\w-]+( [A-Z=|\[\]a-z-]+)?", "", option).strip()
            assert words, f"{path}: {option}"


def test_version_and_nothing(cli: Callable[..., Any]) -> None:
    assert cli("--version").out == f"hwbench {__version__}\n"
    answer = cli("")
    assert answer.code == 2
    assert answer.out == ""
    assert "hwbench estimate alexnet rtx3090" in answer.err


def test_groups_list_by_themselves(cli: Callable[..., Any]) -> None:
    assert cli("devices") == cli("devices list")
    assert cli("models") == cli("models list")
    assert cli("models show lenet5") == cli("count --model lenet5")


def test_suggestions(cli: Callable[..., Any]) -> None:
    assert cli("cuont --json").json["error"]["code"] == "unknown-command"
    assert cli("xyzzy --json").json["error"]["nearest"] == []
    assert cli("cuont --json").json["error"]["nearest"] == ["count"]
    assert cli("count --modle x --json").json["error"]["nearest"] == ["--mode", "--model"]


def test_the_template_of_a_device_is_a_device(cli: Callable[..., Any], tmp_path: Any) -> None:
    for name in ("my-card", "My Card", 'q\'uote "s" {x} #é'):
        path = tmp_path / "card.yaml"
        path.write_text(cli("devices", "new", name).out)
        found = cli("peak", "--device", str(path), "--json")
        assert found.code == 0, found.err
        assert found.json["title"] == name


def test_completion_scripts(cli: Callable[..., Any], shell: Callable[..., Any]) -> None:
    for name in ("bash", "zsh", "fish"):
        answer = cli("completion", name)
        assert answer.code == 0
        assert f"_HWBENCH_COMPLETE={name}_complete" in answer.out
    assert shell("hwbench completion bash | bash -n").err == ""
    assert shell('eval "$(hwbench completion bash)"; complete -p hwbench').out.count("hwbench") >= 1


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("est", ["estimate"]),
        ("", list(COMMANDS)),
        ("devices s", ["search", "show"]),
        ("estimate --model alexn", ["alexnet", "alexnet-grouped", "alexnet-mxnet", "alexnet-owt"]),
        ("estimate --model alexnet --device RTX309", ["rtx3090", "rtx3090ti"]),
        ("peak --device i7-12700h", ["i7-12700h"]),
        ("devices show rtx3090", ["rtx3090", "rtx3090ti"]),
        ("models show lenet", ["lenet5"]),
        ("count --model alexnet --convention mac", ["mac", "mac-bias"]),
        ("completion f", ["fish"]),
        ("estimate --model nothing-begins-so", []),
    ],
)
def test_completes(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, typed: str, found: list[str]) -> None:
    words = ["hwbench", *typed.split(" ")]
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("_HWBENCH_COMPLETE", "bash_complete")
    answer = cli("")
    assert answer.code == 0
    assert answer.err == ""
    assert [line.partition(",")[2] for line in answer.out.split()] == found


def test_completion_stays_silent_about_a_broken_catalog(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWBENCH_CONFIGS", "/dev/null")
    monkeypatch.setenv("COMP_WORDS", "hwbench peak --device r")
    monkeypatch.setenv("COMP_CWORD", "3")
    monkeypatch.setenv("_HWBENCH_COMPLETE", "bash_complete")
    assert cli("") == (0, "\n", "")


def test_module_and_script_are_one(shell: Callable[..., Any]) -> None:
    assert shell("hwbench --version").out == f"hwbench {__version__}\n"


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("nonsense", {}), ("bash_complete", {}), ("zsh_complete", {"COMP_WORDS": "hwbench"}), ("bash_", {}), ("_", {}),
        ("bash_complete", {"COMP_WORDS": "hwbench", "COMP_CWORD": "x"}), ("tcsh_source", {}),
    ],
)  # fmt: skip
def test_what_no_shell_asks_for_is_an_error_of_one_line(
    instruction: str, words: dict[str, str], monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]
) -> None:
    monkeypatch.delenv("COMP_WORDS", raising=False)
    monkeypatch.delenv("COMP_CWORD", raising=False)
    for name, value in {"_HWBENCH_COMPLETE": instruction, **words}.items():
        monkeypatch.setenv(name, value)
    answer = cli("peak")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
