"""What would help: each gain is what the forecast of the changed run says."""

import pytest
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.predict.forecast import forecast
from hwbench.predict.improvements import MIN_GAIN, _channels_last, _narrower, improvements
from hwbench.predict.model.launch import CONVOLUTIONS, family_of
from hwbench.workload import load

RTX3090 = catalog.device("rtx3090")


def gains(model: str, device: str, dtype: str = "fp32", batch: int = 1, **how: str) -> dict[str, tuple[str, float]]:
    every = improvements(load.workload(model), catalog.device(device), dtype, batch, **how)
    assert [each.gain for each in every] == sorted((each.gain for each in every), reverse=True)
    assert all(each.gain >= MIN_GAIN for each in every)
    return {each.change: (each.value, each.gain) for each in every}


def rate(batch: int = 1, dtype: str = "fp32", runtime: str | None = None) -> float:
    made = forecast(load.workload("resnet50"), RTX3090, dtype, batch, runtime)
    assert made is not None
    assert made.throughput_per_s is not None
    return made.throughput_per_s


def test_gains_are_ratios_of_forecasts() -> None:
    helping = gains("resnet50", "rtx3090")
    assert helping["batch"] == ("8", pytest.approx(rate(8) / rate()))
    compiled = "torch-compile-cuda"
    assert helping["runtime"] == (compiled, pytest.approx(rate(runtime=compiled) / rate()))
    assert helping["graphs"][1] > 2  # the run waits for launches
    assert "bandwidth" not in helping
    assert "compute" not in helping


def test_a_run_that_computes_is_helped_by_fewer_bits_and_more_flops() -> None:
    helping = gains("vgg19", "a100-sxm4-80gb", batch=64)
    device, vgg = catalog.device("a100-sxm4-80gb"), load.workload("vgg19")
    single, half = (forecast(vgg, device, dtype, 64) for dtype in ("fp32", "fp16"))
    assert single is not None
    assert half is not None
    assert helping["dtype"] == ("fp16", pytest.approx(single.time_s / half.time_s))
    assert 1.2 < helping["compute"][1] < 2
    assert "graphs" not in helping
    assert "layout" in gains("vgg19", "a100-sxm4-80gb", "fp16", 64)


def test_a_step_of_training_may_take_more_samples_but_runs_in_torch_alone() -> None:
    step = replace(load.workload("resnet50"), samples=8, batch=8, fixed="training")
    found = {(each.change, each.value.partition("-")[0]) for each in improvements(step, RTX3090, "fp32", 8)}
    assert ("batch", "64") in found
    on_cpu = improvements(replace(step, samples=1, batch=1), catalog.device("i9-10940x"), "fp32", 1)
    assert {each.value.partition("-")[0] for each in on_cpu if each.change == "runtime"} <= {"torch"}


def test_a_memory_twice_as_fast_and_formats_that_a_device_multiplies_faster() -> None:
    for device in ("rtx3090", "i9-10940x"):
        assert 1.1 < gains("vgg19", device)["bandwidth"][1] < 2
    devices = ("rtx3090", "gtx1080", "epyc-9654", "i9-10940x", "apple-m1-gpu")  # the last multiplies all alike
    assert [_narrower(catalog.device(name), "fp32") for name in devices] == ["fp16", None, "bf16", None, None]
    assert [_narrower(RTX3090, dtype) for dtype in ("fp64", "fp16", "int8", "amp")] == ["fp16", None, None, None]
    net = load.workload("alexnet")
    assert [op.channels_last for op in _channels_last(net).ops] == [family_of(op) in CONVOLUTIONS for op in net.ops]
    assert "batch" not in {each.change for each in improvements(replace(net, fixed="interplay"), RTX3090, "fp32", 1)}


def test_what_cannot_be_is_not_proposed() -> None:
    assert "batch" not in gains("vgg19", "gtx1050ti", batch=64)  # it does not fit
    assert "dtype" not in gains("resnet50", "i9-10940x")
    assert "runtime" not in gains("resnet50", "rtx3090", runtime="torch-compile-cuda")
    assert gains("resnet50", "rtx3090", "int8") == {}
    assert "layout" not in gains("timm:convmixer_768_32", "rtx3090", batch=64)  # of fp32 it is not known


def test_an_inference_may_run_in_any_engine() -> None:
    every = improvements(load.workload("densenet121"), catalog.device("i9-10940x"), "fp32", 1)
    engines = {each.value for each in every if each.change == "runtime"}
    assert engines == {"onnxruntime-cpu", "openvino-cpu", "torch-compile-cpu"}
