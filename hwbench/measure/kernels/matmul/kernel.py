"""Matrix products by hwbench's own gemm, plain loops, numpy's BLAS and torch, all on the same numbers.

Sizes are m x k x n: (m × k) · (k × n), 2·m·k·n FLOP. Every product is checked on some rows in double precision.
"""

import functools
import importlib.util
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from hwbench.dtypes import QUANTIZED
from hwbench.errors import InputError
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import multiplied
from hwbench.measure.environment import software
from hwbench.measure.gemm import product as gemm
from hwbench.measure.gemm.narrow import bf16
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import affordable
from hwbench.measure.kernels.matmul import decode
from hwbench.measure.kernels.matmul import loops as matmul_loops
from hwbench.measure.settings import Settings
from hwbench.units import Bytes

Size = tuple[int, int, int]
GEMM_DTYPES = ("fp32", "fp64")
"""Dtypes of plain loops and of numpy's BLAS; hwbench's gemm has narrow ones, too."""

SQUARES: tuple[Size, ...] = ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048))
ODD: tuple[Size, ...] = ((1, 2048, 2048), (4000, 64, 64), (257, 509, 1021))
"""One row, tall and thin, and sides that are multiples of nothing."""
QUICK: tuple[Size, ...] = ((1024, 1024, 1024),)
LOOPS_SIZE: Size = (512, 512, 512)
"""Size at which the plain loops run: the slowest takes a second at 1024."""
MAX_LOOPS_FLOP = 2.0 * 1024**3
"""FLOP above which plain loops are left out, even where a size is requested."""
INSTRUCTIONS = {
    "bf16": {"amx_bf16", "avx512_bf16", "bf16", "svebf16"},
    "int8": {"amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp"},
}
"""Flags of the CPU for products below fp32."""
NARROWED: dict[str, Callable[[Any], Any]] = {"bf16": bf16, "fp16": lambda values: values.astype(np.float16)}
"""Operands of hwbench's gemm from those in fp32."""
KINDS = {"fp32": np.float32, "fp64": np.float64}
_CHECKED_ROWS = 16
_EPSILON = {"fp32": 2.0**-23, "fp64": 2.0**-52, "bf16": 2.0**-7, "fp16": 2.0**-10, "int8": 0.0}


def matrices(kind: str, size: Size) -> tuple[Any, Any]:
    """Return two numpy matrices: uniform from -1 to 1, whole numbers for int8."""
    random = np.random.default_rng(1)
    m, k, n = size
    if kind == "int8":
        a, b = (random.integers(-9, 10, shape, dtype=np.int8) for shape in ((m, k), (k, n)))
    else:
        a, b = (random.uniform(-1, 1, shape).astype(KINDS[kind]) for shape in ((m, k), (k, n)))
    return a, b


Made = tuple[Callable[[], Any], Any]
"""The function that multiplies two matrices, and one that returns the product as numpy's."""

Maker = Callable[[Any, Any], Made]


class MatmulProduct:
    """One product by one library: `prepare` creates the function that computes it into memory allocated before.

    Its matrices come from a cache of `matrices` that all products share; they are in fp32 where numpy lacks the dtype.
    """

    def __init__(self, make: Maker, operands: Any, dtype: str, size: Size) -> None:
        self._make, self._operands, self.dtype, self.size = make, operands, dtype, size
        self._function: Callable[[], Any] | None = None
        self._out: Any = None

    def operands(self) -> tuple[Any, Any]:
        """Return the two matrices."""
        a, b = self._operands(self.dtype if self.dtype in ("fp64", "int8") else "fp32", self.size)
        return a, b

    def prepare(self) -> None:
        """Allocate, compile, warm up."""
        self._function, self._out = self._make(*self.operands())

    def call(self, repetitions: int) -> None:
        """Compute the product so many times."""
        function = self._function
        assert function is not None
        for _ in itertools.repeat(None, repetitions):
            function()

    def check(self) -> bool:
        """Return whether some rows are right: within 64 roundings of |A|·|B|, exact for whole numbers."""
        self.call(1)
        a, b = (matrix.astype(np.float64) for matrix in self.operands())
        out = self._out()
        rows = np.unique(np.linspace(0, a.shape[0] - 1, _CHECKED_ROWS).astype(int))
        error = np.abs(np.asarray(out)[rows].astype(np.float64) - a[rows] @ b)
        bound = 64 * _EPSILON[self.dtype] * (np.abs(a[rows]) @ np.abs(b))
        return bool(np.isfinite(error).all() and (error <= bound).all())

    def close(self) -> None:
        """Free the memory of the product and of the operands."""
        self._function = self._out = None
        self._operands.cache_clear()


def tasks(settings: Settings) -> Sequence[Task]:
    """Return the tasks: gemm, numpy and torch at every size, plain loops at one, not where quick. Raises InputError.

    Those of quantized weights are in `decode`.
    """
    dtypes: Sequence[str] = ("fp32",) if settings.quick else (*GEMM_DTYPES, *narrow(settings))
    if settings.dtypes is not None:
        dtypes = [dtype for dtype in settings.dtypes if dtype not in QUANTIZED]
    _check_dtypes(dtypes)
    _check_memory(settings.sizes, dtypes)
    task = partial(_task, settings, functools.cache(matrices))
    result: list[Task] = []
    usual = itertools.product(settings.threads, dtypes, _sizes(settings), (True,))
    wide = [dtype for dtype in dtypes if dtype in GEMM_DTYPES]
    own = {*wide, *narrow_dtypes()}
    odd = itertools.product((1,), wide, () if settings.quick or settings.sizes is not None else ODD, (False,))
    for threads, dtype, size, by_numpy in itertools.chain(usual, odd):
        if dtype in own:
            result.append(task("numba", partial(_numba, settings, dtype, threads), threads, dtype, size))
        if dtype in wide and by_numpy and software.blas_threads(threads):
            result.append(task("numpy", partial(_numpy, threads), threads, dtype, size))
        if has_torch():
            result.append(task("torch", partial(_torch, dtype, threads), threads, dtype, size))
    return [*result, *(task(name, partial(_plain, name, threads), threads, dtype, size)
                       for name, threads, dtype, size in _loops(settings, dtypes)),
            *decode.tasks(settings)]  # fmt: skip


