"""Names of the Hugging Face hub, typed where hwbench takes model types: `meta-llama/Llama-3.1-8B`, `gpt2`."""

import importlib.util
import os
import re
from contextlib import suppress

from hwbench.errors import InputError, nearest, shown
from hwbench.files import folders
from hwbench.files.content import read_text

HUB_HINT = (
    "Models of transformers are traced by their type, without any download: hf:{family} has the "
    "default sizes of that type, and hf:{family}?num_hidden_layers=32 changes one."
)
_COMMON = (
    "bert", "bloom", "clip", "deepseek_v3", "distilbert", "falcon", "gemma", "gemma2", "gemma3", "gpt2", "gpt_neox",
    "llama", "mamba", "mistral", "mixtral", "opt", "phi", "phi3", "qwen2", "qwen3", "roberta", "t5", "vit", "whisper",
)  # fmt: skip
"""Model types that are known without transformers."""


def check_type(name: str) -> None:
    """Raise InputError where a name after `hf:` is one of the hub, or no model type of the installed transformers."""
    kind, types = name.partition("?")[0], _types()
    if not types or kind in types:
        return
    family = family_of(kind)
    hint = f" {HUB_HINT.format(family=family)}" if family else ""
    if folders.locate("language", kind):
        hint = f" Without hf: it is a language model of `hwbench estimate`.{hint}"
    close = (family,) if family else nearest(kind, [each for each in types if each.islower()])
    text = f"There is no transformers model type '{shown(kind)}'.{hint}"
    raise InputError("unknown-model", text, field="model", nearest=close)


def family_of(name: str) -> str | None:
    """Return the model type that a name begins with: `llama` for `meta-llama/Llama-3.1-8B`."""
    words = _letters(name.rpartition("/")[2])
    types = [kind for kind in (*_COMMON, *_types()) if _letters(kind) and words.startswith(_letters(kind))]
    return max(types, key=len, default=None)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _types() -> frozenset[str]:
    """Return the names in the tables of transformers' model types, without importing it; none where it lacks them."""
    spec = importlib.util.find_spec("transformers")
    texts = []
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("auto_mappings.py", "configuration_auto.py"):
            with suppress(InputError):
                texts.append(read_text(os.path.join(folder, "models", "auto", name)))
    return frozenset(re.findall(r'"([A-Za-z0-9_.-]+)"', "".join(texts)))
