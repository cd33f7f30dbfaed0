"""What must be done: networks as ops with their operations, traffic and shapes, from files, graphs or traces.

`load.workload` takes the name of a network; `counting` counts it in every convention.
"""

__all__ = [
    "audit", "cached", "counting", "factory", "formulas", "growth", "hub", "layers", "load", "onnx", "ops", "request",
    "saved", "shapes", "tracing",
]  # fmt: skip
