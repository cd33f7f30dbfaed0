"""Where catalog files are, and which file a name means.

Folders are searched in this order, so that the user's files win over ours: the one named by `HWBENCH_CONFIGS`, the
platform's user config folder, the catalog that ships with hwbench. In each, `devices/rtx3090.yaml` is found by its
file name alone: no other file is opened. Spellings and aliases (`RTX 3090`, `geforce-rtx-3090`) are looked up in
the folder's `index.json`, which `make index` writes; files that no index knows, a user's among them, are read only
when nothing else answers to the name. So the user's file names win over ours, and so does an alias that ours lack.
"""

import os
import sys
from collections.abc import Iterator

import msgspec

from hwbench.errors import InputError, nearest, shown
from hwbench.files import documents

SUFFIX = ".yaml"
SAVED = ".json"
"""Ends a saved workload, which may stand among the models instead of a YAML file."""
INDEX = "index.json"


class Index(msgspec.Struct, frozen=True):
    """Contents of an `index.json`: the files it knows, and which of them each spelling's key means."""

    files: tuple[str, ...] = ()
    spellings: dict[str, str] = {}


PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Folder of the hwbench package itself."""


def packaged(name: str, checkout: str) -> str:
    """Return a folder of data: `name` in an installed package, else `checkout` below the checkout's top level."""
    installed = os.path.join(PACKAGE, name)
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(PACKAGE), checkout)


def shipped() -> str:
    """Return the folder of the catalog that comes with hwbench."""
    return packaged("configs", "configs")


def user() -> str:
    """The user's own catalog folder, whether or not it exists."""
    if os.name == "posix" and sys.platform != "darwin":  # as platformdirs answers, without the cost of importing it
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return os.path.join(home, "hwbench")
    return _user_elsewhere()


def _user_elsewhere() -> str:
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
            found[stem] = _file(os.path.join(folder, kind), stem) or os.path.join(folder, kind, stem + SUFFIX)
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
            path = os.sep not in name and "\0" not in name and _file(folder, name.lower())
            if path:
                return path
        # File names first, then what an index says, then what files without one say: only the last opens any.
        for spellings in (_by_name, _indexed, _unindexed):
            for folder in folders:
                path = _file(folder, spellings(folder).get(wanted, ""))
                if path:
                    return path
    known: dict[str, str] = {}
    for folder in reversed(folders):
        there = set(stems(folder))
        known |= {k: stem for k, stem in (_indexed(folder) | _unindexed(folder)).items() if stem in there}
    close = dict.fromkeys(known[spelling] for spelling in nearest(wanted, known, most=6))
    hint = "" if close or kind == "architectures" else f": see `hwbench {kind}`"
    raise InputError(f"there is no {singular} named '{shown(name)}'{hint}", nearest=tuple(close)[:3])


def _file(folder: str, stem: str) -> str | None:
    """The path of a name's file; None where there is none."""
    for suffix in (SUFFIX, SAVED):
        path = os.path.join(folder, stem + suffix)
        if stem and stem + suffix != INDEX and os.path.isfile(path):
            return path
    return None


def stems(folder: str) -> list[str]:
    """Names of the files in a folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=folder) from None
    ends = (SUFFIX, SAVED) if os.path.basename(folder) == "models" else (SUFFIX,)
    return sorted({os.path.splitext(name)[0] for name in names if name.endswith(ends) and name != INDEX})


def _by_name(folder: str) -> dict[str, str]:
    """Files by the key of their own names."""
    return {key(stem): stem for stem in stems(folder)}


def _indexed(folder: str) -> dict[str, str]:
    """Spellings that the folder's index knows, some perhaps of files that are gone."""
    return read_index(folder).spellings


def _unindexed(folder: str) -> dict[str, str]:
    """Spellings of the files that the folder's index does not know, from the files themselves."""
    known = set(read_index(folder).files)
    return _spellings(folder, [stem for stem in stems(folder) if stem not in known])


def _spellings(folder: str, names: list[str]) -> dict[str, str]:
    """File name by the key of each of its spellings; a file's own name goes before another's alias."""
    spellings: dict[str, str] = {}
    for stem in names:
        for alias in read_aliases(_file(folder, stem) or os.path.join(folder, stem + SUFFIX)):
            spellings.setdefault(key(alias), stem)
    return spellings | {key(stem): stem for stem in names}


def read_index(folder: str) -> Index:
    """The folder's index; an empty one where there is none."""
    path = os.path.join(folder, INDEX)
    if not os.path.isfile(path):
        return Index()
    try:
        return msgspec.json.decode(documents.read_text(path, largest=1 << 26), type=Index)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"is not an index: {error}", file=path) from None


def read_aliases(path: str) -> tuple[str, ...]:
    """The aliases a file gives itself; none where the file is broken, so that one bad file hides no other."""
    if path.endswith(SAVED):
        return ()
    try:
        aliases = documents.read(path).data.get("aliases", [])
    except InputError:
        return ()
    return tuple(str(alias) for alias in aliases) if isinstance(aliases, list) else ()


def fresh_index(folder: str) -> str:
    """Text of the index that the files of a folder call for."""
    names = stems(folder)
    index = Index(tuple(names), dict(sorted(_spellings(folder, names).items())))
    return msgspec.json.format(msgspec.json.encode(index), indent=1).decode() + "\n"


def write_indexes() -> None:
    """Write the index of each kind of file in the shipped catalog (`make index`)."""
    for kind in ("architectures", "devices", "models"):
        folder = os.path.join(shipped(), kind)
        documents.write_atomically(os.path.join(folder, INDEX), fresh_index(folder))
        documents.write_atomically(os.path.join(folder, documents.PARSED), fresh_parsed(folder))


def fresh_parsed(folder: str) -> str:
    """Text of the parsed file that the files of a folder call for."""
    return documents.parsed_lines(os.path.join(folder, stem + SUFFIX) for stem in stems(folder))


def lint_names(kind: str) -> Iterator[str]:
    """Names and aliases that mean two files, and an index that is not what the files say."""
    owners: dict[str, str] = {}
    paths = files(kind)
    aliases = {stem: read_aliases(path) for stem, path in paths.items()}
    for stem in paths:
        owners[key(stem)] = stem
    for stem, path in paths.items():
        for alias in aliases[stem]:
            owner = owners.setdefault(key(alias), stem)
            if owner != stem:
                yield f"{path}: the alias {alias!r} also means {owner!r}"
            elif key(alias) == key(stem):
                yield f"{path}: the alias {alias!r} is only a spelling of its name: leave it out"
    folder = os.path.join(shipped(), kind)
    index = os.path.join(folder, INDEX)
    if not os.path.isfile(index) or documents.read_text(index) != fresh_index(folder):
        yield f"{index}: is not up to date: run `make index`"
    parsed = os.path.join(folder, documents.PARSED)
    if not os.path.isfile(parsed) or documents.read_text(parsed, 1 << 26) != fresh_parsed(folder):
        yield f"{parsed}: is not up to date: run `make index`"
