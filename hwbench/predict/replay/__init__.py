"""Predictions beside measured times, and how far apart they are."""
