"""Networks run by OpenVINO, optimized for latency."""

import io
from typing import Any

from hwbench.measure.engines import export
from hwbench.measure.engines.base import EngineLayer, Inputs, Prepared, failures, heaviest, package, refuse_dtype

DTYPES = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
"""OpenVINO's name of the precision in which a network in fp32 is computed."""
NAMES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8", "f64": "fp64",
         "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}  # fmt: skip


def prepare(
    module: Any, inputs: Inputs, *, dtype: str = "fp32", threads: int = 1, batch: int = 1, device: str = "cpu"
) -> Prepared:
    """Return the network compiled. See `base.NetworkEngine`."""
    package("openvino", "openvino")
    refuse_dtype("openvino", dtype, tuple(DTYPES))
    return OpenvinoNetwork(module, inputs, dtype, threads, batch, device)


class OpenvinoNetwork(Prepared):
    """A compiled network with one request, whose inputs share memory with torch's tensors."""

    def __init__(self, module: Any, inputs: Inputs, dtype: str, threads: int, batch: int, device: str) -> None:
        openvino = self.package = package("openvino", "openvino")
        self.version, self.threads = openvino.__version__.partition("-")[0], threads
        self.dtype, self.batch, self.place = dtype, batch, "CPU" if device == "cpu" else "GPU"
        graph = export.graph(module, inputs[0])
        with failures("openvino", batch, dtype):
            self.core = openvino.Core()
            self.network = self.core.read_model(io.BytesIO(graph))
            default = self.core.get_property(self.place, "INFERENCE_PRECISION_HINT")
            self.default_precision = NAMES.get(default.get_type_name(), "fp32")
            self.compiled = self._compile()
            self.request = self.compiled.create_infer_request()
            self.inputs = [[openvino.Tensor(tensor.numpy(), shared_memory=True) for tensor in each] for each in inputs]
        self.call()

    def _compile(self, **options: Any) -> Any:
        """Return the network compiled for the latency of one inference at a time."""
        settings = {"INFERENCE_PRECISION_HINT": DTYPES[self.dtype], "PERFORMANCE_HINT": "LATENCY", **options}
        if self.place == "CPU":  # threads are where the caller's affinity lets them be
            settings |= {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        return self.core.compile_model(self.network, self.place, settings)

    def _infer(self, request: Any, number: int) -> None:
        with failures("openvino", self.batch, self.dtype):
            for index, tensor in enumerate(self.inputs[number % len(self.inputs)][: len(self.network.inputs)]):
                request.set_input_tensor(index, tensor)
            request.infer()

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
        """Return the time of each layer that ran, of a second compilation that counts: the third inference."""
        with failures("openvino", self.batch, self.dtype):
            request = self._compile(PERF_COUNT=True).create_infer_request()
            for number in range(3):
                self._infer(request, number)
            return tuple(
                EngineLayer(
                    row.node_name, row.node_type, row.real_time.total_seconds(), _dtype(row.exec_type), row.exec_type
                )
                for row in request.get_profiling_info()
                if row.status == row.Status.EXECUTED
            )

    def close(self) -> None:
        """Drop the compiled network."""
        del self.request, self.compiled, self.network


def _dtype(kernel: str) -> str | None:
    """Return the dtype at the end of a kernel's name such as `brgconv_avx512_bf16`."""
    return NAMES.get(kernel.rpartition("_")[2])
