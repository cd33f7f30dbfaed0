"""Networks run by torch on a CPU or GPU."""

__all__ = ["device", "gpu", "inference", "layer_times"]
