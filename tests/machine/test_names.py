"""Names of devices as systems and people write them: each is its device, or the answer asks which is meant."""

import re
from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog

GOLDEN = Path(__file__).parents[1] / "golden"


def _pairs(name: str) -> list[tuple[str, str]]:
    lines = (GOLDEN / name).read_text(encoding="utf-8").splitlines()
    return [(left, right) for line in lines if line[:1] != "#" for left, _, right in [line.partition(" = ")]]


NAMES, ABSENT = _pairs("names.txt"), _pairs("absent.txt")


@pytest.mark.sample(60)
@pytest.mark.parametrize(("name", "device"), NAMES)
def test_a_name_is_its_device_or_asks(name: str, device: str) -> None:
    if not device.startswith("?"):
        assert catalog.device(name).name == device
        return
    with pytest.raises(InputError) as caught:
        catalog.device(name)
    assert set(device[1:].split()) == set(caught.value.nearest)


def test_there_are_enough_names() -> None:
    assert len(NAMES) >= 200


@pytest.mark.parametrize("name", ["EPYC 4564P", "MI400X", "B400 SXM", "RTX 9999", "RX 1234"])
def test_a_device_of_another_series_is_not_suggested(name: str) -> None:
    with pytest.raises(InputError) as caught:
        catalog.device(name)
    assert caught.value.nearest == ()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("RX 6601", "rx6600"),
        ("EPYC 9555", "epyc-9554"),
        ("i7-12700hq", "i7-12700h"),
        ("rtx 309", "rtx3090"),
        ("RTX 5090 Ti", "rtx5090"),
        ("RTX 5070 Super", "rtx5070"),
    ],
)
def test_a_device_of_the_series_is_suggested_first(name: str, nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        catalog.device(name)
    assert caught.value.nearest[0] == nearest


@pytest.mark.sample(40)
@pytest.mark.parametrize(("name", "series"), ABSENT)
def test_what_the_catalog_lacks_is_answered_with_its_series_or_nothing(name: str, series: str) -> None:
    with pytest.raises(InputError) as caught:
        catalog.device(name)
    assert all(re.match(series, near) for near in caught.value.nearest)


def test_there_are_enough_absent_names() -> None:
    assert len(ABSENT) >= 180


@pytest.mark.parametrize("name", ["resnet50", "ResNet-50", "llama3-8b"])
def test_a_model_in_place_of_a_device_is_said_to_be_one(name: str) -> None:
    with pytest.raises(InputError, match="is a model, not a device") as caught:
        catalog.device(name)
    assert caught.value.code == "unknown-device"
    assert not caught.value.nearest
