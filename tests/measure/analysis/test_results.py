"""What values are held against, and what is said of those above it."""

import msgspec
import pytest

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Clock, Memory, Rate, Units
from hwbench.measure.analysis import peaks
from hwbench.measure.analysis.results import results
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.subject import GpuWork
from hwbench.notices import notice
from hwbench.units import BytesPerSecond, Hertz

RATES = (
    Rate("vector", "avx512", "fp32", 64), Rate("vector", "avx2", "fp32", 32),
    Rate("vector", "avx2", "fp64", 16), Rate("vector", "avx512-bf16", "bf16", 128, accumulate="fp32"),
    Rate("matrix", "amx", "bf16", 1024, accumulate="fp32"),
)  # fmt: skip


def machine(*classes: Units, **more: object) -> Device:
    units = classes or (Units("made-up", 4, Clock(base=Hertz(2e9)), "core", 4, RATES),)
    return Device("A CPU", "cpu", "Nobody", units, Memory(bandwidth=BytesPerSecond(50e9)), **more)  # type: ignore[arg-type]


def measured(
    kernel: str,
    variant: str,
    value: float,
    unit: str = "FLOP/s",
    samples: int = 9,
    cpu_share: float = 1.0,
    **more: object,
) -> Measurement:
    """A measurement whose every sample has the value; several threads run `cpu_share` of the time."""
    threads = int(more.get("threads", 1))  # type: ignore[call-overload]
    one = Sample(wall_s=0.02, repetitions=1, cpu_s=0.02 * threads * cpu_share)
    timer = "cpu" if threads == 1 else "wall"
    work = value * 0.02
    return Measurement(kernel, variant, unit, work, (one,) * samples, timer=timer, **more)  # type: ignore[arg-type]


def a_run(*measurements: Measurement, device: Device | None = None, **environment: object) -> Record:
    identity, created = "20260101-000000-000-000000", "2026-01-01T00:00:00"
    return Record(identity, created, "0", (), environment, {}, {}, measurements, device=device or machine())


def test_peaks_at_the_stated_and_at_the_measured_clock() -> None:
    clock = measured("clock", "avx2", 3e9, "Hz")
    fma = measured("fma", "throughput", 90e9, dtype="fp32", isa="avx2")
    one, all_four, by_dtype = (
        found for found in results(a_run(
            clock, fma, measured("fma", "throughput", 100e9, dtype="fp32", isa="avx2", threads=4),
            measured("matmul", "numba", 64e9, dtype="fp32"),
        )).results if found.kernel != "clock"
    )  # fmt: skip
    assert one.ratio_to_peak == pytest.approx(90 / 64)
    assert one.ratio_to_measured_peak == pytest.approx(90 / 96)
    assert all_four.ratio_to_peak == pytest.approx(100 / 256)
    assert all_four.ratio_to_measured_peak == pytest.approx(100 / 384)  # the clock of one thread, lacking one of four
    assert by_dtype.ratio_to_peak == pytest.approx(0.5)  # of the widest ISA
    assert by_dtype.ratio_to_measured_peak is None  # whose clock was not measured


def test_a_peak_is_that_of_the_machine_room() -> None:
    device = catalog.device("i9-10940x")
    one = measured("matmul", "torch", 1e12, dtype="fp32", threads=device.count)
    assert peaks.peaks(one, device, peaks.clocks(())).stated == pytest.approx(device.peak("fp32").flops_per_second)


def test_the_all_core_clock_goes_before_that_of_one() -> None:
    clocks = peaks.clocks(
        [measured("clock", "avx2", 4e9, "Hz"), measured("clock", "avx2", 3e9, "Hz", threads=4),
         measured("clock", "sse", 4.5e9, "Hz"), measured("clock", "avx512", 2e9, "Hz", core_class="P-core")]
    )  # fmt: skip
    assert clocks.under("avx2", 4, None) == pytest.approx(3e9)
    assert clocks.under("avx2", 2, None) == pytest.approx(4e9)
    assert clocks.under("fma3", 1, None) == pytest.approx(4.5e9)
    assert clocks.under("avx512-bf16", 1, "P-core") == pytest.approx(2e9)
    assert clocks.under("avx512", 1, None) is None


def test_classes_of_cores_add_up_from_the_fastest() -> None:
    fast = Units("a", 2, Clock(base=Hertz(4e9)), "P-core", 4, (Rate("vector", "avx2", "fp32", 32),))
    slow = Units("b", 4, Clock(base=Hertz(2e9)), "E-core", 4, (Rate("vector", "avx2", "fp32", 16),))
    device = machine(fast, slow)
    none = peaks.clocks(())

    def stated(threads: int, core_class: str | None = None) -> float | None:
        one = measured("fma", "throughput", 1.0, dtype="fp32", isa="avx2", threads=threads, core_class=core_class)
        return peaks.peaks(one, device, none).stated

    assert stated(1) == 32 * 4e9
    assert stated(3) == 2 * 32 * 4e9 + 16 * 2e9
    assert stated(6) == 2 * 32 * 4e9 + 4 * 16 * 2e9
    assert stated(1, "E-core") == 16 * 2e9


