"""Somebody's own loop and code: metered while it runs, by callbacks of trainers, and recorded as a run."""

__all__ = ["callbacks", "metering", "reading", "recording"]
