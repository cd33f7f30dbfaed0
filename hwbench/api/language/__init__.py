"""Questions about language models: what they take, how fast they are, whether they fit, and how right that was."""

__all__ = ["accuracy", "estimates", "points", "runs"]