def test_there_is_no_peak_for_what_is_not_known() -> None:
    none = peaks.clocks(())
    unknown = [
        measured("fma", "throughput", 1.0, dtype="fp32", isa="neon"), measured("fma", "throughput", 1.0, dtype="fp16"),
        measured("fma", "latency", 1.0, "s", dtype="fp32"), measured("clock", "scalar", 1.0, "Hz"),
        measured("latency", "chase", 1.0, "s"), measured("cache", "L1d", 1.0, "B/s"),
    ]  # fmt: skip
    assert {peaks.peaks(one, machine(), none) for one in unknown} == {peaks.Peaks()}
    assert peaks.peaks(measured("stream", "triad", 1.0, "B/s"), machine(), none).stated == 50e9
    assert peaks.peaks(measured("stream", "triad", 1.0, "B/s"), None, none) == peaks.Peaks()
    given = measured("matmul", "torch", 1.0, dtype="fp16", subject=GpuWork("cuda", peak=3e13))
    assert peaks.peaks(given, None, none).stated == 3e13


def test_above_the_stated_clock_is_one_sentence_with_the_real_one() -> None:
    clock = measured("clock", "avx2", 3e9, "Hz")
    fma = [
        measured("fma", "throughput", value, dtype=dtype, isa="avx2")
        for dtype, value in (("fp32", 95e9), ("fp64", 45e9))
    ]
    (finding,) = results(a_run(clock, *fma)).findings
    assert finding.code == "above-stated-peak"
    assert finding.data == {
        "name": "fma throughput avx2 fp32", "share": pytest.approx(1.484, abs=1e-3), "count": 2,
        "stated_hz": 2e9, "measured_hz": pytest.approx(3e9),
    }  # fmt: skip
    assert finding.text == (
        "2 values are above the peak at the stated clock, 2 GHz (fma throughput avx2 fp32 reaches 148 %): "
        "under this load the real clock is 3 GHz."
    )
    (finding,) = results(a_run(fma[0])).findings
    assert (finding.code, finding.data["count"], finding.data["measured_hz"]) == ("above-stated-peak", 1, None)
    assert "`hwbench bench clock` measures it" in finding.text


def test_above_the_real_clock_too_is_a_finding_of_its_own() -> None:
    clock = measured("clock", "avx2", 2e9, "Hz")
    fma = measured("fma", "throughput", 96e9, dtype="fp32", isa="avx2")
    assumed = machine(provenance={"units.core.rates": "assumed"})
    few = msgspec.structs.replace(fma, samples=fma.samples[:2])
    for why, record in (
        ("rates", a_run(clock, fma)),
        ("assumed-rates", a_run(clock, fma, device=assumed)),
        ("few-samples", a_run(clock, few)),
    ):
        (finding,) = results(record).findings
        assert (finding.code, finding.data["why"]) == ("above-measured-peak", why)
        assert finding.text.startswith("fma throughput avx2 fp32 reaches 150 % of the peak at the measured clock: ")


def test_memory_above_its_peak_is_said() -> None:
    (finding,) = results(a_run(measured("stream", "triad", 80e9, "B/s", threads=4))).findings
    assert finding == notice("above-memory-peak", name="stream triad ×4", share=1.6)


def test_values_below_their_peaks_are_no_findings() -> None:
    clock = measured("clock", "avx2", 2.02e9, "Hz")
    fma = measured("fma", "throughput", 65e9, dtype="fp32", isa="avx2")
    assert results(a_run(clock, fma, measured("stream", "copy", 50e9, "B/s"))).findings == ()


def test_threads_of_one_core_are_found_out() -> None:
    alone = measured("fma", "throughput", 60e9, dtype="fp32", isa="avx2")
    both = measured("fma", "throughput", 62e9, dtype="fp32", isa="avx2", threads=2)
    for virtual in (True, False):
        (finding,) = results(a_run(alone, both, hypervisor=virtual)).findings
        assert (finding.code, finding.data["virtual"]) == ("cores-shared", virtual)
        assert finding.data["share"] == pytest.approx(31 / 60)


def test_other_work_is_not_taken_for_shared_cores() -> None:
    alone = measured("fma", "throughput", 60e9, dtype="fp32", isa="avx2")
    held_up = measured("fma", "throughput", 60e9, dtype="fp32", isa="avx2", threads=2, cpu_share=0.5)
    assert results(a_run(alone, held_up, hypervisor=True)).findings == ()


def test_twins_follow_their_results() -> None:
    counted = Measurement("fma", "throughput", "FLOP/s", 64e7, (Sample(0.02, 1, 0.02, cycles=4e7),) * 9, "fp32", "avx2")
    found = results(a_run(counted)).results
    assert [(one.unit, one.value) for one in found] == [("FLOP/s", 32e9), ("FLOP/cycle", 16.0)]
    assert found[1].ratio_to_measured_peak == 0.5


def test_a_single_sample_of_a_clock_counts_only_where_there_is_no_other() -> None:
    alone, together = measured("clock", "avx2", 3e9, "Hz"), measured("clock", "avx2", 1e9, "Hz", samples=1, threads=4)
    assert peaks.clocks((alone, together)).under("avx2", 4, None) == pytest.approx(3e9)
    assert peaks.clocks((together,)).under("avx2", 4, None) == pytest.approx(1e9)
    several = measured("clock", "avx2", 2e9, "Hz", threads=4)
    assert peaks.clocks((alone, several)).under("avx2", 4, None) == pytest.approx(2e9)
