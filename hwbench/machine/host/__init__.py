"""The machine that runs this process, as its operating system describes it."""

__all__ = [
    "cgroup", "clock", "cpuinfo", "describe", "facts", "fallback", "files", "gpus", "isa", "linux", "macos", "match",
    "memory", "topology",
]  # fmt: skip
