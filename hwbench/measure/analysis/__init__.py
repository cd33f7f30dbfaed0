"""What measurements mean: rates beside peaks, sustained ceilings, and where the peak goes."""
