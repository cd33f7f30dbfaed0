"""Which tasks measure the memory of a machine, and how large their arrays are."""

import msgspec
import pytest

from hwbench.machine.parts import Cache
from hwbench.measure import harness
from hwbench.measure.kernels import buffers
from hwbench.measure.kernels.memory import kernel as memory
from hwbench.measure.kernels.memory import results, stream, working_set
from hwbench.measure.kernels.memory.levels import Level
from hwbench.measure.kernels.team import first
from hwbench.measure.settings import CpuClass, Settings
from hwbench.measure.subject import StreamSize
from hwbench.units import Bytes
from tests.measure.kernels.conftest import settings

KIB, MIB = 1 << 10, 1 << 20


def test_arrays_are_shared_only_where_quick_and_memory_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = memory.MemorySizes(1 * MIB, 1 << 30, 1 << 30)
    for quick, nodes, lent in ((True, 1, True), (True, None, True), (True, 2, False), (False, 1, False)):
        monkeypatch.setattr(memory.environment, "numa_nodes", lambda _files, nodes=nodes: nodes)
        found = memory.stream_arrays(machine(threads=(1, 2), quick=quick), sizes)
        assert found[2].lender is None
        assert found[1].lender is (found[2] if lent else None)
        assert found[1].size <= found[2].size


def machine(*caches: tuple[str, float, int | None], threads: tuple[int, ...] = (1,), quick: bool = False) -> Settings:
    known = tuple(Cache(name, Bytes(size), shared) for name, size, shared in caches)
    return msgspec.structs.replace(settings(threads=threads, quick=quick), caches=known)


def seen(*sizes: float) -> tuple[Level, ...]:
    levels = [Level(1e11 / (k + 1), size / 8, size / 2, size, size * 1.5) for k, size in enumerate(sizes)]
    return (*levels, Level(1e10, sizes[-1] * 2, sizes[-1] * 8))


@pytest.mark.parametrize(
    ("found", "reported", "expected"),
    [(seen(32 * KIB, 16 * MIB), 32 * MIB, 32 * MIB),  # the reported one is a little larger: believed
     (seen(32 * KIB, 64 * MIB), 480 * MIB, 96 * MIB),  # the guest's is fiction
     (seen(32 * KIB, 64 * MIB), 0, 96 * MIB),
     ((), 32 * MIB, 32 * MIB),  # nothing was seen
     ((), 4096 * MIB, 128 * MIB),
     ((Level(1e10, 4096, 512 * MIB),), 0, 128 * MIB)],
)  # fmt: skip
def test_the_last_cache_is_what_was_seen_unless_a_likely_one_is_reported(
    found: tuple[Level, ...], reported: int, expected: int
) -> None:
    caches = [Cache("L3", Bytes(reported))] if reported else []
    assert memory.last_cache(found, caches, 512 * MIB) == expected


def test_arrays_are_four_times_the_caches_of_those_who_work_within_the_memory() -> None:
    sizes = memory.MemorySizes(32 * MIB, 1 << 40, 1 << 30)
    eight = machine(("L3", 32 * MIB, 8), threads=(1, 16))
    assert memory.array_size(eight, sizes, 1) == 128 * MIB
    assert memory.array_size(eight, sizes, 8) == 128 * MIB
    assert memory.array_size(eight, sizes, 16) == 256 * MIB, "two caches for sixteen cores"
    assert memory.array_size(machine(threads=(1,)), sizes, 1) == 128 * MIB
    poor = msgspec.structs.replace(sizes, arrays=60 * MIB)
    assert memory.array_size(eight, poor, 1) == 10 * MIB
    assert memory.array_size(eight, msgspec.structs.replace(sizes, arrays=0), 16) == 16 * buffers.ALIGNMENT


