"""Networks written as lists of layers: the kinds of layers, network files, and the ops that they become."""

__all__ = ["elementwise", "network", "products"]
