"""Measured times of networks, as tables."""
