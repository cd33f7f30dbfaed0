"""Engines: outputs equal to torch's, the precision that was really used, the times of layers. Needs torch."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from hwbench.errors import InputError
from hwbench.measure.engines import ENGINES, engine

torch = pytest.importorskip("torch")

OTHERS = [name for name in ENGINES if name != "torch-eager"]


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 32, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(32)
        self.depthwise = torch.nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.head = torch.nn.Linear(32, 5)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.norm(self.first(x)))
        return self.head((torch.relu(self.depthwise(x)) + x).mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def inputs() -> Any:
    random = torch.Generator().manual_seed(1)
    return [(torch.randn(2, 3, 24, 24, generator=random),) for _ in range(2)]


def difference(a: Any, b: Any) -> float:
    return float(np.linalg.norm(a.astype(float) - b.astype(float)) / np.linalg.norm(b.astype(float)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_outputs_are_torchs_and_precision_is_stated(name: str, network: Any, inputs: Any) -> None:
    if name == "torch-compile":
        pytest.skip("compiling takes long: see below")
    pytest.importorskip(name.partition("-")[0])
    with torch.inference_mode():
        expected = network(*inputs[0]).numpy()
    prepared = engine(name).prepare(network, inputs, dtype="fp32", threads=1, batch=2)
    (output,) = prepared.outputs()
    assert output.shape == (2, 5)
    assert 0 <= difference(output, expected) < 1e-5
    assert prepared.precision == "fp32"
    assert prepared.threads == 1
    assert prepared.version[0].isdigit()
    prepared.call(1)  # another set of inputs leaves what the first one gives
    assert difference(prepared.outputs()[0], expected) < 1e-5
    prepared.close()


@pytest.mark.slow
def test_compiled_outputs_are_torchs(network: Any, inputs: Any) -> None:
    with torch.inference_mode():
        expected = network(*inputs[0]).numpy()
    prepared = engine("torch-compile").prepare(network, inputs, dtype="fp32", threads=1, batch=2)
    assert difference(prepared.outputs()[0], expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_layers_have_times_and_dtypes(name: str, network: Any, inputs: Any) -> None:
    pytest.importorskip(name)
    layers = engine(name).prepare(network, inputs, threads=1, batch=2).profile()
    assert sum("Conv" in layer.kind for layer in layers) == 2
    assert all(0 <= layer.time_s < 10 for layer in layers)
    assert {layer.dtype for layer in layers if "Conv" in layer.kind} == {"fp32"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_fp16_is_stated_where_it_is_computed_in_fp32(name: str, network: Any, inputs: Any) -> None:
    pytest.importorskip(name)
    prepared = engine(name).prepare(network, inputs, dtype="fp16", threads=1, batch=2)
    layers = [layer for layer in prepared.profile() if "Conv" in layer.kind]
    assert layers
    assert {layer.dtype for layer in layers} == {prepared.precision}
    with torch.inference_mode():
        assert difference(prepared.outputs()[0], network(*inputs[0]).numpy()) < 1e-2


def test_openvino_computes_in_what_it_is_asked_for(network: Any, inputs: Any) -> None:
    pytest.importorskip("openvino")
    narrow = engine("openvino").prepare(network, inputs, dtype="bf16", threads=1, batch=2)
    wide = engine("openvino").prepare(network, inputs, dtype="fp32", threads=1, batch=2)
    assert wide.precision == "fp32"
    assert narrow.precision == narrow.default_precision, "bf16 where the CPU has it, as it does by itself"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_int8_is_computed_in_int8_near_the_fp32_output(name: str, network: Any, inputs: Any, capfd: Any) -> None:
    pytest.importorskip({"openvino": "nncf"}.get(name, name))
    prepared = engine(name).prepare(network, inputs, dtype="int8", threads=1, batch=2)
    assert prepared.precision == "int8"
    with torch.inference_mode():
        assert 1e-5 < difference(prepared.outputs()[0], network(*inputs[0]).numpy()) < 0.1
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_an_interrupt_after_networks_of_openvino_ends_nothing_but_the_run() -> None:
    """A dropped core left its thread with a stack for signals that was no longer mapped."""
    pytest.importorskip("openvino")
    code = "import signal, torch; from hwbench.measure.engines import engine; inputs = [(torch.zeros(1, 3, 8, 8),)]\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "networks = [engine('openvino').prepare(torch.nn.Conv2d(3, 4, 3), inputs) for _ in '12']\n"
    code += "while networks: networks.pop(0)\n"
    code += "try: signal.raise_signal(signal.SIGINT)\nexcept KeyboardInterrupt: print('interrupted')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n")


def test_openvino_reports_nothing_over_the_network() -> None:
    """Importing the package, and quantizing, would send events to its maker: the sender is not imported."""
    pytest.importorskip("openvino")
    code = "from hwbench.measure.engines import engine; import sys; engine('openvino')._openvino(); import openvino; "
    code += "print(sys.modules.get('openvino_telemetry'), openvino.tools.ovc.telemetry.__class__.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "None"
    assert "stub" in done.stdout


@pytest.mark.parametrize(("name", "dtype"), [("onnxruntime", "bf16"), ("openvino", "fp64"), ("torch-eager", "int4")])
def test_a_dtype_that_an_engine_lacks_is_refused(name: str, dtype: str, network: Any, inputs: Any) -> None:
    pytest.importorskip(name.partition("-")[0])
    with pytest.raises(InputError) as caught:
        engine(name).prepare(network, inputs, dtype=dtype)
    assert (caught.value.code, caught.value.field) == ("unsupported-dtype", "dtype")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_engine_whose_inputs_are_in_the_hosts_memory_is_not_timed_on_a_gpu(
    name: str, network: Any, inputs: Any
) -> None:
    pytest.importorskip(name)
    with pytest.raises(InputError) as caught:
        engine(name).prepare(network, inputs, device="cuda:0")
    assert (caught.value.code, caught.value.field) == ("engine-on-gpu", "runtimes")


def test_an_unknown_engine_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError) as caught:
        engine("openvin")
    assert (caught.value.code, caught.value.nearest[0]) == ("unknown-runtime", "openvino")


@pytest.mark.parametrize(("name", "package"), [("onnxruntime", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_package_is_one_line_with_its_extra(name: str, package: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(InputError) as caught:
        engine(name).prepare(None, [])
    assert caught.value.code == "engine-missing"
    assert f"hwbench[{package}]" in caught.value.message
