"""Torch modules traced on tensors without data.

`sources` builds the module that a name means and counts it; `trace` runs any module below a dispatch mode.
"""

__all__ = [
    "batches", "build", "fusion", "layer_modules", "layer_network", "patches", "record", "sources", "stand_ins",
    "trace", "transformers", "twins",
]  # fmt: skip
