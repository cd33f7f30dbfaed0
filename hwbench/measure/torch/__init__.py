"""The devices of torch."""

__all__ = ["device", "gpu"]
