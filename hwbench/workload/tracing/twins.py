"""Twins of tensors without data, and what is asked of tensors that hold none: storage, layout, distinct elements."""

import copy
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import torch

_SPARSE = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
Convert = Callable[..., torch.Tensor]
"""Takes a tensor and, optionally, whether images become channels last."""


def keep_values(tensor: torch.Tensor) -> torch.Tensor:
    """Mark a small tensor of numbers that decide about shapes, so that its twin is itself; return it."""
    tensor.keeps_values = True
    return tensor


def keeps_values(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is its own twin."""
    return getattr(tensor, "keeps_values", False)


def repeat_rows(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    """Mark a tensor whose first dimension has so many rows for each sample; return it."""
    tensor.rows = rows
    return tensor


def rows(tensor: torch.Tensor) -> int:
    """Return how many entries of the batch's dimension belong to one sample."""
    return getattr(tensor, "rows", 1)


def converter(fake: Any, training: bool) -> Convert:
    """Return a function from a tensor to its only twin without data, on `meta` or a fake on CUDA."""
    twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def convert(tensor: torch.Tensor, channels_last: bool = False) -> torch.Tensor:
        if keeps_values(tensor):
            return tensor
        if id(tensor) not in twins:
            plain = tensor.detach()
            twin = plain if plain.device.type == "meta" else torch.empty_like(plain, device="meta")
            if channels_last and twin.dim() == 4:  # `contiguous` would leave the strides of 1×1 weights as they are
                twin = torch.empty_like(twin, memory_format=torch.channels_last)
            if fake is not None:
                twin = fake.fake_tensor_converter.from_meta_and_device(fake, twin, torch.device("cuda"))
            twins[id(tensor)] = (tensor, _with_gradient(tensor, twin, training))
        return twins[id(tensor)][1]

    return convert


def filler(training: bool) -> Convert:
    """Return a function from a tensor to its only twin with values, on the CPU: its own, or else random ones."""
    twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def fill(tensor: torch.Tensor, channels_last: bool = False) -> torch.Tensor:
        if id(tensor) not in twins:
            twin = tensor.detach().cpu() if not tensor.is_meta else torch.empty_like(tensor, device="cpu")
            if tensor.is_meta:
                twin = twin.uniform_() if twin.is_floating_point() else twin.zero_()
            if channels_last and twin.dim() == 4:
                twin = twin.contiguous(memory_format=torch.channels_last)
            twins[id(tensor)] = (tensor, _with_gradient(tensor, twin, training))
        return twins[id(tensor)][1]

    return fill


def _with_gradient(tensor: torch.Tensor, twin: torch.Tensor, training: bool) -> torch.Tensor:
    """Return the twin as a parameter if the tensor is one, and with a gradient where the tensor has one in training."""
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(twin, requires_grad=tensor.requires_grad and training)
    return twin.requires_grad_() if training and tensor.requires_grad and tensor.is_leaf else twin


def convert_all(value: Any, convert: Convert, channels_last: bool) -> Any:
    """Return the value with each tensor in nested lists, tuples and dicts replaced by its twin."""
    if isinstance(value, torch.Tensor):
        return convert(value, channels_last) if channels_last else convert(value)
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(convert_all(item, convert, channels_last) for item in value)
    if type(value) is dict:
        return {key: convert_all(item, convert, channels_last) for key, item in value.items()}
    if _is_cache(value):
        twin = copy.copy(value)
        vars(twin).update(convert_all(vars(value), convert, False))
        return twin
    return value


def _is_cache(value: Any) -> bool:
    """Return whether a value is a key-value cache of transformers, or a layer of one."""
    return type(value).__module__ == "transformers.cache_utils" and hasattr(value, "__dict__")


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor in nested lists, tuples, dicts, dataclasses (outputs of transformers) and key-value caches."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors(item)
    elif hasattr(value, "__dataclass_fields__") and not hasattr(value, "__dict__"):  # it has slots
        yield from tensors([getattr(value, name, None) for name in value.__dataclass_fields__])
    elif hasattr(value, "__dataclass_fields__") or _is_cache(value):
        yield from tensors(vars(value))


def is_made_of_others(kind: type) -> bool:
    """Return whether tensors of a class wrap others and do not compute themselves, such as jagged or quantized ones."""
    own: Any = getattr(kind, "__torch_dispatch__", None)
    return own is not torch.Tensor.__torch_dispatch__ and kind.__module__ != "torch._subclasses.fake_tensor"


def address(tensor: torch.Tensor) -> int:
    """Return a number that identifies a tensor's storage, whether or not it holds data."""
    storage: int = tensor.untyped_storage()._cdata
    return storage


def distinct_elements(tensor: torch.Tensor) -> int:
    """Count the elements at different places in memory: an expanded dimension has one; a sparse one those it holds."""
    if is_sparse(tensor):
        return int((tensor._values() if tensor.is_sparse else tensor.values()).numel())
    strides = tensor.stride() if tensor.layout is torch.strided else tensor.shape
    return prod(size for size, stride in zip(tensor.shape, strides, strict=True) if stride or not size)


def is_sparse(tensor: torch.Tensor) -> bool:
    """Return whether a tensor holds some of its elements alone."""
    return tensor.layout in _SPARSE


def split_nested(of: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return tensors, those of different lengths that are nested in one apart."""
    return [part for tensor in of for part in (tensor.unbind() if tensor.is_nested else [tensor])]


def frozen_weights(module: torch.nn.Module) -> list[torch.Tensor]:
    """Return the weights that freezing made constants of a scripted module's graph, which has no parameters then."""
    if not isinstance(module, torch.jit.ScriptModule) or any(True for _ in module.parameters()):
        return []
    nodes = module.graph.findAllNodes("prim::Constant", recurse=True)
    constants = (node.t("value") for node in nodes if node.hasAttribute("value") and node.kindOf("value") == "t")
    return [tensor for tensor in constants if tensor.dim() and tensor.is_floating_point()]


def is_dense(tensor: torch.Tensor) -> bool:
    """Return whether the elements are contiguous in some order of dimensions."""
    if tensor.layout is not torch.strided or tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def is_channels_last(tensor: torch.Tensor) -> bool:
    """Return whether an image is in channels-last memory format."""
    if tensor.dim() != 4 or not tensor.is_contiguous(memory_format=torch.channels_last):
        return False
    channels, strides = tensor.shape[1], tensor.stride()  # strides distinguish the layouts of 1×1 weights
    return not tensor.is_contiguous() or (channels > 1 and strides[1] == 1 and strides[3] == channels)


class Packed:
    """What objects of quantized modules hold, each unpacked once, so that its tensors are the same in every call."""

    def __init__(self, record: Callable[[list[torch.Tensor]], None]) -> None:
        self._record = record  # takes the tensors of an object that was not seen before
        self._known: dict[int, tuple[Any, list[Any]]] = {}

    def open_all(self, value: Any) -> Any:
        """Return arguments with a list of tensors in the place of each object that holds some."""
        if isinstance(value, (list, tuple)):
            return type(value)(self.open_all(item) for item in value)
        if not isinstance(value, torch.ScriptObject):
            return value
        if hash(value) not in self._known:
            tensors = _unpacked(value)
            self._known[hash(value)] = (value, tensors)
            self._record([tensor for tensor in tensors if tensor is not None])
        return self._known[hash(value)][1]


def _unpacked(packed: Any) -> list[Any]:
    """Return weight and bias, or those of a recurrent cell, whose biases stand apart; of what holds none nothing."""
    if hasattr(packed, "unpack"):
        content = packed.unpack()
        return [content] if isinstance(content, torch.Tensor) else list(content)
    state = packed.__getstate__() if hasattr(packed, "__getstate__") else ()
    flat = [part for parts in _lists(state) for part in parts]
    biases = [part for part in flat if isinstance(part, torch.Tensor)]
    return biases + [part.unpack()[0] for part in flat if isinstance(part, torch.ScriptObject)]


def _lists(state: Any) -> list[list[Any]]:
    if isinstance(state, list):
        return [state]
    return [parts for item in state for parts in _lists(item)] if isinstance(state, tuple) else []
