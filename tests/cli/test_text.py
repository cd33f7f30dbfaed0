"""What people see: snapshots, width, color only on a terminal, and no control character out of anybody's file.

`HWBENCH_UPDATE_SNAPSHOTS=1 pytest tests/cli/test_text.py` writes the snapshots; read the diff before it is committed.
"""

import contextlib
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.cli import output
from hwbench.report.text.format import width
from hwbench.report.text.layout import Style

SNAPSHOTS = Path(__file__).parent / "snapshots"
WIDEST = 120

SHOWN = [  # (name, command, how many lines: all, or those that do not change with every device that is added)
    ("estimate-alexnet-rtx3090", "estimate --model alexnet --device rtx3090", None),
    ("estimate-several", "estimate --model alexnet --device rtx3090 --batch 1,64 --dtype fp32,fp16", None),
    ("count-lenet5", "count --model lenet5", None),
    ("peak-i7-12700h", "peak --device i7-12700h", None),
    ("devices-show-rtx3090", "devices show rtx3090", None),
    ("require-alexnet", "require --model alexnet --rate 30/s", 6),
    ("compare-cpus", "compare i9-10940x i7-12700h", None),
    ("compare-markdown", "compare rtx3090 rtx4090 --format markdown", None),
]

WIDE = [
    "estimate --model alexnet --device rtx3090",
    "estimate --model densenet121 --device rtx-pro-6000-blackwell-max-q --layers",
    "estimate --model vgg16 --device host",
    "estimate --model bert-base --device h100-sxm --batch 1,1000000000 --dtype fp32,fp16,bf16",
    "count --model lenet5",
    "count --model vit-b-16",
    "count --model vit-b-16 --tree --depth 3",
    "count --model bert-base --batch 1024 --convention mac-bias",
    "peak",
    "peak --device core-ultra-7-155h",
    "peak --device mi250x",
    "devices list",
    "devices show rtx3090",
    "devices show i7-12700h",
    "devices search blackwell",
    "models list",
    pytest.param("compare --year ..2100 --model alexnet --batch 1,64", marks=pytest.mark.slow),
    "compare rtx-pro-6000-blackwell-max-q athlon-xp-2800plus-thoroughbred i7-12700h host --model alexnet",
    "compare athlon-xp-2800plus-thoroughbred rtx-pro-6000-blackwell-max-q rtx-pro-6000-blackwell rtx3090",
    "sweep --model alexnet --batch 1..8",
    "require --model alexnet --rate 30/s",
    "require --model bert-base --latency 5ms --dtype fp16 --all",
    "study clock --pair k7,k7-thunderbird,pentium-m netburst,nehalem,core2",
    "study clock --model alexnet --device i7-6700k",
]


@pytest.mark.parametrize(("name", "command", "lines"), SHOWN, ids=[name for name, _, _ in SHOWN])
def test_snapshot(cli: Callable[..., Any], name: str, command: str, lines: int | None) -> None:
    answer = cli(command)
    assert answer.code == 0
    text = "".join(answer.out.splitlines(keepends=True)[:lines])
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("HWBENCH_UPDATE_SNAPSHOTS"):
        SNAPSHOTS.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_every_snapshot_has_a_command() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == {name for name, _, _ in SHOWN}


@pytest.mark.parametrize("command", WIDE)
def test_no_line_is_wider_than_a_terminal(cli: Callable[..., Any], command: str) -> None:
    answer = cli(command)
    assert answer.code == 0
    wide = [line for line in answer.out.splitlines() if len(line) > WIDEST and "https://" not in line]
    assert wide == []
    assert not any(line != line.rstrip() for line in answer.out.splitlines())


