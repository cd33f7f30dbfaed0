"""A run as a machine's ceilings: which measurement becomes which, and how a device uses them."""

from typing import Any

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Cache
from hwbench.measure.analysis.sustained import (
    ceilings,
    is_gpu,
    stated_device,
    sustained,
    with_ceilings,
)
from hwbench.measure.record import Measurement, Record
from hwbench.measure.subject import GpuWork, WorkingSet
from hwbench.units import Bytes
from tests.measure.analysis.runs import CLOCKS, RATES, STREAMS, machine, made, run


def measured(made: Record) -> Device:
    """The machine, or the GPU, of a run with the ceilings that it measured."""
    return with_ceilings(stated_device(made), ceilings(made))


def test_sustained() -> None:
    found = sustained(ceilings(run(*CLOCKS, *RATES, *STREAMS)))
    assert found.source == "20260101-120000-000-abcdef"
    rates = {(one.kernel, one.isa, one.dtype, one.units): one.flops_per_second for one in found.rates}
    assert rates == pytest.approx(
        {
            ("fma", "avx512", "fp32", 1): 230e9,
            ("fma", "avx512", "fp32", 10): 2000e9,
            (
                "matmul",
                None,
                "fp32",
                1,
            ): 210e9,  # the best of two libraries and sizes; a wrong answer counts for nothing
            ("matmul", None, "fp64", 1): 1e9,
        }
    )
    assert (found.bandwidth, found.unit_bandwidth) == pytest.approx((70e9, 16e9))
    assert found.clock == pytest.approx({"scalar": 4.3e9, "avx2": 4e9, "avx512": 3.3e9})


def test_a_measured_machine_has_its_clock_and_bandwidth() -> None:
    found = with_ceilings(machine(), ceilings(run(*CLOCKS, *STREAMS)))
    assert found.units[0].clock.all_core["avx512"] == pytest.approx(3.3e9)
    assert found.units[0].clock.all_core["avx2"] == pytest.approx(4e9)  # of one core, where all were not measured
    assert found.provenance_of("units.core.clock.all_core") == "measured"
    assert found.memory.bandwidth == pytest.approx(70e9)
    assert found.provenance_of("memory.bandwidth") == "measured"
    top = found.peak("fp64")
    assert (top.isa, top.flops_per_second) == ("avx512", pytest.approx(10 * 3.3e9 * 32))


def test_a_bandwidth_that_is_known_stays_the_ceiling() -> None:
    found = with_ceilings(catalog.device("i9-7900x"), ceilings(run(*STREAMS)))
    assert found.memory.bandwidth == catalog.device("i9-7900x").memory.bandwidth
    assert found.sustained is not None
    assert found.sustained.bandwidth == pytest.approx(70e9)


def test_a_run_is_a_device_wherever_it_was_made() -> None:
    found = measured(run(*CLOCKS, *RATES))
    assert (found.name, found.title, found.count) == ("run:20260101-120000-000-abcdef", machine().title, 10)
    assert found.sustained is not None
    assert stated_device(run(*CLOCKS)).sustained is None


def test_a_run_without_a_machine_is_no_device() -> None:
    bare = msgspec.structs.replace(run(*CLOCKS), device=None)
    with pytest.raises(InputError) as caught:
        measured(bare)
    assert caught.value.code == "no-device"


def gpu(kernel: str, variant: str, unit: Any, value: float, **changes: Any) -> Measurement:
    device = catalog.device("rtx3090")
    subject = GpuWork("cuda", accelerator=device, under_load={"clock_hz": 1.7e9})
    return made(kernel, variant, unit, value, where="gpu", timer="device", subject=subject, **changes)


def test_a_run_of_a_gpu_is_the_gpu() -> None:
    measurements = (
        gpu("matmul", "torch", "FLOP/s", 65e12, dtype="fp16", size="8192x8192x8192"),
        gpu("matmul", "torch", "FLOP/s", 30e12, dtype="fp32", size="8192x8192x8192"),
        gpu("stream", "copy", "B/s", 850e9),
        gpu("launch", "queued", "s", 4e-6),
    )
    found = measured(run(*measurements))
    reached = found.sustained
    assert reached is not None
    assert (found.kind, found.title) == ("gpu", catalog.device("rtx3090").title)
    assert {(one.dtype, one.engine, one.units) for one in reached.rates} == {
        ("fp16", "matrix", 82), ("fp32", "vector", 82)
    }  # fmt: skip
    assert reached.bandwidth == pytest.approx(850e9)
    assert reached.op_overhead == pytest.approx(4e-6)
    assert reached.clock == {"fp16": 1.7e9, "fp32": 1.7e9}
    assert found.memory.bandwidth == catalog.device("rtx3090").memory.bandwidth


def test_a_run_of_both_is_the_cpu() -> None:
    both = run(*RATES, gpu("matmul", "torch", "FLOP/s", 65e12, dtype="fp16"))
    assert not is_gpu(both)
    assert measured(both).kind == "cpu"
    assert {one.dtype for one in sustained(ceilings(both)).rates} == {"fp32", "fp64"}


def test_more_units_sustain_no_less_than_fewer() -> None:
    """Ten threads of which others took the time: their samples say nothing about the machine."""
    disturbed = made("fma", "throughput", "FLOP/s", 90e6, isa="avx512", dtype="fp32", threads=10)
    found = sustained(ceilings(run(RATES[0], disturbed)))
    assert {one.units: one.flops_per_second for one in found.rates} == pytest.approx({1: 230e9, 10: 230e9})


def test_caches_are_those_that_all_cores_read_by_their_names() -> None:
    def level(name: str, value: float) -> Measurement:
        return made("working-set", "read", "B/s", value, threads=10, size="1", subject=WorkingSet(1, name))

    found = sustained(ceilings(run(level("L2", 500e9), level("L3", 200e9), level("memory", 60e9))), machine())
    assert found.caches == pytest.approx({"L2": 500e9, "L3": 200e9})
    disturbed = sustained(ceilings(run(level("L2", 500e9), level("L7", 200e9))), machine())
    assert disturbed.caches == {}


def test_a_shared_cache_is_as_large_as_what_fits_in_it() -> None:
    """A guest states the whole processor's last level: sets of 16 MiB are read at the rate of memory already."""
    stated = {"L1d": 32 << 10, "L2": 1 << 20, "L3": 300 << 20}
    rates = [200e9] * 7 + [100e9] * 5 + [30e9] * 4 + [10e9] * 10
    sweep = [
        made("working-set", "read", "B/s", rate, threads=1, size=str(size), subject=WorkingSet(size, reported=stated))
        for size, rate in ((1 << (9 + step), rate) for step, rate in enumerate(rates))
    ]
    guest = msgspec.structs.replace(
        machine(),
        caches=(
            Cache("L1d", Bytes(32 << 10), 1),
            Cache("L2", Bytes(1 << 20), 1),
            Cache("L3", Bytes(300 << 20), 2),
        ),
    )
    found = with_ceilings(guest, ceilings(run(*sweep)))
    assert [(each.name, each.size, each.shared_by) for each in found.caches] == [
        ("L1d", 32 << 10, 1), ("L2", 1 << 20, 1), ("L3", 16 << 20, 10),
    ]  # fmt: skip
    assert found.provenance_of("caches") == "measured"
    small = msgspec.structs.replace(guest, caches=(*guest.caches[:2], Cache("L3", Bytes(24 << 20), 2)))
    assert with_ceilings(small, ceilings(run(*sweep))).caches == small.caches
