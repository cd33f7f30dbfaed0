"""Devices or runs side by side, and what makes the difference."""
