"""Matrix products to be timed: ours, the plain loops that people write, numpy's BLAS, torch; all on the same numbers.

Sizes are m x k x n: (m × k) · (k × n), 2·m·k·n FLOP. Every product is checked on some of its rows in double precision.
"""

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from hwbench.errors import InputError
from hwbench.measure.environment import software
from hwbench.measure.gemm import product as gemm
from hwbench.measure.harness import Task
from hwbench.measure.kernels.matmul import loops as matmul_loops
from hwbench.measure.settings import Settings

Size = tuple[int, int, int]
OURS = ("fp32", "fp64")
SQUARES: tuple[Size, ...] = ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048))
ODD: tuple[Size, ...] = ((1, 2048, 2048), (4000, 64, 64), (257, 509, 1021))
"""One row, tall and thin, and no side a multiple of anything."""
QUICK: tuple[Size, ...] = ((1024, 1024, 1024),)
LADDER: Size = (512, 512, 512)
"""Size at which the plain loops run beside the others: the slowest needs a second for 1024."""
LADDER_QUICK: Size = (256, 256, 256)
"""Where quick: one product of the slowest at 512 takes as long as a sample of twenty other kernels."""
LOOPS_UP_TO = 2.0 * 1024**3 + 1
"""FLOP from which plain loops are left out even where a size is asked for."""
_CHECKED_ROWS = 16
_EPSILON = {"fp32": 2.0**-23, "fp64": 2.0**-52, "bf16": 2.0**-7, "fp16": 2.0**-10, "int8": 0.0}


class Operands:
    """The matrices of each dtype and size, shared by the products of all libraries, made when the first needs them."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, Size], tuple[Any, Any]] = {}

    def get(self, dtype: str, size: Size) -> tuple[Any, Any]:
        """Two numpy matrices: uniform from -1 to 1, whole numbers for int8. bf16 and fp16 are made of fp32's."""
        kind = dtype if dtype in ("fp64", "int8") else "fp32"
        if (kind, size) not in self._made:
            random = np.random.default_rng(1)
            m, k, n = size
            shapes = ((m, k), (k, n))
            if kind == "int8":
                pair = tuple(random.integers(-9, 10, shape, dtype=np.int8) for shape in shapes)
            else:
                type_ = np.float32 if kind == "fp32" else np.float64
                pair = tuple(random.uniform(-1, 1, shape).astype(type_) for shape in shapes)
            self._made[kind, size] = (pair[0], pair[1])
        return self._made[kind, size]

    def forget(self) -> None:
        """Free all of them."""
        self._made.clear()


class MatmulProduct:
    """One product by one library: `prepare` makes the function that computes it into memory that is there already."""

    def __init__(
        self, make: Callable[[Any, Any], tuple[Callable[[], Any], Any]], operands: Operands, dtype: str, size: Size
    ) -> None:
        self._make, self._operands, self.dtype, self.size = make, operands, dtype, size
        self._function: Callable[[], Any] | None = None
        self._out: Any = None

    def prepare(self) -> None:
        """Allocate, compile, warm up."""
        self._function, self._out = self._make(*self._operands.get(self.dtype, self.size))

    def call(self, repetitions: int) -> None:
        """The product, so many times."""
        function = self._function
        assert function is not None
        for _ in itertools.repeat(None, repetitions):
            function()

    def check(self) -> bool:
        """Whether some rows are right: within 64 roundings of |A|·|B|, exact for whole numbers."""
        self.call(1)
        a, b = (one.astype(np.float64) for one in self._operands.get(self.dtype, self.size))
        out = self._out()
        rows = np.unique(np.linspace(0, a.shape[0] - 1, _CHECKED_ROWS).astype(int))
        error = np.abs(np.asarray(out)[rows].astype(np.float64) - a[rows] @ b)
        bound = 64 * _EPSILON[self.dtype] * (np.abs(a[rows]) @ np.abs(b))
        return bool(np.isfinite(error).all() and (error <= bound).all())

    def close(self) -> None:
        """Free its memory and that of the operands."""
        self._function = self._out = None
        self._operands.forget()


def tasks(settings: Settings) -> Sequence[Task]:
    """Ours, numpy and torch at every size, and the plain loops at one that they finish. Raises InputError."""
    dtypes = settings.dtypes or (("fp32",) if settings.quick else (*OURS, *narrow(settings)))
    _check_dtypes(dtypes)
    operands = Operands()
    found: list[Task] = []
    for threads, dtype, size in itertools.product(settings.threads, dtypes, _sizes(settings)):
        if dtype in OURS:
            found.append(_task("numba", _numba(threads), operands, settings, threads, dtype, size))
        if dtype in OURS and software.blas_threads(threads):
            found.append(_task("numpy", _numpy(threads), operands, settings, threads, dtype, size))
        if has_torch():
            found.append(_task("torch", _torch(dtype, threads), operands, settings, threads, dtype, size))
    if not settings.quick and settings.sizes is None:
        for dtype, size in itertools.product([d for d in dtypes if d in OURS], ODD):
            found.append(_task("numba", _numba(1), operands, settings, 1, dtype, size))
            if has_torch():
                found.append(_task("torch", _torch(dtype, 1), operands, settings, 1, dtype, size))
    return [*found, *_loops(settings, dtypes, operands)]


