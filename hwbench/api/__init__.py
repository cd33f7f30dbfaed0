"""What a user does: the questions of the command line as functions, for Python and for the commands alike.

Names are imported when they are first used, so that a question costs only what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import hwbench.report  # noqa: F401  (registers the texts of answers)

if TYPE_CHECKING:
    from hwbench.api.accuracy import calibrate, validate
    from hwbench.api.catalogs import (
        device_details,
        device_template,
        devices,
        export,
        lint_devices,
        lint_models,
        model_template,
        models,
    )  # fmt: skip
    from hwbench.api.comparisons import compare, require
    from hwbench.api.counts import count, register_formula
    from hwbench.api.estimates import estimate, estimate_all
    from hwbench.api.explanations import explain
    from hwbench.api.inference import run
    from hwbench.api.language.estimates import count_language, estimate_language
    from hwbench.api.language.points import compare_language, require_language, sweep_language
    from hwbench.api.language.runs import run_language
    from hwbench.api.lookup import device, is_language_question, model, trace
    from hwbench.api.loops.callbacks import lightning_callback, trainer_callback
    from hwbench.api.loops.metering import meter
    from hwbench.api.loops.recording import record
    from hwbench.api.measurements import bench, bench_cluster, self_check
    from hwbench.api.peaks import peak
    from hwbench.api.records import remove_runs, rename_run, saved_run, saved_run_path, saved_runs
    from hwbench.api.studies import study_clock
    from hwbench.api.sweeps import sweep

__all__ = [
    "bench", "bench_cluster", "calibrate", "compare", "compare_language", "count", "count_language",
    "device", "device_details", "device_template", "devices", "estimate", "estimate_all",
    "estimate_language", "explain", "export", "is_language_question", "lightning_callback", "lint_devices",
    "lint_models", "meter", "model", "model_template", "models", "peak", "record", "register_formula", "remove_runs",
    "rename_run", "require", "require_language", "run", "run_language", "saved_run", "saved_run_path", "saved_runs",
    "self_check", "study_clock", "sweep", "sweep_language", "trace", "trainer_callback", "validate",
]  # fmt: skip

_MODULES = {
    "accuracy": "calibrate validate",
    "loops.callbacks": "lightning_callback trainer_callback",
    "catalogs": "device_details device_template devices export lint_devices lint_models model_template models",
    "comparisons": "compare require",
    "counts": "count register_formula",
    "estimates": "estimate estimate_all",
    "explanations": "explain",
    "inference": "run",
    "language.estimates": "count_language estimate_language",
    "language.points": "compare_language require_language sweep_language",
    "language.runs": "run_language",
    "loops.metering": "meter",
    "lookup": "device is_language_question model trace",
    "measurements": "bench bench_cluster self_check",
    "peaks": "peak",
    "loops.recording": "record",
    "records": "remove_runs rename_run saved_run saved_run_path saved_runs",
    "studies": "study_clock",
    "sweeps": "sweep",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Return a function of the API, importing its module first."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hwbench.api' has no attribute '{name}'")
    return getattr(import_module(f"hwbench.api.{_HOMES[name]}"), name)
