"""Find the file that a name of the catalog means.

Folders are searched in this order, so that the user's files win over the shipped ones: the one named by
`HWBENCH_CONFIGS`, the platform's user config folder, the catalog that ships with hwbench. `devices/rtx3090.yaml` is
found by its file name alone: no other file is opened. Aliases (`geforce-rtx-3090`) are looked up when no file name
answers, those of the shipped catalog first, so that files of the user are read only where a name is still unknown.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import chain

from hwbench.errors import InputError, nearest, shown
from hwbench.files import cache, documents, names, places
from hwbench.files.names import SAVED, SUFFIX, key


def search_path() -> tuple[str, ...]:
    """Return the catalog folders, the one that wins first. Raises InputError when HWBENCH_CONFIGS is no folder."""
    named = os.environ.get("HWBENCH_CONFIGS")
    if named and not os.path.isdir(named):
        raise InputError("not-a-folder", "The value of HWBENCH_CONFIGS is not a folder.", file=named)
    own = places.user("config")
    return (*((named,) if named else ()), *((own,) if os.path.isdir(own) else ()), places.shipped())


def files(kind: str) -> dict[str, str]:
    """Return the path of every file of a kind (`devices`, `models`, `architectures`) by its name."""
    paths: dict[str, str] = {}
    for folder in _folders(kind)[::-1]:
        for stem in names.stems(folder):
            paths[stem] = names.file(folder, stem) or os.path.join(folder, stem + SUFFIX)
    return dict(sorted(paths.items()))


class Tables:
    """What the folders of a kind hold, each read at most once for one question."""

    def __init__(self, kind: str) -> None:
        self.folders = _folders(kind)

    @cached_property
    def keys(self) -> Callable[[str], dict[str, str]]:
        """What returns the name of the file of each key in a folder."""
        return lru_cache(None)(_by_key)

    @cached_property
    def aliases(self) -> Callable[[str], dict[str, str]]:
        """What returns the name of the file of each alias's key in a folder."""
        return lru_cache(None)(cache.aliases)

    def file(self, name: str) -> str | None:
        """Return the path of the file that a name, any spelling of it, or an alias means; None where there is none."""
        wanted = key(name)
        if not wanted or len(name) > 200:
            return None
        stem = "" if os.sep in name or "\0" in name else name.lower()
        paths = chain(
            (names.file(folder, stem) for folder in self.folders),
            (names.file(folder, self.keys(folder).get(wanted, "")) for folder in self.folders),
            (names.file(folder, self._of_alias(folder, wanted)) for folder in (self.folders[-1], *self.folders[:-1])),
        )
        return next(filter(None, paths), None)

    def spellings(self) -> dict[str, str]:
        """Return the name of the file that each key of a file name or an alias means."""
        known: dict[str, str] = {}
        for folder in (*self.folders[:-1][::-1], self.folders[-1]):
            known |= self.aliases(folder)
        for folder in self.folders[::-1]:
            known |= self.keys(folder)
        return known

    def _of_alias(self, folder: str, alias: str) -> str:
        return cache.find(folder, alias) or self.aliases(folder).get(alias, "")


def find(kind: str, name: str, otherwise: Callable[[str, InputError, Tables], str] | None = None) -> str:
    """Return the path of the file that a name, any spelling of it, or an alias means.

    Raises InputError with the nearest names, unless `otherwise` returns a path in its place.
    """
    singular = kind.removesuffix("s")
    if not name.strip():
        raise InputError("empty-name", f"The {singular} name is empty.")
    tables = Tables(kind)
    if path := tables.file(name):
        return path
    known = tables.spellings()
    alike = _same_series(key(name), known) if kind == "devices" else dict.fromkeys(known, True)
    wanted = key(name)
    holding = [spelling for spelling in alike if kind == "devices" and len(wanted) > 2 and wanted in spelling]
    if len({known[spelling] for spelling in holding}) > MAX_ALIKE:
        holding, alike = [], {}
    holding.sort(key=lambda spelling: (not spelling.endswith(wanted), len(spelling)))
    likest = holding or sorted(nearest(wanted, alike, most=6), key=lambda spelling: not alike[spelling])
    close = dict.fromkeys(known[spelling] for spelling in likest)
    hint = "" if close or kind == "architectures" else f" Run `hwbench {kind}` to list them."
    message = f"There is no {singular} named '{shown(name)}'.{hint}"
    error = InputError(f"unknown-{singular}", message, nearest=tuple(close)[:3])
    if otherwise is None:
        raise error
    return otherwise(name, error, tables)


