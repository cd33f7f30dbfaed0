"""One file a command: options, one call of the API, rendering. The table of commands is `hwbench.cli.main.COMMANDS`."""

__all__ = [
    "bench", "calibrate", "compare", "completion", "count", "devices", "estimate", "explain", "fleet", "models", "peak",
    "report", "require", "results", "run", "self_check", "study", "sweep", "validate",
]  # fmt: skip
