"""Measure machines: this one by microbenchmarks, the hosts of a cluster, and how often comparisons err."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import check_duration
from hwbench.api.lookup import ModelOptions
from hwbench.api.records import Bench, derived, prepare
from hwbench.api.records import save as save_record
from hwbench.dtypes import measured_dtype
from hwbench.errors import HwbenchError, InputError
from hwbench.measure import cluster, processes, session
from hwbench.measure.cluster import Failure, Success
from hwbench.measure.harness import Progress as Stage
from hwbench.measure.record import Record
from hwbench.measure.session import BenchRequest
from hwbench.notices import Notice, notice, unique
from hwbench.report.text.layout import PLAIN, Style
from hwbench.report.text.runs import cluster as cluster_text
from hwbench.study.compare import self_check as study
from hwbench.study.compare.runs import RunComparison, compare_runs
from hwbench.study.compare.self_check import SelfCheck

Progress = Callable[[float, str], None]
"""Hears which share (0 to 1) of the work is done, and what is done now."""

STAGES = {"preparing": "preparing (the first time: compiling)", "calibrating": "calibrating", "sampling": "measuring"}


def bench(
    *kernels: str,
    quick: bool = True,
    budget: float | str | None = None,
    threads: Sequence[int] | None = None,
    dtypes: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int, int]] | None = None,
    fresh_processes: int = 1,
    save: str | bool = False,
    progress: Progress | None = None,
    command: Sequence[str] = ("hwbench.bench",),
) -> Bench:
    """Measure this machine: `clock`, `fma`, `matmul`, `memory`, `gpu`, or all that apply.

    `budget` is the time to measure for in s or text such as `30s`. `save` is a folder for the run, or True for
    that of the saved runs. Raises InputError for a kernel that is unknown or cannot run here.
    """
    if other := next((name for name in kernels if not isinstance(name, str)), None):
        text = f"A kernel is a name, each an argument of its own, not a {type(other).__name__}."
        raise InputError("unknown-kernel", text, field="kernels")
    for field, values in (("dtypes", dtypes), ("sizes", sizes), ("threads", threads)):
        if values is not None and (isinstance(values, str) or not isinstance(values, Iterable)):
            raise InputError("not-a-list", f"`{field}` is a list, not a {type(values).__name__}.", field=field)
    request = BenchRequest(
        kernels=kernels,
        quick=quick,
        budget_s=check_duration(budget, "budget") if budget is not None else None,
        threads=tuple(threads) if threads is not None else None,
        dtypes=tuple(map(measured_dtype, dtypes)) if dtypes is not None else None,
        sizes=tuple(sizes) if sizes is not None else None,
        command=tuple(command),
    )
    prepare(save)
    show = progress or _silent
    if fresh_processes > 1:
        count = fresh_processes
        run = processes.bench(request, count, lambda number: show(number / count, f"process {number + 1}"))
    else:
        run = session.bench(request, staged(show))
    return derived(*save_record(run, save))


def _silent(_share: float, _text: str) -> None:
    """Show nothing."""


def staged(progress: Progress) -> Callable[[Stage], None]:
    """Return what tells a progress the stages of the harness."""
    return lambda at: progress(at.share, f"{STAGES[at.stage]}: {at.label}")


def refuse_training(options: ModelOptions, optimizer: str | None, tried: bool) -> None:
    """Raise InputError where a step of training without a model, or of a saved run, is to be explained."""
    if options.get("mode") == "training":
        text = "A training step needs a model, and is measured: it cannot be read from a saved run."
        raise InputError("inference-only", text, field="mode")
    for field, value in (("optimizer", optimizer), ("tried", tried)):
        if value:
            raise InputError("not-training", "This applies to steps of training alone (mode training).", field=field)


def self_check(
    *kernels: str,
    pairs: int = 20,
    fresh_processes: int = 3,
    budget: float | str = 0.5,
    progress: Progress | None = None,
    command: Sequence[str] = ("hwbench.self_check",),
) -> SelfCheck:
    """Compare this machine with itself in fresh processes and count the differences that the comparison reports.

    Processes of both runs of a pair take turns, so that a drift of the machine falls on both alike.
    """
    seconds = check_duration(budget, "budget")
    request = BenchRequest(
        kernels=kernels or ("clock",), quick=True, budget_s=seconds, threads=(1,), command=tuple(command)
    )
    show, compared, each = progress or _silent, [], 2 * fresh_processes
    for pair in range(pairs):

        def say(done: int, pair: int = pair) -> None:
            text = f"pair {pair + 1} of {pairs}, process {done + 1} of {each}"
            show((pair + done / each) / pairs, text)

        whole = replace(request, budget_s=seconds * each)
        first, second = processes.in_turns([processes.HERE] * 2, whole, fresh_processes, say)
        compared.append((first, second))
    return study.self_check(compared)


class HostRun(Struct, frozen=True):
    """The run of one host of a cluster and its file."""

    host: str
    worker: str
    path: str | None
    run: Record


class ClusterBench(Answer, Struct, frozen=True):
    """The runs of the hosts of a cluster, each compared with the first, and the hosts that gave none."""

    SCHEMA: ClassVar[str] = "fleet-bench"
    ROWS: ClassVar[str] = "runs"
    CONTEXT: ClassVar[tuple[str, ...]] = ("successes",)

    runs: tuple[HostRun, ...]
    failures: tuple[Failure, ...]
    comparisons: tuple[RunComparison, ...]
    successes: tuple[Success, ...]
    notices: tuple[Notice, ...] = ()


@answers.lines.register
def _cluster_lines(answer: ClusterBench, style: Style = PLAIN) -> list[str]:
    paths = [run.path for run in answer.runs]
    return cluster_text(answer.successes, answer.failures, paths, answer.comparisons, style)


def bench_cluster(
    scheduler: str,
    *kernels: str,
    quick: bool = True,
    fresh_processes: int = 1,
    timeout: float | str = 600.0,
    save: str | bool = True,
    progress: Progress | None = None,
) -> ClusterBench:
    """Run `bench` once on each host of a Dask cluster and compare the runs with that of the first host.

    Hosts that die, hang or answer with something else are failures. Raises HwbenchError where no host gave a run.
    """
    limit, show = check_duration(timeout, "timeout", low=1.0), progress or _silent
    prepare(save)
    words = [*cluster.BENCH, *kernels, *(["--quick"] if quick else []), "--processes", str(fresh_processes)]
    successes: list[Success] = []
    failures: list[Failure] = []
    runs: list[HostRun] = []
    unsaved: list[Notice] = []

    def waiting(hosts: str) -> None:
        done = len(successes) + len(failures)
        show(done / (done + hosts.count(",") + 1), f"waiting for {hosts}")

    with cluster.connected(scheduler) as client:
        for outcome in cluster.bench(client, words, limit, waiting):
            if isinstance(outcome, Failure):
                failures.append(outcome)
                continue
            successes.append(outcome)
            run, path, trouble = save_record(outcome.run, save)
            if trouble:  # the other hosts' records are still to come
                unsaved.append(notice("host-not-saved", host=outcome.host, reason=str(trouble)))
            runs.append(HostRun(outcome.host, outcome.worker, path, run))
    if not runs:
        reasons = "; ".join(f"{failure.host}: {failure.reason}" for failure in failures)
        raise HwbenchError(f"No host gave a record: {reasons}.")
    comparisons, notices = _compared(runs)
    notices = [
        *cluster.shared(successes),
        *unsaved,
        *(notice("host-failed", host=row.host, worker=row.worker, reason=row.reason) for row in failures),
        *notices,
    ]
    return ClusterBench(tuple(runs), tuple(failures), tuple(comparisons), tuple(successes), unique(notices))


def _compared(runs: Sequence[HostRun]) -> tuple[list[RunComparison], list[Notice]]:
    """Return the comparisons of each run with the first, and notices about them."""
    comparisons: list[RunComparison] = []
    notices: list[Notice] = []
    for run in runs[1:]:
        try:
            comparisons.append(compare_runs(runs[0].run, run.run))
        except InputError as error:
            notices.append(notice("host-not-compared", host=run.host, reason=str(error)))
    return comparisons, [*notices, *dict.fromkeys(own for row in comparisons for own in row.notices)]
