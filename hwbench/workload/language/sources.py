"""Language models by name: files of the catalog, GGUF files, configurations, and folders of the hub."""

import os

from hwbench.files import folders
from hwbench.workload.language import catalog
from hwbench.workload.language.tensors import LanguageModel


def is_language_model(name: str) -> bool:
    """Return whether a name means a language model: a file or folder of one, or an entry of the catalog."""
    return _is_file(name) or (":" not in name and folders.locate(catalog.KIND, name.partition("?")[0]) is not None)


def language_model(name: str, weights: str | None = None) -> LanguageModel:
    """Return the language model of a name in a format of weights, by default that of its file. Raises InputError."""
    if not _is_file(name):
        return catalog.load(name, weights)
    from hwbench.workload.language import files  # which names of the catalog do without

    return files.load(name, weights)


def _is_file(name: str) -> bool:
    if name.endswith((".gguf", ".safetensors")) or os.path.basename(name) == "config.json":
        return True
    return os.path.isfile(os.path.join(name, "config.json"))
