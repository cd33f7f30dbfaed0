"""A language model in two parts: the layers that a device holds, and those that stay with the CPU."""

from msgspec.structs import replace

from hwbench.workload.language.tensors import EMBEDDING, HEAD, LanguageModel


def split_layers(model: LanguageModel, count: int) -> tuple[LanguageModel, LanguageModel]:
    """Return the part with the last `count` layers, which llama.cpp gives to the device, and the part with the others.

    The head is with the CPU unless all layers are on the device (`-ngl` counts it as one more layer). Rows of an
    embedding that is not the head are left out: they are a few KiB a token.
    """
    first = max(len(model.layers) - count, 0)
    head = model.head
    with_head = count >= len(model.layers)
    outside = [t for t in model.tensors if t.layer < 0 and t.name not in (EMBEDDING, HEAD)]
    parts = []
    for on_device in (True, False):
        own = [t for t in model.tensors if t.layer >= 0 and (t.layer >= first) == on_device]
        if with_head == on_device:
            own += [*outside, *([replace(head, name=HEAD)] if head else [])]
        layers = model.layers[first:] if on_device else model.layers[:first]
        parts.append(replace(model, tensors=tuple(own), layers=layers))
    return parts[0], parts[1]
