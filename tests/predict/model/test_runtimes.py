"""Runtimes of the time model and their parameters."""

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.predict.forecast import forecast
from hwbench.predict.model import runtimes
from hwbench.predict.model.parameters import PATH, ParameterFile, dumped, parameters
from hwbench.workload import load


@pytest.mark.parametrize("runtime", runtimes.RUNTIMES)
def test_every_runtime_has_parameters_and_a_story(runtime: str) -> None:
    known = parameters().runtimes[runtime]
    assert (known.gpu is None) == runtime.endswith("cpu")
    assert len(known.how) > 20
    device = catalog.device("rtx4090" if known.gpu else "i9-10940x")
    prediction = forecast(load.workload("alexnet"), device, runtime=runtime)
    assert prediction is not None
    assert prediction.time_s > 0


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("torch-2.4-eager", "gpu", "torch-eager-cuda"),
        ("torch-2.4-compile", "cpu", "torch-compile-cpu"),
        ("torch-2.4-dynamo", "cpu", "torch-compile-cpu"),
        ("mxnet-1.2", "gpu", "torch-eager-cuda"),
        ("openvino-2024.3", "cpu", "openvino-cpu"),
        ("onnxruntime_1.32", "cpu", "onnxruntime-cpu"),
        ("openvino-2024.3", "gpu", "torch-compile-cuda"),
        ("ncnn-2024", "cpu", "torch-compile-cpu"),
        (None, "cpu", "torch-eager-cpu"),
    ],
)
def test_the_runtime_that_a_measurement_means(text: str | None, kind: str, name: str) -> None:
    assert runtimes.runtime_of(text, kind) == name


def test_a_short_name_is_that_of_the_kind_of_device() -> None:
    assert runtimes.runtime_for("gpu", "torch-compile") == "torch-compile-cuda"
    assert runtimes.runtime_for("cpu", "torch-compile") == "torch-compile-cpu"
    assert runtimes.runtime_for("cpu", "torch-eager-cpu") == "torch-eager-cpu"
    with pytest.raises(InputError) as caught:
        runtimes.runtime_for("gpu", "torch-eager-cpu")
    assert caught.value.code == "runtime-for-other-device"
    with pytest.raises(InputError) as caught:
        runtimes.runtime_for("gpu", "torch-eage")
    assert caught.value.code == "unknown-runtime"


def test_the_parameter_file_is_what_would_be_written() -> None:
    with open(PATH, encoding="utf-8") as file:
        text = file.read()
    assert dumped(msgspec.json.decode(text, type=ParameterFile)) == text
