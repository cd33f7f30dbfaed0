"""Networks run by OpenVINO on the CPU, optimized for latency."""

import functools
import io
import sys
from typing import Any

from hwbench.measure.engines import export, quantization
from hwbench.measure.engines.base import (
    PASSES,
    EngineLayer,
    Inputs,
    Prepared,
    heaviest,
    least,
    package,
    refuse_dtype,
    refuse_gpu,
)

DTYPES = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}
"""OpenVINO's name of the precision in which a network in fp32 is computed, or what is not quantized of one in int8."""
NAMES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8", "f64": "fp64",
         "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}  # fmt: skip


def prepare(
    module: Any, inputs: Inputs, *, dtype: str = "fp32", threads: int = 1, batch: int = 1, device: str = "cpu"
) -> Prepared:
    """Return the network compiled. See `base.NetworkEngine`."""
    _openvino()
    refuse_dtype("openvino", dtype, tuple(DTYPES))
    refuse_gpu("openvino", device)
    return OpenvinoNetwork(module, inputs, dtype, threads, batch)


def _openvino() -> Any:
    """Return the package, imported without the one by which it and NNCF report over the network that they are used."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return package("openvino", "openvino")


@functools.cache
def _core() -> Any:
    """Return the one core of this process, which is never dropped.

    Each core gives its thread a stack for signals (its CPU plugin needs room for AMX registers) and, when dropped,
    takes that away and gives back the stack it had found. That one is gone by then if cores end in the order in which
    they began, and the next signal, Ctrl-C among them, ends the process with a segmentation fault.
    """
    return _openvino().Core()


class OpenvinoNetwork(Prepared):
    """A compiled network with one request, whose inputs share memory with torch's tensors."""

    def __init__(self, module: Any, inputs: Inputs, dtype: str, threads: int, batch: int) -> None:
        super().__init__("openvino", dtype, threads, batch)
        openvino = _openvino()
        self.version = openvino.__version__.partition("-")[0]
        graph = export.graph(module, inputs[0])
        self.inputs = [[openvino.Tensor(tensor.numpy(), shared_memory=True) for tensor in each] for each in inputs]
        try:
            self.core = _core()
            self.network = self.core.read_model(io.BytesIO(graph))
            default = self.core.get_property("CPU", "INFERENCE_PRECISION_HINT")
            if dtype == "int8":
                names = [entry.any_name for entry in self.network.inputs]
                feeds = [{name: tensor.data for name, tensor in zip(names, each, strict=False)} for each in self.inputs]
                self.network = quantization.openvino_network(self.network, feeds)
        except Exception as error:  # RuntimeError, and what its front end and NNCF raise
            raise self.failed(error) from error
        self.default_precision = NAMES.get(default.get_type_name(), "fp32")
        self.request = self._request()
        self.call()

    def _request(self, **options: Any) -> Any:
        """Return a request of the network compiled for the latency of one inference at a time."""
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": DTYPES[self.dtype], "PERFORMANCE_HINT": "LATENCY"}
        settings |= {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1, **options}
        settings["ENABLE_CPU_PINNING"] = False  # threads are where the caller's affinity lets them be
        try:
            return self.core.compile_model(self.network, "CPU", settings).create_infer_request()
        except Exception as error:  # RuntimeError, and what its plugins raise
            raise self.failed(error) from error

    def _infer(self, request: Any, number: int) -> None:
        try:
            for index, tensor in enumerate(self.inputs[number % len(self.inputs)][: len(self.network.inputs)]):
                request.set_input_tensor(index, tensor)
            request.infer()
        except Exception as error:  # RuntimeError, and what its plugins raise
            raise self.failed(error) from error

    def call(self, number: int = 0) -> None:
        """Run one inference."""
        self._infer(self.request, number)

    def outputs(self) -> tuple[Any, ...]:
        """Return the outputs of one inference."""
        self.call()
        return tuple(tensor.data.copy() for tensor in self.request.output_tensors)

    @property
    def precision(self) -> str:
        """The dtype of most of the time, by the kernels that ran."""
        return heaviest(self.profile(), self.dtype)

    def profile(self) -> tuple[EngineLayer, ...]:
        """Return the time of each layer that ran, of a second compilation: the least of several inferences."""
        request, passes = self._request(PERF_COUNT=True), []
        for number in range(-1, PASSES):
            self._infer(request, number)
            passes.append(tuple(map(_layer, request.get_profiling_info())))
        return tuple(layer for layer in least(passes[1:]) if layer.time_s)

    def close(self) -> None:
        """Drop the compiled network."""
        del self.request, self.network


def _layer(row: Any) -> EngineLayer:
    """Return a row of the counters; its dtype is the end of a kernel's name such as `brgconv_avx512_bf16`."""
    dtype = NAMES.get(row.exec_type.rpartition("_")[2].lower())
    return EngineLayer(row.node_name, row.node_type, row.real_time.total_seconds(), dtype, row.exec_type)
