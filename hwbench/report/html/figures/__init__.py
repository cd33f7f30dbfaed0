"""Figures of the page, as data for plotly."""
