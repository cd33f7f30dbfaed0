"""Language models without torch: their tensors, caches and formats, from files, configurations and the catalog."""

from hwbench.workload.language.sources import is_language_model, language_model
from hwbench.workload.language.tensors import LanguageModel

__all__ = ["LanguageModel", "is_language_model", "language_model"]
