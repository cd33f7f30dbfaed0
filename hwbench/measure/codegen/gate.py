"""Hand jobs to threads that wait inside compiled code: a number at an address goes up, and whoever looks at it starts.

Each thread has two such numbers on cache lines of their own: the ticket of the job it is to do, and of the one done.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, inlined
from hwbench.measure.codegen.vectors import I32, I64

TICKET, DONE = 0, 128
"""Bytes from a thread's place to its two numbers: pairs of cache lines apart, since prefetchers fetch pairs."""

PLACE = 256
"""Bytes from one thread's place to the next's."""


@intrinsic
def read(_context: Any, address: Any) -> Any:
    """The number at an address; what was written before it was put there can be read afterwards."""

    def build(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.load_atomic(vectors.pointer(builder, arguments[0], I64), "acquire", 8)

    return types.int64(address), build


@intrinsic
def write(_context: Any, address: Any, number: Any) -> Any:
    """Put a number at an address, after all that was written before."""

    def build(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        builder.store_atomic(arguments[1], vectors.pointer(builder, arguments[0], I64), "release", 8)
        return context.get_dummy_value()

    return types.void(address, number), build


@intrinsic
def pause(_context: Any) -> Any:
    """Tell the CPU that this thread only waits."""

    def build(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> ir.Value:
        target = vectors.target()
        if target.x86:
            builder.call(vectors.declared(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif target.arm:
            hint = vectors.declared(builder, "llvm.aarch64.hint", ir.VoidType(), [I32])
            builder.call(hint, [ir.Constant(I32, 1)])  # YIELD
        return context.get_dummy_value()

    return types.void(), build


@inlined
def await_other(address: int, seen: int, looks: int) -> Any:
    """The number at an address once it is another than `seen`, or `seen` after so many looks."""
    number = read(address)
    while number == seen and looks > 0:
        pause()
        looks -= 1
        number = read(address)
    return number


@compiled
def hand_out(places: int, count: int, ticket: int) -> None:
    """Give `count` threads the ticket to start."""
    for thread in range(count):
        write(places + thread * PLACE + TICKET, ticket)


@compiled
def all_done(places: int, count: int, ticket: int, looks: int) -> bool:
    """Whether all of `count` threads have done the job of a ticket, after at most so many looks at each."""
    for thread in range(count):
        left = looks
        while read(places + thread * PLACE + DONE) != ticket:
            if left == 0:
                return False
            pause()
            left -= 1
    return True


@compiled
def ticket(place: int) -> Any:
    """The ticket that a thread has been given."""
    return read(place + TICKET)
