"""Inferences of a network, timed as a whole and by layer, by any engine."""

__all__ = ["layer_times", "model", "tasks"]
