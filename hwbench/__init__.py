"""hwbench: predict, measure and explain how fast a neural network runs on a CPU or GPU.

Names are imported when they are first used; type checkers read where they come from in `__init__.pyi`.
"""

from importlib import import_module

__version__ = "0.1.0"

__all__ = [
    "HwbenchError", "InputError", "__version__", "bench", "calibrate", "compare", "count", "device",
    "devices", "estimate", "estimate_all", "estimate_language", "explain", "lightning_callback", "meter",
    "model", "models", "peak", "record", "register_formula", "require", "run", "run_language", "self_check",
    "study_clock", "sweep", "trace", "trainer_callback", "validate", "write_report",
]  # fmt: skip

_HOMES = {"HwbenchError": "hwbench.errors", "InputError": "hwbench.errors", "write_report": "hwbench.explore"}


def __getattr__(name: str) -> object:
    """Return a public name, importing its module first: `import hwbench` imports nothing else."""
    if name not in __all__:
        raise AttributeError(f"module 'hwbench' has no attribute '{name}'")
    return getattr(import_module(_HOMES.get(name, "hwbench.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
