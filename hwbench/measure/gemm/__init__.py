"""Matrix multiply on the vectors of this CPU, as fast as the best libraries: `C = A · B`.

In fp32 and fp64, and where the CPU has dot products of them in bf16 and int8 (`narrow`, `lanes`), or AMX (`tile_…`);
weights in blocks of few bits times a vector are apart (`quantized`).

`product.matmul` computes a single product. To time one, `product.prepare` it first: the call then allocates, compiles
and checks nothing. How it works, from the inside out: `microkernel` and `thin` (machine code for a tile of C in
registers), `intrinsics` (the same for numba), `loops` (blocks in the caches), `blocking` (their sizes), `threads`.
"""

__all__ = [
    "blocking",
    "intrinsics",
    "job",
    "lanes",
    "loops",
    "microkernel",
    "narrow",
    "prepared",
    "product",
    "quantized",
    "quantized_loops",
    "thin",
    "threads",
    "tile_kernel",
    "tile_loops",
    "tile_product",
]
