"""Cost of an operator from its shapes, for torch (aten) and ONNX."""
