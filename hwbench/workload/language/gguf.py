"""GGUF files: their header, which names every tensor with its shape and type, read without the tensors' data.

The layout is that of ggml's docs/gguf.md, versions 2 and 3, little-endian. Files come from anybody: counts and lengths
are checked against the size of the file before anything is read or kept.
"""

import os
import re
import struct
from typing import IO, Any

from msgspec import Struct

from hwbench.errors import InputError, shown
from hwbench.files.content import regular
from hwbench.workload.language.formats import GGUF_TYPES
from hwbench.workload.language.tensors import Weight

MAGIC = b"GGUF"
MAX_DIMENSIONS, MAX_NAME, MAX_KEPT = 4, 1 << 16, 4096
"""Dimensions of a tensor, bytes of a name, and items of an array beyond which it is only skipped (vocabularies)."""
MAX_TENSORS, MAX_FIELDS, MAX_SHARDS = 1 << 18, 1 << 16, 10_000
_CHUNK = 1 << 18
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_SHARD = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})\.gguf")


class GgufHeader(Struct, frozen=True):
    """What one file, or all files of a split model, say: values by key, and the tensors. `size` is of all files."""

    path: str
    fields: dict[str, Any]
    tensors: tuple[Weight, ...]
    size: int


def read(path: str) -> GgufHeader:
    """Return the header of a GGUF file, with those of its other parts where it was split. Raises InputError."""
    first = _read(path)
    count = first.fields.get("split.count", 1)
    match = _SHARD.fullmatch(os.path.basename(path))
    if not isinstance(count, int) or count <= 1:
        return first
    if match is None or int(match[3]) != count or not 1 <= count <= MAX_SHARDS:
        message = f"The file is one of {shown(count, 20)} parts, whose names must end in -00001-of-{shown(count, 20)}."
        raise InputError("split-name", message, file=path)
    folder, parts = os.path.dirname(path), []
    for number in range(1, count + 1):
        part = os.path.join(folder, f"{match[1]}-{number:05d}-of-{match[3]}.gguf")
        if not os.path.isfile(part):
            raise InputError("split-missing", f"Part {number} of {count} is missing.", file=part)
        parts.append(first if os.path.samefile(part, path) else _read(part))
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    return GgufHeader(path, parts[0].fields, tensors, sum(part.size for part in parts))


def _read(path: str) -> GgufHeader:
    with regular(path) as file:
        return _Reader(path, file).header()


