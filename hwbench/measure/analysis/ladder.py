"""What `hwbench explain` measures, and what it reads from a record: the rungs between a peak and a model's time."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Device, choose_clock
from hwbench.measure import kernels
from hwbench.measure.analysis.peaks import Clocks, clocks, peaks
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement, Record
from hwbench.measure.settings import Settings
from hwbench.measure.subject import ForwardPass
from hwbench.measure.summary import interval, value
from hwbench.stats.intervals import Interval

DTYPES = ("fp32", "fp64")
"""The dtypes that the FMA kernels measure on every CPU."""
LIBRARIES = ("torch", "numpy")
SIZE = (1024, 1024, 1024)


class Ladder(Struct, frozen=True):
    """Rates in FLOP/s and B/s of `threads` cores at one dtype; None where they were not measured.

    `stated` is the peak at the stated clock in Hz, `clock` the clock measured under load of `isa`; `library` is the one
    that `blas` was measured with, `size` (m x k x n) that of both products; `run` is a model's time in s. `running` is
    the rate of the multiply-adds while their threads ran, without the time that others took from them, where `fma`
    includes it.
    """

    isa: str | None
    stated: float | None
    stated_clock: float | None
    clock: Interval | None
    fma: Interval | None
    blas: Interval | None
    library: str | None
    numba: Interval | None
    bandwidth: Interval | None
    run: Interval | None = None
    size: str | None = None
    running: Interval | None = None


def tasks(settings: Settings, dtype: str, threads: int, memory: bool = True) -> list[Task]:
    """Return the tasks that a ladder on so many cores needs, those of the memory if it includes a model.

    Raises InputError for a dtype without FMA kernels.
    """
    if dtype not in DTYPES:
        known = " and ".join(DTYPES)
        raise InputError("unsupported-dtype", f"Multiply-adds are measured in {known}, not in {dtype}.", field="dtype")
    names = ("clock", "fma", "matmul", *(("memory",) if memory else ()))
    every, _ = kernels.tasks(kernels.select(names), settings, named=True)
    return [task for task in every if task.threads == threads and _is_needed(task, dtype)]


def _is_needed(task: Task, dtype: str) -> bool:
    if task.kernel == "matmul":
        return task.dtype == dtype and task.variant in ("numba", *LIBRARIES)
    if task.kernel == "fma":
        return task.dtype == dtype and task.variant == "throughput"
    return task.kernel == "stream" or (task.kernel == "clock" and task.variant != "scalar")


def read(run: Record, dtype: str, threads: int, model: str | None = None, batch: int = 1) -> Ladder:
    """Return the ladder of a record's measurements, of the fastest ISA; rungs without a measurement are None."""
    valid = [item for item in run.measurements if item.threads == threads and item.checked is not False]
    on_cpu = [item for item in valid if item.where == "cpu"]
    own = [item for item in on_cpu if item.dtype == dtype]
    fma = _best(item for item in own if item.kernel == "fma" and item.variant == "throughput")
    products = [item for item in own if item.kernel == "matmul"]
    size = _size(products)
    blas = _best(product for product in products if product.variant in LIBRARIES and product.size == size)
    numba = _best(product for product in products if product.variant == "numba" and product.size == size)
    stream = _best(item for item in on_cpu if item.kernel == "stream")
    clock = _clock(run, fma, threads)
    return Ladder(
        isa=fma.isa if fma else None,
        stated=peaks(fma, run.device, Clocks({})).stated if fma else None,
        stated_clock=_stated_clock(run.device, fma),
        clock=interval(clock) if clock else None,
        fma=interval(fma) if fma else None,
        blas=interval(blas) if blas else None,
        library=blas.variant if blas else None,
        numba=interval(numba) if numba else None,
        bandwidth=interval(stream) if stream else None,
        run=_run(own, model, batch),
        size=size if blas or numba else None,
        running=_running(fma) if fma else None,
    )


def _running(fma: Measurement) -> Interval | None:
    """Return the rate per CPU time of threads that never wait; None where that is what counts, or was not measured."""
    if fma.timer == "cpu" or not all(sample.cpu_s for sample in fma.accepted):
        return None
    return interval(fma, lambda sample: fma.work * sample.repetitions * fma.threads / (sample.cpu_s or sample.wall_s))


def _size(products: Sequence[Measurement]) -> str | None:
    """Return the size at which a library's product and ours are compared: the one that `tasks` measures, if measured.

    Else that of the fastest product, among sizes that both were measured at if there are any.
    """
    libraries = [product for product in products if product.variant in LIBRARIES]
    ours = [product for product in products if product.variant == "numba"]
    both = {product.size for product in libraries} & {product.size for product in ours}
    usual = "x".join(map(str, SIZE))
    if usual in both:
        return usual
    fastest = _best(product for product in (*libraries, *ours) if not both or product.size in both)
    return fastest.size if fastest else None


def _best(measurements: Iterable[Measurement]) -> Measurement | None:
    return max(measurements, key=value, default=None)


def _clock(run: Record, fma: Measurement | None, threads: int) -> Measurement | None:
    """Return the clock under the load of the same vectors, on as many cores or else on one."""
    if fma is None:
        return None
    hertz = clocks(run.measurements).under(fma.isa or "", threads, fma.core_class)
    measured = (item for item in run.measurements if item.kernel == "clock" and item.unit == "Hz")
    return next((clock for clock in measured if interval(clock).value == hertz), None)


def _stated_clock(device: Device | None, fma: Measurement | None) -> float | None:
    if device is None or fma is None:
        return None
    chosen = choose_clock(device.units[0].clock, fma.isa or "")
    return float(chosen[0]) if chosen else None


def _run(own: Sequence[Measurement], model: str | None, batch: int) -> Interval | None:
    for item in own:
        if isinstance(item.subject, ForwardPass) and (item.subject.model, item.subject.batch) == (model, batch):
            return interval(item)
    return None
