"""What `hwbench explain` measures, and what it reads off a run: the rungs between a peak and a model's time."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.measure import kernels
from hwbench.measure.analysis import peaks
from hwbench.measure.analysis.sustained import value
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement, Record
from hwbench.measure.settings import Settings
from hwbench.measure.subject import ForwardPass
from hwbench.measure.summary import interval
from hwbench.stats.comparison import Interval

DTYPES = ("fp32", "fp64")
"""What the FMA kernels of every CPU measure."""
LIBRARIES = ("torch", "numpy")
SIZE = (1024, 1024, 1024)


class Ladder(Struct, frozen=True):
    """Rates in FLOP/s and B/s of `threads` cores at one dtype; None where a run has not measured them.

    `stated` is the peak at the stated clock in Hz, `clock` the one measured under load of `isa`; `library` names what
    `blas` was measured with, `size` (m x k x n) is that of both products; `run` is a model's time in s.
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


def tasks(settings: Settings, dtype: str, threads: int, memory: bool = True) -> list[Task]:
    """The kernels that a ladder of so many cores needs, those of the `memory` if it goes down to a model.

    Raises InputError for a dtype that has none.
    """
    if dtype not in DTYPES:
        raise InputError(f"multiply-adds are measured in {' and '.join(DTYPES)}, not in {dtype}", field="--dtype")
    names = ("clock", "fma", "matmul", *(("memory",) if memory else ()))
    found, _ = kernels.tasks(kernels.select(names), settings, named=True)
    return [task for task in found if task.threads == threads and _needed(task, dtype)]


def _needed(task: Task, dtype: str) -> bool:
    if task.kernel == "matmul":
        return task.dtype == dtype and task.variant in ("numba", *LIBRARIES)
    if task.kernel == "fma":
        return task.dtype == dtype and task.variant == "throughput"
    return task.kernel == "stream" or (task.kernel == "clock" and task.variant != "scalar")


def read(run: Record, dtype: str, threads: int, model: str | None = None, batch: int = 1) -> Ladder:
    """The ladder that a run's measurements give, of the fastest ISA; rungs that it lacks are None."""
    found = [one for one in run.measurements if one.threads == threads and one.checked is not False]
    own = [one for one in found if one.dtype == dtype and one.where == "cpu"]
    fma = _best(one for one in own if one.kernel == "fma" and one.variant == "throughput")
    products = [one for one in own if one.kernel == "matmul"]
    size = _size(products)
    blas = _best(one for one in products if one.variant in LIBRARIES and one.size == size)
    numba = _best(one for one in products if one.variant == "numba" and one.size == size)
    stream = _best(one for one in found if one.kernel == "stream" and one.where == "cpu")
    clock = _clock(run, fma, threads)
    machine = run.device
    return Ladder(
        isa=fma.isa if fma else None,
        stated=peaks.peaks(fma, machine, peaks.Clocks({})).stated if fma else None,
        stated_clock=_stated_clock(machine, fma),
        clock=interval(clock) if clock else None,
        fma=interval(fma) if fma else None,
        blas=interval(blas) if blas else None,
        library=blas.variant if blas else None,
        numba=interval(numba) if numba else None,
        bandwidth=interval(stream) if stream else None,
        run=_run(own, model, batch),
        size=size if blas or numba else None,
    )


def _size(products: Sequence[Measurement]) -> str | None:
    """The size at which a library's product and ours are compared: the one that `tasks` measures, if it was.

    Else the one of the fastest product, of those that both were measured at if there are any.
    """
    libraries, ours = ([one for one in products if one.variant in names] for names in (LIBRARIES, ("numba",)))
    both = {one.size for one in libraries} & {one.size for one in ours}
    usual = "x".join(map(str, SIZE))
    if usual in both:
        return usual
    fastest = _best(one for one in (*libraries, *ours) if not both or one.size in both)
    return fastest.size if fastest else None


def _best(measurements: Iterable[Measurement]) -> Measurement | None:
    return max(measurements, key=value, default=None)


def _clock(run: Record, fma: Measurement | None, threads: int) -> Measurement | None:
    """The clock under the load of the same vectors: of as many cores, else of one."""
    if fma is None:
        return None
    hertz = peaks.clocks(run.measurements).under(fma.isa or "", threads, fma.core_class)
    known = (one for one in run.measurements if one.kernel == "clock" and one.unit == "Hz")
    return next((one for one in known if interval(one).value == hertz), None)


def _stated_clock(machine: Device | None, fma: Measurement | None) -> float | None:
    from hwbench.machine.peak import choose_clock

    if machine is None or fma is None:
        return None
    chosen = choose_clock(machine.units[0].clock, fma.isa or "")
    return float(chosen[0]) if chosen else None


def _run(own: Sequence[Measurement], model: str | None, batch: int) -> Interval | None:
    for one in own:
        ran = one.subject
        if isinstance(ran, ForwardPass) and (ran.model, ran.batch) == (model, batch):
            return interval(one)
    return None
