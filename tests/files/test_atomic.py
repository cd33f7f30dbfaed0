"""Files are written whole or not at all, whatever fails and whoever writes at the same time."""

import errno
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.files import atomic


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    atomic.write_atomically(str(path), "Zürich\n")
    assert path.read_bytes() == "Zürich\n".encode()
    atomic.write_atomically(str(path), "")
    assert path.read_bytes() == b""
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        atomic.write_atomically(str(path), "new")
    assert caught.value.file == str(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_atomically(str(tmp_path / "file.json"), "new")
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "there" / "file.json")
    for text in ("new", "newer"):  # the first makes what the link names
        atomic.write_atomically(str(link), text)
        assert link.is_symlink()
        assert (tmp_path / "there" / "file.json").read_text() == text
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["file.json"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        atomic.write_atomically(str(pipe), ["a", "b"])
        assert read.result() == "ab"
    assert pipe.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize(("name", "text"), [("no/such", "x"), ("a\0b", "x"), (".", "x"), ("ok", "\ud800")])
def test_what_cannot_be_written(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        atomic.write_atomically(f"{tmp_path}/{name}", text)
    assert caught.value.code == "not-writable"
    assert list(tmp_path.iterdir()) == []


def test_threads_that_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    texts = [str(i) * 200_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: atomic.write_atomically(str(path), text), texts * 5))
    assert path.read_text() in texts
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_processes_that_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    code = (
        "import sys; from hwbench.files.atomic import write_atomically\n"
        "for _ in range(30): write_atomically(sys.argv[1], sys.argv[2] * 300_000)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), str(i)]) for i in range(4)]
    seen = set()
    while any(process.poll() is None for process in started):
        if path.exists():
            text = path.read_text()
            assert len(text) == 300_000
            seen.add(text[0])
            assert text == text[0] * 300_000
    assert [process.wait() for process in started] == [0, 0, 0, 0]
    assert re.fullmatch(r"([0-3])\1{299999}", path.read_text())
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    assert seen


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(mode)
    atomic.write_atomically(str(path), "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == mode


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_atomically(str(tmp_path / "file.json"), "new")
    finally:
        os.umask(before)
    assert (tmp_path / "file.json").stat().st_mode & 0o777 == 0o640


def test_a_temporary_file_never_follows_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setattr(os, "urandom", lambda _: b"\0\0\0\0")
    atomic.write_atomically(str(tmp_path / "a"), "x")
    (tmp_path / f".hwbench.{atomic.machine()}.{os.getpid()}.00000000.tmp").symlink_to(victim)
    with pytest.raises(InputError) as caught:
        atomic.write_atomically(str(tmp_path / "file.json"), "new")
    assert caught.value.code == "not-writable"
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("code", [errno.EIO, errno.ETIMEDOUT, errno.ENOENT, errno.EEXIST])
def test_a_rename_that_was_done_without_an_answer_counts(
    code: int, new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "link" if new else "replace"
    done = getattr(os, name)

    def unanswered(source: str, target: str) -> None:
        done(source, target)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, unanswered)
    path = tmp_path / "file.json"
    atomic.write_atomically(str(path), "new", new=new)
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_replaces_none(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "file.json"
    atomic.write_atomically(str(path), "first", new=True)
    with pytest.raises(InputError) as caught:
        atomic.write_atomically(str(path), "second", new=True)
    assert caught.value.code == "file-exists"
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_a_place_is_tried_without_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    atomic.refuse_unwritable(str(path))
    atomic.refuse_unwritable("/dev/null")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    for place in (tmp_path, tmp_path / "no" / "such", path / "below"):
        with pytest.raises(InputError) as caught:
            atomic.refuse_unwritable(str(place))
        assert (caught.value.code, caught.value.file) == ("not-writable", str(place))


def test_what_is_a_day_old_is_removed_whoever_left_it(tmp_path: Path) -> None:
    old, new = (tmp_path / f".hwbench.{number * 8}.1.aaaaaaaa.tmp" for number in "01")
    old.write_text("")
    new.write_text("")
    os.utime(old, (1e9, 1e9))
    atomic.write_atomically(str(tmp_path / "file.json"), "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"file.json", new.name}


def test_what_a_killed_process_left_is_removed_by_the_next_that_saves(tmp_path: Path) -> None:
    code = (
        "import os, sys; from hwbench.files import atomic\n"
        "os.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "atomic.write_atomically(sys.argv[1], 'half')"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file.json")], check=False)
    assert killed.returncode == -9
    (left,) = tmp_path.iterdir()
    parts = left.name.split(".")
    living = tmp_path / ".".join([*parts[:3], str(os.getppid()), *parts[4:]])
    elsewhere = tmp_path / ".".join([*parts[:2], "00000000", *parts[3:]])
    other = tmp_path / "file.json.1.tmp"
    for path in (living, elsewhere, other):
        path.write_text("")
    atomic.write_atomically(str(tmp_path / "file.json"), "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"file.json", living.name, elsewhere.name, other.name}
