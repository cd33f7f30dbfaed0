"""Memory kernels: right answers, wrong ones noticed, the stores that were asked for, and how large things are made."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from llvmlite import ir

from hwbench.machine.device import Cache
from hwbench.machine.host.facts import Files
from hwbench.measure import harness
from hwbench.measure.codegen import vectors
from hwbench.measure.kernels import buffers
from hwbench.measure.kernels.memory import kernel as memory
from hwbench.measure.kernels.memory import latency, stream, working_set
from hwbench.measure.kernels.memory import loops as memory_loops
from hwbench.measure.kernels.memory.levels import Level
from hwbench.measure.kernels.team import Team
from hwbench.measure.record import Measurement, Sample
from hwbench.measure.settings import CpuClass, Settings
from hwbench.measure.subject import PointerChase, StreamSize, WorkingSet
from hwbench.units import Bytes
from tests.measure.kernels.conftest import settings

KIB, MIB = 1 << 10, 1 << 20
WIDTHS = vectors.target().widths
SHORT = harness.SamplingLimits(sample_s=0.001, most=2)


# STREAM


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("nontemporal", [False, True])
@pytest.mark.parametrize("operation", stream.OPERATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("team", [None, Team((None, None))], ids=["one", "two"])
def test_streams_give_numpys_answer(operation: stream.Operation, nontemporal: bool, bits: int, team: Team) -> None:
    arrays = stream.StreamArrays(3 * MIB, team)
    arrays.allocate()
    assert arrays.right(operation, nontemporal, bits)
    assert arrays.parts is not None
    destination, left, right = arrays.parts
    assert np.array_equal(destination, operation.answer(left, right)), "every element, not only those compared"
    arrays.free()


def test_a_stream_that_does_something_else_is_noticed() -> None:
    arrays = stream.StreamArrays(1 * MIB, None)
    arrays.allocate()
    mixed = msgspec.structs.replace(stream.OPERATIONS[0], answer=stream.OPERATIONS[1].answer)
    assert not arrays.right(mixed, False, WIDTHS[0])
    unknown = msgspec.structs.replace(stream.OPERATIONS[0], number=9)
    assert not arrays.right(unknown, False, WIDTHS[0])


def test_bytes_are_counted_as_stream_counts_them() -> None:
    arrays = stream.StreamArrays(1 * MIB, None)
    counts = {one.name: stream.task(one, False, arrays, ()).work / arrays.size for one in stream.OPERATIONS}
    assert counts == {"copy": 2, "scale": 2, "add": 3, "triad": 3}


@pytest.mark.parametrize(
    ("triple", "features", "bits", "plain", "past"),
    [("x86_64-unknown-linux-gnu", "+sse2", 128, "movap[sd]", "movntp[sd]"),
     ("x86_64-unknown-linux-gnu", "+avx", 256, "vmova?u?p[sd]", "vmovntp[sd]"),
     ("x86_64-unknown-linux-gnu", "+avx512f", 512, "vmova?u?p[sd]", "vmovntp[sd]"),
     ("aarch64-unknown-linux-gnu", "+neon", 128, "st[rp]", "stnp")],
)  # fmt: skip
def test_stores_pass_by_the_caches_only_when_asked(
    triple: str, features: str, bits: int, plain: str, past: str
) -> None:
    def text(nontemporal: bool) -> str:
        module = ir.Module()
        kinds = [vectors.I64] * 4 + [ir.DoubleType()]
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "triad")
        builder = ir.IRBuilder(function.append_basic_block())
        memory_loops.pass_ir(builder, function.args, memory_loops.TRIAD, bits, nontemporal)
        builder.ret_void()
        return vectors.assembly(module, triple, features=features)

    assert re.search(rf"\t{plain}\t", text(False))
    assert not re.search(rf"\t{past}\t", text(False))
    assert re.search(rf"\t{past}\t", text(True))
    assert re.search(r"\t(mfence|lock|dmb)", text(True)), "who reads next must see it"


def test_the_width_is_one_of_those_on_trial() -> None:
    arrays = stream.StreamArrays(1 * MIB, None)
    task = stream.task(stream.OPERATIONS[3], True, arrays, ())
    found = harness.measure([task], 0.1, limits=SHORT)[0]
    assert found.checked
    assert isinstance(found.subject, StreamSize)
    assert found.subject.bits in WIDTHS
    assert found.variant == "triad-nt"
    assert arrays.parts is None, "the memory is given back"


@pytest.mark.parametrize(("quick", "looks"), [(True, 2), (False, 4)])
def test_where_quick_a_width_is_looked_for_once_a_kind_of_store(
    quick: bool, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = stream.StreamArrays(1 * MIB, None, quick)
    tried: list[tuple[str, bool]] = []

    def best(operation: stream.Operation, nontemporal: bool, _widths: object) -> int:
        tried.append((operation.name, nontemporal))
        return WIDTHS[nontemporal % len(WIDTHS)]

    monkeypatch.setattr(arrays, "best_width", best)
    for _ in range(2):
        for operation in stream.OPERATIONS[:2]:
            for nontemporal in (False, True):
                assert arrays.width(operation, nontemporal) == WIDTHS[nontemporal % len(WIDTHS)]
    assert len(tried) == len(set(tried)) == looks


@pytest.mark.parametrize("operation", stream.OPERATIONS, ids=lambda one: one.name)
def test_arrays_may_be_lent(operation: stream.Operation) -> None:
    lender = stream.StreamArrays(3 * MIB, Team((None, None)))
    assert stream.StreamArrays(9 * MIB, None, lender=lender).size == lender.size
    arrays = stream.StreamArrays(2 * MIB, None, lender=lender)
    arrays.allocate()
    assert arrays.places == lender.places
    assert arrays.right(operation, True, WIDTHS[-1])
    assert lender.right(operation, True, WIDTHS[-1])
    arrays.free()
    assert lender.parts is None
    assert not lender.team or not lender.team._members


def test_arrays_are_shared_only_where_quick_and_memory_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = memory.MemorySizes(1 * MIB, 1 << 30, 1 << 30)
    for quick, nodes, lent in ((True, 1, True), (True, None, True), (True, 2, False), (False, 1, False)):
        monkeypatch.setattr(memory.environment, "numa_nodes", lambda _files, nodes=nodes: nodes)
        found = memory.stream_arrays(machine(threads=(1, 2), quick=quick), sizes)
        assert found[2].lender is None
        assert found[1].lender is (found[2] if lent else None)
        assert found[1].size <= found[2].size


def test_chunks_are_whole_pages_and_fill_the_arrays() -> None:
    for members in (1, 2, 3):
        team = Team((None,) * members) if members > 1 else None
        arrays = stream.StreamArrays(1_000_000, team)
        assert arrays.chunk % buffers.ALIGNMENT == 0
        assert arrays.size == arrays.chunk * members <= 1_000_000


# The sweep


@pytest.mark.parametrize("size", [512, 4096, 6144, 1 * MIB])
def test_reading_adds_up_what_is_there(size: int) -> None:
    buffer = working_set.Buffer(2 * MIB)
    buffer.allocate()
    assert buffer.right(size)
    assert buffer.read(size, 3) == 3 * sum(range(size // 8))
    assert buffer.read(size, 0) == 0
    buffer.bytes[size - 8] ^= 1
    assert not buffer.right(size), "a word less is another sum"


def test_working_sets_grow_by_octaves() -> None:
    assert working_set.sizes(32 * KIB, 1) == (4096, 8192, 16384, 32768)
    assert working_set.sizes(20_000, 2) == (4096, 6144, 8192, 12288, 16384)
    assert working_set.sizes(24 * KIB, 2)[-1] == 24 * KIB
    assert working_set.sizes(100, 2) == ()
    assert all(size % 2048 == 0 for size in working_set.sizes(1 << 30, 2))


# Latency


@pytest.mark.parametrize("size", [100, 4096, 16 * KIB, 100_000])
def test_a_ring_visits_every_line_once(size: int) -> None:
    ring = latency.Ring(size)
    ring.allocate()
    words = ring.bytes.view(np.int64)
    place, seen = ring.start, set()
    while place not in seen:
        assert (place - ring.start) % latency.LINE == 0
        seen.add(place)
        place = int(words[(place - ring.start) // 8])
    assert len(seen) == ring.lines
    assert place == ring.start
    assert ring.right()


def test_two_rings_in_one_are_noticed() -> None:
    ring = latency.Ring(16 * KIB)
    ring.allocate()
    words = ring.bytes.view(np.int64)
    half, place = ring.lines // 2, ring.start
    for _ in range(half - 1):
        place = int(words[(place - ring.start) // 8])
    words[(place - ring.start) // 8] = ring.start
    assert not ring.right()


def test_the_order_is_not_one_that_a_prefetcher_knows() -> None:
    ring = latency.Ring(64 * KIB)
    ring.allocate()
    steps = np.diff(ring.bytes.view(np.int64)[:: latency.LINE // 8])
    assert len(set(steps.tolist())) > ring.lines // 2


def test_the_chase_is_a_chain_of_loads() -> None:
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vectors.I64, [vectors.I64] * 2), "chase")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(memory_loops.chase_ir(builder, *function.args))
    text = vectors.assembly(module, "x86_64-unknown-linux-gnu")
    assert len(re.findall(r"\tmovq\t\(%(\w+)\), %\1", text)) >= memory_loops.STEPS - 1


def test_a_latency_goes_on_where_it_ended_and_tells_its_pages() -> None:
    task = latency.task(16 * KIB, (), None)
    found = harness.measure([task], 0.05, limits=SHORT)[0]
    assert found.checked
    assert found.unit == "s"
    assert found.work == memory_loops.STEPS
    assert isinstance(found.subject, PointerChase)
    assert found.subject.bytes == 16 * KIB


@pytest.mark.parametrize(
    ("text", "rule"), [("always [madvise] never", "madvise"), ("[always] madvise never", "always"), (None, None)]
)
def test_the_rule_for_huge_pages(tmp_path: Path, text: str | None, rule: str | None) -> None:
    if text:
        place = tmp_path / latency.HUGE_PAGES.lstrip("/")
        place.parent.mkdir(parents=True)
        place.write_text(text)
    assert latency.huge_pages(Files(str(tmp_path))) == rule


def test_a_measurement_takes_a_quarter_of_the_free_memory(tmp_path: Path) -> None:
    assert buffers.affordable(Files(str(tmp_path))) == buffers.UNKNOWN_FREE * buffers.SHARE
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemAvailable:    8000000 kB\n")
    assert buffers.affordable(Files(str(tmp_path))) == 8000000 * KIB * buffers.SHARE
    (tmp_path / "proc/meminfo").write_text("MemAvailable: 800000000 kB\n")
    assert buffers.affordable(Files(str(tmp_path))) == buffers.MAX_BYTES


def test_buffers_begin_at_a_page() -> None:
    for size in (1, 4096, 5 * MIB):
        found = buffers.aligned(size)
        assert found.nbytes == size
        assert found.ctypes.data % buffers.ALIGNMENT == 0


@pytest.mark.parametrize(
    ("size", "alignment"),
    [(1, 4096), (4096, 4096), (4097, 8192), (32 * KIB, 32 * KIB), (33 * KIB, 64 * KIB), (2 * MIB, 2 * MIB),
     (512 * MIB, 2 * MIB)],
)  # fmt: skip
def test_working_sets_cross_no_boundary_larger_than_themselves(size: int, alignment: int) -> None:
    assert buffers.natural(size) == alignment
    if size <= 4 * MIB:
        start = buffers.aligned(size, alignment).ctypes.data
        assert start % alignment == 0
        assert alignment == buffers.HUGE_PAGE or start // alignment == (start + size - 1) // alignment


def test_sweeps_and_rings_are_laid_out_so() -> None:
    buffer, ring = working_set.Buffer(4 * MIB), latency.Ring(16 * KIB)
    buffer.allocate()
    ring.allocate()
    assert buffer.address % buffers.HUGE_PAGE == 0
    assert ring.start % (16 * KIB) == 0


# How large things are


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
    assert memory.swept(machine(("L3", 32 * MIB, None)), 1 << 40) == 512 * MIB
    assert memory.swept(machine(("L3", 200 * MIB, None)), 1 << 40) == 800 * MIB
    assert memory.swept(machine(("L3", 480 * MIB, None)), 1 << 40) == 1024 * MIB
    assert memory.swept(machine(("L3", 480 * MIB, None), quick=True), 1 << 40) == 256 * MIB
    assert memory.swept(machine(), 10_000_000) == 10_000_000 // 4096 * 4096
    assert memory.swept(machine(), 0) == MIB


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
    assert [task.variant for task in streams if task.threads == 1] == ["triad", "triad-nt"]
    assert [task.variant for task in streams if task.threads == 2] == [
        "copy", "scale", "add", "triad", "copy-nt", "scale-nt", "add-nt", "triad-nt",
    ]  # fmt: skip
    assert max(task.subject.array_bytes for task in streams if isinstance(task.subject, StreamSize)) <= 16 * MIB / 2 / 6
    sweep = [int(task.size or 0) for task in found if task.kernel == "working-set" and task.threads == 1]
    assert sweep == list(working_set.sizes(4 * MIB, 1))
    measured = harness.measure(found, 0.5, limits=harness.SamplingLimits(sample_s=0.0005, most=1))
    assert len(measured) == len(found)
    assert all(one.checked for one in measured)
    assert memory.rows(measured)


# What the sweep shows


def measurement(size: int, rate: float, **more: object) -> Measurement:
    samples = tuple(Sample(wall_s=size / rate * factor, repetitions=1, cpu_s=size / rate * factor)
                    for factor in (1.0, 1.001, 0.999, 1.0, 1.0, 1.0))  # fmt: skip
    subject = WorkingSet(size, reported={"L1d": 32 * KIB, "L2": MIB, "L3": 32 * MIB})
    return msgspec.structs.replace(
        Measurement("working-set", "read", "B/s", size, samples, size=str(size), timer="cpu", subject=subject),
        **more,
    )


def rate_of(size: int) -> float:
    return 200e9 if size <= 32 * KIB else 100e9 if size <= MIB else 50e9 if size <= 16 * MIB else 20e9


def test_rows_give_each_levels_size_and_bandwidth() -> None:
    sweep = [measurement(size, rate_of(size)) for size in working_set.sizes(512 * MIB, 2)]
    together = measurement(8 * KIB, 400e9, threads=2, subject=WorkingSet(8 * KIB, "L1d"), timer="wall")
    found = memory.rows([*sweep, together])
    values = {(row.variant, row.unit, row.threads): row.value for row in found}
    assert values == pytest.approx({
        ("L1d", "B", 1): 32 * KIB, ("L1d", "B/s", 1): 200e9, ("L2", "B", 1): MIB, ("L2", "B/s", 1): 100e9,
        ("L3", "B", 1): 16 * MIB, ("L3", "B/s", 1): 50e9, ("memory", "B/s", 1): 20e9, ("L1d", "B/s", 2): 400e9,
    })  # fmt: skip
    size = next(row for row in found if (row.variant, row.unit) == ("L2", "B"))
    assert size.interval == (MIB, 1.5 * MIB)
    assert {row.kernel for row in found} == {"cache"}
    assert {row.grade for row in found} == {"A"}


def test_a_sweep_that_ends_within_the_reported_cache_is_doubted() -> None:
    sweep = [measurement(size, rate_of(size)) for size in working_set.sizes(16 * MIB, 2)]
    last = memory.rows(sweep)[-1]
    assert last.variant == "memory"
    assert last.grade == "D"
    assert "may be a cache" in last.reasons[0]


def test_no_measurements_give_no_rows() -> None:
    assert memory.rows([]) == ()
    other = msgspec.structs.replace(measurement(4096, 1e9), subject=StreamSize(4096))
    assert memory.rows([other]) == ()


def test_classes_of_cores_have_rows_of_their_own() -> None:
    sweep = [
        measurement(size, rate_of(size) / part, core_class=name)
        for name, part in (("P-core", 1), ("E-core", 2))
        for size in working_set.sizes(512 * MIB, 1)
    ]
    found = memory.rows(sweep)
    assert {row.core_class for row in found} == {"P-core", "E-core"}
    speeds = {row.core_class: row.value for row in found if (row.variant, row.unit) == ("memory", "B/s")}
    assert speeds == pytest.approx({"P-core": 20e9, "E-core": 10e9})
