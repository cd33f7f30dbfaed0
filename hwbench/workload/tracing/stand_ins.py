"""Stand-ins for operators that torch cannot run without data or without CUDA: results of the right shape and layout."""

from functools import cache
from typing import Any

import torch
from msgspec import Struct

from hwbench.workload.tracing.twins import convert_all, tensors

_LARGE = 1 << 20
"""Elements above which values of positions, such as of each pair of two, decide about no shape."""


def get_item(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    """Return `tensor[index]`, which a torch built without CUDA refuses for a fake CUDA tensor."""
    view, picks = _basic(tensor, index)
    return torch.ops.aten.index.Tensor(view, picks) if picks else view


def set_item(tensor: torch.Tensor, index: Any, value: Any) -> None:
    """Do `tensor[index] = value`, likewise."""
    view, picks = _basic(tensor, index)
    new = value if isinstance(value, torch.Tensor) else view.new_full((), value)
    if picks:
        torch.ops.aten.index_put_.default(view, picks, new)
    else:
        copy_into(view, new if new.shape == view.shape else new.expand_as(view))


def make_contiguous(tensor: torch.Tensor, memory_format: Any = torch.contiguous_format) -> torch.Tensor:
    """Return `tensor.contiguous(...)`, likewise."""
    if tensor.is_contiguous(memory_format=memory_format):
        return tensor
    return torch.ops.aten.clone.default(tensor, memory_format=memory_format)


def copy_into(tensor: torch.Tensor, value: torch.Tensor, *_: Any) -> torch.Tensor:
    """Do `tensor.copy_(value)`, likewise."""
    return torch.ops.aten.copy_.default(tensor, value)


def run_on_meta(func: Any, args: Any, kwargs: Any, device: str) -> Any:
    """Return what an operator returns for tensors of several devices or fake ones, by a run on `meta`."""

    def move(device: str) -> Any:
        return lambda t, _=False: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=device)

    args, kwargs = convert_all((args, kwargs), move("meta"), False)
    return convert_all(func(*args, **kwargs), move(device), False)


class Forms:
    """Results of operators on `meta` by what decides about their form: torch finds it in Python each time.

    That took half of the time of a model that loops over tokens, and of one of layer norms and linear layers.
    """

    def __init__(self) -> None:
        self._forms: dict[Any, _Result | None] = {}

    def run(self, func: Any, args: Any, kwargs: Any, key: Any) -> Any:
        """Return what an operator returns, of a form that is known by its key already without running it."""
        if key is None or not _makes_tensors(func):
            return func(*args, **kwargs)
        key = (func, key)
        if key not in self._forms:
            output = func(*args, **kwargs)
            self._forms[key] = _result(output, list(tensors((args, kwargs))))
            return output
        result = self._forms[key]
        return func(*args, **kwargs) if result is None else result.make()


class _Result(Struct, frozen=True):
    """The forms of new tensors on `meta`, with None where there is none; `single` is a result that is no tuple."""

    forms: tuple[tuple[torch.Size, tuple[int, ...], torch.dtype] | None, ...]
    single: bool

    def make(self) -> Any:
        parts = [form and _EMPTY(form[0], form[1], dtype=form[2], device="meta") for form in self.forms]
        return parts[0] if self.single else tuple(parts)


_EMPTY = torch.ops.aten.empty_strided.default


def _result(output: Any, inputs: list[torch.Tensor]) -> _Result | None:
    """Return the form of what an operator made; None where that is more than new tensors without gaps on `meta`."""
    parts = output if type(output) is tuple else (output,)
    fresh = [part for part in parts if part is not None]
    if not all(type(part) in _PLAIN and part.is_meta and not part.dtype.is_complex for part in (*fresh, *inputs)):
        return None
    distinct = {part.untyped_storage()._cdata for part in (*fresh, *inputs)}
    if len(distinct) < len(fresh) + len({part.untyped_storage()._cdata for part in inputs}):
        return None  # some are views
    forms = [(part.shape, part.stride(), part.dtype) if part is not None else None for part in parts]
    result = _Result(tuple(forms), type(output) is not tuple)
    again = list(tensors(result.make()))
    alike = all(a.untyped_storage().nbytes() == b.untyped_storage().nbytes() for a, b in zip(fresh, again, strict=True))
    return result if fresh and alike and not any(part.storage_offset() for part in fresh) else None


_PLAIN = (torch.Tensor, torch.nn.Parameter)


