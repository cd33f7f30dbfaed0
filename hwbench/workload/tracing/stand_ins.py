"""How a module runs without data and is left as it was: twins of its tensors, names of its parts, torch's switches.

At the end, what kernels return that torch cannot run without data.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch


def fake_mode(wanted: bool) -> Any:
    """A mode in which tensors say they are on CUDA; None where `meta` tensors will do, which are faster."""
    if not wanted:
        return None
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


Convert = Callable[..., torch.Tensor]
"""Of a tensor and, where it matters, whether images are to be channels last."""


def converter(fake: Any, training: bool) -> Convert:
    """A tensor's twin without data, channels last if asked: on `meta`, or a fake on CUDA. One tensor has one twin."""
    twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def convert(tensor: torch.Tensor, channels_last: bool = False) -> torch.Tensor:
        if id(tensor) not in twins:
            plain = tensor.detach()
            twin = plain if plain.device.type == "meta" else torch.empty_like(plain, device="meta")
            if channels_last and twin.dim() == 4:  # `contiguous` would leave the strides of 1×1 weights as they are
                twin = torch.empty_like(twin, memory_format=torch.channels_last)
            if fake is not None:
                twin = fake.fake_tensor_converter.from_meta_and_device(fake, twin, torch.device("cuda"))
            if isinstance(tensor, torch.nn.Parameter):
                twin = torch.nn.Parameter(twin, requires_grad=tensor.requires_grad and training)
            twins[id(tensor)] = (tensor, twin)
        return twins[id(tensor)][1]

    return convert


def convert_all(value: Any, convert: Convert, channels_last: bool) -> Any:
    """The value with each tensor in nested lists, tuples and dicts replaced by its twin."""
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
    """Whether a value is a key-value cache of transformers, or a layer of one."""
    return type(value).__module__ == "transformers.cache_utils" and hasattr(value, "__dict__")


_OWN = ("_parameters", "_buffers", "_modules")


@contextlib.contextmanager
def swapped(module: torch.nn.Module, convert: Convert, training: bool, channels_last: bool) -> Iterator[None]:
    """The module with twins in place of its tensors and in the right mode; afterwards as it was."""
    kept = [(owner, dict(vars(owner))) for owner in module.modules()]
    try:
        for owner, attributes in kept:
            changed = {
                key: convert_all(value, convert, False)
                for key, value in attributes.items()
                if key not in _OWN and next(tensors(value), None) is not None
            }
            for store in ("_parameters", "_buffers"):
                changed[store] = convert_all(attributes[store], convert, channels_last)
            vars(owner).update(changed, training=training)
        yield
    finally:
        for owner, attributes in kept:
            vars(owner).clear()
            vars(owner).update(attributes)


@contextlib.contextmanager
def named(module: torch.nn.Module, stack: list[str]) -> Iterator[None]:
    """Keep the path of the module that runs on top of `stack`, by hooks that belong to no module."""
    from torch.nn.modules import module as hooks

    names = {id(child): name for name, child in module.named_modules()}

    def before(child: torch.nn.Module, _args: Any) -> None:
        stack.append(names.get(id(child), stack[-1] if stack else ""))

    def after(_child: torch.nn.Module, _args: Any, _output: Any) -> None:
        stack.pop()

    first = hooks.register_module_forward_pre_hook(before)
    second = hooks.register_module_forward_hook(after, always_call=True)
    try:
        yield
    finally:
        first.remove()
        second.remove()
        stack.clear()


