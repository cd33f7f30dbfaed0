"""Compare forecasts with measured times."""

__all__ = ["metrics", "replay", "summary"]
