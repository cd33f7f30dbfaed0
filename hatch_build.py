"""Build hook: put the parsed catalog into wheels, beside the YAML files that it was made from."""

import os
import shutil
import sys
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CatalogCache(BuildHookInterface):
    """Writes one cache file for each kind of catalog file."""

    folder = ""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the caches to a wheel; an editable install keeps its own in the user's cache folder."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from hwbench.files import cache

        self.folder = tempfile.mkdtemp()
        for kind in ("architectures", "devices", "language", "models"):
            path = os.path.join(self.folder, kind)
            with open(path, "wb") as file:
                file.write(cache.packed(os.path.join(self.root, "configs", kind)))
            build_data["force_include"][path] = f"hwbench/configs/{kind}{cache.EXTENSION}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the files that were made for the wheel."""
        shutil.rmtree(self.folder, ignore_errors=True)
