"""A workload as a small JSON file, which can be loaded without torch."""

from typing import Annotated

import msgspec
from msgspec import Meta

from hwbench.errors import InputError, shown
from hwbench.files import atomic, content
from hwbench.workload.ops import Op, Workload

SCHEMA = "hwbench.workload/1"
MAX_BYTES = 64 << 20


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
        sentence = f"This is not a saved workload: {shown(error, 200)}"
        raise InputError("not-a-workload", sentence, file=path) from None
    if saved.schema != SCHEMA:
        sentence = f"The schema is '{shown(saved.schema)}'; this version of hwbench reads {SCHEMA}."
        raise InputError("unknown-schema", sentence, file=path, field="schema")
    if not saved.ops:
        raise InputError("no-layers", "The workload has no ops.", file=path, field="ops")
    for position, op in enumerate(saved.ops):
        if _is_negative(op):
            raise InputError("negative-count", "An op has a negative count.", file=path, field=f"ops[{position}]")
    return Workload(**{name: getattr(saved, name) for name in Workload.__struct_fields__})


def _is_negative(op: Op) -> bool:
    counts = (getattr(op, name) for name in Op.__struct_fields__)
    return op.count < 1 or any(isinstance(count, int) and count < 0 for count in counts)
