"""Working sets, rings of pointers and the buffers that hold them."""

import re
from pathlib import Path

import numpy as np
import pytest
from llvmlite import ir

from hwbench.machine.host.files import Files
from hwbench.measure import harness
from hwbench.measure.codegen import vectors
from hwbench.measure.kernels import buffers
from hwbench.measure.kernels.memory import latency, working_set
from hwbench.measure.kernels.memory import loops as memory_loops
from hwbench.measure.kernels.team import Placement
from hwbench.measure.subject import PointerChase
from tests.measure.codegen.assembly import assembly

KIB, MIB = 1 << 10, 1 << 20
SHORT = harness.SamplingLimits(sample_s=0.001, max_samples=2)


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
    text = assembly(module, "x86_64-unknown-linux-gnu")
    assert len(re.findall(r"\tmovq\t\(%(\w+)\), %\1", text)) >= memory_loops.STEPS - 1


def test_a_latency_goes_on_where_it_ended_and_tells_its_pages() -> None:
    task = latency.task(16 * KIB, Placement())
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
