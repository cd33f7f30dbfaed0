"""A report as one HTML page that opens offline: sections of text, figures and tables."""

__all__ = ["figures", "measured", "page", "sections"]
