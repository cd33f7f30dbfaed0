"""Hand jobs to threads that wait in compiled code: they watch a number at an address, and start when it changes.

Each thread has two such numbers on cache lines of their own: the ticket of its next job, and that of the last done.
"""

from typing import Any

from llvmlite import ir
from numba import int64, void

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, emits, inlined
from hwbench.measure.codegen.vectors import I32, I64, VOID

TICKET, DONE = 0, 128
"""Bytes from a thread's place to its two numbers: pairs of cache lines apart, since prefetchers fetch pairs."""

PLACE = 256
"""Bytes from one thread's place to the next's."""


@emits(int64)
def read(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """Return the number at an address (acquire): what its writer wrote before is visible afterwards."""
    return builder.load_atomic(vectors.pointer(builder, address, I64), "acquire", 8)


@emits(void)
def write(builder: ir.IRBuilder, address: ir.Value, number: ir.Value) -> None:
    """Write a number to an address (release), after all that was written before."""
    builder.store_atomic(number, vectors.pointer(builder, address, I64), "release", 8)


@emits(void)
def pause(builder: ir.IRBuilder) -> None:
    """Hint to the CPU that this thread only waits."""
    target = vectors.target()
    if target.x86:
        vectors.call(builder, "llvm.x86.sse2.pause", VOID, [])
    elif target.arm:
        vectors.call(builder, "llvm.aarch64.hint", VOID, [ir.Constant(I32, 1)])  # YIELD


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
