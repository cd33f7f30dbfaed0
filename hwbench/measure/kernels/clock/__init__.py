"""The real clock of a core, idle and under load, counted by a chain of dependent integer operations."""

__all__ = ["kernel", "loops"]
