"""A run as a machine's ceilings: which measurement becomes which, and how a device uses them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.peak import peak
from hwbench.measure import store
from hwbench.measure.analysis import ladder
from hwbench.measure.analysis import sustained as ceilings
from hwbench.measure.harness import Task
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.settings import CpuClass, Settings
from hwbench.measure.subject import ForwardPass, GpuWork, WorkingSet


def machine() -> Device:
    """Ten cores with AVX2 and AVX-512 whose memory bandwidth nobody states."""
    device = catalog.device("i9-7900x")
    return msgspec.structs.replace(device, memory=msgspec.structs.replace(device.memory, bandwidth=None), name="host")


def made(kernel: str, variant: str, unit: Any, value: float, **changes: Any) -> Measurement:
    """A measurement whose every sample is `value`, but one that was preempted and is far off."""
    seconds = value if unit == "s" else 1 / value
    samples = [Sample(seconds, 1, seconds)] * 3 + [Sample(seconds * 9, 1, seconds, rejected="preempted")]
    usual: dict[str, Any] = {"work": 1.0, "threads": 1, "checked": True}
    return Measurement(kernel, variant, unit, samples=tuple(samples), **{**usual, **changes})


CLOCKS = (
    made("clock", "scalar", "Hz", 4.3e9),
    made("clock", "avx2", "Hz", 4.0e9, isa="avx2"),
    made("clock", "avx512", "Hz", 3.6e9, isa="avx512"),
    made("clock", "avx512", "Hz", 3.3e9, isa="avx512", threads=10),
)
RATES = (
    made("fma", "throughput", "FLOP/s", 230e9, isa="avx512", dtype="fp32"),
    made("fma", "throughput", "FLOP/s", 2000e9, isa="avx512", dtype="fp32", threads=10),
    made("fma", "latency", "s", 1e-9, isa="avx512", dtype="fp32"),
    made("matmul", "numpy", "FLOP/s", 200e9, dtype="fp32", size="512x512x512"),
    made("matmul", "numba", "FLOP/s", 210e9, dtype="fp32", size="1024x1024x1024"),
    made("matmul", "torch", "FLOP/s", 999e9, dtype="fp32", size="1x1x1", checked=False),
    made("matmul", "ijk", "FLOP/s", 1e9, dtype="fp64", size="512x512x512"),
)
STREAMS = (
    made("stream", "copy", "B/s", 12e9),
    made("stream", "copy-nt", "B/s", 16e9),
    made("stream", "triad-nt", "B/s", 70e9, threads=10),
    made("stream", "triad", "B/s", 50e9, threads=10),
)


def run(*measurements: Measurement, identity: str = "20260101-120000-000-abcdef", key: str = "this") -> Record:
    environment = {"machine": key, "brand": "A CPU"}
    created = "2026-01-01T12:00:00.000+00:00"
    return Record(identity, created, "0", (), environment, {}, {}, measurements, device=machine())


def test_sustained() -> None:
    found = ceilings.sustained(run(*CLOCKS, *RATES, *STREAMS))
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
    found = ceilings.measured(machine(), run(*CLOCKS, *STREAMS))
    assert found.units[0].clock.all_core["avx512"] == pytest.approx(3.3e9)
    assert found.units[0].clock.all_core["avx2"] == pytest.approx(4e9)  # of one core, where all were not measured
    assert found.provenance_of("units.core.clock.all_core") == "measured"
    assert found.memory.bandwidth == pytest.approx(70e9)
    assert found.provenance_of("memory.bandwidth") == "measured"
    top = peak(found, "fp64")
    assert (top.isa, top.flops_per_second) == ("avx512", pytest.approx(10 * 3.3e9 * 32))


def test_a_bandwidth_that_is_known_stays_the_ceiling() -> None:
    found = ceilings.measured(catalog.device("i9-7900x"), run(*STREAMS))
    assert found.memory.bandwidth == catalog.device("i9-7900x").memory.bandwidth
    assert found.sustained is not None
    assert found.sustained.bandwidth == pytest.approx(70e9)


def test_a_run_is_a_device_wherever_it_was_made() -> None:
    found = ceilings.device(run(*CLOCKS, *RATES))
    assert (found.name, found.title, found.count) == ("run:20260101-120000-000-abcdef", machine().title, 10)
    assert found.sustained is not None
    assert ceilings.stated(run(*CLOCKS)).sustained is None


def test_a_run_without_a_machine_is_no_device() -> None:
    bare = msgspec.structs.replace(run(*CLOCKS), device=None)
    with pytest.raises(InputError, match="does not describe its machine"):
        ceilings.device(bare)


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
    found = ceilings.device(run(*measurements))
    sustained = found.sustained
    assert sustained is not None
    assert (found.kind, found.title) == ("gpu", catalog.device("rtx3090").title)
    assert {(one.dtype, one.engine, one.units) for one in sustained.rates} == {
        ("fp16", "matrix", 82), ("fp32", "vector", 82)
    }  # fmt: skip
    assert sustained.bandwidth == pytest.approx(850e9)
    assert sustained.op_overhead == pytest.approx(4e-6)
    assert sustained.clock == {"fp16": 1.7e9, "fp32": 1.7e9}
    assert found.memory.bandwidth == catalog.device("rtx3090").memory.bandwidth


def test_a_run_of_both_is_the_cpu() -> None:
    both = run(*RATES, gpu("matmul", "torch", "FLOP/s", 65e12, dtype="fp16"))
    assert not ceilings.is_gpu(both)
    assert ceilings.device(both).kind == "cpu"
    assert {one.dtype for one in ceilings.sustained(both).rates} == {"fp32", "fp64"}


def test_the_newest_of_each_kernel_counts(tmp_path: Path) -> None:
    folder = str(tmp_path)
    old = run(*CLOCKS, *RATES, identity="20260101-120000-000-aaaaaa")
    new = run(made("clock", "avx512", "Hz", 3.0e9, isa="avx512"), identity="20260102-120000-000-bbbbbb")
    other = run(made("fma", "throughput", "FLOP/s", 1.0, dtype="fp32", isa="avx512"),
                identity="20260103-120000-000-cccccc", key="another machine")  # fmt: skip
    for one in (old, new, other):
        store.save(one, folder)
    (tmp_path / "20260104-120000-000-dddddd.json").write_text("{broken")
    found = ceilings.newest("this", folder)
    assert found is not None
    assert found.id == "20260102-120000-000-bbbbbb + 20260101-120000-000-aaaaaa"
    assert [one.kernel for one in found.measurements].count("clock") == 1
    rates = {one.units: one.flops_per_second for one in ceilings.sustained(found).rates if one.kernel == "fma"}
    assert rates == pytest.approx({1: 230e9, 10: 2000e9})
    assert ceilings.newest("nobody", folder) is None
    assert ceilings.newest("this", str(tmp_path / "no-such-folder")) is None


def test_more_units_sustain_no_less_than_fewer() -> None:
    """Ten threads of which others took the time: their samples say nothing about the machine."""
    disturbed = made("fma", "throughput", "FLOP/s", 90e6, isa="avx512", dtype="fp32", threads=10)
    found = ceilings.sustained(run(RATES[0], disturbed))
    assert {one.units: one.flops_per_second for one in found.rates} == pytest.approx({1: 230e9, 10: 230e9})


def test_a_ceiling_of_one_sample_is_doubted() -> None:
    assert ceilings.doubts(run(*RATES, *STREAMS)) == []
    few = msgspec.structs.replace(STREAMS[0], samples=STREAMS[0].samples[:1])
    (doubt,) = ceilings.doubts(run(*RATES, few))
    assert (doubt.code, doubt.data["kernels"]) == ("ceilings-of-one-sample", ["stream"])


def test_the_ladder_reads_what_explain_needs() -> None:
    inference = made("inference", "eager", "s", 0.02, dtype="fp32", threads=1, subject=ForwardPass("alexnet", 1))
    usual = product("numpy", 190e9, "1024x1024x1024")
    found = ladder.read(run(*CLOCKS, *RATES, usual, *STREAMS, inference), "fp32", 1, "alexnet", 1)
    assert found.isa == "avx512"
    assert found.stated == pytest.approx(machine().units[0].clock.all_core.get("avx512", 4.3e9) * 64, rel=0.3)
    assert found.stated_clock is not None
    assert found.stated == pytest.approx(found.stated_clock * 64)
    values = (found.clock, found.fma, found.blas, found.numba, found.bandwidth, found.run)
    assert [one.value if one else None for one in values] == pytest.approx([3.6e9, 230e9, 190e9, 210e9, 16e9, 0.02])
    assert (found.library, found.size) == ("numpy", "1024x1024x1024")
    assert ladder.read(run(inference), "fp32", 1, "alexnet", 8).run is None
    assert ladder.read(run(inference), "fp32", 1, "vgg16", 1).run is None


def product(variant: str, value: float, size: str) -> Measurement:
    return made("matmul", variant, "FLOP/s", value, dtype="fp32", size=size)


@pytest.mark.parametrize(
    ("products", "size", "library", "ours"),
    [
        # both at the usual size, whichever others were faster
        ([("torch", 9, "2048"), ("torch", 7, "1024"), ("numba", 8, "1024"), ("numba", 9, "2048")], "1024", 7, 8),
        # the fastest of the sizes that both have
        ([("torch", 9, "64"), ("torch", 5, "512"), ("numba", 6, "512"), ("numba", 3, "256"), ("numpy", 4, "256")],
         "512", 5, 6),
        ([("torch", 5, "512"), ("numpy", 6, "512"), ("numba", 4, "256")], "512", 6, None),
        ([("ijk", 9, "512")], None, None, None),
    ],
)  # fmt: skip
def test_both_products_of_a_ladder_are_of_one_size(
    products: list[tuple[str, float, str]], size: str | None, library: float | None, ours: float | None
) -> None:
    made_of = [product(name, value, "x".join([side] * 3)) for name, value, side in products]
    found = ladder.read(run(*made_of), "fp32", 1)
    assert found.size == (size and "x".join([size] * 3))
    assert [one and one.value for one in (found.blas, found.numba)] == pytest.approx([library, ours])


def test_a_ladder_of_nothing() -> None:
    found = ladder.read(run(*STREAMS), "fp32", 1)
    assert (found.isa, found.stated, found.clock, found.fma, found.run) == (None,) * 5


def test_the_ladder_measures_what_it_needs_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings((0,), (CpuClass("core", (0,)),), (), None, quick=True)  # type: ignore[arg-type]

    def task(kernel: str, variant: str, **changes: Any) -> Task:
        return Task(kernel, variant, "FLOP/s", 1.0, lambda _repetitions: None, **changes)

    given = [
        task("clock", "scalar"), task("clock", "avx2"), task("fma", "latency", dtype="fp32"),
        task("fma", "throughput", dtype="fp32"), task("fma", "throughput", dtype="fp64"),
        task("matmul", "ijk", dtype="fp32"), task("matmul", "numba", dtype="fp32"),
        task("matmul", "torch", dtype="fp32"),
        task("matmul", "numba", dtype="fp32", threads=2), task("stream", "copy"), task("latency", "chase"),
    ]  # fmt: skip
    asked: list[str] = []

    def tasks(kernels: Any, _settings: Any, named: bool) -> Any:
        asked[:] = [kernel.name for kernel in kernels]
        return given, []

    monkeypatch.setattr(ladder.kernels, "tasks", tasks)
    found = [(one.kernel, one.variant, one.dtype) for one in ladder.tasks(settings, "fp32", 1)]
    assert found == [
        ("clock", "avx2", None), ("fma", "throughput", "fp32"), ("matmul", "numba", "fp32"),
        ("matmul", "torch", "fp32"), ("stream", "copy", None),
    ]  # fmt: skip
    assert asked == ["clock", "fma", "matmul", "memory"]
    ladder.tasks(settings, "fp32", 1, memory=False)
    assert asked == ["clock", "fma", "matmul"]
    with pytest.raises(InputError, match="not in bf16"):
        ladder.tasks(settings, "bf16", 1)


def test_caches_are_those_that_all_cores_read_by_their_names() -> None:
    def level(name: str, value: float) -> Measurement:
        return made("working-set", "read", "B/s", value, threads=10, size="1", subject=WorkingSet(1, name))

    found = ceilings.sustained(run(level("L2", 500e9), level("L3", 200e9), level("memory", 60e9)), machine())
    assert found.caches == pytest.approx({"L2": 500e9, "L3": 200e9})
    disturbed = ceilings.sustained(run(level("L2", 500e9), level("L7", 200e9)), machine())
    assert disturbed.caches == {}
