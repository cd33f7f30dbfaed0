"""Families of measured networks, and the group in which each is held out of a fit.

Whole families go to one group, by a hash of the family's name: nobody chooses, and no relative of a network that is
forecast then was fitted.
"""

import re
from hashlib import blake2b

_PREFIXES = ("test", "legacy", "tf", "hf", "torchvision", "timm")
_ALIASES = {"ssl": "resnet", "swsl": "resnet", "ig": "resnext", "seresnet": "resnet", "gc": "gcresnet"}


def family(model: str) -> str:
    """Return the family of a network by its name: `efficientnet` for `timm:tf_efficientnet_b0.ns`.

    That of a network of one kind of layer is the kind, `layers:conv`.
    """
    source, _, kind = model.partition(":")
    if source == "layers":
        return f"layers:{kind.partition('-')[0]}"
    name = model.rpartition(":")[2].partition(".")[0].lower()
    words = [word for word in re.split(r"[_\-]", name) if word and word not in _PREFIXES]
    match = re.match(r"[a-z]+", words[0]) if words else None
    stem = match.group(0) if match else name
    return _ALIASES.get(stem, stem)


def member(model: str) -> str:
    """Return the family of a network, or the name of one of a kind of layer: its relatives say nothing of its sizes."""
    return model if model.startswith("layers:") else family(model)


def kind(member: str) -> str:
    """Return the family of a network by its `member`: the kind of layer of a network of one."""
    return family(member) if member.startswith("layers:") else member


def fold(name: str, count: int) -> int:
    """Return which of `count` groups a family belongs to."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % count
