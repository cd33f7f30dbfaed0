"""A time is called a bound only where what it rests on is stated by a data sheet or measured."""

import re

from msgspec.structs import replace

from hwbench import api
from hwbench.machine import catalog


def words(**provenance: str) -> dict[str, str]:
    """What an estimate says of its ideal and its roofline, with origins of a device changed."""
    device = catalog.device("rtx3090")
    fields = {name.replace("__", "."): origin for name, origin in provenance.items()}
    text = str(api.estimate("alexnet", replace(device, provenance={**device.provenance, **fields})))
    return {
        name: " ".join(line.split()) for name, line in re.findall(r"^(ideal|roofline) +(.*(?:\n +.*)*)", text, re.M)
    }


def test_ideal_rests_on_the_peak_and_roofline_on_the_bandwidth_too() -> None:
    sheet = words()
    assert "a lower bound" in sheet["ideal"]
    assert "a lower bound" in sheet["roofline"]
    guessed = words(memory__bandwidth="assumed")
    assert "a lower bound" in guessed["ideal"]
    assert "no strict bound (the bandwidth is assumed)" in guessed["roofline"]
    guessed = words(units__SM__clock="assumed")
    assert "no strict bound (the peak" in guessed["ideal"]
    assert "no strict bound (the peak" in guessed["roofline"]
