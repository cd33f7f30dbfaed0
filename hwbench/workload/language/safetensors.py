"""Headers of `.safetensors` files: shapes and number formats of their tensors, read without the data.

The layout is that of huggingface/safetensors: eight bytes of length, little-endian, then JSON.
"""

import os

import msgspec
from msgspec import Struct

from hwbench.errors import InputError
from hwbench.files.content import regular

MAX_HEADER, MAX_FILES = 100_000_000, 10_000
_FORMATS = {"F64": "f32", "F32": "f32", "F16": "f16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8", "I8": "int8"}


class _Entry(Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class StoredWeights(Struct, frozen=True):
    """What files hold together: parameters, bytes, and the format of most bytes, None for a packed or unknown one."""

    params: int
    size: int
    format: str | None
    count: int


def files(folder: str) -> list[str]:
    """Return the files of a folder in order. Raises InputError where it has a great many."""
    try:
        names = sorted(name for name in os.listdir(folder or ".") if name.endswith(".safetensors"))
    except OSError as error:
        raise InputError("not-readable", f"It cannot be read: {error.strerror}.", file=folder) from None
    if len(names) > MAX_FILES:
        raise InputError("too-many", f"The folder has more than {MAX_FILES} files of weights.", file=folder)
    return [os.path.join(folder, name) for name in names]


def read(paths: list[str]) -> StoredWeights:
    """Return what files hold together. Raises InputError for a file that is not what it should be."""
    sizes: dict[str, int] = {}
    params = 0
    for path in paths:
        for entry in _header(path):
            count = 1
            for length in entry.shape:
                count *= length
            params += count
            start, end = entry.data_offsets
            sizes[entry.dtype] = sizes.get(entry.dtype, 0) + end - start
    most = max(sizes, key=lambda name: sizes[name], default="")
    return StoredWeights(params, sum(sizes.values()), _FORMATS.get(most), len(paths))


def _header(path: str) -> list[_Entry]:
    with regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER, max(size - 8, 0)):
            message = f"Its header would be {length} bytes long: it is cut, or no .safetensors file."
            raise InputError("bad-safetensors", message, file=path)
        text = file.read(length)
    try:
        raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        entries = [msgspec.json.decode(value, type=_Entry) for name, value in raw.items() if name != "__metadata__"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InputError("bad-safetensors", "Its header is not that of a .safetensors file.", file=path) from None
    for entry in entries:
        start, end = entry.data_offsets
        if min(entry.shape, default=0) < 0 or not 0 <= start <= end <= size - 8 - length:
            message = "The data of a tensor would lie outside of the file: it is cut."
            raise InputError("file-cut", message, file=path)
    return entries
