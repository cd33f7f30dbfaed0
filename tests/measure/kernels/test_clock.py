"""The chain that counts cycles: that it is all there in the machine's code, and what is believed under load."""

import itertools
import os
import re

import pytest
from llvmlite import ir

from hwbench.measure import harness
from hwbench.measure.codegen import vectors
from hwbench.measure.kernels.clock import kernel as clock
from hwbench.measure.kernels.clock import loops as clock_loops
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.team import Placement, Team
from hwbench.measure.settings import CpuClass
from hwbench.measure.subject import ClockLoad
from tests.measure.codegen.assembly import assembly
from tests.measure.kernels.conftest import settings


def test_the_chain_gives_what_python_computes() -> None:
    assert clock_loops.check()
    assert clock_loops.chain(1, 7, clock_loops.STEP, clock_loops.MASK) == clock_loops.expected(clock_loops.PAIRS, 7)
    assert clock_loops.chain(2, 8, clock_loops.STEP, clock_loops.MASK) != clock_loops.expected(clock_loops.PAIRS, 8)


def test_values_of_the_chain_are_signed_words() -> None:
    assert list(itertools.islice(clock_loops.values(1, 1, 0), 3)) == [2, 3, 4]
    assert next(clock_loops.values((1 << 63) - 1, 1, 0)) == -(1 << 63)


@pytest.mark.parametrize(
    ("triple", "add", "exclusive"),
    [("x86_64-unknown-linux-gnu", r"\taddq\t%\w+, %\w+|\tleaq\t\(%\w+,%\w+\)", r"\txorq\t%\w+, %\w+"),
     ("aarch64-unknown-linux-gnu", r"\tadd\tx\d+, x\d+, x\d+", r"\teor\tx\d+, x\d+, x\d+")],
)  # fmt: skip
def test_every_link_is_an_instruction_of_registers(triple: str, add: str, exclusive: str) -> None:
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vectors.I64, [vectors.I64] * 3), "links")
    builder = ir.IRBuilder(function.append_basic_block())
    value, step, mask = function.args
    for _ in range(clock_loops.PAIRS):
        value = clock_loops.pair(builder, value, step, mask)
    builder.ret(value)
    text = assembly(module, triple)
    assert len(re.findall(add, text)) == clock_loops.PAIRS
    assert len(re.findall(exclusive, text)) == clock_loops.PAIRS


@pytest.mark.parametrize(
    ("clocks", "believed"),
    [({1: 3.6e9, 3: 3.6e9, 6: 3.6e9, 12: 3.6e9, 24: 2.4e9}, 12),  # two pipes
     ({1: 3.6e9, 3: 3.6e9, 6: 3.6e9, 12: 2.4e9, 24: 1.2e9}, 6),  # one pipe
     ({1: 3.6e9, 3: 3.6e9, 6: 2.4e9, 12: 1.2e9, 24: 0.6e9}, 3),  # half a pipe, as fp64 on small cores
     ({1: 3.2e9, 3: 3.2e9, 6: 3.2e9, 12: 3.2e9, 24: 3.2e9}, 24),  # four pipes
     ({1: 3.7e9, 3: 3.5e9, 6: 3.0e9, 12: 2.6e9, 24: 1.7e9}, 12),  # the load lowers the clock itself
     ({1: 3.6e9, 3: 2.0e9, 6: 3.6e9, 12: 3.6e9, 24: 2.4e9}, 1)],  # a disturbed reading errs on the safe side
)  # fmt: skip
def test_the_densest_load_beside_which_the_chain_takes_its_own_time(clocks: dict[int, float], believed: int) -> None:
    assert clock.densest(clocks) == believed


@pytest.mark.parametrize("bits", vectors.target().widths)
@pytest.mark.parametrize("density", fma_loops.DENSITIES)
def test_the_load_beside_the_chain_is_real_work(bits: int, density: int) -> None:
    rounds = 5
    fused = vectors.target().fused
    operands = fma_loops.operands("fp64", fused)
    answer = fma_loops.loaded(bits, density, rounds, 1, *operands)
    count = fma_loops.turning(density, fma_loops.accumulators(vectors.target().registers))
    lanes = vectors.lanes("fp64", bits)
    pairs = rounds * fma_loops.BEATS * density // count // 2
    known = fma_loops.iterated("fp64", pairs, count, lanes, fused)
    assert min(abs(answer - known), abs(answer - known - 1)) < 1e-9  # plus the chain's last bit


