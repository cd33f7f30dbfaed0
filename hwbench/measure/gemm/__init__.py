"""Matrix multiply in fp32 and fp64 on the vectors of this CPU, as fast as the best libraries: `C = A · B`.

`product.matmul` computes a single product. To time one, `product.prepare` it first: the call then allocates, compiles
and checks nothing. How it works, from the inside out: `microkernel` and `thin` (machine code for a tile of C in
registers), `intrinsics` (the same for numba), `loops` (blocks in the caches), `blocking` (their sizes), `threads`.
"""

__all__ = ["blocking", "intrinsics", "job", "loops", "microkernel", "product", "thin", "threads"]
