"""Answers for people and programs: text, CSV and JSON, and a page of HTML; `renderers` finds the text of an answer."""

__all__ = ["export", "html", "renderers", "text"]