def test_tasks_of_one_core_and_of_all() -> None:
    widths = [vectors.target().isa(bits) for bits in vectors.target().widths]
    alone = clock.tasks(settings())
    assert [task.variant for task in alone] == ["scalar", *widths]
    assert {task.core_class for task in alone} == {None}
    both = clock.tasks(settings(threads=(1, 2)))
    assert [task.variant for task in both if task.threads == 2] == widths
    quick = clock.tasks(settings(threads=(1, 2), quick=True))
    assert [(task.variant, task.threads) for task in quick] == [("scalar", 1), (widths[-1], 1), (widths[-1], 2)]


def test_every_class_of_cores_is_measured_by_its_name() -> None:
    found = clock.tasks(settings(classes=(CpuClass("P-core", (0,)), CpuClass("E-core", (1,)))))
    assert [task.core_class for task in found if task.variant == "scalar"] == ["P-core", "E-core"]
    assert [task.cpus for task in found if task.variant == "scalar"] == [(0,), (1,)]


@pytest.mark.slow
def test_a_measured_clock_says_its_load_and_is_checked() -> None:
    scalar = clock.scalar(Placement())
    loaded = clock.loaded(128, "any", Placement())
    team = clock.loaded(128, "any", Placement(team=Team((None, None))))
    found = harness.measure([scalar, loaded, team], 0.2, limits=harness.SamplingLimits(sample_s=0.002, max_samples=3))
    assert [one.checked for one in found] == [True, None, None]
    assert isinstance(found[1].subject, ClockLoad)
    assert found[1].subject.multiply_adds_in_8_cycles in fma_loops.DENSITIES
    assert found[2].work == 2 * found[1].work
    assert all(one.value(sample) > 0 for one in found for sample in one.samples)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_a_load_is_looked_for_once_a_core_and_on_that_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Placement of another class have other pipes, and cores that work together may share some."""
    before = os.sched_getaffinity(0)
    cpu = max(before)
    looked: list[tuple[object, set[int]]] = []

    def search(self: clock.LoadedClock) -> tuple[int, int]:
        looked.append((self.key, os.sched_getaffinity(0)))
        return 3, 7

    monkeypatch.setattr(clock.LoadedClock, "search", search)
    clock._searched.cache_clear()
    for others in (0, 0, 1):
        one = clock.LoadedClock(128, "fp32", cpu, others)
        one.prepare()
        one.prepare()
        assert (one.density, one._rounds) == (3, 7)
    assert looked == [((128, "fp32", cpu, others), {cpu}) for others in (0, 1)]
    clock.LoadedClock(128, "fp32").prepare()
    clock.LoadedClock(128, "fp32").prepare()
    assert looked[2:] == [((128, "fp32", None, 0), before)] * 2
    assert os.sched_getaffinity(0) == before
    clock._searched.cache_clear()


def test_clocks_are_those_of_the_members_of_a_team() -> None:
    each = clock.LoadedClock.each(128, "fp64", Placement((4, 5)))
    assert [one.key for one in each] == [(128, "fp64", 4, 0)]
    each = clock.LoadedClock.each(128, "fp64", Placement((4, 5), team=Team((4, 5))))
    assert [one.key for one in each] == [(128, "fp64", 4, 1), (128, "fp64", 5, 1)]
    assert [one.key for one in clock.LoadedClock.each(128, "fp64", Placement())] == [(128, "fp64", None, 0)]


@pytest.mark.parametrize(("seconds", "repetitions"), [(0.0001, 1), (0.001, 12), (1.0, 12000)])
def test_calibration_counts_up_to_the_time_asked_for(
    monkeypatch: pytest.MonkeyPatch, seconds: float, repetitions: int
) -> None:
    """By 1.2 times what is missing, at most 50 times more at once; a repetition takes 0.1 ms."""
    monkeypatch.setattr(clock, "cpu_seconds", lambda _run, repetitions: 1e-4 * repetitions)
    assert clock.calibrated(abs, seconds) == repetitions
