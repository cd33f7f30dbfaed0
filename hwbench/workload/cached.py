"""Traces kept in the user's cache folder, so that a model that does not come with hwbench is traced once."""

import os
from contextlib import suppress
from hashlib import sha256

import msgspec

from hwbench.errors import InputError
from hwbench.version import VERSION
from hwbench.workload import load
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.saved import file as saved_file
from hwbench.workload.saved import shipped

_CACHED = ("timm", "torchvision")
"""Sources whose models follow from their name and the package's version alone."""


def workload(request: ModelRequest) -> Workload:
    """The workload of a request: packaged, else kept from an earlier run, else made now. Raises InputError."""
    held = shipped.workload(request)
    if held is not None:
        return held
    source = request.model.partition(":")[0]
    versions = [shipped.installed(package) for package in (source, "torch")] if source in _CACHED else [None]
    if None in versions:  # not of the cached kind, or not to be traced here
        return load.workload(request)
    file = os.path.join(folder(), _name(request, [VERSION, *map(str, versions)]))
    if os.path.isfile(file):
        with suppress(InputError):  # a damaged file is made anew
            return saved_file.load(file)
    found = load.workload(request)
    with suppress(InputError, OSError):  # a folder that cannot be written costs time, nothing else
        os.makedirs(folder(), exist_ok=True)
        saved_file.save(found, file)
    return found


def folder() -> str:
    """Where traces are kept."""
    named = os.environ.get("XDG_CACHE_HOME")
    if named and os.path.isabs(named):
        return os.path.join(named, "hwbench", "traces")
    import platformdirs

    return os.path.join(platformdirs.user_cache_dir("hwbench", appauthor=False), "traces")


def _name(request: ModelRequest, versions: list[str]) -> str:
    asked = msgspec.json.encode([request, versions])
    return f"{sha256(asked).hexdigest()[:32]}.json"
