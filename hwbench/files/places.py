"""Folders of the package and of the user."""

import os
import sys
from typing import Literal

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Folder of the hwbench package itself."""

_UNIX = {"config": ".config", "cache": ".cache", "data": os.path.join(".local", "share")}


def packaged(name: str, checkout: str) -> str:
    """Return a folder of data: `name` in an installed package, else `checkout` below the checkout's top level."""
    installed = os.path.join(PACKAGE, name)
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(PACKAGE), checkout)


def shipped() -> str:
    """Return the folder of the catalog that comes with hwbench."""
    return packaged("configs", "configs")


def _home() -> str:
    if home := os.environ.get("HOME"):
        return home
    import pwd  # which an environment with a home does without

    return pwd.getpwuid(os.getuid()).pw_dir


def user(kind: Literal["config", "cache", "data"]) -> str:
    """Return the user's own folder for configuration, caches or data, whether or not it exists."""
    if os.name == "posix" and sys.platform != "darwin":  # as platformdirs answers, without the cost of importing it
        named = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
        home = named if os.path.isabs(named) else os.path.join(_home(), _UNIX[kind])
        return os.path.join(home, "hwbench")
    import platformdirs

    folder: str = getattr(platformdirs, f"user_{kind}_dir")("hwbench", appauthor=False)
    return folder
