"""Where torch computes: the path of a GPU run on the CPU, and what a driver says, by doubles of it. Needs torch."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog

torch = pytest.importorskip("torch")

from hwbench.measure.torch import device, gpu  # noqa: E402
from hwbench.measure.torch.device import CPU, Stopwatch, TorchDevice, find_device  # noqa: E402

CUDA = TorchDevice("cuda:0", "NVIDIA GeForce RTX 3090")


class Event:
    """A CUDA event on a clock that advances by 2 ms a record."""

    clock = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self, stream: str) -> None:
        assert stream == "stream of cuda:0"
        Event.clock += 2.0
        self.at = Event.clock

    def elapsed_time(self, end: "Event") -> float:
        return end.at - self.at


class NvmlError(Exception):
    pass


def nvml(**known: Any) -> Any:
    """A pynvml that knows some readings and refuses others, as cards and drivers do."""

    def answer(name: str) -> Any:
        def ask(*_: Any) -> Any:
            if name not in known:
                raise NvmlError(name)
            return known[name]

        return ask

    names = ("ClockInfo", "MaxClockInfo", "PowerUsage", "EnforcedPowerLimit", "PowerManagementDefaultLimit",
             "Temperature", "CurrentClocksThrottleReasons", "HandleByUUID", "HandleByIndex")  # fmt: skip
    functions = {f"nvmlDeviceGet{name}": answer(name) for name in names}
    constants = {"NVML_CLOCK_SM": 1, "NVML_CLOCK_MEM": 2, "NVML_TEMPERATURE_GPU": 0}
    return SimpleNamespace(
        NVMLError=NvmlError, nvmlInit=answer("init"), nvmlShutdown=lambda: None, **functions, **constants
    )


def card(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    usual = {"multi_processor_count": 82, "total_memory": 24 << 30, "major": 8, "minor": 6}
    found = SimpleNamespace(**{**usual, **facts})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _name: found)


def test_names() -> None:
    assert find_device("CPU") == CPU
    for name in ("tpu", "cpu:1", "cuda:x", "cuda:²", "mps:1", ""):
        with pytest.raises(InputError) as caught:
            find_device(name)
        assert (caught.value.code, caught.value.field) == ("unknown-torch-device", "on")


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        find_device("cuda")
    assert caught.value.code == "no-torch-device"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        find_device("mps")
    assert caught.value.code == "no-torch-device"
    assert device.accelerator() is None


def test_a_gpu_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"card {index}")
    assert find_device("cuda:1") == TorchDevice("cuda:1", "card 1")
    assert device.accelerator() == TorchDevice("cuda:0", "card 0")
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    with pytest.raises(InputError, match="finds 2"):
        find_device("cuda:2")


def test_a_stopwatch_rotates_and_times() -> None:
    seen: list[int] = []
    calls: list[str] = []
    watch = Stopwatch(CPU, seen.append, lambda: calls.append("before"))
    watch(3)
    watch(2)
    assert seen == [0, 1, 2, 3, 4]
    assert calls == ["before", "before"]
    assert watch.seconds > 0


def test_events_give_the_time_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[Any] = []
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda name: f"stream of {name}")
    watch = Stopwatch(CUDA, lambda _number: None)
    watch(10)
    assert watch.seconds == pytest.approx(0.002)
    assert waits == ["cuda:0", "cuda:0"]  # before the first event, so that nothing earlier counts, and for the last


def test_a_known_card_is_the_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch)
    found = gpu.describe(CUDA)
    assert found is not None
    assert found.name == "rtx3090"
    assert found.memory.size == 24 << 30
    assert found.provenance_of("memory.size") == "os"
    assert found.units == catalog.device("rtx3090").units


def test_a_driver_that_counts_other_units_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, multi_processor_count=80)
    found = gpu.describe(CUDA)
    assert found is not None
    assert found.count == 80
    assert found.provenance_of("units.SM.count") == "os"


@pytest.mark.parametrize(
    ("facts", "architecture"),
    [({"major": 9, "minor": 0}, "hopper"), ({"gcnArchName": "gfx942:sramecc+:xnack-"}, "cdna3")],
)
def test_an_unknown_card_has_the_rates_of_its_architecture(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], architecture: str
) -> None:
    card(monkeypatch, multi_processor_count=50, clock_rate=1_500_000, **facts)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = gpu.describe(TorchDevice("cuda:0", "A card of the future"))
    assert found is not None
    assert (found.architectures, found.count) == (architecture, 50)
    assert found.units[0].clock.boost == 1.5e9
    assert found.units[0].rates == catalog.architecture(architecture).rates
    assert found.provenance_of("units.SM.clock" if architecture == "hopper" else "units.CU.clock") == "os"


def test_a_card_of_which_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, major=99, minor=0, clock_rate=1_500_000)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.describe(TorchDevice("cuda:0", "A card of the future")) is None
    assert gpu.describe(CPU) is None


def test_every_capability_is_a_catalogued_architecture() -> None:
    for name in {*gpu.CAPABILITIES.values(), *gpu._AMD.values()}:
        assert catalog.architecture(name).kind == "gpu"


def test_readings_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, uuid="abc")
    known = {"HandleByUUID": 1, "ClockInfo": 1695, "PowerUsage": 341_000, "EnforcedPowerLimit": 350_000, "init": None}
    monkeypatch.setitem(sys.modules, "pynvml", nvml(**known))
    assert gpu.readings(CUDA) == {
        "clock_hz": 1.695e9, "memory_clock_hz": 1.695e9, "power_w": pytest.approx(341), "power_limit_w": 350,
    }  # fmt: skip


def test_no_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch)
    assert gpu.readings(CPU) == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.readings(CUDA) == {}
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert gpu.readings(CUDA) == {}
    monkeypatch.setitem(sys.modules, "pynvml", nvml(init=None))
    assert gpu.readings(CUDA) == {}


def test_fp32_is_strict_unless_tf32_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    switches = SimpleNamespace(allow_tf32=None)
    monkeypatch.setattr(torch.backends.cuda, "matmul", switches)
    monkeypatch.setattr(torch.backends, "cudnn", SimpleNamespace(allow_tf32=None))
    device.set_fp32(CUDA, strict=True)
    assert (switches.allow_tf32, torch.backends.cudnn.allow_tf32) == (False, False)
    device.set_fp32(CUDA, strict=False)
    assert (switches.allow_tf32, torch.backends.cudnn.allow_tf32) == (True, True)
    device.set_fp32(CPU, strict=True)
    assert switches.allow_tf32 is True


def test_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (device.free_memory(CPU) or 0) > 1 << 20
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _name: (5, 10))
    assert device.free_memory(CUDA) == 5


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"a thing needs torch .*: pip install 'hwbench\[torch\]'"):
        device.torch_module("a thing")
