"""Which networks parameters are fitted on, which intervals are set on, and which figures are reported of.

Whole families go to one part, by a hash of the family's name: nobody chooses, and a relative of a reported network is
never fitted.
"""

import re
from hashlib import blake2b
from typing import Literal

Part = Literal["fit", "tune", "report"]
PARTS: tuple[Part, ...] = ("fit", "tune", "report")
_SHARES: tuple[tuple[Part, int], ...] = (("fit", 50), ("tune", 25), ("report", 25))
_PREFIXES = ("test", "legacy", "tf", "hf", "torchvision", "timm")
_ALIASES = {"ssl": "resnet", "swsl": "resnet", "ig": "resnext", "seresnet": "resnet", "gc": "gcresnet"}


def family(model: str) -> str:
    """The family of a network by its name: `timm:tf_efficientnet_b0.ns` is of `efficientnet`."""
    name = model.rpartition(":")[2].partition(".")[0].lower()
    words = [word for word in re.split(r"[_\-]", name) if word and word not in _PREFIXES]
    match = re.match(r"[a-z]+", words[0]) if words else None
    stem = match.group(0) if match else name
    return _ALIASES.get(stem, stem)


def part(name: str) -> Part:
    """The part that a family belongs to."""
    number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % 100
    for which, share in _SHARES:
        if number < share:
            return which
        number -= share
    return "report"
