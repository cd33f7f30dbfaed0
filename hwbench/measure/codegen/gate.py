"""Hand jobs to threads that wait in compiled code: they watch a number at an address, and start when it changes.

Each thread has two such numbers on cache lines of their own: the ticket of its next job, and that of the last done.
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
    """Return the number at an address (acquire): what its writer wrote before is visible afterwards."""

    def build(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.load_atomic(vectors.pointer(builder, arguments[0], I64), "acquire", 8)

    return types.int64(address), build


@intrinsic
def write(_context: Any, address: Any, number: Any) -> Any:
    """Write a number to an address (release), after all that was written before."""

    def build(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        builder.store_atomic(arguments[1], vectors.pointer(builder, arguments[0], I64), "release", 8)
        return context.get_dummy_value()

    return types.void(address, number), build


@intrinsic
def pause(_context: Any) -> Any:
    """Hint to the CPU that this thread only waits."""

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
    """Return the number at an address once it differs from `seen`, or `seen` after so many looks."""
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
    """Return whether all of `count` threads have done the job of a ticket, after up to so many looks at each."""
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
    """Return the ticket of a thread's next job."""
    return read(place + TICKET)
