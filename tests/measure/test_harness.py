"""The harness on made-up kernels: what it calls, how often, in which order, and when it stops."""

import gc
import itertools
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hwbench.measure import harness
from hwbench.measure.harness import Progress, SamplingLimits, Task, measure
from hwbench.measure.subject import StreamSize

pytestmark = pytest.mark.realtime

FAST = SamplingLimits(sample_s=0.002, min_samples=5, max_samples=12)


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Kernel:
    """Burns CPU time for each repetition and remembers what it was told to do."""

    def __init__(self, cost: float = 50e-6) -> None:
        self.cost = cost
        self.calls: list[int] = []
        self.events: list[str] = []

    def __call__(self, repetitions: int) -> None:
        self.calls.append(repetitions)
        spin(self.cost * repetitions)


def task(call: Any, variant: str = "a", **more: Any) -> Task:
    return Task("made-up", variant, "op/s", 1.0, call, **more)


def test_a_sample_lasts_long_enough() -> None:
    kernel = Kernel()
    (found,) = measure([task(kernel)], 1.0, limits=SamplingLimits(sample_s=0.01, min_samples=3, max_samples=6))
    assert len(found.samples) >= 1
    repetitions = found.samples[0].repetitions
    assert repetitions * kernel.cost >= 0.009
    assert all(sample.repetitions == repetitions for sample in found.samples)
    assert all(sample.cpu_s >= 0.009 for sample in found.samples if sample.cpu_s)


def test_a_slow_repetition_runs_once_and_has_no_lead_in() -> None:
    kernel = Kernel(0.05)
    (found,) = measure([task(kernel)], 0.5, limits=SamplingLimits(sample_s=0.02, min_samples=3, max_samples=3))
    assert {sample.repetitions for sample in found.samples} == {1}
    assert set(kernel.calls) == {1}
    assert len(kernel.calls) == 1 + len(found.samples)  # warm-up, which says how long it takes, and samples


@pytest.mark.parametrize("threads", [1, 2])
def test_a_preempted_first_repetition_is_not_taken_for_a_slow_one(threads: int) -> None:
    class Delayed(Kernel):
        """Another process has the CPU at first."""

        def __call__(self, repetitions: int) -> None:
            if not self.calls:
                time.sleep(0.05)
            super().__call__(repetitions)

    kernel, limits = Delayed(), SamplingLimits(sample_s=0.01, min_samples=3, max_samples=3)
    (found,) = measure([task(kernel, threads=threads)], 0.5, limits=limits)
    assert found.samples[0].repetitions * kernel.cost >= 0.009


