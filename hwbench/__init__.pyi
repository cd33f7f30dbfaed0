from hwbench.api import (  # noqa: I001
    bench, calibrate, compare, count, device, devices, estimate, estimate_all, estimate_language, explain,
    lightning_callback, meter, model, models, peak, record, register_formula, require, run, run_language, self_check,
    study_clock, sweep, trace, trainer_callback, validate,
)  # fmt: skip
from hwbench.errors import HwbenchError, InputError
from hwbench.explore import write_report

__all__ = [
    "HwbenchError", "InputError", "__version__", "bench", "calibrate", "compare", "count", "device",
    "devices", "estimate", "estimate_all", "estimate_language", "explain", "lightning_callback", "meter",
    "model", "models", "peak", "record", "register_formula", "require", "run", "run_language", "self_check",
    "study_clock", "sweep", "trace", "trainer_callback", "validate", "write_report",
]  # fmt: skip

__version__: str