def _sizes(settings: Settings) -> Sequence[Size]:
    return settings.sizes or (QUICK if settings.quick else SQUARES)


def _loops(settings: Settings, dtypes: Sequence[str]) -> Iterator[tuple[str, int, str, Size]]:
    """Yield name, threads, dtype and size of plain loops: `parallel` for several threads; fp64 only on request."""
    usual = () if settings.quick else (LOOPS_SIZE,)
    sizes = [size for size in settings.sizes or usual if 2.0 * size[0] * size[1] * size[2] <= MAX_LOOPS_FLOP]
    kinds = [dtype for dtype in dtypes if dtype in GEMM_DTYPES]
    kinds = kinds if settings.dtypes else kinds[:1]
    for name, dtype, size in itertools.product(dict(matmul_loops.LOOPS), kinds, sizes):
        for threads in [count for count in settings.threads if (count > 1) == (name == "parallel")][-1:]:
            yield name, threads, dtype, size


def _task(settings: Settings, operands: Any, variant: str, make: Maker, threads: int, dtype: str, size: Size) -> Task:
    product = MatmulProduct(make, operands, dtype, size)
    return Task(
        kernel="matmul",
        variant=variant,
        unit="op/s" if dtype == "int8" else "FLOP/s",
        work=2.0 * size[0] * size[1] * size[2],
        call=product.call,
        dtype=dtype,
        threads=threads,
        size="x".join(map(str, size)),
        timer="cpu" if threads == 1 else "wall",
        cpus=settings.cpus[:threads],
        prepare=product.prepare,
        check=product.check,
        close=product.close,
    )


def _numba(settings: Settings, dtype: str, threads: int, a: Any, b: Any) -> Made:
    if dtype in NARROWED:
        a, b = NARROWED[dtype](a), NARROWED[dtype](b)
    plan = gemm.make_plan(dtype, threads, caches=settings.caches, cpus=settings.cpus)
    product = gemm.prepare(a, b, plan=plan)
    return product, lambda: product.out


def _plain(name: str, threads: int, a: Any, b: Any) -> Made:
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    loop = partial(matmul_loops.on_threads, threads) if threads > 1 else dict(matmul_loops.LOOPS)[name]
    return partial(loop, a, b, out), lambda: out


def _numpy(threads: int, a: Any, b: Any) -> Made:
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)

    def product() -> None:
        software.blas_threads(threads)
        np.matmul(a, b, out=out)

    return product, lambda: out


def _torch(dtype: str, threads: int, a: Any, b: Any) -> Made:
    import torch

    names = {"bf16": torch.bfloat16, "fp16": torch.float16}
    first, second = (torch.from_numpy(matrix) for matrix in (a, b))
    if dtype in names:
        first, second = first.to(names[dtype]), second.to(names[dtype])
    out = torch.empty(a.shape[0], b.shape[1], dtype=torch.int32 if dtype == "int8" else first.dtype)
    multiply = torch._int_mm if dtype == "int8" else torch.mm

    def product() -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        multiply(first, second, out=out)

    return product, lambda: out.to(torch.float32).numpy() if dtype in names else out.numpy()


def has_torch() -> bool:
    """Return whether torch is installed, without importing it."""
    return importlib.util.find_spec("torch") is not None


def narrow_dtypes() -> tuple[str, ...]:
    """Return the dtypes below fp32 that hwbench's gemm has on this CPU: those of dot products, and fp16 as fp32."""
    return multiplied(vectors.target())


def narrow(settings: Settings) -> tuple[str, ...]:
    """Return the dtypes below fp32 for which the CPU has instructions that hwbench's gemm or torch uses."""
    own, flags = narrow_dtypes(), set(settings.host.flags)
    return tuple(dtype for dtype, names in INSTRUCTIONS.items() if dtype in own or (has_torch() and flags & names))


def _check_memory(sizes: Sequence[Size] | None, dtypes: Sequence[str]) -> None:
    """Raise InputError for sizes that were asked for whose three matrices take more than may be allocated."""
    width, memory = max((8 if dtype == "fp64" else 4 for dtype in dtypes), default=0), affordable()
    for m, k, n in sizes or ():
        if (size := width * (m * k + k * n + m * n)) > memory:
            text = f"{m}x{k}x{n} takes {Bytes(size)}, more than the {Bytes(memory)} that a measurement may take."
            raise InputError("out-of-memory", text, field="size")


def _check_dtypes(dtypes: Sequence[str]) -> None:
    """Raise InputError for a dtype that no library here multiplies."""
    for dtype in dtypes:
        if dtype not in _EPSILON:
            text = f"Matrix products are not measured in {dtype}."
            raise InputError("unsupported-dtype", text, field="dtype", nearest=tuple(_EPSILON))
        if dtype not in (*GEMM_DTYPES, *narrow_dtypes()) and not has_torch():
            text = f"{dtype} products need torch: pip install 'hwbench[torch]'."
            raise InputError("torch-missing", text, field="dtype")
