"""Peaks beside what was measured: which value is above its peak, and why."""

from typing import Any

import msgspec
import pytest

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Sustained, SustainedRate
from hwbench.report.text.layout import PLAIN
from hwbench.report.text.machine import achieved as text
from hwbench.study.achieved import achieved
from hwbench.units import BytesPerSecond, FlopsPerSecond, Hertz


def stated() -> Device:
    """Ten cores that are said to run at 3.3 GHz: with AVX2 and FP32, 10 × 3.3 GHz × 32 = 1056 GFLOP/s."""
    device = catalog.device("i9-7900x")
    units = msgspec.structs.replace(
        device.units[0], clock=msgspec.structs.replace(device.units[0].clock, all_core={}, fixed=Hertz(3.3e9))
    )
    return msgspec.structs.replace(device, units=(units,))


def measured(hertz: float | None, *rates: tuple[Any, ...]) -> Device:
    device = stated()
    clocks = {"avx2": Hertz(hertz)} if hertz else {}
    clock = msgspec.structs.replace(device.units[0].clock, fixed=None if hertz else Hertz(3.3e9), all_core=clocks)
    return msgspec.structs.replace(
        device,
        units=(msgspec.structs.replace(device.units[0], clock=clock),),
        sustained=Sustained(
            source="a run",
            bandwidth=BytesPerSecond(60e9),
            rates=tuple(SustainedRate(k, "vector", d, FlopsPerSecond(v), n, i) for k, d, v, n, i in rates),
        ),
    )


FMA = ("fma", "fp32", 1200e9, 10, "avx2")


def test_nothing_measured_is_nothing_to_show() -> None:
    assert achieved(stated(), stated()) == ()
    assert achieved(stated(), measured(None)) == ()


def test_a_clock_above_the_stated_one_explains_a_value_above_its_peak() -> None:
    (row,) = achieved(stated(), measured(4e9, FMA))
    assert row.stated_flops_per_second == pytest.approx(1056e9)
    assert row.measured_flops_per_second == pytest.approx(1280e9)
    assert row.share == pytest.approx(1200 / 1056)
    assert row.share_at_clock == pytest.approx(1200 / 1280)
    assert row.cause == "clock"
    assert row.finding == (
        "avx2 fp32 reaches 114 % of its peak at the stated clock, 3.3 GHz: under this load the real clock is 4 GHz."
    )


def test_a_value_above_the_peak_at_the_real_clock_blames_the_rate() -> None:
    (row,) = achieved(stated(), measured(3.4e9, FMA))
    assert row.cause == "rate"
    assert "110 % of the peak at the measured clock: its cores do more each cycle" in (row.finding or "")


def test_a_doubtful_value_above_its_peak_blames_nothing() -> None:
    (row,) = achieved(stated(), measured(3.4e9, FMA), doubtful=True)
    assert row.cause == "rate"
    assert "too few undisturbed samples" in (row.finding or "")


def test_without_a_measured_clock_the_command_is_named() -> None:
    (row,) = achieved(stated(), measured(None, FMA))
    assert (row.cause, row.share_at_clock, row.measured_clock_hz) == ("unknown clock", None, None)
    assert "`hwbench bench clock` measures it" in (row.finding or "")


def test_a_value_below_its_peak_needs_no_word() -> None:
    (row,) = achieved(stated(), measured(4e9, ("fma", "fp32", 1000e9, 10, "avx2")))
    assert (row.cause, row.finding) == (None, None)


def test_one_core_is_compared_with_its_share() -> None:
    (row,) = achieved(stated(), measured(4e9, ("fma", "fp32", 100e9, 1, "avx2")))
    assert row.share == pytest.approx(100 / 105.6)


def test_a_matmul_is_in_the_row_of_the_highest_peak_of_its_dtype() -> None:
    rows = achieved(stated(), measured(4e9, FMA, ("matmul", "fp32", 900e9, 10, None)))
    assert {row.isa: row.matmul_flops_per_second for row in rows} == {"avx512": 900e9, "avx2": None}


def test_text() -> None:
    device = measured(4e9, FMA, ("fma", "fp64", 610e9, 10, "avx2"))
    lines = text(achieved(stated(), device), device, PLAIN)
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("STREAM") and "60 GB/s" in line for line in lines)
    told = " ".join(lines[-2:])
    assert "fp64 reaches 116 %" in told
    assert "The same applies to 1 more." in told
