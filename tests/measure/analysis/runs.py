"""Records of made-up measurements that the tests of their analysis share."""

from typing import Any

import msgspec

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.measure.record import Measurement, Record, Sample


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
