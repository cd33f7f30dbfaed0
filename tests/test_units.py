"""Quantities: what is read, what is refused, and that text and number agree."""

import contextlib
import math
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hwbench import units
from hwbench.errors import InputError
from hwbench.units import (
    MAX_VALUE,
    MIN_VALUE,
    Bits,
    Bytes,
    BytesPerSecond,
    FlopsPerSecond,
    Hertz,
    PerSecond,
    Quantity,
    Seconds,
    TransfersPerSecond,
    Watts,
    exact,
    si,
)

KINDS: tuple[type[Quantity], ...] = (
    Hertz, Bytes, BytesPerSecond, FlopsPerSecond, TransfersPerSecond, Bits, Watts, Seconds, PerSecond,
)  # fmt: skip
kinds = st.sampled_from(KINDS)
amounts = st.one_of(st.just(0.0), st.floats(MIN_VALUE, MAX_VALUE))

READ: list[tuple[type[Quantity], str, float]] = [
    (Hertz, "2.4 GHz", 2.4e9),
    (Hertz, "2.4GHz", 2.4e9),
    (Hertz, "  2.4\tGHz\n", 2.4e9),
    (Hertz, "2.4\u00a0GHz", 2.4e9),
    (Hertz, "+2.4 GHz", 2.4e9),
    (Hertz, "2400 MHz", 2.4e9),
    (Hertz, "2400000 kHz", 2.4e9),
    (Hertz, "32.768 KHz", 32768.0),
    (Hertz, "2400000000 Hz", 2.4e9),
    (Hertz, "2.4e3 MHz", 2.4e9),
    (Hertz, "2.4E+3 MHz", 2.4e9),
    (Hertz, "24e-1 GHz", 2.4e9),
    (Hertz, ".5 THz", 5e11),
    (Hertz, "5. THz", 5e12),
    (Hertz, "1 PHz", 1e15),
    (Hertz, "1 EHz", 1e18),
    (Hertz, "0 Hz", 0.0),
    (Hertz, "007 Hz", 7.0),
    (Bytes, "1 B", 1.0),
    (Bytes, "1 kB", 1e3),
    (Bytes, "1 KB", 1e3),
    (Bytes, "1 MB", 1e6),
    (Bytes, "24 GB", 24e9),
    (Bytes, "1 TB", 1e12),
    (Bytes, "1 PB", 1e15),
    (Bytes, "1 EB", 1e18),
    (Bytes, "1 KiB", 1024.0),
    (Bytes, "1.5 MiB", 1.5 * 2**20),
    (Bytes, "24 GiB", 24 * 2.0**30),
    (Bytes, "1 TiB", 2.0**40),
    (Bytes, "1 PiB", 2.0**50),
    (Bytes, "1 EiB", 2.0**60),
    (BytesPerSecond, "1 B/s", 1.0),
    (BytesPerSecond, "936 GB/s", 936e9),
    (BytesPerSecond, "8 TB/s", 8e12),
    (BytesPerSecond, "1 GiB/s", 2.0**30),
    (FlopsPerSecond, "1 FLOP/s", 1.0),
    (FlopsPerSecond, "1 kFLOP/s", 1e3),
    (FlopsPerSecond, "1 MFLOP/s", 1e6),
    (FlopsPerSecond, "1 GFLOP/s", 1e9),
    (FlopsPerSecond, "35.58 TFLOP/s", 35.58e12),
    (FlopsPerSecond, "35.58 TFLOPS", 35.58e12),
    (FlopsPerSecond, "35.58 TFLOPs/s", 35.58e12),
    (FlopsPerSecond, "35.58 TFlop/s", 35.58e12),
    (FlopsPerSecond, "35.58 TFlops/s", 35.58e12),
    (FlopsPerSecond, "35.58 Tflop/s", 35.58e12),
    (FlopsPerSecond, "35.58 Tflops/s", 35.58e12),
    (FlopsPerSecond, "624 TOP/s", 624e12),
    (FlopsPerSecond, "624 TOPS", 624e12),
    (FlopsPerSecond, "1 PFLOP/s", 1e15),
    (FlopsPerSecond, "1.1 EFLOP/s", 1.1e18),
    (TransfersPerSecond, "19.5 GT/s", 19.5e9),
    (TransfersPerSecond, "3200 MT/s", 3.2e9),
    (TransfersPerSecond, "1 TT/s", 1e12),
    (TransfersPerSecond, "19.5 Gbps", 19.5e9),
    (TransfersPerSecond, "19.5 Gbit/s", 19.5e9),
    (TransfersPerSecond, "5 bps", 5.0),
    (Bits, "384 bit", 384.0),
    (Bits, "384 bits", 384.0),
    (Bits, "384-bit", 384.0),
    (Bits, "384bit", 384.0),
    (Watts, "350 W", 350.0),
    (Watts, "1.2 kW", 1200.0),
    (Watts, "500 mW", 0.5),
    (Watts, "1 MW", 1e6),
    (Seconds, "5 s", 5.0),
    (Seconds, "5 ms", 5e-3),
    (Seconds, "5 us", 5e-6),
    (Seconds, "5 \u00b5s", 5e-6),
    (Seconds, "5 \u03bcs", 5e-6),
    (Seconds, "5 ns", 5e-9),
    (Seconds, "5 ps", 5e-12),
    (PerSecond, "30/s", 30.0),
    (PerSecond, "30 /s", 30.0),
    (PerSecond, "1.5k/s", 1500.0),
    (PerSecond, "2 M/s", 2e6),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), READ)
