"""What a user does: the questions of the command line as functions, for Python and for the commands alike.

Names are imported when they are first used, so that a question costs only what it needs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwbench.api.accuracy import calibrate as calibrate
    from hwbench.api.accuracy import validate as validate
    from hwbench.api.catalogs import device_details as device_details
    from hwbench.api.catalogs import device_template as device_template
    from hwbench.api.catalogs import devices as devices
    from hwbench.api.catalogs import export as export
    from hwbench.api.catalogs import lint_devices as lint_devices
    from hwbench.api.catalogs import lint_models as lint_models
    from hwbench.api.catalogs import models as models
    from hwbench.api.comparisons import compare as compare
    from hwbench.api.comparisons import require as require
    from hwbench.api.estimates import count as count
    from hwbench.api.estimates import estimate as estimate
    from hwbench.api.estimates import estimate_all as estimate_all
    from hwbench.api.estimates import peak as peak
    from hwbench.api.inference import explain as explain
    from hwbench.api.inference import run as run
    from hwbench.api.lookup import device as device
    from hwbench.api.lookup import model as model
    from hwbench.api.lookup import trace as trace
    from hwbench.api.measurements import bench as bench
    from hwbench.api.measurements import bench_cluster as bench_cluster
    from hwbench.api.measurements import self_check as self_check
    from hwbench.api.records import saved_run as saved_run
    from hwbench.api.records import saved_run_path as saved_run_path
    from hwbench.api.records import saved_runs as saved_runs
    from hwbench.api.reports import write_report as write_report
    from hwbench.api.studies import study_clock as study_clock
    from hwbench.api.sweeps import sweep as sweep

_MODULES = {
    "accuracy": ("calibrate", "validate"),
    "catalogs": ("device_details", "device_template", "devices", "export", "lint_devices", "lint_models", "models"),
    "comparisons": ("compare", "require"),
    "estimates": ("count", "estimate", "estimate_all", "peak"),
    "inference": ("explain", "run"),
    "lookup": ("device", "model", "trace"),
    "measurements": ("bench", "bench_cluster", "self_check"),
    "records": ("saved_run", "saved_run_path", "saved_runs"),
    "reports": ("write_report",),
    "studies": ("study_clock",),
    "sweeps": ("sweep",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Return a function of the API, importing its module first."""
    if name not in _HOME:
        raise AttributeError(f"module 'hwbench.api' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"hwbench.api.{_HOME[name]}"), name)