@contextlib.contextmanager
def replaced(home: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute of a module or class exchanged for a while."""
    was = getattr(home, name)
    setattr(home, name, value)
    try:
        yield
    finally:
        setattr(home, name, was)


_INITIALIZERS = (
    "kaiming_uniform_", "kaiming_normal_", "_no_grad_uniform_", "_no_grad_normal_", "_no_grad_trunc_normal_",
    "_no_grad_fill_", "_no_grad_zero_",
)  # fmt: skip


@contextlib.contextmanager
def uninitialized() -> Iterator[None]:
    """torch's initializers leave `meta` tensors alone: nobody sees their values, and they are half of the cost."""

    def sparing(initialize: Callable[..., Any]) -> Callable[..., Any]:
        return lambda tensor, *args, **kwargs: tensor if tensor.is_meta else initialize(tensor, *args, **kwargs)

    with contextlib.ExitStack() as stack:
        for name in _INITIALIZERS:
            if hasattr(torch.nn.init, name):
                stack.enter_context(replaced(torch.nn.init, name, sparing(getattr(torch.nn.init, name))))
        yield


@contextlib.contextmanager
def slow_path() -> Iterator[None]:
    """torch's transformer layers without their inference fast path, which hides what they do from every counter."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


@contextlib.contextmanager
def autocast_as_cuda(dtype: torch.dtype | None) -> Iterator[None]:
    """torch.autocast("cuda") on a machine that has no CUDA, where the class itself refuses."""
    if dtype is None:
        yield
        return
    enabled, before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", enabled)
        torch.set_autocast_dtype("cuda", before)


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in nested lists, tuples, dicts, dataclasses (outputs of transformers) and key-value caches."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)
    elif hasattr(value, "__dataclass_fields__") or _is_cache(value):
        yield from tensors(vars(value))


def address(tensor: torch.Tensor) -> int:
    """Where a tensor's storage is, whether or not it holds data."""
    where: int = tensor.untyped_storage()._cdata
    return where


def distinct(tensor: torch.Tensor) -> int:
    """Elements that lie apart in memory: an expanded dimension holds one."""
    elements = 1
    strides = tensor.stride() if tensor.layout is torch.strided else tensor.shape
    for size, stride in zip(tensor.shape, strides, strict=True):
        elements *= size if stride or not size else 1
    return elements


def dense(tensor: torch.Tensor) -> bool:
    """Whether elements lie one beside the other in some order of dimensions."""
    if tensor.layout is not torch.strided or tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def is_channels_last(tensor: torch.Tensor) -> bool:
    """Whether channels of an image lie side by side in memory."""
    if tensor.dim() != 4 or not tensor.is_contiguous(memory_format=torch.channels_last):
        return False
    channels, strides = tensor.shape[1], tensor.stride()  # which tell the layouts of 1×1 weights apart
    return not tensor.is_contiguous() or (channels > 1 and strides[1] == 1 and strides[3] == channels)


def item_of(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    """`tensor[index]`, which a torch built without CUDA refuses for a tensor that says it is there."""
    view, picks = _basic(tensor, index)
    picked: torch.Tensor = torch.ops.aten.index.Tensor(view, picks) if picks else view
    return picked


def set_item(tensor: torch.Tensor, index: Any, value: Any) -> None:
    """`tensor[index] = value`, likewise."""
    view, picks = _basic(tensor, index)
    new = value if isinstance(value, torch.Tensor) else view.new_full((), value)
    if picks:
        torch.ops.aten.index_put_.default(view, picks, new)
    else:
        copy_into(view, new if new.shape == view.shape else new.expand_as(view))


def in_one_piece(tensor: torch.Tensor, memory_format: Any = torch.contiguous_format) -> torch.Tensor:
    """`tensor.contiguous(...)`, likewise."""
    if tensor.is_contiguous(memory_format=memory_format):
        return tensor
    moved: torch.Tensor = torch.ops.aten.clone.default(tensor, memory_format=memory_format)
    return moved


def copy_into(tensor: torch.Tensor, value: torch.Tensor, *_: Any) -> torch.Tensor:
    """`tensor.copy_(value)`, likewise."""
    written: torch.Tensor = torch.ops.aten.copy_.default(tensor, value)
    return written


def _basic(tensor: torch.Tensor, index: Any) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """The view that integers, slices, None and `...` of an index select, and the tensors that then pick from it."""
    items = list(index) if isinstance(index, tuple) else [index]
    if not any(item is ... for item in items):
        items.append(...)
    used = sum(item.dim() if _is_mask(item) else 1 for item in items if item is not None and item is not ...)
    view, picks = tensor, []
    for item in items:
        if item is ...:
            picks += [None] * (tensor.dim() - used)
        elif item is None:
            view = view.unsqueeze(len(picks))
            picks.append(None)
        elif isinstance(item, slice):
            if item != slice(None):
                view = torch.ops.aten.slice.Tensor(view, len(picks), item.start, item.stop, item.step or 1)
            picks.append(None)
        elif isinstance(item, int):
            view = view.select(len(picks), item)
        else:
            picks.append(item if isinstance(item, torch.Tensor) else _positions(item, tensor))
            picks += [None] * (item.dim() - 1 if _is_mask(item) else 0)
    return view, picks if any(pick is not None for pick in picks) else []


def _positions(item: Any, like: torch.Tensor) -> torch.Tensor:
    """A list of positions as a tensor beside `like`; what they are is of no matter."""
    shape = []
    while isinstance(item, (list, tuple)):
        shape.append(len(item))
        item = item[0] if item else None
    return torch.empty(shape, dtype=torch.int64, device=like.device)


def _is_mask(item: Any) -> bool:
    return isinstance(item, torch.Tensor) and item.dtype == torch.bool


def attended(query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor, _mask: Any) -> torch.Tensor:
    """What attention returns; flash kernels write four dimensions as batch, token, head, width."""
    *leading, queries, _ = query.shape
    if len(leading) != 2:
        return query.new_empty((*leading, queries, value.shape[-1]))
    return query.new_empty((leading[0], queries, leading[1], value.shape[-1])).transpose(1, 2)


def multiplied(a: torch.Tensor, b: torch.Tensor, offsets: Any) -> torch.Tensor:
    """What a grouped product returns: a matrix a group where both or neither operand comes as one."""
    shape = (a.shape[-2], b.shape[-1])
    if a.dim() == b.dim():
        return a.new_empty((a.shape[0] if a.dim() == 3 else offsets.numel(), *shape))
    return a.new_empty(shape)


def recurred(args: tuple[Any, ...]) -> tuple[torch.Tensor, Any, Any, list[torch.Tensor]]:
    """Of a call of a recurrent layer: its data, states and weights, and what it returns (output and states)."""
    if isinstance(args[1], torch.Tensor) and args[1].dtype == torch.int64:  # packed: batch sizes come second
        args = (args[0], *args[2:])
    data, state, weights = args[:3]
    bidirectional = args[-1] if len(args) < 8 else args[7]
    states = list(state) if isinstance(state, (list, tuple)) else [state]
    output = data.new_empty((*data.shape[:-1], states[0].shape[-1] * (2 if bidirectional else 1)))
    return data, state, weights, [output, *(item.new_empty(item.shape) for item in states)]


def normalized(
    data: torch.Tensor, _weight: Any, _bias: Any, _mean: Any, _variance: Any, training: bool, *_: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What batch normalization returns; torch's own answer for `meta` tensors costs three megabytes of code."""
    saved = data.shape[1] if training else 0
    statistics = data.new_empty(saved, dtype=torch.promote_types(data.dtype, torch.float32))
    return torch.empty_like(data), statistics, statistics.new_empty(saved)
