"""The command line: commands over options, output and progress; the only package that knows click."""

__all__ = ["commands", "filters", "main", "options", "output", "progress", "sweeping", "values"]
