"""A device as data: what may stand in one, where numbers come from, and what `--set` replaces."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.dtypes import BITS, DtypeName
from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device, fastest, peaks
from hwbench.machine.parts import Clock, Memory, Rate, Units
from hwbench.units import Bytes, BytesPerSecond, Hertz, Watts

FMA = Rate("vector", "avx2", "fp32", 32)
CARD = Device(
    title="A card",
    kind="gpu",
    vendor="Nobody",
    units=(Units("arch", 10, Clock(base=Hertz(1e9), boost=Hertz(2e9)), name="SM", rates=(FMA,)),),
    memory=Memory(size=Bytes(1e9), bandwidth=BytesPerSecond(1e11)),
    power=Watts(100),
)
HYBRID = Device(
    title="A hybrid",
    kind="cpu",
    vendor="Nobody",
    units=(
        Units("big", 8, Clock(boost=Hertz(5e9)), name="P-core", rates=(FMA,)),
        Units("little", 4, Clock(boost=Hertz(3e9)), name="E-core", rates=(Rate("vector", "avx2", "fp32", 16),)),
    ),
)


def test_the_first_units_of_a_device() -> None:
    for count, left in ((2, [2]), (8, [8]), (9, [8, 1]), (12, [8, 4]), (99, [8, 4])):
        assert [units.count for units in HYBRID.with_cores(count).units] == left


def test_data_of_16_bits_may_be_computed_by_faster_units_of_fp32() -> None:
    def dtypes(**rates: float) -> list[str | None]:
        units = (
            Units("a", 1, Clock(fixed=Hertz(1)), rates=tuple(Rate("vector", "a", *each) for each in rates.items())),
        )
        found = (fastest(peaks(Device("d", "gpu", "v", units)), dtype) for dtype in ("fp16", "bf16", "fp64", "fp32"))
        return [peak and peak.dtype for peak in found]

    assert dtypes(fp32=9, fp16=4, fp64=2) == ["fp32", "fp32", "fp64", "fp32"]
    assert dtypes(fp32=9, fp16=18) == ["fp16", "fp32", None, "fp32"]


def refused(device: Device, **settings: str) -> InputError:
    with pytest.raises(InputError) as caught:
        device.with_(**{field.replace("__", "."): text for field, text in settings.items()})
    assert str(caught.value).isprintable()
    return caught.value


def test_every_dtype_has_a_size() -> None:
    assert set(BITS) == set(DtypeName.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "clock", [{"base": 1e9}, {"boost": 1e9}, {"fixed": 1e9}, {"base": 1e9, "boost": 1e9}, {"base": 1e9, "boost": 2e9}]
)
def test_one_clock_is_enough(clock: dict[str, Any]) -> None:
    found = Clock(**clock)
    assert (found.base, found.boost, found.fixed) == (clock.get("base"), clock.get("boost"), clock.get("fixed"))


@pytest.mark.parametrize(
    ("clock", "why"),
    [
        ({}, "needs a base, a boost or a fixed value"),
        ({"all_core": {"avx2": Hertz(1e9)}}, "needs a base, a boost or a fixed value"),
        ({"base": Hertz(2e9), "boost": Hertz(1e9)}, r"base clock \(2 GHz\) is above the boost clock \(1 GHz\)"),
    ],
)
def test_a_clock_that_makes_no_sense(clock: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Clock(**clock)


def test_classes_of_units_have_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="two classes of units have the same name"):
        msgspec.structs.replace(HYBRID, units=(HYBRID.units[0], HYBRID.units[0]))


def test_sums_over_classes() -> None:
    assert (CARD.count, CARD.architectures) == (10, "arch")
    assert (HYBRID.count, HYBRID.architectures) == (12, "big + little")
    twice = msgspec.structs.replace(HYBRID.units[1], architecture="big")
    assert msgspec.structs.replace(HYBRID, units=(HYBRID.units[0], twice)).architectures == "big"


@pytest.mark.parametrize(
    ("field", "origin"),
    [
        ("memory", "spec"),
        ("memory.size", "os"),
        ("memory.size.x", "os"),
        ("memory.sizes", "spec"),
        ("units", "measured"),
        ("units.SM.count", "measured"),
        ("units.SM.clock", "assumed"),
        ("units.SM.clock.boost", "derived"),
        ("units.SM.clock.base", "assumed"),
        ("power", "spec"),
        ("", "spec"),
    ],
)
def test_the_longest_path_at_or_above_a_field_says_its_origin(field: str, origin: str) -> None:
    device = msgspec.structs.replace(
        CARD,
        provenance={
            "memory.size": "os",
            "units": "measured",
            "units.SM.clock": "assumed",
            "units.SM.clock.boost": "derived",
        },
    )
    assert device.provenance_of(field) == origin


def test_each_field_is_overridden() -> None:
    settings = {"clock": "3 GHz", "units": "20", "memory": "24 GiB", "bandwidth": "936 GB/s", "power": "350 W"}
    found = CARD.with_(**settings)
    assert found.units[0].clock == Clock(base=Hertz(1e9), boost=Hertz(2e9), fixed=Hertz(3e9))
    assert found.units[0].count == found.count == 20
    assert found.memory == Memory(size=Bytes(24 * 2**30), bandwidth=BytesPerSecond(936e9))
    assert found.power == Watts(350)
    changed = ("units.SM.clock.fixed", "units.SM.count", "memory.size", "memory.bandwidth", "power")
    assert [found.provenance_of(field) for field in changed] == ["set"] * 5
    assert found.provenance_of("units.SM.rates") == "spec"
    assert (found.title, found.kind, found.units[0].rates) == (CARD.title, CARD.kind, CARD.units[0].rates)
    assert CARD.provenance == {}


@pytest.mark.parametrize(
    ("field", "text", "changed"),
    [
        ("clock", "3 GHz", "units.SM.clock"),
        ("clock.SM", "3 GHz", "units.SM.clock"),
        ("units", "7", "units.SM.count"),
        ("units.SM", "7", "units.SM.count"),
        ("memory", "1 GB", "memory.size"),
        ("bandwidth", "1 GB/s", "memory.bandwidth"),
        ("power", "1 W", "power"),
    ],
)
def test_only_what_was_set_is_marked(field: str, text: str, changed: str) -> None:
    assert CARD.with_(**{field: text}).provenance == {changed: "set"}


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("clock", "3 GHz", 10 * 3e9 * 32),
        ("clock.SM", "3 GHz", 10 * 3e9 * 32),
        ("units", "1", 1 * 2e9 * 32),
        ("units.SM", "7", 7 * 2e9 * 32),
        ("bandwidth", "1 GB/s", 10 * 2e9 * 32),
    ],
)
def test_peaks_follow_an_override(field: str, text: str, expected: float) -> None:
    assert CARD.with_(**{field: text}).peak("fp32").flops_per_second == expected


def test_one_setting_leaves_the_rest_alone() -> None:
    assert CARD.with_() == CARD
    found = CARD.with_(power="1 W")
    assert msgspec.structs.replace(found, power=CARD.power, provenance={}) == CARD
    assert found.provenance == {"power": "set"}


@pytest.mark.parametrize(
    ("settings", "big", "little"),
    [
        ({"clock": "2 GHz"}, (8, 2e9), (4, 2e9)),
        ({"clock.P-core": "2 GHz"}, (8, 2e9), (4, 3e9)),
        ({"clock.E-core": "2 GHz"}, (8, 5e9), (4, 2e9)),
        ({"units.E-core": "16"}, (8, 5e9), (16, 3e9)),
        ({"clock": "2 GHz", "clock.P-core": "4 GHz", "units.P-core": "6"}, (6, 4e9), (4, 2e9)),
        ({"clock.P-core": "4 GHz", "clock": "2 GHz"}, (8, 2e9), (4, 2e9)),
    ],
)
def test_a_class_of_a_hybrid_is_overridden_alone(
    settings: dict[str, str], big: tuple[int, float], little: tuple[int, float]
) -> None:
    (found,) = peaks(HYBRID.with_(**settings))
    assert [(term.units, term.clock_hz) for term in found.terms] == [big, little]
    assert found.flops_per_second == big[0] * big[1] * 32 + little[0] * little[1] * 16
    assert found.provenance == "set"
    touched = [name for name in ("P-core", "E-core") if {"clock", f"clock.{name}", f"units.{name}"} & set(settings)]
    assert [term.name for term in found.terms if term.provenance == "set"] == touched


def test_an_overridden_clock_is_set_whatever_it_was_before() -> None:
    measured = msgspec.structs.replace(
        CARD,
        units=(msgspec.structs.replace(CARD.units[0], clock=Clock(fixed=Hertz(1e9))),),
        provenance={"units.SM.clock.fixed": "measured", "units.SM.count": "os", "memory.size": "os"},
    )
    assert measured.peak("fp32").provenance == "measured"  # the clock: the system knows how many there are
    assert measured.with_(clock="3 GHz").provenance_of("units.SM.clock.fixed") == "set"
    assert measured.with_(clock="3 GHz").peak("fp32").provenance == "set"
    assert measured.with_(clock="3 GHz", units="3").peak("fp32").provenance == "set"
    assert measured.with_(units="3").provenance_of("units.SM.count") == "set"
    assert measured.with_(memory="3 GB").provenance_of("memory.size") == "set"


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_the_last_of_two_overrides_counts(one: int, other: int) -> None:
    twice = CARD.with_(**{"clock": f"{one} Hz"}).with_(**{"clock": f"{other} Hz"})
    assert twice == CARD.with_(**{"clock": f"{other} Hz"})


@pytest.mark.parametrize(
    ("field", "text", "code", "nearest"),
    [
        ("clock", "3", "no-unit", ()),
        ("clock", "3 ghz", "wrong-unit", ()),
        ("clock", "0 GHz", "quantity-zero", ()),
        ("clock", "-1 GHz", "negative-quantity", ()),
        ("clock", "", "not-a-quantity", ()),
        ("clock.P-core", "3 GHz", "unknown-units", ("SM",)),
        ("clock.sm", "3 GHz", "unknown-units", ("SM",)),
        ("units", "0", "units-range", ()),
        ("units", "-1", "units-range", ()),
        ("units", "1.5", "units-range", ()),
        ("units", "", "units-range", ()),
        ("units", "٣", "units-range", ()),
        ("units", "²", "units-range", ()),
        ("units", "10000001", "units-range", ()),
        ("units", "9" * 100_000, "units-range", ()),
        ("units", "1_0", "units-range", ()),
        ("units.x\n", "1", "unknown-units", ("SM",)),
        ("memory", "24", "no-unit", ()),
        ("memory", "24 GB/s", "wrong-unit", ()),
        ("bandwidth", "936 GB", "wrong-unit", ()),
        ("bandwidth", "0 GB/s", "quantity-zero", ()),
        ("power", "350", "no-unit", ()),
        ("bandwith", "1 GB/s", "unknown-setting", ("bandwidth",)),
        ("overhead", "0", "factor-range", ()),
        ("overhead", "inf", "factor-range", ()),
        ("overhead", "half", "factor-range", ()),
        ("memory.bandwidth", "1 GB/s", "unknown-setting", ()),
        ("memory.size", "1 GB", "unknown-setting", ()),
        ("bandwidth.x", "1 GB/s", "unknown-setting", ()),
        ("power.x", "1 W", "unknown-setting", ()),
        ("Clock", "1 GHz", "unknown-setting", ("clock",)),
        ("title", "x", "unknown-setting", ()),
        ("", "x", "unknown-setting", ()),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_cannot_be_set(field: str, text: str, code: str, nearest: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        CARD.with_(**{field: text})
    assert (caught.value.code, caught.value.field) == (code, f"settings.{field}")
    assert str(caught.value).isprintable()
    assert set(nearest) <= set(caught.value.nearest)


@pytest.mark.parametrize(("field", "text"), [("9" * 100, "1"), ("units", "9" * 100)])
def test_no_more_than_forty_characters_of_a_setting_are_repeated(field: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        CARD.with_(**{field: text})
    assert max(map(len, re.findall("9+…?", caught.value.message))) == 40


def test_a_hybrid_must_be_told_which_units() -> None:
    error = refused(HYBRID, units="4")
    assert error.code == "units-ambiguous"
    assert error.nearest == ("units.P-core", "units.E-core")
    assert refused(HYBRID, units__SM="4").nearest == ("P-core", "E-core")
    assert refused(HYBRID, clock__SM="4 GHz").field == "settings.clock.SM"


def test_a_clock_of_one_isa_does_not_outlive_an_override() -> None:
    h100 = catalog.device("h100-sxm")
    slow = h100.with_(clock="1 GHz")
    assert {term.clock_hz for found in peaks(slow) for term in found.terms} == {1e9}
    assert {found.provenance for found in peaks(slow)} == {"set"}


@given(
    st.one_of(st.text(max_size=20), st.sampled_from(["clock", "units", "clock.SM", "units.SM", "memory", "power"])),
    st.one_of(st.text(max_size=20), st.sampled_from(["1", "1 GHz", "1 GB", "1 W", "9" * 30])),
)
def test_any_setting_is_a_device_or_an_input_error(field: str, text: str) -> None:
    try:
        found = CARD.with_(**{field: text})
    except InputError as error:
        said = str(error)
    else:
        said = ""
        assert set(found.provenance.values()) == {"set"}
        assert all(p.flops_per_second > 0 for p in peaks(found))
    assert said.isprintable()