def _sizes(settings: Settings) -> Sequence[Size]:
    return settings.sizes or (QUICK if settings.quick else SQUARES)


def _loops(settings: Settings, dtypes: Sequence[str], operands: Operands) -> list[Task]:
    """The plain loops: of one thread where one is asked for, `parallel` where more are; fp64 only if asked for."""
    usual = (LADDER_QUICK if settings.quick else LADDER,)
    sizes = [size for size in settings.sizes or usual if 2.0 * size[0] * size[1] * size[2] < LOOPS_UP_TO]
    kinds = [dtype for dtype in dtypes if dtype in OURS]
    kinds = kinds if settings.dtypes else kinds[:1]
    found = []
    for name, dtype, size in itertools.product(dict(matmul_loops.LOOPS), kinds, sizes):
        counts = [count for count in settings.threads if (count > 1) == (name == "parallel")]
        for threads in counts[-1:]:
            found.append(_task(name, _plain(name, threads), operands, settings, threads, dtype, size))
    return found


def _task(
    variant: str,
    make: Callable[[Any, Any], tuple[Callable[[], Any], Any]],
    operands: Operands,
    settings: Settings,
    threads: int,
    dtype: str,
    size: Size,
) -> Task:
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


def _numba(threads: int) -> Callable[[Any, Any], tuple[Callable[[], Any], Any]]:
    def make(a: Any, b: Any) -> tuple[Callable[[], Any], Any]:
        product = gemm.prepare(a, b, threads=threads)
        return product, lambda: product.out

    return make


def _plain(name: str, threads: int) -> Callable[[Any, Any], tuple[Callable[[], Any], Any]]:
    def make(a: Any, b: Any) -> tuple[Callable[[], Any], Any]:
        out = np.empty((a.shape[0], b.shape[1]), a.dtype)
        loop = partial(matmul_loops.on_threads, threads) if threads > 1 else dict(matmul_loops.LOOPS)[name]
        return partial(loop, a, b, out), lambda: out

    return make


def _numpy(threads: int) -> Callable[[Any, Any], tuple[Callable[[], Any], Any]]:
    def make(a: Any, b: Any) -> tuple[Callable[[], Any], Any]:
        out = np.empty((a.shape[0], b.shape[1]), a.dtype)

        def product() -> None:
            software.blas_threads(threads)
            np.matmul(a, b, out=out)

        return product, lambda: out

    return make


def _torch(dtype: str, threads: int) -> Callable[[Any, Any], tuple[Callable[[], Any], Any]]:
    def make(a: Any, b: Any) -> tuple[Callable[[], Any], Any]:
        import torch

        names = {"bf16": torch.bfloat16, "fp16": torch.float16}
        first, second = (torch.from_numpy(one).to(names[dtype]) if dtype in names else torch.from_numpy(one)
                         for one in (a, b))  # fmt: skip
        out = torch.empty(a.shape[0], b.shape[1], dtype=torch.int32 if dtype == "int8" else first.dtype)
        multiply = torch._int_mm if dtype == "int8" else torch.mm

        def product() -> None:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            multiply(first, second, out=out)

        return product, lambda: out.to(torch.float32).numpy() if dtype in names else out.numpy()

    return make


def has_torch() -> bool:
    """Whether torch is installed; it is not imported for the answer."""
    return importlib.util.find_spec("torch") is not None


def narrow(settings: Settings) -> tuple[str, ...]:
    """The dtypes below fp32 that the CPU multiplies by instructions of their own, and torch with them."""
    flags = set(settings.host.flags)
    if not has_torch():
        return ()
    bf16 = flags & {"amx_bf16", "avx512_bf16", "bf16", "svebf16"}
    int8 = flags & {"amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp"}
    return (*(("bf16",) if bf16 else ()), *(("int8",) if int8 else ()))


def _check_dtypes(dtypes: Sequence[str]) -> None:
    """Raises InputError for a dtype that nothing here multiplies."""
    for dtype in dtypes:
        if dtype not in _EPSILON:
            raise InputError(f"no matrix product is measured in {dtype}", field="--dtype", nearest=tuple(_EPSILON))
        if dtype not in OURS and not has_torch():
            raise InputError(f"{dtype} products need torch: pip install 'hwbench[torch]'", field="--dtype")
