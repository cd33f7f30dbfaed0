"""A workload as a small JSON file, which can be loaded without torch."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from hwbench.dtypes import BITS
from hwbench.errors import InputError, shown
from hwbench.files import atomic, content
from hwbench.files.messages import complaint
from hwbench.units import MAX_WHOLE
from hwbench.workload.ops import MAX_COUNT, Activations, Op, Work, Workload

SCHEMA = "hwbench.workload/1"
MAX_BYTES = 64 << 20
MAX_OPS = 100_000
MAX_DIMENSIONS = 64
_FACTORS = ("count", "groups", "stride", "samples", "batch")
"""Fields that are at least 1."""


class SavedWorkload(Workload, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A workload with the version of its format."""

    schema: Annotated[str, Meta(max_length=60)]


def dump(workload: Workload) -> str:
    """Return the text of a workload's file, one op per line."""
    body = msgspec.to_builtins(workload)
    ops = ",\n  ".join(msgspec.json.encode(op).decode() for op in workload.ops)
    head = msgspec.json.encode({"schema": SCHEMA, **{k: v for k, v in body.items() if k != "ops"}}).decode()
    return f'{head[:-1]},"ops":[\n  {ops}\n]}}\n'


def save(workload: Workload, path: str) -> None:
    """Write a workload's file atomically. Raises InputError."""
    atomic.write_atomically(path, dump(workload))


def load(path: str) -> Workload:
    """Return the workload in a file that `dump` wrote. Raises InputError for other files."""
    text = content.read_text(path, MAX_BYTES)
    try:
        saved = msgspec.json.decode(text, type=SavedWorkload)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        wrong = complaint(error) if isinstance(error, msgspec.ValidationError) else None
        sentence = f"This is not a saved workload. {wrong.sentence if wrong else f'{shown(error, 200)}.'}"
        raise InputError("not-a-workload", sentence, file=path, field=wrong.field if wrong else None) from None
    if saved.schema != SCHEMA:
        sentence = f"The schema is '{shown(saved.schema)}'; this version of hwbench reads {SCHEMA}."
        raise InputError("unknown-schema", sentence, file=path, field="schema")
    if not saved.ops:
        raise InputError("no-layers", "The workload has no ops.", file=path, field="ops")
    if len(saved.ops) > MAX_OPS:
        raise InputError("too-large", f"The workload has more than {MAX_OPS} ops.", file=path, field="ops")
    try:
        _check(saved, "")
        for position, op in enumerate(saved.ops):
            _check(op, f"ops[{position}].")
    except InputError as error:
        raise error.at(file=path) from None
    return Workload(**{name: getattr(saved, name) for name in Workload.__struct_fields__})


def _check(value: Workload | Op | Activations, field: str) -> None:
    """Raise InputError where a count, a shape or a dtype is impossible, or an op does nothing."""
    repeated = max(value.count, 1) if isinstance(value, Op) else 1
    for name in value.__struct_fields__:
        item = getattr(value, name)
        if isinstance(item, Activations):
            _check(item, f"{field}{name}.")
        elif name.endswith("_shape"):
            if len(item) > MAX_DIMENSIONS:
                message = f"The shape has more than {MAX_DIMENSIONS} dimensions."
                raise InputError("too-large", message, field=f"{field}{name}")
            _check_range(item, 1, MAX_WHOLE, f"{field}{name}")
        elif isinstance(item, int) and not isinstance(item, bool):
            factor = name in _FACTORS
            _check_range((item,), int(factor), MAX_WHOLE if factor else MAX_COUNT // repeated, f"{field}{name}")
    if isinstance(value, Op) and value.work(8) == Work():
        raise InputError("no-work", "The op computes and moves nothing.", field=f"{field}macs")
    if isinstance(value, Op) and value.dtype is not None and value.dtype not in BITS:
        raise InputError("unknown-dtype", f"There is no dtype '{shown(value.dtype)}'.", field=f"{field}dtype")


def _check_range(numbers: Iterable[int], low: int, high: int, field: str) -> None:
    for number in numbers:
        if not low <= number <= high:
            code = "negative-count" if number < low else "too-large"
            raise InputError(code, f"The number must be from {low} to {high}.", field=field)
