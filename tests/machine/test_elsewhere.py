"""What devices are called elsewhere: brands are found, cloud instances and other accelerators are explained."""

import pytest

from hwbench.errors import InputError
from hwbench.files import folders
from hwbench.machine import catalog, elsewhere


@pytest.mark.parametrize(
    ("brand", "name"),
    [("Intel(R) Core(TM) i7-6700K CPU @ 4.00GHz", "i7-6700k"), ("AMD Ryzen 9 7950X 16-Core Processor", "ryzen9-7950x"),
     ("NVIDIA GeForce RTX 3090", "rtx3090")],
)  # fmt: skip
def test_what_the_system_calls_a_device_is_its_name(brand: str, name: str) -> None:
    assert catalog.device(brand).name == name


@pytest.mark.parametrize(
    ("instance", "device"),
    [("a2-highgpu-1g", "a100-sxm4-40gb"), ("g5.xlarge", "a10g"), ("ml.g5.2xlarge", "a10g"), ("p4d", "a100-sxm4-40gb"),
     ("P4de.24xlarge", "a100-sxm4-80gb"), ("p6-b200.48xlarge", "b200"), ("c7g", "graviton3"),
     ("m8g.24xlarge", "graviton4"), ("Standard_NC4as_T4_v3", "t4"), ("nd96isr_h100_v5", "h100-sxm")],
)  # fmt: skip
def test_a_cloud_instance_is_one_of_its_cards_or_its_whole_cpu(instance: str, device: str) -> None:
    assert catalog.device(instance).name == device


@pytest.mark.parametrize(
    ("instance", "device"),
    [("t4g.micro", "graviton2"), ("c7g.large", "graviton3"), ("m6i.32xlarge", "xeon-platinum-8375c")],
)
def test_a_part_of_a_cpu_is_answered_with_the_cpu(instance: str, device: str) -> None:
    with pytest.raises(InputError) as caught:
        catalog.device(instance)
    assert (caught.value.code, caught.value.nearest) == ("unknown-device", (device,))


def test_every_instance_runs_on_a_device_of_the_catalog() -> None:
    assert set(elsewhere.INSTANCES.values()) <= set(folders.files("devices"))


@pytest.mark.parametrize(
    ("name", "nearest"), [("c7i.4xlarge", False), ("hailo-8", False), ("cpu", True), ("rtx3090,h100-sxm", True)]
)
def test_other_names_are_not_known(name: str, nearest: bool) -> None:
    with pytest.raises(InputError) as caught:
        catalog.device(name)
    assert caught.value.code == "unknown-device"
    assert bool(caught.value.nearest) is nearest
