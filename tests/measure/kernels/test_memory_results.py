"""What a sweep of working sets shows: sizes and bandwidths of levels."""

import msgspec
import pytest

from hwbench.measure.kernels.memory import results, working_set
from hwbench.measure.record import Measurement, Sample
from hwbench.measure.subject import StreamSize, WorkingSet

KIB, MIB = 1 << 10, 1 << 20


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
    found = results.rows([*sweep, together])
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
    last = results.rows(sweep)[-1]
    assert last.variant == "memory"
    assert last.grade == "D"
    assert "may still be a cache" in last.reasons[0]


def test_no_measurements_give_no_rows() -> None:
    assert results.rows([]) == ()
    other = msgspec.structs.replace(measurement(4096, 1e9), subject=StreamSize(4096))
    assert results.rows([other]) == ()


def test_classes_of_cores_have_rows_of_their_own() -> None:
    sweep = [
        measurement(size, rate_of(size) / part, core_class=name)
        for name, part in (("P-core", 1), ("E-core", 2))
        for size in working_set.sizes(512 * MIB, 1)
    ]
    found = results.rows(sweep)
    assert {row.core_class for row in found} == {"P-core", "E-core"}
    speeds = {row.core_class: row.value for row in found if (row.variant, row.unit) == ("memory", "B/s")}
    assert speeds == pytest.approx({"P-core": 20e9, "E-core": 10e9})
