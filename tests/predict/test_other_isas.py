"""CPUs that are not x86: their forecasts rest on parameters of x86, which is said and widens the interval."""

import math

import pytest
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.predict.forecast import forecast
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import hardware_of
from hwbench.predict.model.interval import TILES, log_interval
from hwbench.predict.model.parameters import parameters
from hwbench.workload import load


@pytest.mark.parametrize(("name", "other"), [("apple-m3", True), ("raspberry-pi-4", True), ("ryzen9-7950x", False)])
@pytest.mark.parametrize("runtime", ["onnxruntime-cpu", "openvino-cpu", "torch-eager-cpu"])
def test_forecasts_of_other_isas_say_so(name: str, other: bool, runtime: str) -> None:
    found = forecast(load.workload("lenet5"), catalog.device(name), runtime=runtime)
    assert found is not None
    assert ("isa-unmeasured" in {notice.code for notice in found.notices}) == other


def test_the_interval_of_another_isa_is_wider() -> None:
    spread = parameters().runtimes["onnxruntime-cpu"].spread
    hardware = hardware_of(catalog.device("apple-m3"), ["fp32"])
    assert hardware is not None
    ends = [
        log_interval(scalar, spread, "Apple", replace(hardware, other_isa=other), "fp32", (0.0, 0.0), launches=10)
        for other in (False, True)
    ]
    for narrow, wide in zip(*ends, strict=True):
        assert wide**2 - narrow**2 == pytest.approx(spread.foreign**2)
        assert math.copysign(1, wide) == math.copysign(1, narrow)


def test_the_matrix_engine_of_a_cpu_raises_the_highest_end_alone() -> None:
    spread = parameters().runtimes["openvino-cpu"].spread
    hardware = hardware_of(catalog.device("emerald-rapids-core"), ["bf16"])
    assert hardware is not None
    assert hardware.rates["bf16"].matrix
    vectors = replace(hardware, rates={"bf16": replace(hardware.rates["bf16"], matrix=False)})
    for more in (None, 0.1):  # without and with timings of networks
        ends = [
            log_interval(scalar, spread, "Intel", replace(each, spread=more), "bf16", (0.0, 0.0), launches=10)
            for each in (vectors, hardware)
        ]
        assert ends[0][0] == ends[1][0]
        assert ends[1][1] ** 2 - ends[0][1] ** 2 == pytest.approx(TILES**2)


def test_mixed_precision_on_a_cpu_has_an_interval() -> None:
    found = forecast(load.workload("lenet5"), catalog.device("emerald-rapids-core"), "amp")
    assert found is not None
    assert found.interval_s[0] < found.time_s < found.interval_s[1]
