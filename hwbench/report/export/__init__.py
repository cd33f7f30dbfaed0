"""Answers as data for other programs: CSV and JSON of flat, typed columns."""

__all__ = ["cells", "compare", "sweep"]