def test_text_is_read(kind: type[Quantity], text: str, value: float) -> None:
    found = kind.parse(text)
    assert float(found) == value  # to the last bit: a prefix is part of the decimal, not a factor
    assert type(found) is kind


@pytest.mark.parametrize(
    ("prefix", "power"), [("", 0), ("k", 3), ("K", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)]
)
@pytest.mark.parametrize("kind", [Hertz, Bytes, BytesPerSecond, FlopsPerSecond, TransfersPerSecond, PerSecond])
def test_prefixes_are_the_powers_of_ten(kind: type[Quantity], prefix: str, power: int) -> None:
    assert int(kind.parse(f"1 {prefix}{kind.unit}")) == 10**power
    assert int(kind.parse(f"1000 {prefix}{kind.unit}")) == 10 ** (power + 3)


@pytest.mark.parametrize(("prefix", "power"), [("K", 10), ("M", 20), ("G", 30), ("T", 40), ("P", 50), ("E", 60)])
@pytest.mark.parametrize("kind", [Bytes, BytesPerSecond])
def test_binary_prefixes_are_the_powers_of_two(kind: type[Quantity], prefix: str, power: int) -> None:
    assert int(kind.parse(f"1 {prefix}i{kind.unit}")) == 2**power


REFUSED: list[tuple[type[Quantity], str, str]] = [
    (Hertz, "", "not-a-quantity"),
    (Hertz, " ", "not-a-quantity"),
    (Hertz, "GHz", "not-a-quantity"),
    (Hertz, ". GHz", "not-a-quantity"),
    (Hertz, "2.4", "no-unit"),
    (Hertz, "2.4e", "wrong-unit"),
    (Hertz, "2.4 GHZ", "wrong-unit"),
    (Hertz, "2.4 ghz", "wrong-unit"),
    (Hertz, "2400 mhz", "wrong-unit"),
    (Hertz, "2400 mHz", "wrong-unit"),
    (Hertz, "2.4 G", "wrong-unit"),
    (Hertz, "2.4 gHz", "wrong-unit"),
    (Hertz, "1 GiHz", "wrong-unit"),
    (Hertz, "1 kkHz", "wrong-unit"),
    (Hertz, "1 G Hz", "wrong-unit"),
    (Hertz, "2.4 GHz 3 GHz", "wrong-unit"),
    (Hertz, "2.4 GHz GHz", "wrong-unit"),
    (Hertz, "2.4 GB/s", "wrong-unit"),
    (Hertz, "2,4 GHz", "wrong-unit"),
    (Hertz, "1_000 Hz", "wrong-unit"),
    (Hertz, "0x10 Hz", "wrong-unit"),
    (Hertz, "1.2.3 GHz", "wrong-unit"),
    (Hertz, "--1 Hz", "not-a-quantity"),
    (Hertz, "-1 GHz", "negative-quantity"),
    (Hertz, "-0 Hz", "negative-quantity"),
    (Hertz, "nan", "not-a-quantity"),
    (Hertz, "NaN Hz", "not-a-quantity"),
    (Hertz, "inf", "not-a-quantity"),
    (Hertz, "inf GHz", "not-a-quantity"),
    (Hertz, "Infinity Hz", "not-a-quantity"),
    (Hertz, "1e400 Hz", "quantity-range"),
    (Hertz, "1e308 GHz", "quantity-range"),
    (Hertz, "1e9999 Hz", "quantity-range"),
    (Hertz, "1e99999 Hz", "wrong-unit"),
    (Hertz, "9" * 100_000 + " Hz", "not-a-quantity"),
    (Hertz, "1 " + "G" * 100_000, "not-a-quantity"),
    (Hertz, " " * 100_000, "not-a-quantity"),
    (Hertz, "٣ GHz", "not-a-quantity"),
    (Hertz, "２.４ GHz", "not-a-quantity"),
    (Hertz, "½ GHz", "not-a-quantity"),
    (Hertz, "2.4\0GHz", "wrong-unit"),
    (Bytes, "24 gib", "wrong-unit"),
    (Bytes, "24 Gib", "wrong-unit"),
    (Bytes, "24 GIB", "wrong-unit"),
    (Bytes, "24 kiB", "wrong-unit"),
    (Bytes, "24 Gb", "wrong-unit"),
    (Bytes, "24 GB/s", "wrong-unit"),
    (Bytes, "24 mB", "wrong-unit"),
    (BytesPerSecond, "936 GB", "wrong-unit"),
    (BytesPerSecond, "936 Gb/s", "wrong-unit"),
    (BytesPerSecond, "936 GB/S", "wrong-unit"),
    (BytesPerSecond, "1e300 EiB/s", "quantity-range"),
    (FlopsPerSecond, "1 TFLOP", "wrong-unit"),
    (FlopsPerSecond, "1 TFLOPs", "wrong-unit"),
    (FlopsPerSecond, "1 tFLOP/s", "wrong-unit"),
    (TransfersPerSecond, "19.5 GB/s", "wrong-unit"),
    (TransfersPerSecond, "19.5 T", "wrong-unit"),
    (Bits, "1 kbit", "wrong-unit"),
    (Bits, "384 b", "wrong-unit"),
    (Watts, "350 w", "wrong-unit"),
    (Watts, "350 VA", "wrong-unit"),
    (Seconds, "5 Ms", "wrong-unit"),
    (Seconds, "5 min", "wrong-unit"),
    (Seconds, "5 sec", "wrong-unit"),
    (PerSecond, "30", "no-unit"),
    (PerSecond, "30 fps", "wrong-unit"),
    (PerSecond, "30 Hz", "wrong-unit"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "code"), REFUSED, ids=lambda value: str(value)[:20])
