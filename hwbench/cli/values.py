"""How the text of options becomes values: number formats, batch sizes, sizes of products, shares."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hwbench.api.checks import MAX_BATCH
from hwbench.dtypes import dtype as known_dtype
from hwbench.dtypes import measured_dtype
from hwbench.errors import InputError, nearest, shown
from hwbench.units import whole_number

T = TypeVar("T")

MAX_SIZE = 1 << 16
MAX_THREADS = 4096


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """The type of an option whose text a function turns into a value; the function raises InputError."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """Return the value of a text; the error is about the option."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except InputError as error:
            raise InputError(
                error.code, error.message, field=param.name if param else None, nearest=error.nearest
            ) from None


class Choice(click.Choice):  # type: ignore[type-arg]
    """The type of an option with few values: another one is an error with the nearest of them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value."""
        if value in self.choices:
            return super().convert(value, param, ctx)
        message = f"'{shown(value, 40)}' is not one of {', '.join(map(str, self.choices))}."
        close = nearest(str(value), map(str, self.choices))
        raise InputError("bad-value", message, field=param.name if param else None, nearest=close)


def _single(values: tuple[T, ...]) -> T:
    if len(values) > 1:
        raise InputError("single-value", "Only a single value is possible here.")
    return values[0]


def dtypes(text: str) -> tuple[str, ...]:
    """Return the dtypes of a list such as `fp32,fp16`."""
    return tuple(dict.fromkeys(known_dtype(name).name for name in text.split(",")))


def bench_dtypes(text: str) -> tuple[str, ...]:
    """Return the dtypes of a list, and formats of quantized weights among them."""
    return tuple(dict.fromkeys(map(measured_dtype, text.split(","))))


def _listed(text: str) -> tuple[int, ...]:
    """Return the batch sizes of a list such as `1,8,64`."""
    try:
        return tuple(dict.fromkeys(_whole(part, MAX_BATCH, "a batch size") for part in text.split(",")))
    except InputError as error:
        raise InputError("batch-range", error.message) from None


def batches(text: str) -> range | tuple[int, ...]:
    """Return the batch sizes of a list such as `1,8,64`, or of a range `1..256` or `8..256:8`."""
    if ".." not in text:
        return _listed(text)
    span, colon, step = text.partition(":")
    low, _, high = span.partition("..")
    try:
        first, last, by = (_whole(part, MAX_BATCH, "") for part in (low, high, step if colon else "1"))
    except InputError:
        message = f"'{shown(text, 40)}' is not a range of batch sizes, which is written like 1..256 or 8..256:8."
        raise InputError("bad-range", message) from None
    if first > last:
        raise InputError("bad-range", f"'{shown(text, 40)}' ends before it begins.")
    return range(first, last + 1, by)


def contexts(text: str) -> int | tuple[int, ...]:
    """Return a context in tokens, or those of a list such as `2048,8192`."""
    lengths = tuple(dict.fromkeys(_whole(part, 100_000_000, "a context in tokens") for part in text.split(",")))
    return lengths[0] if len(lengths) == 1 else lengths


def threads(text: str) -> tuple[int, ...]:
    """Return the numbers of threads of a list such as `1,4`."""
    return tuple(sorted({_whole(part, MAX_THREADS, "a number of threads") for part in text.split(",")}))


def sizes(text: str) -> tuple[tuple[int, int, int], ...]:
    """Return the sizes m×k×n of a list such as `512,512x1024x512`."""
    products = []
    for part in text.split(","):
        sides = [_whole(side, MAX_SIZE, "a size such as 512 or 512x1024x512") for side in part.split("x")]
        if len(sides) not in (1, 3):
            message = f"'{shown(part, 40)}' is not a size, which is written like 512 or 512x1024x512."
            raise InputError("bad-size", message)
        products.append((sides[0], sides[len(sides) // 2], sides[-1]))
    return tuple(dict.fromkeys(products))


def _whole(text: str, most: int, what: str) -> int:
    value = whole_number(text, most)
    if value is None:
        raise InputError("bad-number", f"'{shown(text.strip(), 40)}' is not {what} (a whole number from 1 to {most}).")
    return value


def share(text: str) -> float:
    """Return a share above 0 and below 1 from `3%` or `0.03`."""
    digits = text.strip()
    try:
        value = float(digits.removesuffix("%")) / (100 if digits.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise InputError("bad-share", f"'{shown(text, 40)}' is not a share, which is written like '3%' or 0.03.")
    return value


def runtimes(text: str) -> tuple[str, ...]:
    """Return the runtimes of a list such as `torch-eager,openvino`, whose names engines know."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


CONTEXT = Parsed("context", contexts)
DTYPE = Parsed("dtype", lambda text: _single(dtypes(text)))
DTYPES = Parsed("dtypes", bench_dtypes)
BATCH = Parsed("batch", lambda text: _single(_listed(text)))
BATCHES = Parsed("batches", batches)
THREADS = Parsed("threads", threads)
SIZES = Parsed("sizes", sizes)
SHARE = Parsed("share", share)
RUNTIMES = Parsed("runtimes", runtimes)
