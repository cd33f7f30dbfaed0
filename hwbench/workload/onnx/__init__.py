"""ONNX graphs, counted without running them."""
