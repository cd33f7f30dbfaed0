"""A device as programs read it: SI units, and null where nothing is known or units differ."""

import msgspec
import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.description import describe, known_peaks, notices, unmeasured
from hwbench.machine.device import Device, peaks
from hwbench.machine.parts import BOOST, Clock, Memory, Units
from hwbench.notices import notice
from hwbench.units import Hertz

BARE = Device("A box", "cpu", "Nobody", (Units("x", 2, Clock(base=Hertz(1e9))),))


def test_a_machine_without_a_bandwidth_is_told_how_to_measure_it() -> None:
    card = catalog.device("rtx3090")
    unknown = replace(card, name="host", memory=Memory())
    assert [one.code for one in unmeasured(unknown)] == ["memory-unmeasured"]
    assert unmeasured(replace(card, name="host")) == unmeasured(card) == ()


def test_a_card_is_described_in_si_units() -> None:
    card = catalog.device("rtx3090")
    found = describe(card, peaks(card))
    assert (found.device, found.title, found.kind) == ("rtx3090", "NVIDIA GeForce RTX 3090", "gpu")
    assert (found.units, found.architecture, found.clock_hz, found.power_w) == (82, "ampere-ga10x", 1.695e9, 350)
    memory = found.memory
    assert (memory.type, memory.size_bytes, memory.bandwidth_bytes_per_second) == ("GDDR6X", 24 * 2**30, 936e9)
    assert (memory.bus_bits, memory.rate_transfers_per_second) == (384, 19.5e9)
    assert found.caches == (
        {"name": "L1", "size_bytes": 128 * 1024, "shared_by": 1},
        {"name": "L2", "size_bytes": 6 * 2**20, "shared_by": None},
    )
    assert found.provenance == {"*": "spec"}
    row = found.peaks[0]
    assert (row.engine, row.isa, row.dtype, row.accumulate, row.sparsity) == ("vector", "cuda", "fp32", None, "dense")
    assert (row.flops_per_cycle, row.clock_hz, row.clock, row.provenance) == (256, 1.695e9, "boost", "derived")
    assert row.flops_per_second == 82 * 1.695e9 * 256
    assert row.ridge_point == row.flops_per_second / 936e9
    assert len(found.peaks) == len(peaks(card))


def test_numbers_that_differ_between_classes_are_null() -> None:
    hybrid = catalog.device("i9-12900k")
    found = describe(hybrid, peaks(hybrid))
    assert (found.units, found.architecture, found.clock_hz) == (16, "golden-cove + gracemont", None)
    row = next(row for row in found.peaks if (row.isa, row.dtype) == ("avx2", "fp32"))
    assert (row.flops_per_cycle, row.clock_hz, row.clock) == (None, None, None)
    assert [(term.units, term.clock_hz) for term in row.terms] == [(8, 5.2e9), (8, 3.9e9)]
    assert row.flops_per_second == sum(term.flops_per_second for term in row.terms)
    same = hybrid.with_(clock="3 GHz")
    assert describe(same, peaks(same)).clock_hz == 3e9


def test_what_is_not_known_is_null() -> None:
    found = describe(BARE, ())
    assert (found.device, found.peaks, found.power_w, found.caches) == ("A box", (), None, ())
    assert msgspec.to_builtins(found.memory) == dict.fromkeys(
        ["type", "size_bytes", "bandwidth_bytes_per_second", "bus_bits", "rate_transfers_per_second"]
    )
    no_memory = msgspec.structs.replace(catalog.device("t4"), memory=Memory())
    assert {row.ridge_point for row in describe(no_memory, peaks(no_memory)).peaks} == {None}


def test_a_description_is_json() -> None:
    for name in ("rtx3090", "i9-12900k", "h100-sxm", "pentium4-2.53"):
        device = catalog.device(name)
        data = msgspec.json.decode(describe(device, peaks(device)).to_json())
        assert data["device"] == name
        assert all(row["flops_per_second"] > 0 for row in data["peaks"])


def test_known_peaks() -> None:
    card = catalog.device("rtx3090")
    assert known_peaks(card) == peaks(card)
    assert known_peaks(card, "base") == peaks(card, "base")
    with pytest.raises(InputError, match="The all-core clock of rtx3090 is unknown") as caught:
        known_peaks(card, "all_core")
    assert caught.value.field == "clock"
    with pytest.raises(InputError, match="No rate of A box is known") as caught:
        known_peaks(BARE)
    assert caught.value.field == "device"


def test_a_reader_is_told_that_a_consumer_card_runs_above_its_peaks() -> None:
    card = catalog.device("rtx3090")
    assert notices(card, peaks(card)) == (notice("card-boosts", factor=BOOST),)
    fixed = card.with_(clock="2 GHz")
    assert notices(fixed, peaks(fixed)) == ()


@pytest.mark.parametrize(
    ("name", "range_"),
    [("rtx5090-laptop", "power (95 W to 150 W) and clocks"), ("rx6700m", "power and clocks"),
     ("rtx3080-laptop", "power (80 W to 150 W) and clocks (1.245 GHz to 1.71 GHz of boost)"),
     ("rtx-a2000-laptop", "power and clocks"), ("mx450", "power and clocks")],
)  # fmt: skip
def test_a_reader_is_told_that_the_clocks_of_a_laptop_are_those_of_one_power(name: str, range_: str) -> None:
    card = catalog.device(name)
    told = [each.text for each in notices(card, peaks(card)) if each.code == "laptop-clocks"]
    assert told == [
        f"The laptop's maker chooses {range_}: these are the peaks at {card.power}, and other laptops run faster or "
        "slower."
    ]
    fixed = card.with_(clock="2 GHz")
    assert notices(fixed, peaks(fixed)) == ()


def test_the_ranges_of_a_laptops_maker_are_numbers_of_the_answer() -> None:
    def laptop(name: str) -> object:
        card = catalog.device(name)
        return msgspec.to_builtins(describe(card, peaks(card)).laptop)

    assert laptop("rtx4060-laptop") == {"power_w": (35.0, 115.0), "boost_hz": (1.47e9, 2.37e9)}
    assert laptop("rtx5080-laptop") == {"power_w": (80.0, 150.0), "boost_hz": None}
    assert laptop("mx450") == {"power_w": None, "boost_hz": None}
    assert laptop("rtx4060") is None


def test_a_reader_is_warned_of_assumed_values() -> None:
    card = catalog.device("a100-sxm4-40gb")
    assert notices(card, peaks(card)) == ()
    guessed = replace(card, provenance={"units.SM.clock": "assumed"})
    assert notices(guessed, peaks(guessed)) == (notice("peaks-assumed", fields=["units.SM.clock"]),)
    faster = card.with_(clock="2 GHz")  # which somebody set, and nobody assumed
    assert notices(faster, peaks(faster)) == ()
    assert describe(faster, peaks(faster)).provenance == {"units.SM.clock": "set"}