class _Reader:
    """Reads the parts of a header in turn from the start of a file."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.path, self.file = path, file
        self.size = os.fstat(file.fileno()).st_size
        self.data, self.at, self.before = b"", 0, 0

    def header(self) -> GgufHeader:
        """Return the whole header."""
        if self.take(4) != MAGIC:
            raise self.fault("It does not begin with 'GGUF'.")
        version = self.number("I")
        if version not in (2, 3):
            raise self.fault(f"It is of version {version}; versions 2 and 3 of little-endian files can be read.")
        tensor_count = self.counted(self.number("Q"), 24, MAX_TENSORS, "tensors")
        field_count = self.counted(self.number("Q"), 13, MAX_FIELDS, "fields")
        fields = {}
        for _ in range(field_count):
            key = self.text(MAX_NAME)
            fields[key] = self.value(self.number("I"), key)
        described = [self.tensor() for _ in range(tensor_count)]
        self.check_data(described, fields.get("general.alignment", 32))
        return GgufHeader(self.path, fields, tuple(tensor for tensor, _ in described), self.size)

    def check_data(self, described: list[tuple[Weight, int]], alignment: Any) -> None:
        """Raise InputError where the data of a tensor would lie beyond the end of the file."""
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20:
            raise self.fault(f"Its alignment is {shown(alignment, 20)}.")
        position = self.before + self.at
        start = -(-position // alignment) * alignment
        for tensor, offset in described:
            if start + offset + tensor.size > self.size:
                name = shown(tensor.name, 60)
                message = f"The file ends before the data of '{name}': it has {self.size} bytes and may be cut."
                raise InputError("file-cut", message, file=self.path)

    def tensor(self) -> tuple[Weight, int]:
        """Return the next tensor, and where its data begin."""
        name, dimensions = self.text(MAX_NAME), self.number("I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise self.fault(f"The tensor '{shown(name, 60)}' has {dimensions} dimensions.")
        shape = [self.number("Q") for _ in range(dimensions)]
        number, offset = self.number("I"), self.number("Q")
        product = 1
        for length in shape:
            product *= length
        if not 0 < product < 1 << 50:
            raise self.fault(f"The tensor '{shown(name, 60)}' has the shape {shown('x'.join(map(str, shape)), 80)}.")
        if number not in GGUF_TYPES:
            raise self.fault(f"The tensor '{shown(name, 60)}' has the unknown type {number}.")
        block = GGUF_TYPES[number]
        if shape[0] % block.values:
            raise self.fault(f"Rows of the tensor '{shown(name, 60)}' are no whole blocks of {block.name}.")
        columns, rows = shape[0], shape[1] if dimensions > 1 else 1
        experts = product // columns // rows
        return Weight(name, columns, rows, experts, block.name, layer_of(name)), offset

    def value(self, kind: int, key: str) -> Any:
        """Return a value of a field; None for an array that is too long to keep."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text(self.size)
        if kind != _ARRAY:
            raise self.fault(f"The field '{shown(key, 60)}' has the unknown type {kind}.")
        item, count = self.number("I"), self.number("Q")
        if item == _STRING:
            return self.texts(self.counted(count, 8, self.size, f"items of '{shown(key, 60)}'"))
        if item not in _SCALARS:
            raise self.fault(f"The field '{shown(key, 60)}' is a list of the unknown type {item}.")
        size = struct.calcsize(f"<{_SCALARS[item]}")
        self.counted(count, size, self.size, f"items of '{shown(key, 60)}'")
        if count > MAX_KEPT:
            self.skip(count * size)
            return None
        return list(struct.unpack(f"<{count}{_SCALARS[item]}", self.take(count * size)))

    def texts(self, count: int) -> list[str] | None:
        """Return the next texts; None for too many to keep, which are skipped."""
        if count <= MAX_KEPT:
            return [self.text(self.size) for _ in range(count)]
        read = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if self.at + 8 > len(self.data):
                self.fill(8)
            length = read(self.data, self.at)[0]
            self.at += 8
            if self.at + length > len(self.data):
                self.skip(length)
            else:
                self.at += length
        return None

    def counted(self, count: int, least: int, most: int, what: str) -> int:
        """Return a count. Raises InputError where so many items of at least `least` bytes do not fit in the file."""
        if count > most or count * least > self.size:
            raise self.fault(f"It states {count} {what}, more than fit in a file of {self.size} bytes.")
        return count

    def number(self, code: str) -> Any:
        """Return the next number."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def text(self, longest: int) -> str:
        """Return the next text."""
        length = self.number("Q")
        if length > min(longest, self.size):
            raise self.fault(f"It states a text of {length} bytes.")
        return self.take(length).decode("utf-8", "replace")

    def take(self, count: int) -> bytes:
        """Return the next bytes. Raises InputError at the end of the file."""
        if self.at + count > len(self.data):
            self.fill(count)
        self.at += count
        return self.data[self.at - count : self.at]

    def skip(self, count: int) -> None:
        """Go past the next bytes without keeping them."""
        end = self.before + self.at + count
        if end > self.size:
            raise self.cut()
        self.file.seek(end)
        self.data, self.at, self.before = b"", 0, end

    def fill(self, count: int) -> None:
        """Read on, so that the next `count` bytes are at hand."""
        rest = self.data[self.at :]
        self.before += self.at
        if self.before + count > self.size:
            raise self.cut()
        self.data, self.at = rest + self.file.read(max(count - len(rest), _CHUNK)), 0
        if len(self.data) < count:
            raise self.cut()

    def cut(self) -> InputError:
        """Return the error of a file that ends within its header."""
        return InputError("file-cut", "The file ends within its header: it is cut.", file=self.path)

    def fault(self, message: str) -> InputError:
        """Return the error of a file that is not what it should be."""
        return InputError("bad-gguf", f"It is not a valid GGUF file. {message}", file=self.path)


def layer_of(name: str) -> int:
    """Return the layer of a tensor by its name, -1 for one outside of layers."""
    head, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return int(number) if head == "blk" and number.isascii() and number.isdigit() and len(number) < 6 else -1
