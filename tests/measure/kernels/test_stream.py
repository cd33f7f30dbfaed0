"""STREAM: numpy's answers, kinds of stores, and how the arrays are laid out."""

import re

import msgspec
import numpy as np
import pytest
from llvmlite import ir

from hwbench.measure import harness
from hwbench.measure.codegen import vectors
from hwbench.measure.kernels import buffers
from hwbench.measure.kernels.memory import loops as memory_loops
from hwbench.measure.kernels.memory import stream
from hwbench.measure.kernels.team import Placement, Team
from hwbench.measure.subject import StreamSize
from tests.measure.codegen.assembly import assembly

KIB, MIB = 1 << 10, 1 << 20
WIDTHS = vectors.target().widths
SHORT = harness.SamplingLimits(sample_s=0.001, max_samples=2)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("nontemporal", [False, True])
@pytest.mark.parametrize("operation", stream.OPERATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("cores", [Placement(), Placement(team=Team((None, None)))], ids=["one", "two"])
def test_streams_give_numpys_answer(
    operation: stream.Operation, nontemporal: bool, bits: int, cores: Placement
) -> None:
    arrays = stream.StreamArrays(3 * MIB, cores)
    arrays.allocate()
    assert arrays.right(operation, nontemporal, bits)
    assert arrays.parts is not None
    destination, left, right = arrays.parts
    assert np.array_equal(destination, operation.answer(left, right)), "every element, not only those compared"
    arrays.free()


def test_a_stream_that_does_something_else_is_noticed() -> None:
    arrays = stream.StreamArrays(1 * MIB, Placement())
    arrays.allocate()
    mixed = msgspec.structs.replace(stream.OPERATIONS[0], answer=stream.OPERATIONS[1].answer)
    assert not arrays.right(mixed, False, WIDTHS[0])
    unknown = msgspec.structs.replace(stream.OPERATIONS[0], number=9)
    assert not arrays.right(unknown, False, WIDTHS[0])


def test_bytes_are_counted_as_stream_counts_them() -> None:
    arrays = stream.StreamArrays(1 * MIB, Placement())
    counts = {one.name: stream.task(one, False, arrays).work / arrays.size for one in stream.OPERATIONS}
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
        return assembly(module, triple, features=features)

    assert re.search(rf"\t{plain}\t", text(False))
    assert not re.search(rf"\t{past}\t", text(False))
    assert re.search(rf"\t{past}\t", text(True))
    assert re.search(r"\t(mfence|lock|dmb)", text(True)), "who reads next must see it"


def test_the_width_is_one_of_those_on_trial() -> None:
    arrays = stream.StreamArrays(1 * MIB, Placement())
    task = stream.task(stream.OPERATIONS[3], True, arrays)
    found = harness.measure([task], 0.1, limits=SHORT)[0]
    assert found.checked
    assert isinstance(found.subject, StreamSize)
    assert found.subject.bits in WIDTHS
    assert found.variant == "triad-nt"
    assert arrays.parts is None, "the memory is given back"


def test_the_best_width_of_an_operation_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = stream.StreamArrays(1 * MIB, Placement())
    tried: list[tuple[str, bool]] = []

    def best(operation: stream.Operation, nontemporal: bool, _widths: object) -> int:
        tried.append((operation.name, nontemporal))
        return WIDTHS[nontemporal % len(WIDTHS)]

    monkeypatch.setattr(arrays, "best_width", best)
    for _ in range(2):
        for operation in stream.OPERATIONS[:2]:
            for nontemporal in (False, True):
                assert arrays.width(operation, nontemporal) == WIDTHS[nontemporal % len(WIDTHS)]
    assert len(tried) == len(set(tried)) == 4


@pytest.mark.parametrize("operation", stream.OPERATIONS, ids=lambda one: one.name)
def test_arrays_may_be_lent(operation: stream.Operation) -> None:
    lender = stream.StreamArrays(3 * MIB, Placement(team=Team((None, None))))
    assert stream.StreamArrays(9 * MIB, Placement(), lender=lender).size == lender.size
    arrays = stream.StreamArrays(2 * MIB, Placement(), lender=lender)
    arrays.allocate()
    assert arrays.places == lender.places
    assert arrays.right(operation, True, WIDTHS[-1])
    assert lender.right(operation, True, WIDTHS[-1])
    arrays.free()
    assert lender.parts is None
    assert lender.cores.team is not None
    assert not lender.cores.team._members


def test_chunks_are_whole_pages_and_fill_the_arrays() -> None:
    for members in (1, 2, 3):
        team = Team((None,) * members) if members > 1 else None
        arrays = stream.StreamArrays(1_000_000, Placement(team=team))
        assert arrays.chunk % buffers.ALIGNMENT == 0
        assert arrays.size == arrays.chunk * members <= 1_000_000
