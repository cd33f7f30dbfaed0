"""Traces in the user's cache folder, so that a model that does not come with hwbench is traced once."""

import os
from contextlib import suppress
from hashlib import sha256

import msgspec

from hwbench import __version__
from hwbench.errors import InputError
from hwbench.files import places
from hwbench.workload import load
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.saved import file as saved_file
from hwbench.workload.saved import shipped

_CACHED = ("timm", "torchvision")
"""Sources whose models depend on their name and the package's version alone."""


def workload(request: ModelRequest) -> Workload:
    """Return the workload of a request: shipped, else cached by an earlier run, else new. Raises InputError."""
    packed = shipped.workload(request)
    if packed is not None:
        return packed
    source = request.model.partition(":")[0]
    versions = [shipped.installed(package) for package in (source, "torch")] if source in _CACHED else [None]
    if None in versions:  # another source, or a package is missing
        return load.workload(request)
    key = msgspec.json.encode([request, [__version__, *map(str, versions)]])
    file = os.path.join(folder(), f"{sha256(key).hexdigest()[:32]}.json")
    if os.path.isfile(file):
        with suppress(InputError):  # a damaged file is replaced
            return saved_file.load(file)
    result = load.workload(request)
    with suppress(InputError, OSError):  # without a writable folder the next run traces again
        os.makedirs(folder(), exist_ok=True)
        saved_file.save(result, file)
    return result


def folder() -> str:
    """Return the folder of cached traces."""
    return os.path.join(places.user("cache"), "traces")
