"""Networks in int8, quantized statically by the tools of the engines: scales of activations come from random inputs."""

import io
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from hwbench.measure.engines.base import package


def onnx_graph(graph: bytes, feeds: Sequence[dict[str, Any]]) -> bytes:
    """Return an ONNX graph in int8 by onnxruntime's tool: weights by channel, activations unsigned as x86 prefers."""
    tool = package("onnxruntime.quantization", "onnxruntime")
    shapes = package("onnxruntime.quantization.shape_inference", "onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        source, inferred, result = (os.path.join(folder, name) for name in ("fp32.onnx", "inferred.onnx", "int8.onnx"))
        with open(source, "wb") as file:
            file.write(graph)
        shapes.quant_pre_process(source, inferred, skip_symbolic_shape=True)
        kinds = {"activation_type": tool.QuantType.QUInt8, "weight_type": tool.QuantType.QInt8}
        tool.quantize_static(inferred, result, _Reader(feeds), per_channel=True, **kinds)
        with open(result, "rb") as output:
            return output.read()


class _Reader:
    """Inputs one after another, as onnxruntime's calibration takes them."""

    def __init__(self, feeds: Sequence[dict[str, Any]]) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.feeds, None)

    def __iter__(self) -> Any:
        return self.feeds

    def __next__(self) -> dict[str, Any]:
        return next(self.feeds)


def openvino_network(network: Any, feeds: Sequence[dict[str, Any]]) -> Any:
    """Return an OpenVINO network in int8 by NNCF."""
    tool = package("nncf", "openvino")
    tool.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # its bars of progress
        return tool.quantize(network, tool.Dataset(list(feeds)), subset_size=len(feeds))
