"""GPUs beside the CPU are named as their drivers name them."""

from pathlib import Path

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


def test_nothing_is_no_gpu_and_nonsense_is_none(tmp_path: Path) -> None:
    assert gpus(Files(str(tmp_path))) == []
    files = written(tmp_path, {"proc/driver/nvidia/gpus/x/information": "no model\n", "sys/class/drm/version": "drm"})
    assert beside(files) == ()