def test_a_fast_one_is_led_in() -> None:
    kernel = Kernel()
    (found,) = measure([task(kernel)], 0.5, limits=FAST)
    repetitions = found.samples[0].repetitions
    assert kernel.calls.count(max(1, repetitions // 8)) >= len(found.samples)


class SimulatedTime:
    """Clocks that only `spend` moves: a millisecond a repetition."""

    now_s = 0.0

    def spend(self, repetitions: int) -> None:
        self.now_s += 1e-3 * repetitions

    def perf_counter(self) -> float:
        return self.now_s

    def perf_counter_ns(self) -> int:
        return round(1e9 * self.now_s)

    thread_time_ns = process_time_ns = perf_counter_ns


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    clocks = SimulatedTime()
    monkeypatch.setattr(harness, "time", clocks)
    return clocks


def test_it_ends_at_the_budget(simulated: SimulatedTime) -> None:
    limits = SamplingLimits(settled=0.0, max_samples=10**6, sample_s=0.01)
    found = measure([task(simulated.spend, str(number)) for number in range(4)], 3.0, limits=limits)
    assert {one.stopped for one in found} == {"budget"}
    assert 2.9 < simulated.now_s < 3.1


def test_everything_gets_a_sample_even_without_time() -> None:
    found = measure([task(Kernel(), str(number)) for number in range(5)], 1e-9, limits=SamplingLimits(sample_s=0.001))
    assert [one.variant for one in found] == list("01234")
    assert all(len(one.samples) >= 1 for one in found)


def test_it_ends_when_settled() -> None:
    class Exact(Kernel):
        """A device whose clock is perfect."""

        def elapsed(self) -> float:
            return 1e-3 * self.calls[-1]

    kernel = Exact(1e-6)
    limits = SamplingLimits(sample_s=0.001, min_samples=7, max_samples=100)
    (found,) = measure([task(kernel, timer="device", elapsed=kernel.elapsed)], 20, limits=limits)
    assert found.stopped == "settled"
    assert len(found.samples) == 7
    assert all(found.value(sample) == pytest.approx(1000) for sample in found.samples)


def test_most_is_the_end_whatever_the_spread() -> None:
    (found,) = measure(
        [task(Kernel())], 60, limits=SamplingLimits(sample_s=0.001, settled=0.0, max_samples=4, min_samples=2)
    )
    assert len(found.samples) == 4
    assert found.stopped == "settled"


def test_prepare_check_and_close_are_called_in_turn() -> None:
    events: list[str] = []

    def check() -> bool:
        events.append("check")
        return True

    kernel = Kernel()
    one = task(
        lambda repetitions: (events.append("call"), kernel(repetitions)),  # type: ignore[func-returns-value]
        prepare=lambda: events.append("prepare"), check=check, close=lambda: events.append("close"),
    )  # fmt: skip
    (found,) = measure([one], 0.05, limits=FAST)
    assert found.checked is True
    assert events[:3] == ["prepare", "check", "call"]
    assert events[-1] == "close"
    assert events.count("prepare") == events.count("close") == 1


def test_a_wrong_answer_is_said() -> None:
    (found,) = measure([task(Kernel(), check=lambda: False)], 0.05, limits=FAST)
    assert found.checked is False


def test_an_error_closes_everything() -> None:
    closed = []

    def fail() -> None:
        raise ValueError("no memory")

    tasks = [
        task(Kernel(), close=lambda: closed.append(1)),
        task(Kernel(), prepare=fail, close=lambda: closed.append(2)),
    ]
    with pytest.raises(ValueError, match="no memory"):
        measure(tasks, 1)
    assert closed == [1, 2]


def test_an_interrupt_keeps_what_there_is() -> None:
    kernel = Kernel()

    def call(repetitions: int) -> None:
        kernel(repetitions)
        if len(kernel.calls) > 30:
            raise KeyboardInterrupt

    closed: list[int] = []
    found = measure(
        [task(call, "a", close=lambda: closed.append(1)), task(Kernel(), "b")],
        60,
        limits=SamplingLimits(sample_s=1e-3, settled=0.0),
    )
    assert {one.stopped for one in found} == {"interrupted"}
    assert all(one.samples for one in found)
    assert closed == [1]


def test_an_interrupt_before_the_first_sample_is_raised() -> None:
    def call(repetitions: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([task(call)], 1)
    assert gc.isenabled()


def test_garbage_is_not_collected_meanwhile() -> None:
    states = []

    def call(repetitions: int) -> None:
        states.append(gc.isenabled())
        spin(1e-4 * repetitions)

    measure([task(call)], 0.05, limits=FAST)
    assert not any(states)
    assert gc.isenabled()


def test_samples_of_all_tasks_take_turns() -> None:
    order: list[str] = []

    def kernel(name: str) -> Any:
        def call(repetitions: int) -> None:
            order.append(name)
            spin(4e-3)

        return call

    limits = SamplingLimits(sample_s=0.001, min_samples=6, max_samples=6, settled=0.0)
    measure([task(kernel(name), name) for name in "abc"], 60, limits=limits, seed=3)
    samples = order[3:][1::2]  # after a warm-up each; each sample follows its lead-in
    rounds = ["".join(samples[start : start + 3]) for start in range(0, 18, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 1  # not always in the same order


def test_every_second_round_is_for_what_would_be_graded_d() -> None:
    order: list[str] = []

    def timed(variant: str, times: Iterator[float]) -> Task:
        def elapsed() -> float:
            order.append(variant)
            return next(times)

        return task(lambda _repetitions: None, variant, timer="device", elapsed=elapsed)

    tasks = [timed("near", itertools.cycle([1.0, 1.03])), timed("far", itertools.cycle([1.0, 2.0]))]
    limits = SamplingLimits(sample_s=0.001, min_samples=20, max_samples=20, settled=0.0)
    near, far = measure(tasks, 60, limits=limits)
    assert [len(near.samples), len(far.samples)] == [20, 20]
    sampled = order[-40:]
    until_far_ended = sampled[: len(sampled) - sampled[::-1].index("far")]
    assert 10 <= until_far_ended.count("near") <= 13  # both until near has samples enough, then one of two rounds


def test_tasks_of_several_threads_follow_those_of_one() -> None:
    order: list[int] = []

    def kernel(threads: int) -> Any:
        def call(repetitions: int) -> None:
            order.append(threads)
            spin(4e-3)

        return call

    limits = SamplingLimits(sample_s=0.001, min_samples=2, max_samples=2, settled=0.0)
    measure([task(kernel(n), str(n), threads=n) for n in (2, 1)], 60, limits=limits)
    sampled = order[2:]
    assert sampled[0] == 1
    assert sampled.count(2) > 4  # the cores settle under it before the first of a round


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_one_thread_is_pinned_while_it_is_timed() -> None:
    before = os.sched_getaffinity(0)
    cpu = max(before)
    seen: list[set[int]] = []

    def call(repetitions: int) -> None:
        seen.append(os.sched_getaffinity(0))
        spin(1e-4 * repetitions)

    measure([task(call, cpus=(cpu,)), task(call, "several", cpus=tuple(before), threads=2)], 0.05, limits=FAST)
    assert {cpu} in seen
    assert before in seen  # its threads would inherit a pin
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_a_cpu_that_is_gone_is_no_error() -> None:
    (found,) = measure([task(Kernel(), cpus=(4000,))], 0.05, limits=FAST)
    assert found.samples


def test_cycles_are_of_the_sample() -> None:
    kernel = Kernel()
    (found,) = measure([task(kernel, cycles=lambda: 3.0 * kernel.calls[-1])], 0.05, limits=FAST)
    assert all(sample.cycles == 3.0 * sample.repetitions for sample in found.samples)


def test_cycles_are_counted_of_samples_alone() -> None:
    counted: list[float] = []

    def cycles() -> float:
        counted.append(1.0)
        return 1.0

    (found,) = measure([task(Kernel(), cycles=cycles)], 0.05, limits=FAST)
    assert len(counted) == len(found.samples)


def test_warm_goes_before_each_stretch() -> None:
    events: list[str] = []
    kernel = Kernel()

    def call(repetitions: int) -> None:
        events.append("call")
        kernel(repetitions)

    (found,) = measure([task(call, warm=lambda: events.append("warm"))], 0.05, limits=FAST)
    assert events.count("warm") >= len(found.samples)
    assert events[-2:] == ["warm", "call"]


def test_progress_rises_to_the_end() -> None:
    seen: list[Progress] = []
    measure([task(Kernel(), name) for name in "ab"], 0.3, limits=FAST, progress=seen.append)
    assert [one.stage for one in seen[:4]] == ["preparing", "preparing", "calibrating", "calibrating"]
    shares = [one.share for one in seen]
    assert shares == sorted(shares)
    assert 0.4 <= seen[-1].share <= 1
    assert {one.label for one in seen} == {"made-up a", "made-up b"}


def test_a_label_names_what_tells_tasks_apart() -> None:
    one = task(Kernel(), "throughput", dtype="fp32", isa="avx2", threads=4, size="1x2x3", core_class="P-core")
    assert one.label == "made-up throughput avx2 fp32 1x2x3 P-core ×4"


def test_long_preparation_leaves_a_share_for_sampling(simulated: SimulatedTime) -> None:
    slow = task(simulated.spend, prepare=lambda: simulated.spend(100_000))
    (found,) = measure([slow], 10.0, limits=SamplingLimits(settled=0.0, max_samples=10**6, sample_s=0.1, share=0.4))
    assert 20 < len(found.samples) <= 40
    assert simulated.now_s < 105


def test_what_prepare_finds_out_is_recorded() -> None:
    made = task(Kernel(), subject=StreamSize(1024), prepare=lambda: StreamSize(1024, 256))
    (found,) = measure([made], 0.05, limits=FAST)
    assert found.subject == StreamSize(1024, 256)


def test_an_interrupt_waits_until_a_kernel_is_compiled() -> None:
    """One that reaches Python inside of LLVM prints a traceback and leaves the kernel half compiled."""
    done: list[str] = []

    def compile_kernel() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("compiled")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            measure([task(spin, prepare=compile_kernel), task(spin, "b", prepare=lambda: done.append("too late"))], 0.1)
        assert done == ["compiled"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with pytest.raises(KeyboardInterrupt):
            measure([task(spin, "b", prepare=lambda: [signal.raise_signal(signal.SIGINT) for _ in "12"])], 0.1)  # type: ignore[return-value,arg-type,func-returns-value]
    finally:
        signal.signal(signal.SIGINT, before)
