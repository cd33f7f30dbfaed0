"""Where catalog files are, and which file a name means.

Folders are searched in this order, so that the user's files win over ours: the one named by `HWBENCH_CONFIGS`, the
platform's user config folder, the catalog that ships with hwbench. In each, `devices/rtx3090.yaml` is found by its
file name alone: no other file is opened. Spellings and aliases (`RTX 3090`, `geforce-rtx-3090`) are looked up in
the folder's `index.json`, which `make index` writes; files that the index does not know yet are read.
"""

import os
import sys

import msgspec

from hwbench import documents
from hwbench.errors import InputError, nearest, shown

SUFFIX = ".yaml"
INDEX = "index.json"


class Index(msgspec.Struct, frozen=True):
    """Contents of an `index.json`: each file's aliases, so that finding one need not read all."""

    files: dict[str, tuple[str, ...]]


def shipped() -> str:
    """The catalog that comes with hwbench: inside the installed package, or the checkout's top level."""
    package = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(package, "configs")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(package), "configs")


def user() -> str:
    """The user's own catalog folder, whether or not it exists."""
    if sys.platform.startswith("linux"):  # what platformdirs answers there, without the cost of importing it
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return os.path.join(home, "hwbench")
    import platformdirs

    return platformdirs.user_config_dir("hwbench", appauthor=False)


def search_path() -> tuple[str, ...]:
    """Catalog folders, the one that wins first. Raises InputError when HWBENCH_CONFIGS names no folder."""
    named = os.environ.get("HWBENCH_CONFIGS")
    if named and not os.path.isdir(named):
        raise InputError("HWBENCH_CONFIGS names no folder", file=named)
    return (*((named,) if named else ()), *(folder for folder in (user(),) if os.path.isdir(folder)), shipped())


def key(name: str) -> str:
    """What two spellings of one name share: letters and digits, in lower case; `+` is kept as `plus`."""
    return "".join(c for c in name.lower().replace("+", "plus") if c.isalnum() or c == ".")


def is_path(name: str) -> bool:
    """Whether a name is meant as a file rather than as an entry of the catalog."""
    return name.endswith((SUFFIX, ".yml")) or os.sep in name


def files(kind: str) -> dict[str, str]:
    """Path of every file of a kind (`devices`, `models`, `architectures`) by its name; the user's hide ours."""
    found: dict[str, str] = {}
    for folder in reversed(search_path()):
        for stem in stems(os.path.join(folder, kind)):
            found[stem] = os.path.join(folder, kind, stem + SUFFIX)
    return dict(sorted(found.items()))


def find(kind: str, name: str) -> str:
    """Path of the file that `name`, any spelling of it, or an alias means. Raises InputError with the nearest names."""
    singular = kind.removesuffix("s")
    if not name.strip():
        raise InputError(f"the {singular} name is empty")
    folders = [os.path.join(folder, kind) for folder in search_path()]
    wanted = key(name)
    if wanted and len(name) <= 200:
        for folder in folders:
            path = os.path.join(folder, name.lower() + SUFFIX)
            if os.sep not in name and "\0" not in name and os.path.isfile(path):
                return path
        for folder in folders:
            stem = _spellings(folder).get(wanted)
            if stem:
                return os.path.join(folder, stem + SUFFIX)
    known = {spelling: stem for folder in reversed(folders) for spelling, stem in _spellings(folder).items()}
    close = dict.fromkeys(known[spelling] for spelling in nearest(wanted, known, most=6))
    raise InputError(f"there is no {singular} named {shown(name)!r}", nearest=tuple(close)[:3])


def stems(folder: str) -> list[str]:
    """Names of the YAML files in a folder."""
    if not os.path.isdir(folder):
        return []
    return sorted(name.removesuffix(SUFFIX) for name in os.listdir(folder) if name.endswith(SUFFIX))


def _spellings(folder: str) -> dict[str, str]:
    """File name by the key of each of its spellings; a file's own name goes before another's alias."""
    known = read_index(folder)
    spellings: dict[str, str] = {}
    names = stems(folder)
    for stem in names:
        aliases = known.get(stem)
        for alias in read_aliases(os.path.join(folder, stem + SUFFIX)) if aliases is None else aliases:
            spellings.setdefault(key(alias), stem)
    return spellings | {key(stem): stem for stem in names}


def read_index(folder: str) -> dict[str, tuple[str, ...]]:
    """Aliases by file name as the folder's index has them; empty where there is no index."""
    path = os.path.join(folder, INDEX)
    if not os.path.isfile(path):
        return {}
    try:
        return msgspec.json.decode(documents.read_text(path, largest=1 << 26), type=Index).files
    except msgspec.DecodeError as error:
        raise InputError(f"is not an index: {error}", file=path) from None


def read_aliases(path: str) -> tuple[str, ...]:
    """The aliases a file gives itself; none where the file is broken, so that one bad file hides no other."""
    try:
        aliases = documents.read(path).data.get("aliases", [])
    except InputError:
        return ()
    return tuple(str(alias) for alias in aliases) if isinstance(aliases, list) else ()


def fresh_index(folder: str) -> str:
    """Text of the index that the files of a folder call for."""
    entries = {stem: read_aliases(os.path.join(folder, stem + SUFFIX)) for stem in stems(folder)}
    return msgspec.json.format(msgspec.json.encode(Index(entries)), indent=1).decode() + "\n"


def write_indexes() -> None:
    """Write the index of each kind of file in the shipped catalog (`make index`)."""
    for kind in ("architectures", "devices", "models"):
        folder = os.path.join(shipped(), kind)
        documents.write_atomically(os.path.join(folder, INDEX), fresh_index(folder))
