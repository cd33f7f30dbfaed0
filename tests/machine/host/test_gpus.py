"""GPUs beside the CPU are named as their drivers name them."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwbench.machine.host.files import Files
from hwbench.machine.host.gpus import beside, gpus

INFORMATION = "Model: \t\t {}\nIRQ:   \t\t 140\nGPU UUID: \t GPU-00000000\nBus Type: \t PCIe\n"


def written(root: Path, files: dict[str, str]) -> Files:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Files(str(root))


def test_cards_of_nvidia_are_counted_and_found_in_the_catalog(tmp_path: Path) -> None:
    model = INFORMATION.format("NVIDIA H100 80GB HBM3")
    files = written(tmp_path, {f"proc/driver/nvidia/gpus/0000:{bus}:00.0/information": model for bus in ("1b", "43")})
    (found,) = beside(files)
    assert found.data == {"gpu": "NVIDIA H100 80GB HBM3", "count": 2, "device": "h100-sxm"}


def test_a_card_of_amd_states_its_product(tmp_path: Path) -> None:
    names = {"card0": "AMD Instinct MI300X OAM", "card1": "Something new", "card0-DP-1": "no card"}
    files = written(tmp_path, {f"sys/class/drm/{card}/device/product_name": name for card, name in names.items()})
    assert [(found.data["gpu"], found.data["device"]) for found in beside(files)] == [
        ("AMD Instinct MI300X OAM", "mi300x"), ("Something new", None),
    ]  # fmt: skip


IDS = """# names
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t7480  Navi 33 [Radeon RX 7600]
\t\t1002 0001  RX 7600 of a maker
\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]
\t9999  Navi 99
10de  NVIDIA Corporation
\t2684  AD102 [GeForce RTX 4090]
8086  Intel Corporation
\t56a0  DG2 [Arc A770]
1a03  ASPEED Technology, Inc.
\t2000  ASPEED Graphics Family
"""


def test_cards_without_a_name_are_named_by_their_pci_ids(tmp_path: Path) -> None:
    cards = ["1002 7480", "1002 744c", "10de 2684", "8086 56a0", "1a03 2000", "1002 9999", "1002 0001", "x ../y"]
    ids = {
        f"sys/class/drm/card{number}/device/{name}": f"0x{value}\n"
        for number, card in enumerate(cards)
        for name, value in zip(("vendor", "device"), card.split(), strict=True)
    }
    files = written(tmp_path, {**ids, "usr/share/misc/pci.ids": IDS})
    found = beside(files)
    assert [(each.data["gpu"], each.data["device"]) for each in found] == [
        ("AMD Radeon RX 7600", "rx7600"), ("AMD Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M", None),
        ("NVIDIA GeForce RTX 4090", "rtx4090"), ("Intel Arc A770", "arc-a770"), ("AMD Navi 99", None),
    ]  # fmt: skip
    assert found[1].data["choices"] == ("rx7900xt", "rx7900xtx", "rx7900gre", "rx7900m")
    assert "one of rx7900xt, rx7900xtx, rx7900gre, rx7900m" in found[1].text
    model = {"proc/driver/nvidia/gpus/0/information": INFORMATION.format("NVIDIA GeForce RTX 4090")}
    assert gpus(written(tmp_path, model)).count("NVIDIA GeForce RTX 4090") == 1


def test_nothing_is_no_gpu_and_nonsense_is_none(tmp_path: Path) -> None:
    assert gpus(Files(str(tmp_path))) == []
    files = written(tmp_path, {"proc/driver/nvidia/gpus/x/information": "no model\n", "sys/class/drm/version": "drm"})
    assert beside(files) == ()


class NvmlError(Exception):
    pass


def nvml(*names: Any) -> Any:
    """NVML with cards of these names; it refuses what is an error."""

    def name_of(position: int) -> Any:
        if isinstance(names[position], NvmlError):
            raise names[position]
        return names[position]

    def begin() -> None:
        if not names:
            raise NvmlError("no driver")

    return SimpleNamespace(
        NVMLError=NvmlError, nvmlInit=begin, nvmlShutdown=lambda: None, nvmlDeviceGetCount=lambda: len(names),
        nvmlDeviceGetHandleByIndex=lambda position: position, nvmlDeviceGetName=name_of,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("library", "found"),
    [
        (nvml("NVIDIA GeForce RTX 4090", b"NVIDIA GeForce RTX 3090"), ["rtx4090", "rtx3090"]),
        (nvml("NVIDIA GeForce RTX 4090", NvmlError("lost")), []),
        (nvml(), []),
        (None, []),
    ],
)
def test_cards_without_files_are_named_by_the_library_of_their_driver(
    library: Any, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(Files, "names", lambda _files, _folder: [])
    assert [each.data["device"] for each in beside(Files())] == found


def test_a_recorded_machine_has_no_card_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml("NVIDIA GeForce RTX 4090"))
    assert gpus(Files(str(tmp_path))) == []
