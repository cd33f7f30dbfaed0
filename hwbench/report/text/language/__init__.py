"""Answers about language models as lines of text."""

__all__ = ["estimate", "points", "run", "validation"]
