"""Which file a name means: order of the folders, spellings, indexes, and that no other file is opened."""

import builtins
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.files import cache, folders, names, places
from hwbench.machine import catalog

SHIPPED = places.shipped()
SAMPLE = """\
title: {title}
kind: cpu
vendor: Nobody
aliases: [{aliases}]
units:
  - {{architecture: {architecture}, count: 1, clock: {{base: 1 GHz}}}}
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HWBENCH_CONFIGS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.platform", "linux")


def add(folder: Path, name: str, title: str = "x", aliases: str = "", architecture: str = "zen2") -> Path:
    """A device in the catalog at `folder`."""
    path = folder / "devices" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SAMPLE.format(title=title, aliases=aliases, architecture=architecture))
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The user's catalog, empty."""
    folder = tmp_path / "config" / "hwbench"
    (folder / "devices").mkdir(parents=True)
    return folder


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The catalog that HWBENCH_CONFIGS names, empty."""
    folder = tmp_path / "named"
    folder.mkdir()
    monkeypatch.setenv("HWBENCH_CONFIGS", str(folder))
    return folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small catalog of ours in place of the real one."""
    folder = tmp_path / "shipped"
    (folder / "devices").mkdir(parents=True)
    monkeypatch.setattr(places, "shipped", lambda: str(folder))
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files opened from here on."""
    paths: list[str] = []
    real = builtins.open

    def counting(file: Any, *args: Any, **kwargs: Any) -> Any:
        if str(file).endswith((names.SUFFIX, cache.EXTENSION)):
            paths.append(os.path.basename(str(file)))
        return real(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", counting)
    return paths


ASKED = ["my-gpu", "MY-GPU", "my gpu", "My_GPU", "mygpu", " my-gpu ", "the-alias", "The Alias", "THEALIAS"]


@pytest.mark.parametrize("name", ASKED)
def test_the_named_folder_wins_over_the_users_and_that_over_ours(
    name: str, named: Path, mine: Path, shipped: Path
) -> None:
    for folder in (shipped, mine, named):
        add(folder, "my-gpu", aliases="the-alias")
        expected = shipped if "alias" in name.lower() else folder  # aliases of the shipped catalog go first
        assert folders.find("devices", name) == str(expected / "devices" / "my-gpu.yaml")
    assert folders.files("devices") == {"my-gpu": str(named / "devices" / "my-gpu.yaml")}


def test_the_users_devices_stand_beside_ours(mine: Path) -> None:
    path = add(mine, "rtx3090", title="Mine")
    other = add(mine, "zz-new", title="New")
    found = folders.files("devices")
    assert found["rtx3090"] == str(path)
    assert found["zz-new"] == str(other)
    assert found["rtx4090"] == os.path.join(SHIPPED, "devices", "rtx4090.yaml")
    assert list(found) == sorted(found)
    for name in ("rtx3090", "RTX 3090", "geforce rtx 3090"):
        assert catalog.device(name).title == ("Mine" if name != "geforce rtx 3090" else "NVIDIA GeForce RTX 3090")


def test_a_device_may_bring_its_own_architecture(mine: Path) -> None:
    add(mine, "my-cpu", architecture="my-arch")
    with pytest.raises(InputError) as caught:
        catalog.device("my-cpu")
    assert caught.value.code == "unknown-architecture"
    (mine / "architectures").mkdir()
    source = Path(SHIPPED) / "architectures" / "zen2.yaml"
    (mine / "architectures" / "my-arch.yaml").write_text(source.read_text())
    assert catalog.device("my-cpu").units[0].rates == catalog.architecture("zen2").rates


def test_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.search_path() == (SHIPPED,)
    (tmp_path / "config" / "hwbench").mkdir(parents=True)
    assert folders.search_path() == (str(tmp_path / "config" / "hwbench"), SHIPPED)
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    assert folders.search_path() == (str(tmp_path), str(tmp_path / "config" / "hwbench"), SHIPPED)
    monkeypatch.setenv("HWBENCH_CONFIGS", "")
    assert len(folders.search_path()) == 2


@pytest.mark.parametrize("name", ["no-such-folder", "a\nb", "file"])
def test_a_named_folder_must_be_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path / name))
    with pytest.raises(InputError) as caught:
        folders.find("devices", "rtx3090")
    assert caught.value.code == "not-a-folder"
    assert str(caught.value).isprintable()


def test_the_users_folder_is_the_platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    assert places.user("config") == str(tmp_path / "config" / "hwbench")
    assert places.user("config") == platformdirs.user_config_dir("hwbench", appauthor=False)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.user("config") == str(tmp_path / ".config" / "hwbench")
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda name, appauthor: f"/Library/{name}")
    assert places.user("config") == "/Library/hwbench"


def test_the_installed_catalog_goes_before_the_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "hwbench"
    package.mkdir(parents=True)
    monkeypatch.setattr(places, "PACKAGE", str(package))
    assert places.shipped() == str(tmp_path / "site-packages" / "configs")
    (package / "configs").mkdir()
    assert places.shipped() == str(package / "configs")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RTX 3090", "rtx3090"),
        ("GeForce_RTX-3090", "geforce-rtx-3090"),
        ("Athlon XP 2600+", "athlon-xp-2600plus"),
        ("Pentium 4 2.53", "pentium4-2.53"),
        ("i9-10940X", "I9 10940x"),
    ],
)
def test_spellings_share_a_key(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize(("one", "other"), [("pentium4-2.53", "pentium4-253"), ("2600+", "2600"), ("a", "b")])
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert names.key(one) != names.key(other)


@given(st.text())
def test_a_key_is_its_own_key(name: str) -> None:
    key = names.key(name)
    assert names.key(names.key(key)) == names.key(key)
    assert names.key(f" {name}-_ ") == key


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("rtx3090", False),
        ("rtx3090.yaml", True),
        ("rtx3090.yml", True),
        ("./rtx3090", True),
        ("/etc/passwd", True),
        ("", False),
        ("..", False),
    ],
)
def test_is_path(name: str, path: bool) -> None:
    assert names.is_path(name) is path


NASTY = [
    "../devices/rtx3090",
    "/etc/passwd",
    "..",
    ".",
    "...",
    "a\0b",
    "rtx3090\0.yaml",
    "x" * 10_000,
    "rtx3090" * 2_000,
    "\n",
    "\x1b[31m",
    "-",
    "+-+",
    "!!!",
    "\ud800",
    "\udcff",
    "ﬀ",
    "*",
    "index.json",
    "index",
    "%s %d {}",
    "ß" * 150,
    "İ",
    "东" * 100,
]


@pytest.mark.parametrize("name", NASTY, ids=lambda name: ascii(name)[:30])
def test_nasty_names_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        folders.find("devices", name)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 2000
    assert caught.value.field is None


@pytest.mark.parametrize("name", ["", " ", "\t\n ", "\u00a0"])
def test_an_empty_name_is_said_to_be_empty(name: str) -> None:
    with pytest.raises(InputError) as caught:
        folders.find("devices", name)
    assert caught.value.code == "empty-name"


@pytest.mark.slow
@given(st.text(st.characters(exclude_categories=()), max_size=50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example("rtx 3090")
def test_any_name_is_a_file_of_the_folder_or_an_input_error(name: str) -> None:
    try:
        path = folders.find("devices", name)
    except InputError as error:
        path, said = "", str(error)
    else:
        said = ""
        assert os.path.dirname(os.path.abspath(path)) == os.path.join(SHIPPED, "devices")
    assert said.isprintable()


@pytest.mark.parametrize(
    ("kind", "name", "suggested"),
    [
        ("devices", "rtx309", "rtx3090"),
        ("devices", "RTX 3O90", "rtx3090"),
        ("devices", "h100sxm5-80", "h100-sxm"),
        ("devices", "i9-10940", "i9-10940x"),
        ("devices", "athlon xp 260+", "athlon-xp-2600plus"),
        ("models", "alexnett", "alexnet"),
        ("architectures", "skylake-spp", "skylake-sp"),
    ],
)
def test_the_nearest_names_are_suggested(kind: str, name: str, suggested: str) -> None:
    with pytest.raises(InputError) as caught:
        folders.find(kind, name)
    error = caught.value
    assert (error.code, error.message) == (f"unknown-{kind[:-1]}", f"There is no {kind[:-1]} named {name!r}.")
    assert suggested in error.nearest
    assert len(set(error.nearest)) == len(error.nearest) <= 3
    for other in error.nearest:
        assert folders.find(kind, other)


def test_the_users_names_are_suggested_too(mine: Path) -> None:
    add(mine, "workstation", aliases="under-my-desk")
    for name in ("workstatoin", "under my desc"):
        with pytest.raises(InputError) as caught:
            folders.find("devices", name)
        assert caught.value.nearest[0] == "workstation"


def test_nothing_is_suggested_for_nonsense() -> None:
    with pytest.raises(InputError) as caught:
        folders.find("devices", "qqqqqqqqqqqq")
    assert "did you mean" not in str(caught.value)


def test_one_broken_file_hides_no_other(mine: Path) -> None:
    add(mine, "good", aliases="the-alias")
    (mine / "devices" / "bad.yaml").write_text("aliases: [the\n")
    (mine / "devices" / "odd.yaml").write_text("aliases: the-alias\n")
    (mine / "devices" / "list.yaml").write_text("- aliases\n")
    (mine / "devices" / "folder.yaml").mkdir()
    (mine / "devices" / "link.yaml").symlink_to("nowhere.yaml")
    assert catalog.device("the alias").name == "good"
    with pytest.raises(InputError, match="There is no device named"):
        catalog.device("folder")
    with pytest.raises(InputError, match=r"bad\.yaml:2:1"):
        catalog.device("BAD")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_among_the_files_does_not_hang(mine: Path) -> None:
    path = add(mine, "good", aliases="the-alias")
    os.mkfifo(mine / "devices" / "pipe.yaml")
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(folders.find("devices", "the alias")), daemon=True)
    thread.start()
    thread.join(10)
    assert found == [str(path)]


def test_a_file_name_goes_before_an_alias(shipped: Path) -> None:
    add(shipped, "a", aliases="b")
    path = add(shipped, "b", aliases="a")
    assert folders.find("devices", "B") == str(path)
    assert folders.find("devices", " b") == str(path)


def test_a_file_name_with_capitals_is_found(mine: Path) -> None:
    path = add(mine, "MyGPU")
    for name in ("MyGPU", "mygpu", "My GPU"):
        assert folders.find("devices", name) == str(path)


def test_aliases_are_text(mine: Path) -> None:
    path = add(mine, "good", aliases='"3090x", 4711, 1.5')
    assert folders.read_aliases(str(path)) == ("3090x", "4711", "1.5")
    assert folders.find("devices", "4711") == str(path)


def test_a_folder_that_cannot_be_listed_is_said(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.listdir

    def denied(path: str) -> list[str]:
        if str(path).startswith(str(mine)):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(InputError, match="devices: .*Permission denied"):
        folders.files("devices")


def test_stems(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", "c.yml", "d.json", "d.yaml.bak"):
        (tmp_path / name).write_text("")
    assert names.stems(str(tmp_path)) == ["a", "b", "c"]
    assert names.stems(str(tmp_path / "a.yaml")) == []
    assert names.stems(str(tmp_path / "none")) == []


def test_lint_names_finds_each_fault(shipped: Path) -> None:
    add(shipped, "one", aliases="shared, two")
    add(shipped, "two", aliases="shared, TWO")
    faults = "\n".join(folders.lint_names("devices"))
    assert "one.yaml: the alias 'two' also means 'two'" in faults
    assert "two.yaml: the alias 'shared' also means 'one'" in faults
    assert "two.yaml: the alias 'TWO' is only a spelling of its name: leave it out" in faults


def test_a_file_name_of_the_user_is_found_without_reading_others(mine: Path, opened: list[str]) -> None:
    for i in range(2000):
        (mine / "devices" / f"device-{i}.yaml").write_text("title: [broken\n")
    assert catalog.device("rtx3090").name == catalog.device("RTX3090").name
    with pytest.raises(InputError) as caught:
        catalog.device("device-1999")
    assert caught.value.code == "not-yaml"
    assert {name for name in opened if name.startswith("device-")} == {"device-1999.yaml"}


def test_files_come_and_go(shipped: Path) -> None:
    path = add(shipped, "new", aliases="new-alias, the newest")
    for name in ("new", "new-alias", "NEW ALIAS", "thenewest"):
        assert folders.find("devices", name) == str(path)
    path.rename(path.with_name("other.yaml"))
    assert folders.find("devices", "The Newest") == str(path.with_name("other.yaml"))
    path.with_name("other.yaml").unlink()
    for name in ("new", "NEW", "the-newest"):
        with pytest.raises(InputError) as caught:
            folders.find("devices", name)
        assert caught.value.nearest == ()
