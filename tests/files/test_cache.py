"""The cache of the parsed catalog: always right, cold, warm, stale, damaged or hostile, and never an error."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from hwbench.files import cache, documents, folders, places, yaml

ROOT = Path(__file__).parents[2]
OLD = time.time() - 3600


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with a cache folder and a catalog of two devices."""
    monkeypatch.delenv("HWBENCH_CONFIGS", raising=False)
    for kind in ("config", "cache"):
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", str(tmp_path / kind))
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("one", "two"):
        add(tmp_path / "config" / "hwbench" / "devices", name)
    forget()
    return tmp_path


def add(folder: Path, name: str, title: str = "x", aged: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(f"title: {title}\naliases: [alias of {name}]\n")
    if aged:
        os.utime(path, (OLD, OLD))
    return path


def forget() -> None:
    """Start as a new process does."""
    cache._catalogs.clear()


def cached(home: Path) -> Path:
    """Return the file of the cache of the user's devices."""
    return Path(cache._place(str(home / "config" / "hwbench" / "devices")) or "")


def warm(home: Path) -> Path:
    """Write the user's cache; return the folder of the devices."""
    assert folders.find("devices", "alias of one").endswith("one.yaml")
    forget()
    return home / "config" / "hwbench" / "devices"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are parsed from here on."""
    names: list[str] = []
    real = yaml.parse

    def counting(text: str, path: str, marks: yaml.Marks | None = None) -> object:
        names.append(os.path.basename(path))
        return real(text, path, marks)

    monkeypatch.setattr(yaml, "parse", counting)
    return names


def test_cold_it_parses_and_warm_it_does_not(home: Path, parsed: list[str]) -> None:
    devices = warm(home)
    assert sorted(name for name in parsed if name in ("one.yaml", "two.yaml")) == ["one.yaml", "two.yaml"]
    parsed.clear()
    assert folders.find("devices", "Alias_of-TWO") == str(devices / "two.yaml")
    assert documents.read(str(devices / "two.yaml")).data == {"title": "x", "aliases": ["alias of two"]}
    assert parsed == []


@pytest.mark.parametrize("change", ["other size", "same size", "same size and time", "new file"])
def test_a_file_that_has_changed_is_read_again(change: str, home: Path) -> None:
    devices = warm(home)
    if change == "new file":
        add(devices, "three")
    else:
        path = add(devices, "one", "longer" if change == "other size" else "y", aged=change != "same size")
        path.write_text(path.read_text().replace("alias of one", "alias of six"))
        if change == "same size and time":
            os.utime(path, (OLD, OLD))
    if change == "new file":
        assert folders.find("devices", "alias of three") == str(devices / "three.yaml")
    else:
        assert documents.read(str(devices / "one.yaml")).data["title"] in ("longer", "y")
        assert folders.find("devices", "alias of six") == str(devices / "one.yaml")
        assert "aliasofone" not in folders.spellings("devices")


def test_a_file_that_is_written_twice_within_a_tick_is_not_taken_from_the_cache(home: Path) -> None:
    devices = home / "config" / "hwbench" / "devices"
    for title in "abcdefgh":
        path = add(devices, "one", title, aged=False)
        folders.find("devices", "alias of one")
        forget()
        assert documents.read(str(path)).data["title"] == title


def test_a_deleted_file_means_nothing(home: Path) -> None:
    devices = warm(home)
    (devices / "one.yaml").unlink()
    assert cache.find(str(devices), "aliasofone") is None
    assert "one" not in folders.files("devices")


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "other version": lambda content: content.replace(cache.FORMAT.encode(), cache.FORMAT.encode()[:-1] + b"0"),
    "other folder": lambda content: content.replace(b"/config/", b"/confug/"),
    "noise": lambda content: bytes(range(256)) * 50,
    "JSON": lambda content: b"{}",
    "deep": lambda content: b"\x91" * 100_000,
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_again(damage: str, home: Path) -> None:
    devices = warm(home)
    sound = cached(home).read_bytes()
    cached(home).write_bytes(DAMAGES[damage](sound))
    assert documents.read(str(devices / "one.yaml")).data["title"] == "x"
    assert folders.find("devices", "alias of two") == str(devices / "two.yaml")
    assert cached(home).read_bytes() == sound


def test_any_flipped_byte_changes_no_answer(home: Path) -> None:
    devices = warm(home)
    sound = cached(home).read_bytes()
    for position in range(len(sound)):
        content = bytearray(sound)
        content[position] ^= 0x11
        cached(home).write_bytes(content)
        forget()
        assert documents.read(str(devices / "one.yaml")).data == {"title": "x", "aliases": ["alias of one"]}
        assert cache.find(str(devices), "aliasoftwo") in ("two", None)
        assert cache.aliases(str(devices))["aliasoftwo"] == "two"


def test_a_pipe_in_its_place_does_not_hang(home: Path) -> None:
    devices = warm(home)
    cached(home).unlink()
    os.mkfifo(cached(home))
    assert folders.find("devices", "alias of two") == str(devices / "two.yaml")


def test_a_cache_next_to_somebodys_files_is_not_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = home / "theirs" / "configs" / "devices"
    path = add(theirs, "card", "honest")
    stamp = (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    lie = (stamp, msgspec.msgpack.encode({"title": "a lie"}))
    for folder in ("", str(theirs)):
        content = msgspec.msgpack.encode(cache._catalog(folder, {"card.yaml": lie}))
        for name in (str(theirs) + cache.EXTENSION, f"{theirs}/devices{cache.EXTENSION}", f"{theirs}/parsed.txt"):
            Path(name).write_bytes(content)
        for named in (str(theirs.parent), None):
            monkeypatch.setenv("HWBENCH_CONFIGS", named) if named else monkeypatch.delenv("HWBENCH_CONFIGS")
            assert documents.read(str(path)).data["title"] == "honest"
    monkeypatch.setenv("HWBENCH_CONFIGS", str(theirs.parent))
    assert folders.find("devices", "alias of card") == str(path)
    assert not list(theirs.glob("*.tmp"))


def test_a_checkouts_own_folder_holds_no_cache(home: Path) -> None:
    shipped = Path(places.shipped())
    assert folders.find("devices", "GeForce RTX 3090") == str(shipped / "devices" / "rtx3090.yaml")
    assert not list(shipped.rglob(f"*{cache.EXTENSION}"))
    assert {path.name.partition("-")[0] for path in (home / "cache/hwbench/catalog").iterdir()} == {"devices"}


def test_a_cache_folder_that_cannot_be_written_costs_time_only(home: Path) -> None:
    (home / "cache").write_text("not a folder")
    devices = home / "config" / "hwbench" / "devices"
    assert folders.find("devices", "alias of one") == str(devices / "one.yaml")
    assert documents.read(os.path.join(places.shipped(), "devices", "rtx3090.yaml")).data["kind"] == "gpu"
    assert (home / "cache").read_text() == "not a folder"


def test_a_relative_cache_folder_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache-here")
    monkeypatch.setenv("HOME", str(home / "house"))
    warm(home)
    assert not (home / "cache-here").exists()
    assert (home / "house" / ".cache" / "hwbench" / "catalog").is_dir()


@pytest.mark.slow
def test_processes_that_start_at_once_agree(home: Path) -> None:
    program = (
        "from hwbench.files import folders, documents; path = folders.find('devices', 'alias of two')\n"
        "print(path, documents.read(path).data, len(folders.files('devices')))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT, text=True) for _ in range(4)
    ]
    answers = {process.communicate(timeout=120)[0] for process in started}
    assert len(answers) == 1
    assert "alias of two" in answers.pop()
    assert not list((home / "cache").rglob("*.tmp"))


def test_broken_files_are_not_parsed_for_each_look_up(home: Path, parsed: list[str]) -> None:
    devices = home / "config" / "hwbench" / "devices"
    (devices / "bad.yaml").write_text("title: [\n")
    (devices / "big.yaml").write_text("title: 99999999999999999999999\n")
    for name in ("bad", "big"):
        os.utime(devices / f"{name}.yaml", (OLD, OLD))
    warm(home)
    parsed.clear()
    folders.find("devices", "alias of one")
    assert parsed == []
    assert documents.read(str(devices / "big.yaml")).data == {"title": 99999999999999999999999}


def test_a_wheel_brings_its_cache_and_needs_no_other(tmp_path: Path) -> None:
    """As installed: configs inside the package with a cache made by `packed`, nothing that can be written."""
    site = tmp_path / "site-packages"
    skip = shutil.ignore_patterns("__pycache__", "configs")
    shutil.copytree(ROOT / "hwbench", site / "hwbench", ignore=skip)
    shutil.copytree(ROOT / "configs", site / "hwbench" / "configs")
    for kind in ("architectures", "devices", "language", "models"):
        folder = site / "hwbench" / "configs" / kind
        Path(f"{folder}{cache.EXTENSION}").write_bytes(cache.packed(str(folder)))
    (tmp_path / "home").write_text("not a folder")
    program = (
        "import sys; sys.path[:0] = [sys.argv.pop(1)]; from hwbench.files import folders, documents\n"
        "import json; data = documents.read(folders.find('devices', 'GeForce RTX 3090')).data\n"
        "print(json.dumps([folders.__file__, data['title'], 'yaml' in sys.modules]))"
    )
    homes = {f"XDG_{kind}_HOME": str(tmp_path / "home" / kind) for kind in ("CONFIG", "CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(site)],
        env={**os.environ, **homes, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, check=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    file, title, needed_yaml = json.loads(done.stdout)
    assert file.startswith(str(site))
    assert (title, needed_yaml) == ("NVIDIA GeForce RTX 3090", False)
