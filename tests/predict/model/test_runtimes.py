"""Runtimes of the time model and their parameters."""

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.predict.forecast import forecast
from hwbench.predict.model import runtimes
from hwbench.predict.model.parameters import PATH, ParameterFile, PartFactors, dumped, parameters, parameters_name
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


def test_which_runtimes_a_kind_of_device_has() -> None:
    assert runtimes.runtimes_on("gpu") == ("torch-eager-cuda", "torch-compile-cuda")
    assert runtimes.runtimes_on("cpu") == ("torch-eager-cpu", "torch-compile-cpu", "onnxruntime-cpu", "openvino-cpu")
    assert runtimes.without_parameters("gpu") == ("onnxruntime", "openvino")
    assert runtimes.without_parameters("cpu") == ()
    assert runtimes.runtime_for("gpu", None) == "torch-eager-cuda"
    assert runtimes.runtime_for("cpu", "openvino") == "openvino-cpu"
    assert not runtimes.runs_on("torch-eager-cuda", "cpu")
    for runtime in ("openvino", "torch-compile-cuda"):
        runtimes.check_runtime(runtime)
    with pytest.raises(InputError) as caught:
        runtimes.check_runtime("openvino-gpu")
    assert (caught.value.field, caught.value.nearest) == ("runtime", ("openvino-cpu",))


@pytest.mark.parametrize(
    ("text", "runtime", "foreign"),
    [
        (None, "torch-eager-cpu", False), ("", "torch-eager-cpu", False), ("torch-2.4-eager", "torch-eager-cpu", False),
        ("inductor_x", "torch-compile-cpu", False), ("mxnet-1.2", "torch-eager-cuda", True),
        ("openvino-2026", "openvino-cpu", False), ("openvino", "torch-compile-cuda", True),
        ("torch", "openvino-cpu", True),
    ],
)  # fmt: skip
def test_words_of_other_software(text: str | None, runtime: str, foreign: bool) -> None:
    assert runtimes.is_foreign(text, runtime) == foreign


@pytest.mark.parametrize(
    ("text", "version"),
    [("torch-2.4-eager", (2, 4)), ("torch-2.13", (2, 13)), ("torch-eager", None), (None, None), ("onnx-1.2", None)],
)
def test_versions_of_torch(text: str | None, version: tuple[int, int] | None) -> None:
    assert runtimes.version_of(text) == version


def test_older_versions_of_torch_write_scores_in_halves() -> None:
    eager = parameters().runtimes["torch-eager-cuda"]
    assert eager.gpu is not None
    assert eager.of(None) is eager.of((2, 5)) is eager.of((3, 0)) is eager
    older = eager.of((2, 4)).gpu
    assert older is not None
    assert older.score_bytes == eager.gpu.score_bytes_half != eager.gpu.score_bytes
    assert parameters().runtimes["torch-eager-cpu"].of((1, 0)) == parameters().runtimes["torch-eager-cpu"]


def test_factors_are_a_devices_own_or_those_of_its_relatives() -> None:
    own, related, other = (PartFactors(value, 1.0, 1.0) for value in (0.5, 2.0, 3.0))
    known = msgspec.structs.replace(
        parameters().runtimes["torch-eager-cpu"], devices={"a": own}, architectures={"zen": related}, others=other
    )
    assert [known.factors(*pair) for pair in (("a", "zen"), ("b", "zen"), ("b", "x"))] == [own, related, other]


def test_the_parameter_file_is_what_would_be_written() -> None:
    with open(PATH, encoding="utf-8") as file:
        text = file.read()
    assert dumped(msgspec.json.decode(text, type=ParameterFile)) == text


def test_compiled_code_of_earlier_versions_has_parameters_of_its_own() -> None:
    for version, name in (
        (None, "torch-compile-cpu"),
        ((2, 4), "torch-2.4-compile-cpu"),
        ((2, 14), "torch-compile-cpu"),
    ):
        assert parameters_name("torch-compile-cpu", version) == name
        assert parameters().of("torch-compile-cpu", version) is parameters().runtimes[name]
    assert parameters_name("torch-eager-cpu", (2, 4)) == "torch-eager-cpu"
