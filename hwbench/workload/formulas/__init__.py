"""What a kernel costs by the shapes of its tensors: tables of the operators of torch and ONNX. Imports neither."""

__all__ = ["aten", "cost", "onnx", "onnx_cost", "tally"]
