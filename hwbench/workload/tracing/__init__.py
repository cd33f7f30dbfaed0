"""Torch modules traced on tensors without data."""
