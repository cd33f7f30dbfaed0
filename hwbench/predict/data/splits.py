"""Splits of measured networks: parameters are fitted on `fit`, intervals on `tune`; reported figures are of `test`.

Whole families go to one split, by a hash of the family's name: nobody chooses, and no relative of a tested network is
fitted.
"""

import re
from hashlib import blake2b
from typing import Literal

Split = Literal["fit", "tune", "test"]
SPLITS: tuple[Split, ...] = ("fit", "tune", "test")
_ENDS: tuple[tuple[Split, int], ...] = (("fit", 50), ("tune", 75), ("test", 100))
"""Percentile of the hash at which each split ends."""
_PREFIXES = ("test", "legacy", "tf", "hf", "torchvision", "timm")
_ALIASES = {"ssl": "resnet", "swsl": "resnet", "ig": "resnext", "seresnet": "resnet", "gc": "gcresnet"}


def family(model: str) -> str:
    """Return the family of a network by its name: `efficientnet` for `timm:tf_efficientnet_b0.ns`."""
    name = model.rpartition(":")[2].partition(".")[0].lower()
    words = [word for word in re.split(r"[_\-]", name) if word and word not in _PREFIXES]
    match = re.match(r"[a-z]+", words[0]) if words else None
    stem = match.group(0) if match else name
    return _ALIASES.get(stem, stem)


def split(name: str) -> Split:
    """Return the split that a family belongs to."""
    percentile = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % 100
    return next(part for part, end in _ENDS if percentile < end)
