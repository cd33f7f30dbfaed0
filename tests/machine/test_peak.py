"""Peaks are units × clock × flops_per_cycle, of one engine, ISA, dtype, accumulator and sparsity at a time."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.machine.device import Device, Peak, PeakTerm, choose_clock, peaks
from hwbench.machine.parts import Clock, ClockKind, Provenance, Rate, Units
from hwbench.units import Hertz

RATES = (
    Rate("vector", "cuda", "fp32", 256),
    Rate("vector", "cuda", "fp16", 256),
    Rate("matrix", "tensor-core", "fp16", 1024, "fp16"),
    Rate("matrix", "tensor-core", "fp16", 512, "fp32"),
    Rate("matrix", "tensor-core", "fp16", 2048, "fp16", "2:4"),
    Rate("matrix", "tensor-core", "fp16", 1024, "fp32", "2:4"),
    Rate("matrix", "tensor-core", "fp8", 1024, "fp16"),
    Rate("matrix", "tensor-core", "int8", 2048, "int32"),
    Rate("matrix", "dmma", "fp64", 64, "fp64"),
    Rate("matrix", "tensor-core", "int4", 4096, "int32", "2:4"),
)


def device(*rates: Rate, count: int = 10, **clocks: Any) -> Device:
    """A device of one class of units."""
    clock = Clock(**(clocks or {"boost": Hertz(1e9)}))
    return Device("x", "gpu", "Nobody", (Units("arch", count, clock, rates=rates or RATES),))


def of(found: Device, *identity: str | None) -> float:
    """FLOP/s of the only peak of that engine, dtype, accumulator and sparsity."""
    (only,) = [p for p in peaks(found) if (p.engine, p.dtype, p.accumulate, p.sparsity) == identity]
    return only.flops_per_second


def test_each_rate_is_a_peak_of_its_own() -> None:
    found = peaks(device())
    assert [p.flops_per_second for p in found] == [10 * 1e9 * rate.flops_per_cycle for rate in RATES]
    assert [(p.engine, p.isa, p.dtype, p.accumulate, p.sparsity) for p in found] == [
        (r.engine, r.isa, r.dtype, r.accumulate, r.sparsity) for r in RATES
    ]


def test_sparse_accumulate_and_engine_are_never_mixed() -> None:
    card = device()
    assert of(card, "matrix", "fp16", "fp16", "dense") == 1024e10
    assert of(card, "matrix", "fp16", "fp32", "dense") == 512e10
    assert of(card, "matrix", "fp16", "fp16", "2:4") == 2048e10
    assert of(card, "vector", "fp16", None, "dense") == 256e10


@pytest.mark.parametrize(
    ("dtype", "rate", "engine", "accumulate"),
    [
        ("fp32", 256, "vector", None),
        ("fp16", 512, "matrix", "fp32"),  # neither 1024 (fp16 accumulate), nor 2048 (sparse)
        ("int8", 2048, "matrix", "int32"),
        ("fp64", 64, "matrix", "fp64"),
    ],
)
def test_the_peak_of_a_dtype_is_dense_and_sums_as_frameworks_do(
    dtype: str, rate: float, engine: str, accumulate: str | None
) -> None:
    found = device().peak(dtype)
    assert found.flops_per_second == rate * 1e10
    assert (found.engine, found.accumulate, found.sparsity) == (engine, accumulate, "dense")


@pytest.mark.parametrize("dtype", ["fp8", "int4", "bf16", "tf32", "fp6", "", "no such"])
def test_no_other_rate_stands_in(dtype: str) -> None:
    with pytest.raises(InputError) as caught:
        device().peak(dtype)
    assert caught.value.field == "dtype"
    assert caught.value.message.endswith("Known rates: fp32, fp16, fp8, int8, fp64.")


def test_a_device_without_rates_has_no_peak() -> None:
    bare = msgspec.structs.replace(device(), units=(Units("arch", 1, Clock(boost=Hertz(1e9))),), name="bare")
    assert peaks(bare) == ()
    with pytest.raises(InputError, match="The fp32 rate of bare is unknown"):
        bare.peak("fp32")


def test_the_vector_engine_wins_where_it_is_faster() -> None:
    slow = device(Rate("vector", "cuda", "fp16", 256), Rate("matrix", "tensor-core", "fp16", 128, "fp32"))
    assert slow.peak("fp16").engine == "vector"


ALL = Clock(
    base=Hertz(1e9), boost=Hertz(2e9), all_core={"avx2": Hertz(1.5e9), "avx512": Hertz(1.2e9)}, fixed=Hertz(3e9)
)


@pytest.mark.parametrize(
    ("missing", "isa", "kind", "chosen"),
    [
        ((), "avx2", None, (3e9, "fixed")),
        (("fixed",), "avx2", None, (1.5e9, "all_core")),
        (("fixed",), "avx512", None, (1.2e9, "all_core")),
        (("fixed",), "sse2", None, (2e9, "boost")),
        (("fixed",), "", None, (2e9, "boost")),
        (("fixed", "all_core"), "avx2", None, (2e9, "boost")),
        (("fixed", "all_core", "boost"), "avx2", None, (1e9, "base")),
        ((), "avx2", "fixed", (3e9, "fixed")),
        ((), "avx2", "all_core", (1.5e9, "all_core")),
        ((), "sse2", "all_core", None),
        ((), "avx2", "boost", (2e9, "boost")),
        ((), "avx2", "base", (1e9, "base")),
        (("fixed",), "avx2", "fixed", None),
        (("boost",), "avx2", "boost", None),
        (("base",), "avx2", "base", None),
    ],
)
def test_choose_clock(
    missing: tuple[str, ...], isa: str, kind: ClockKind | None, chosen: tuple[float, str] | None
) -> None:
    clock = msgspec.structs.replace(ALL, **{name: {} if name == "all_core" else None for name in missing})
    assert choose_clock(clock, isa, kind) == chosen


def test_each_isa_runs_at_its_own_clock() -> None:
    rates = [Rate("vector", isa, "fp32", rate) for isa, rate in (("avx512", 64), ("avx2", 32), ("sse2", 8))]
    cpu = device(
        *rates, count=4, base=Hertz(1e9), boost=Hertz(4e9), all_core={"avx512": Hertz(2e9), "avx2": Hertz(3e9)}
    )
    assert [p.flops_per_second for p in peaks(cpu)] == [4 * 2e9 * 64, 4 * 3e9 * 32, 4 * 4e9 * 8]
    assert [p.terms[0].clock for p in peaks(cpu)] == ["all_core", "all_core", "boost"]
    assert [p.flops_per_second for p in peaks(cpu, "base")] == [4e9 * 64, 4e9 * 32, 4e9 * 8]
    assert [p.isa for p in peaks(cpu, "all_core")] == ["avx512", "avx2"]
    assert peaks(cpu, "fixed") == ()


def test_a_clock_that_is_not_known_is_said() -> None:
    with pytest.raises(InputError, match="The base clock of x is unknown") as caught:
        device().peak("fp32", "base")
    assert caught.value.field == "clock"
    with pytest.raises(InputError, match="The bf16 rate of .* is unknown") as caught:
        device().peak("bf16", "base")
    assert caught.value.field == "dtype"


HYBRID = Device(
    title="A hybrid",
    kind="cpu",
    vendor="Nobody",
    units=(
        Units(
            "big", 8, Clock(base=Hertz(3e9), boost=Hertz(5e9)), name="P",
            rates=(Rate("vector", "avx512", "fp32", 64), Rate("vector", "avx2", "fp32", 32)),
        ),
        Units(
            "little", 16, Clock(base=Hertz(2e9), boost=Hertz(4e9)), name="E",
            rates=(Rate("vector", "avx2", "fp32", 16),),
        ),
    ),
)  # fmt: skip


def test_a_hybrid_adds_what_its_classes_do_with_one_isa() -> None:
    found = {p.isa: p for p in peaks(HYBRID)}
    assert found["avx512"].flops_per_second == 8 * 5e9 * 64
    assert found["avx2"].flops_per_second == 8 * 5e9 * 32 + 16 * 4e9 * 16
    assert [term.name for term in found["avx2"].terms] == ["P", "E"]
    assert (found["avx512"].missing, found["avx2"].missing) == (("E",), ())
    assert [term.architecture for term in found["avx2"].terms] == ["big", "little"]
    assert HYBRID.peak("fp32").isa == "avx512"
    assert HYBRID.with_(**{"units.E": "32"}).peak("fp32").isa == "avx2"


counts = st.integers(1, 10_000)
clocks = st.integers(1, 10**11).map(Hertz)
flops = st.integers(1, 10**6).map(float)


@given(counts, clocks, flops, st.integers(1, 1000))
def test_a_peak_scales_with_each_factor(count: int, clock: Hertz, rate: float, times: int) -> None:
    def peak_of(count: int, clock: float, rate: float) -> float:
        return device(Rate("vector", "x", "fp32", rate), count=count, boost=Hertz(clock)).peak("fp32").flops_per_second

    one = peak_of(count, clock, rate)
    assert one == pytest.approx(count * clock * rate, rel=1e-15)
    assert peak_of(times * count, clock, rate) == pytest.approx(times * one, rel=1e-14)
    assert peak_of(count, times * clock, rate) == pytest.approx(times * one, rel=1e-14)
    assert peak_of(count, clock, times * rate) == pytest.approx(times * one, rel=1e-14)


@given(st.lists(st.tuples(counts, clocks, flops), min_size=1, max_size=16))
def test_a_hybrid_is_the_sum_of_its_classes(classes: list[tuple[int, Hertz, float]]) -> None:
    units = tuple(
        Units("x", count, Clock(boost=clock), name=f"class {i}", rates=(Rate("vector", "x", "fp32", rate),))
        for i, (count, clock, rate) in enumerate(classes)
    )
    whole = Device("x", "cpu", "Nobody", units).peak("fp32")
    alone = [Device("x", "cpu", "Nobody", (one,)).peak("fp32").flops_per_second for one in units]
    assert whole.flops_per_second == pytest.approx(sum(alone), rel=1e-14)
    assert whole.flops_per_second >= max(alone)
    assert [term.flops_per_second for term in whole.terms] == alone


@given(clocks, clocks)
def test_a_faster_clock_is_never_a_lower_peak(one: Hertz, other: Hertz) -> None:
    low, high = sorted((one, other))
    card = device(base=low, boost=high)
    assert [p.flops_per_second for p in peaks(card, "base")] <= [p.flops_per_second for p in peaks(card)]
    fixed = card.with_(**{"clock": f"{int(one)} Hz"})
    assert [p.flops_per_second for p in peaks(fixed)] == [10 * one * rate.flops_per_cycle for rate in RATES]


ORDER: tuple[Provenance, ...] = ("spec", "derived", "measured", "os", "assumed")


@pytest.mark.parametrize("clock", ORDER)
@pytest.mark.parametrize("count", ORDER)
@pytest.mark.parametrize("rates", ORDER)
def test_a_term_is_as_weak_as_its_weakest_factor(clock: Provenance, count: Provenance, rates: Provenance) -> None:
    card = device()
    origins: dict[str, Provenance] = {
        "units.units.clock.boost": clock,
        "units.units.clock.base": "assumed",  # not the clock that counts
        "units.units.count": count,
        "units.units.rates": rates,
    }
    found = msgspec.structs.replace(card, provenance=origins).peak("fp32")
    weakest = max((clock, "spec" if count == "os" else count, rates), key=ORDER.index)  # the system knows its CPUs
    assert found.terms[0].provenance == weakest
    assert found.provenance == ("derived" if weakest == "spec" else weakest)


@pytest.mark.parametrize("one", ORDER)
@pytest.mark.parametrize("other", ORDER)
def test_a_peak_is_as_weak_as_its_weakest_term_and_derived_at_best(one: Provenance, other: Provenance) -> None:
    terms = [PeakTerm(origin, "x", 1, 1e9, "boost", 32, origin) for origin in (one, other)]
    found = Peak("vector", "x", "fp32", None, "dense", tuple(terms))
    assert found.provenance == max((one, other, "derived"), key=ORDER.index)


@pytest.mark.parametrize(
    ("identity", "label"),
    [
        (("vector", "avx2", "fp32", None, "dense"), "vector avx2 fp32"),
        (("matrix", "tensor-core", "fp16", "fp32", "dense"), "matrix tensor-core fp16 (fp32 accumulate)"),
        (("matrix", "tensor-core", "fp16", "fp32", "2:4"), "matrix tensor-core fp16 (fp32 accumulate, 2:4 sparse)"),
        (("matrix", "x", "fp16", None, "2:4"), "matrix x fp16 (2:4 sparse)"),
    ],
)
def test_a_label_says_which_ceiling(identity: tuple[str, str, str, str | None, str], label: str) -> None:
    assert Peak(*identity, ()).label == label


def test_how_goes_with_its_term() -> None:
    (found,) = peaks(device(Rate("vector", "avx2", "fp32", 32, how="2 × 256-bit FMA")))
    assert found.terms[0].how == "2 × 256-bit FMA"


def test_a_class_without_the_clock_asked_for_leaves_no_peak() -> None:
    """The sum over the other class would be taken for the whole device's."""
    rate = Rate("vector", "avx2", "fp32", 32)
    big = Units("arch", 4, Clock(base=Hertz(2e9), boost=Hertz(4e9)), "big", rates=(rate,))
    small = Units("arch", 8, Clock(boost=Hertz(3e9)), "small", rates=(rate,))
    for classes in ((big, small), (small, big)):
        hybrid = Device("x", "cpu", "Nobody", classes)
        assert peaks(hybrid, "base") == ()
        (whole,) = peaks(hybrid, "boost")
        assert whole.flops_per_second == 32 * (4 * 4e9 + 8 * 3e9)
        with pytest.raises(InputError) as caught:
            hybrid.peak("fp32", "base")
        assert (caught.value.code, caught.value.field) == ("unknown-clock", "clock")
