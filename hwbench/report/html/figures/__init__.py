"""Figures of the page, as plain data for plotly."""

__all__ = ["ceilings", "common", "roofline", "run", "study"]