MAX_ALIKE = 40
"""Devices with a word in their names above which it tells none of them: Xeon, Ryzen."""
_BESIDES = r"^(nvidia|amd|intel|google|aws|amazon)(?=.)|(?<=[0-9]{4})[0-9]{1,2}gb|processor$"
_NUMBERS = r"([a-z]*)([0-9]{2,})"


def _same_series(wanted: str, known: Iterable[str]) -> dict[str, bool]:
    """Return the spellings with a number of the wanted name's series after the same letters; whether it is the same.

    Of devices the digits tell more than the letters: `rx 6600` is nothing like `x6800`. An O between digits is a zero.
    A name without a number is only like those that begin as it does and are much the same, or hold it.
    """
    start = re.sub(_BESIDES, "", re.sub(r"(?<=[0-9])o(?=[0-9])", "0", wanted[:200]))
    numbered = re.compile(_NUMBERS).findall  # which most starts do without
    numbers, alike = numbered(start), {}
    first = tuple(digits[:2] for _, digits in numbers)
    for spelling in known:
        if first and not any(digits in spelling for digits in first):  # most, without a regular expression
            continue
        bare = re.sub(_BESIDES, "", spelling)
        if not numbers and (start in bare or _much_the_same(start, bare)):
            alike[spelling] = True
        for line, others in numbered(bare) if numbers else ():
            for letters, digits in numbers:
                if _same_line(letters, line) and (digits == others or _same_generation(digits, others)):
                    alike[spelling] = digits == others or alike.get(spelling, False)
    return alike


def _much_the_same(start: str, bare: str) -> bool:
    from difflib import SequenceMatcher

    return bare[:3] == start[:3] and SequenceMatcher(None, start, bare).ratio() >= 0.75


def _same_line(letters: str, line: str) -> bool:
    """Whether the letters before two numbers are the same, or one has a word more: GeForce RTX is RTX, GB is not B."""
    short, long = sorted((letters, line), key=len)
    return not letters or (bool(line) and long.endswith(short) and len(long) - len(short) not in (1, 2))


def _same_generation(digits: str, others: str) -> bool:
    """Whether two numbers differ in their last digits alone; one of round thousands (RTX 6000) is a line of its own."""
    if digits.endswith("000") or others.endswith("000"):
        return False
    short, long = sorted((digits, others), key=len)
    if len(short) < len(long):
        return len(short) > 2 and long.startswith(short)
    return long.startswith(short[:2])


def variants(known: dict[str, str], wanted: str) -> tuple[str, ...]:
    """Return the files of which a key leaves open which is meant: by memory, or by the form of the card."""
    longer = (
        (spelling[len(wanted) :], stem) for spelling, stem in sorted(known.items()) if spelling.startswith(wanted)
    )
    return tuple(dict.fromkeys(stem for more, stem in longer if re.match(r"sxm|pcie|nvl|[0-9]+gb|gddr", more)))


def locate(kind: str, name: str) -> str | None:
    """Return the path of the file that a name, any spelling of it, or an alias means; None where there is none."""
    return Tables(kind).file(name)


def spellings(kind: str) -> dict[str, str]:
    """Return the name of the file that each key of a file name or an alias means."""
    return Tables(kind).spellings()


def _folders(kind: str) -> list[str]:
    return [os.path.join(folder, kind) for folder in search_path()]


def _by_key(folder: str) -> dict[str, str]:
    return {key(stem): stem for stem in names.stems(folder)}


def read_aliases(path: str) -> tuple[str, ...]:
    """Return the aliases in a file; none where the file is broken, so that one bad file hides no other."""
    if path.endswith(SAVED):
        return ()
    try:
        aliases = documents.read(path).data.get("aliases", [])
    except InputError:
        return ()
    return tuple(str(alias) for alias in aliases) if isinstance(aliases, list) else ()


def lint_names(kind: str) -> Iterator[str]:
    """Yield the aliases that mean two files or only spell their file's name."""
    paths = files(kind)
    owners = {key(stem): stem for stem in paths}
    for stem, path in paths.items():
        for alias in read_aliases(path):
            owner = owners.setdefault(key(alias), stem)
            if owner != stem:
                yield f"{path}: the alias {alias!r} also means {owner!r}"
            elif key(alias) == key(stem):
                yield f"{path}: the alias {alias!r} is only a spelling of its name: leave it out"
