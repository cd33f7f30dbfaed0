"""Matrix multiply in fp32 and fp64 on the vectors of this CPU, as fast as the best libraries: `C = A · B`.

`matmul` computes a single product. To time one, `prepare` it first: the call then allocates, compiles and checks
nothing. How it works, from the inside out: `microkernel` and `thin` (machine code for a tile of C in registers),
`intrinsics` (the same for numba), `loops` (blocks in the caches), `blocking` (their sizes), `threads`, `product`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwbench.measure.gemm.product import make_plan, matmul, prepare

__all__ = ["make_plan", "matmul", "prepare"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hwbench.measure.gemm import product  # numba takes long to import

    return getattr(product, name)