@cache
def _makes_tensors(func: Any) -> bool:
    """Return whether an operator changes no tensor and returns new ones."""
    schema = func._schema
    makes_new = all(value.alias_info is None and str(value.type) == "Tensor" for value in schema.returns)
    return bool(schema.returns) and makes_new and not schema.is_mutable


def form_key(args: Any, kwargs: Any) -> Any:
    """Return what form and cost of a call depend on beside its operator: its tensors' forms, and all else it is given.

    None where it is given more than dense tensors and plain values.
    """
    key: list[Any] = []
    if not _add_forms(key, args):
        return None
    for name, value in kwargs.items():
        key.append(name)
        if not _add_forms(key, (value,)):
            return None
    return tuple(key)


def _add_forms(key: list[Any], values: Any) -> bool:
    """Add the forms of values to a key; return False where some are not plain."""
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.is_nested or value.layout is not torch.strided:
                return False
            key.append((value.shape, value.stride(), value.dtype, type(value), value.is_meta))
        elif value is None or type(value) in _VALUES:
            key.append((type(value), value))
        elif type(value) in (list, tuple):
            key.append(len(value))
            if not _add_forms(key, value):
                return False
        else:
            return False
    return True


_VALUES = (bool, int, float, str, torch.dtype, torch.device, torch.layout, torch.memory_format)


def is_mixed(value: Any) -> bool:
    """Return whether some tensors have values and others do not."""
    return len({tensor.is_meta for tensor in tensors(value)}) == 2


def is_large(value: Any) -> bool:
    """Return whether tensors of which some have values give one that is too large to be computed in passing."""
    shapes = [tensor.shape for tensor in tensors(value)]
    return len(shapes) > 1 and torch.broadcast_shapes(*shapes).numel() > _LARGE


def _basic(tensor: torch.Tensor, index: Any) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """Return the view that integers, slices, None and `...` of an index select, and the tensors that index it."""
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
    """Return a tensor of the shape of a list of positions, on the device of `like`; the values do not matter."""
    shape = []
    while isinstance(item, (list, tuple)):
        shape.append(len(item))
        item = item[0] if item else None
    return torch.empty(shape, dtype=torch.int64, device=like.device)


def _is_mask(item: Any) -> bool:
    return isinstance(item, torch.Tensor) and item.dtype == torch.bool


def attention_output(query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor, _mask: Any) -> torch.Tensor:
    """Return the output of attention; flash kernels write four dimensions as batch, token, head, width."""
    *leading, queries, _ = query.shape
    if len(leading) != 2:
        return query.new_empty((*leading, queries, value.shape[-1]))
    return query.new_empty((leading[0], queries, leading[1], value.shape[-1])).transpose(1, 2)


def grouped_product_output(a: torch.Tensor, b: torch.Tensor, offsets: Any) -> torch.Tensor:
    """Return the output of a grouped product: a matrix per group unless exactly one operand has groups."""
    groups = () if a.dim() != b.dim() else (a.shape[0] if a.dim() == 3 else offsets.numel(),)
    return a.new_empty((*groups, a.shape[-2], b.shape[-1]))


def recurrent_output(args: tuple[Any, ...]) -> tuple[torch.Tensor, list[torch.Tensor], Any, Any]:
    """Return the data, states and weights in a call of a recurrent layer, and what makes its output and states."""
    if isinstance(args[1], torch.Tensor) and args[1].dtype == torch.int64:  # packed: batch sizes come second
        args = (args[0], *args[2:])
    data, state, weights = args[:3]
    directions = 2 if (args[-1] if len(args) < 8 else args[7]) else 1
    states = list(state) if isinstance(state, (list, tuple)) else [state]

    def result(data: torch.Tensor, states: Any) -> list[torch.Tensor]:
        output = data.new_empty((*data.shape[:-1], states[0].shape[-1] * directions))
        return [output, *(item.new_empty(item.shape) for item in states)]

    return data, states, weights, result


def batch_norm_output(
    data: torch.Tensor, _weight: Any, _bias: Any, _mean: Any, _variance: Any, training: bool, *_: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the output of batch normalization; torch's own for `meta` tensors loads three megabytes of code."""
    channels = data.shape[1] if training else 0
    statistics = data.new_empty(channels, dtype=torch.promote_types(data.dtype, torch.float32))
    return torch.empty_like(data), statistics, statistics.new_empty(channels)
