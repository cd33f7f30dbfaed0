"""A workload as a small JSON file: what tracing found, to be loaded without torch."""

from typing import Annotated

import msgspec
from msgspec import Meta

from hwbench.errors import InputError, shown
from hwbench.files import documents
from hwbench.workload.ops import Op, Workload

SCHEMA = "hwbench.workload/1"
LARGEST = 64 << 20


class File(Workload, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A workload with the version of its form."""

    schema: Annotated[str, Meta(max_length=60)]


def dump(workload: Workload) -> str:
    """The text of a workload's file, one op a line."""
    body = msgspec.to_builtins(workload)
    ops = ",\n  ".join(msgspec.json.encode(op).decode() for op in workload.ops)
    head = msgspec.json.encode({"schema": SCHEMA, **{k: v for k, v in body.items() if k != "ops"}}).decode()
    return f'{head[:-1]},"ops":[\n  {ops}\n]}}\n'


def save(workload: Workload, path: str) -> None:
    """Write a workload's file, whole or not at all."""
    documents.write_atomically(path, dump(workload))


def load(path: str) -> Workload:
    """The workload in a file that `dump` wrote. Raises InputError where it is not one."""
    text = documents.read_text(path, LARGEST)
    try:
        found = msgspec.json.decode(text, type=File)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InputError(f"is not a saved workload: {shown(error, 200)}", file=path) from None
    if found.schema != SCHEMA:
        raise InputError(f"has the schema '{shown(found.schema)}', this version reads {SCHEMA}", file=path)
    if not found.ops:
        raise InputError("holds no ops", file=path)
    for position, op in enumerate(found.ops):
        if _negative(op):
            raise InputError("has a negative count", file=path, field=f"ops[{position}]")
    fields = {name: getattr(found, name) for name in Workload.__struct_fields__}
    return Workload(**fields)


def _negative(op: Op) -> bool:
    counts = (getattr(op, name) for name in Op.__struct_fields__)
    return op.count < 1 or any(isinstance(count, int) and count < 0 for count in counts)
