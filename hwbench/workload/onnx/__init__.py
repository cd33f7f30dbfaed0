"""ONNX graphs, counted without running them. Needs onnx."""

__all__ = ["control", "file", "graph", "isolated", "values", "walk"]