def test_text_is_refused(kind: type[Quantity], text: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        kind.parse(text)
    said = str(caught.value)
    assert caught.value.code == code
    assert "\n" not in said
    assert len(said) < 200
    assert code in ("negative-quantity", "quantity-range") or f"'{kind.example}'" in said


def test_a_refusal_gives_an_example_that_is_read() -> None:
    for kind in KINDS:
        assert kind.parse(kind.example) > 0


def test_positive_means_more_than_zero() -> None:
    assert Seconds.parse_positive("5 ms") == 0.005
    for zero in ("0 s", "0.0 ms", "1e-400 s"):
        with pytest.raises(InputError, match="more than zero"):
            Seconds.parse_positive(zero)


@given(kinds, amounts)
@example(Hertz, MIN_VALUE)
@example(Bytes, 1.0000000000000002e-30)
@example(FlopsPerSecond, MAX_VALUE)
@example(Bits, 9.999999999999999e29)
@example(PerSecond, 0.1 + 0.2)
def test_exact_text_reads_back_to_the_same_float(kind: type[Quantity], amount: float) -> None:
    assert float(kind.parse(exact(kind(amount)))).hex() == amount.hex()


@given(kinds, amounts)
@example(Hertz, 999.95e6)
@example(Bytes, 1023.99 * 1024)
@example(Seconds, 1e4)
@example(Seconds, 1e-15)
@example(Bits, 8192.0)
@example(FlopsPerSecond, 1e30)
def test_shown_text_reads_back_to_four_digits(kind: type[Quantity], amount: float) -> None:
    if str(kind(amount)).startswith("0 ") or amount > 0.9999 * MAX_VALUE:
        return  # four digits of it lie outside of what a quantity may be
    back = float(kind.parse(str(kind(amount))))
    assert back == pytest.approx(amount, rel=5.1e-4, abs=1e-320)


@given(st.floats(min_value=1e-3, max_value=9.99e20), st.sampled_from(["Hz", "B", "FLOP/s", "/s", ""]))
@example(999.949e18, "Hz")
@example(999.95e15, "B")
@example(999949.9, "B")
def test_no_more_than_three_digits_before_the_point_and_no_exponent(value: float, unit: str) -> None:
    text = si(value, unit)
    match = re.fullmatch(r"([0-9]{1,3})(\.[0-9]+)? ?([kMGTPE]?)" + re.escape(unit), text)
    assert match, text
    assert len((match[1] + (match[2] or "")).replace(".", "").lstrip("0")) <= 4, text
    assert value < 1 or match[1] != "0", text


@given(st.floats(min_value=1e-12, max_value=999.94))
def test_durations_have_no_exponent_either(value: float) -> None:
    assert re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)? [mµnp]?s", si(value, "s"))


