"""Networks run by onnxruntime on the CPU."""

import json
import os
import tempfile
from typing import Any

from hwbench.measure.engines import export, quantization
from hwbench.measure.engines.base import (
    PASSES,
    EngineLayer,
    Inputs,
    Prepared,
    heaviest,
    package,
    refuse_dtype,
    refuse_gpu,
)

DTYPES = ("fp32", "fp16", "int8")
"""Of networks: its CPU provider has no convolutions in bf16 and fp64."""
NAMES = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "double": "fp64", "int8": "int8", "uint8": "int8"}
QUIET = 4
"""Log level: fatal errors only."""


def prepare(
    module: Any, inputs: Inputs, *, dtype: str = "fp32", threads: int = 1, batch: int = 1, device: str = "cpu"
) -> Prepared:
    """Return the network in a session. See `base.NetworkEngine`."""
    package("onnxruntime", "onnxruntime")
    refuse_dtype("onnxruntime", dtype, DTYPES)
    refuse_gpu("onnxruntime", device)
    return OnnxruntimeNetwork(module, inputs, dtype, threads, batch)


class OnnxruntimeNetwork(Prepared):
    """A session of onnxruntime with inputs as numpy arrays."""

    def __init__(self, module: Any, inputs: Inputs, dtype: str, threads: int, batch: int) -> None:
        super().__init__("onnxruntime", dtype, threads, batch)
        self.package = package("onnxruntime", "onnxruntime")
        self.version = self.package.__version__
        if dtype == "fp16" and isinstance(module, bytes):
            refuse_dtype("onnxruntime", dtype, ("fp32", "int8"), " from a file, whose dtypes it keeps")
        if dtype == "fp16":
            import copy

            module = copy.deepcopy(module).half()
            inputs = [
                tuple(tensor.half() if tensor.is_floating_point() else tensor for tensor in each) for each in inputs
            ]
        self.graph = export.graph(module, inputs[0])
        self.session = self._session()
        names = [entry.name for entry in self.session.get_inputs()]
        self.feeds = [dict(zip(names, (tensor.numpy() for tensor in each), strict=False)) for each in inputs]
        if dtype == "int8":
            try:
                self.graph = quantization.onnx_graph(self.graph, self.feeds)
            except Exception as error:  # its quantizer, on graphs that it does not know
                raise self.failed(error) from error
            self.session = self._session()
        self.call()

    def _session(self, profile: str | None = None) -> Any:
        """Return a session with every optimization; custom operators are never registered."""
        options = self.package.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = QUIET
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        try:
            return self.package.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own classes, by what the graph has
            raise self.failed(error) from error

    def _run(self, session: Any, number: int) -> Any:
        try:
            return session.run(None, self.feeds[number % len(self.feeds)])
        except Exception as error:  # its own classes, by what the kernels meet
            raise self.failed(error) from error

    def call(self, number: int = 0) -> None:
        """Run one inference."""
        self._run(self.session, number)

    def outputs(self) -> tuple[Any, ...]:
        """Return the outputs of one inference."""
        return tuple(self._run(self.session, 0))

    @property
    def precision(self) -> str:
        """The dtype of most of the time, by the types of the kernels' inputs: fp16 is cast to fp32 on most CPUs."""
        return heaviest(self.profile(), self.dtype)

    def profile(self) -> tuple[EngineLayer, ...]:
        """Return the time of each kernel, of a session of its own: the least of several inferences."""
        with tempfile.TemporaryDirectory() as folder:
            session = self._session(os.path.join(folder, "profile"))
            for number in range(PASSES + 1):
                self._run(session, number)
            with open(session.end_profiling(), encoding="utf-8") as file:
                events = json.load(file)
        times: dict[str, list[float]] = {}
        kinds: dict[str, tuple[str, str | None]] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                name, details = event["name"].removesuffix("_kernel_time"), event["args"]
                times.setdefault(name, []).append(event["dur"] * 1e-6)
                types = [next(iter(each)) for each in details.get("input_type_shape", ()) if each]
                kinds[name] = details.get("op_name", "?"), next((NAMES[each] for each in types if each in NAMES), None)
        return tuple(EngineLayer(name, kinds[name][0], min(each), kinds[name][1]) for name, each in times.items())

    def close(self) -> None:
        """Drop the session."""
        del self.session