def test_the_sweep_goes_well_past_the_reported_caches_if_it_may() -> None:
    assert memory.largest_set(machine(("L3", 32 * MIB, None)), 1 << 40) == 512 * MIB
    assert memory.largest_set(machine(("L3", 200 * MIB, None)), 1 << 40) == 800 * MIB
    assert memory.largest_set(machine(("L3", 480 * MIB, None)), 1 << 40) == 1024 * MIB
    assert memory.largest_set(machine(("L3", 480 * MIB, None), quick=True), 1 << 40) == 256 * MIB
    assert memory.largest_set(machine(), 10_000_000) == 10_000_000 // 4096 * 4096
    assert memory.largest_set(machine(), 0) == MIB


def test_each_core_reads_its_share_of_a_shared_cache() -> None:
    caches = (Cache("L2", Bytes(MIB), 1), Cache("L3", Bytes(32 * MIB), 8))
    own, shared = (
        Level(1e11, 64 * KIB, 512 * KIB, 1 * MIB, 1.5 * MIB),
        Level(5e10, 2 * MIB, 16 * MIB, 32 * MIB, 48 * MIB),
    )
    assert memory.share(own, None, caches, 8) == pytest.approx(2**17.5, abs=1)
    assert memory.share(shared, own, caches, 8) == pytest.approx(1.5 * MIB), "not what fits in the level above"
    assert memory.share(shared, own, caches, 2) == pytest.approx(2.83 * MIB, rel=0.01)


def test_latency_is_measured_within_each_level_where_quick() -> None:
    sizes = memory.MemorySizes(32 * MIB, 1 << 30, 1 << 30)
    levels = seen(32 * KIB, 1 * MIB, 32 * MIB)
    assert memory.chased(machine(quick=True), sizes, levels) == [16 * KIB, 256 * KIB, 16 * MIB, 64 * MIB]
    assert memory.chased(machine(), sizes, levels) == list(memory.LATENCIES)
    assert memory.chased(machine(quick=True), sizes, ()) == list(memory.LATENCIES)
    small = msgspec.structs.replace(sizes, chased=8 * MIB)
    assert max(memory.chased(machine(), small, levels)) == 4 * MIB


def test_the_first_class_of_cores_sweeps_the_buffer_of_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "affordable", lambda: 16 * MIB)
    made: list[int] = []

    class Counted(working_set.Buffer):
        def __init__(self, size: int) -> None:
            made.append(size)
            super().__init__(size)

    monkeypatch.setattr(memory, "Buffer", Counted)
    here = machine(("L2", MIB, 1), threads=(1,), quick=True)
    here = msgspec.structs.replace(here, classes=(CpuClass("P-core", (0,)), CpuClass("E-core", (1,))), cpus=(0, 1))
    found = memory.tasks(here)
    assert made == [4 * MIB, 4 * MIB]
    sets = {(task.core_class, task.cpus) for task in found if task.kernel == "working-set"}
    assert sets == {("P-core", (0,)), ("E-core", (1,))}


def test_the_tasks_of_a_machine_with_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "affordable", lambda: 16 * MIB)
    here = machine(("L1d", 32 * KIB, 1), ("L2", MIB, 1), ("L3", 32 * MIB, 2), threads=(1, 2), quick=True)
    found = memory.tasks(here)
    streams = [task for task in found if task.kernel == "stream"]
    assert [(task.variant, task.threads) for task in streams] == [
        ("triad", 1), ("triad-nt", 1), ("triad", 2), ("triad-nt", 2),
    ]  # fmt: skip
    every = memory.streams(msgspec.structs.replace(here, quick=False), stream.StreamArrays(1 * MIB, first(here, 1)))
    assert [task.variant for task in every] == [
        "copy", "scale", "add", "triad", "copy-nt", "scale-nt", "add-nt", "triad-nt",
    ]  # fmt: skip
    assert max(task.subject.array_bytes for task in streams if isinstance(task.subject, StreamSize)) <= 16 * MIB / 2 / 6
    sweep = [int(task.size or 0) for task in found if task.kernel == "working-set" and task.threads == 1]
    assert sweep == list(working_set.sizes(4 * MIB, 1))
    measured = harness.measure(found, 0.5, limits=harness.SamplingLimits(sample_s=0.0005, max_samples=1))
    assert len(measured) == len(found)
    assert all(one.checked for one in measured)
    assert results.rows(measured)