@given(st.floats(min_value=1, max_value=2.0**69))
@example(1023.52 * 2.0**50)
def test_binary_prefixes_leave_less_than_1024(value: float) -> None:
    number, unit = si(value, "B", binary=True).split()
    assert 1 <= float(number) < 1024
    assert re.fullmatch("([KMGTPE]i)?B", unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "Hz", "0 Hz"),
        (0, "", "0"),
        (2.4e9, "Hz", "2.4 GHz"),
        (35.581e12, "FLOP/s", "35.58 TFLOP/s"),
        (1e18, "FLOP/s", "1 EFLOP/s"),
        (999.94e6, "Hz", "999.9 MHz"),
        (999.95e6, "Hz", "1 GHz"),
        (999.95, "Hz", "1 kHz"),
        (999_950, "B/s", "1 MB/s"),
        (999.95e15, "B/s", "1 EB/s"),
        (-2.4e9, "Hz", "-2.4 GHz"),
        (0.5, "Hz", "0.5 Hz"),
        (0.005, "s", "5 ms"),
        (0.99996, "s", "1 s"),
        (0.99995e-3, "s", "1 ms"),
        (12.345e-6, "s", "12.35 µs"),
        (1.5e-9, "s", "1.5 ns"),
        (2e-13, "s", "0.2 ps"),
        (1234, "s", "1234 s"),
        (86400, "s", "86400 s"),
        (8192, "bit", "8192 bit"),
        (1.5e9, "", "1.5 G"),
        (1.5, "", "1.5"),
        (12345e18, "FLOP", "12345 EFLOP"),
        (1e40, "FLOP", "1.000e+22 EFLOP"),
    ],
)
def test_si(value: float, unit: str, text: str) -> None:
    assert si(value, unit) == text


def test_fewer_digits_round_to_the_next_prefix_sooner() -> None:
    assert si(999.4e6, "B", 3) == "999 MB"
    assert si(999.5e6, "B", 3) == "1 GB"


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Bytes(24 * 2**30), "24 GiB"),
        (Bytes(1000 * 2**20), "1000 MiB"),
        (Bytes(1023.99 * 2**20), "1 GiB"),
        (Bytes(512), "512 B"),
        (BytesPerSecond(936e9), "936 GB/s"),
        (Watts(0.5), "0.5 W"),
        (Bits(4096), "4096 bit"),
        (Seconds(3600), "3600 s"),
    ],
)
def test_a_quantity_shows_its_unit(quantity: Quantity, text: str) -> None:
    assert str(quantity) == f"{quantity!s}" == text


words = st.sampled_from(
    ["1", "2.4", "e", "E", "+", "-", ".", " ", "\n", "9" * 40, "e400", "inf", "nan", "٣", "k", "M", "Gi", "µ", "\0"]
    + [spelling for kind in KINDS for spelling in (kind.unit, *kind.spellings)]
)
texts = st.one_of(st.text(), st.lists(words, max_size=6).map("".join))


@given(kinds, texts)
def test_any_text_is_a_finite_amount_or_an_input_error(kind: type[Quantity], text: str) -> None:
    with contextlib.suppress(InputError):
        value = kind.parse(text)
        assert math.isfinite(value)
        assert value >= 0
        assert isinstance(value, kind)


def test_every_quantity_is_tested() -> None:
    def below(kind: type[Quantity]) -> set[Any]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    assert below(Quantity) - {Quantity} == set(KINDS)
    assert {kind for kind, _, _ in READ} == {kind for kind, _, _ in REFUSED} == set(KINDS)
    assert units.si is si


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), (" 64 ", 64), ("007", 7), ("1000", 1000), ("1001", None), ("0", None), ("-1", None), ("+1", None),
        ("1e3", None), ("", None), ("\u0661", None), ("\u00b2", None), ("1_0", None), ("0" * 30 + "1999", None),
        ("9" * 5000, None),
    ],
)  # fmt: skip
def test_whole_numbers_are_limited_in_digits_and_value(text: str, value: int | None) -> None:
    assert units.whole_number(text, 1000) == value