@pytest.mark.sample(30)
@pytest.mark.parametrize("columns", [80, 100, 120])
@pytest.mark.parametrize("command", WIDE)
def test_every_table_fits_its_terminal(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    monkeypatch.setattr(output, "style", lambda: Style(width=columns))
    wide = [line for line in cli(command).out.splitlines() if width(line) > columns]
    assert wide == []


@pytest.mark.parametrize("command", WIDE)
def test_piped_output_is_plain(cli: Callable[..., Any], command: str) -> None:
    assert all(line.isprintable() for line in cli(command).out.split("\n"))


def _on_terminal(command: str, columns: int = 100, **environment: str) -> str:
    """What the command writes to a pseudo-terminal."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    known = {**{k: v for k, v in os.environ.items() if k != "TERM"}, "TERM": "xterm", **environment}
    arguments = [sys.executable, "-m", "hwbench", *command.split()]
    process = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=known)
    os.close(theirs)
    found = b""
    with contextlib.suppress(OSError):  # Linux says EIO where others say end of file
        while part := os.read(ours, 65536):
            found += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return found.decode().replace("\r\n", "\n")


COLORED = [
    "estimate --model alexnet --device rtx3090",
    "peak --device i7-12700h",
    "count --model lenet5",
    "devices show i7-12700h",
]


@pytest.mark.parametrize("command", COLORED)
def test_a_terminal_gets_color_and_the_same_words(cli: Callable[..., Any], command: str) -> None:
    colored = _on_terminal(command)
    assert "\033[1m" in colored
    bare = re.sub("\033\\[[0-9]+m", "", colored)
    assert bare == cli(command).out
    assert "x1b" not in bare


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_where_none_is_wanted(environment: dict[str, str]) -> None:
    assert "\033" not in _on_terminal(COLORED[0], **environment)


def test_an_empty_no_color_means_nothing() -> None:
    assert "\033[1m" in _on_terminal(COLORED[0], NO_COLOR="")


def test_a_terminal_without_a_size(cli: Callable[..., Any]) -> None:
    """Containers often have one of 0 columns: sentences are not squeezed into the least width then."""
    assert _on_terminal(COLORED[0], columns=0, NO_COLOR="1") == cli(COLORED[0]).out


def test_a_narrow_terminal_wraps_sentences() -> None:
    narrow = _on_terminal(COLORED[0], columns=60, NO_COLOR="1").split("layer ")
    assert max(map(len, narrow[-1].strip().splitlines()[-2:])) <= 60


HOSTILE = "\x1b[31mred\x1b]0;title\x07 \\n new \n line \r over \u202e rtl \u2066 \x9b2J \U0001f600 <b onclick='x'>&amp;"


def _quoted(text: str) -> str:
    """The text as a YAML scalar in double quotes."""
    return '"' + "".join(f"\\U{ord(c):08X}" for c in text) + '"'


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog whose every text wants to be more than text."""
    evil, long = _quoted(HOSTILE), _quoted("x" * 200)
    for kind in ("devices", "models"):
        (tmp_path / kind).mkdir()
    (tmp_path / "devices" / "evil.yaml").write_text(
        f"title: {evil}\nkind: gpu\nvendor: {evil}\naliases: [{evil}]\nnotes: {evil}\nreleased: 2020-01\n"
        f"units:\n  - {{architecture: {evil}, count: 82, name: {evil}, clock: {{base: 1 GHz}}, threads: 3, rates: [{{"
        f"engine: vector, isa: {evil}, dtype: fp32, flops_per_cycle: 2, how: {evil}}}]}}\n"
        f"memory: {{type: {evil}, size: 24 GiB, bandwidth: 936 GB/s}}\ncaches: [{{name: {evil}, size: 1 MiB}}]\n"
        f"sources: [{{title: {evil}, url: {evil}, gives: [{evil}]}}]\npower: 1 W\n"
        f"provenance: {{{evil}: assumed, units: assumed}}\n"
    )
    (tmp_path / "devices" / "long.yaml").write_text(f"title: {long}\nbased_on: rtx3090\n")
    (tmp_path / "models" / "evilnet.yaml").write_text(
        f"title: {evil}\ninput: [3, 8, 8]\naliases: [{evil}]\nnotes: {evil}\n"
        f"layers: [{{conv: {{name: {evil}, channels: 3, kernel: 3}}}}]\n"
        f"published: {{params: 1, macs: 2, source: {evil}, url: {evil}}}\n"
    )
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))


HOSTILE_COMMANDS = [
    "peak --device evil",
    "peak --device long",
    "devices show evil",
    "devices list --kind gpu",
    "devices search evil",
    pytest.param("devices lint", marks=pytest.mark.slow),
    "count --model evilnet",
    "models",
    "models lint",
    "models search evil",
    "estimate --model evilnet --device evil",
    "estimate --model evilnet --device evil --batch 1,2",
    "estimate --model evilnet --device evil --dtype fp16",
    "require --model evilnet --rate 1/s --all",
]


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("command", HOSTILE_COMMANDS)
def test_hostile_text_stays_text(cli: Callable[..., Any], command: str) -> None:
    answer = cli(command)
    assert "Traceback" not in answer.err
    for line in (answer.out + answer.err).split("\n"):
        bad = {c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert not bad, line


@pytest.mark.sample(6)
@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", HOSTILE_COMMANDS)
def test_hostile_text_fits_a_terminal(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    monkeypatch.setattr(output, "style", lambda: Style(width=columns))
    wide = [line for line in cli(command).out.splitlines() if len(line) > columns]
    assert [line for line in wide if not line.startswith(str(Path("/")))] == []  # the file of a fault is told in full


@pytest.mark.usefixtures("hostile")
def test_hostile_text_stays_text_on_a_terminal() -> None:
    for command in ("devices show evil", "count --model evilnet", "estimate --model evilnet --device evil"):
        bare = re.sub("\033\\[(0|1|2|33|35|36)m", "", _on_terminal(command))
        assert all(line.isprintable() for line in bare.split("\n"))
        assert "\\x1b[31mred" in bare


@pytest.mark.usefixtures("hostile")
def test_json_keeps_hostile_text_as_it_is(cli: Callable[..., Any]) -> None:
    assert cli("peak --device evil --json").json["title"] == HOSTILE
