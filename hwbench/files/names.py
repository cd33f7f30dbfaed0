"""Names of catalog entries, and the files in a folder that carry them."""

import os
from functools import lru_cache

from hwbench.errors import InputError
from hwbench.files.content import reason

SUFFIX = ".yaml"
OTHER_SUFFIX = ".yml"
SAVED = ".json"
FILES = (SUFFIX, OTHER_SUFFIX, SAVED)
"""Suffix of a saved workload, which may be among the models instead of a YAML file."""


@lru_cache(maxsize=8192)
def key(name: str) -> str:
    """Return what all spellings of a name share: letters and digits, in lower case; `+` is kept as `plus`."""
    bare = name.lower().replace("+", "plus").replace("-", "")
    return bare if bare.isalnum() else "".join(c for c in bare if c.isalnum() or c == ".")


def is_path(name: str) -> bool:
    """Return whether a name is meant as a file rather than as an entry of the catalog.

    Systems write names with slashes too, which have blanks: `w/ Radeon 780M`, `AMD Instinct MI250X / MI250`.
    """
    if name.endswith((SUFFIX, OTHER_SUFFIX)):
        return True
    return os.sep in name and (" " not in name or name.startswith((os.sep, ".", "~")))


def file(folder: str, stem: str) -> str | None:
    """Return the path of a name's file; None where there is none."""
    for suffix in (SUFFIX, OTHER_SUFFIX, SAVED):
        path = os.path.join(folder, stem + suffix)
        if stem and os.path.isfile(path):
            return path
    return None


def stems(folder: str) -> list[str]:
    """Return the names of the files in a folder, sorted. Raises InputError where a folder cannot be listed."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError("not-readable", f"The folder cannot be read: {reason(error)}.", file=folder) from None
    suffixes = (SUFFIX, OTHER_SUFFIX, *((SAVED,) if os.path.basename(folder) == "models" else ()))
    return sorted({name.rpartition(".")[0] for name in names if name.endswith(suffixes)} - {""})
