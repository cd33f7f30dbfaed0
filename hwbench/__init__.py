"""hwbench: how long will this network take on this machine, what holds it back, and how do you know?"""

from typing import TYPE_CHECKING, Any

from hwbench.version import VERSION as __version__  # noqa: N811

if TYPE_CHECKING:
    from hwbench.api.estimates import bench, compare, count, device, devices, estimate, models, peak
    from hwbench.errors import HwbenchError, InputError

__all__ = [
    "HwbenchError", "InputError", "__version__", "bench", "compare", "count", "device", "devices", "estimate",
    "models", "peak",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: the command line starts without them."""
    if name in ("HwbenchError", "InputError"):
        from hwbench import errors

        return getattr(errors, name)
    if name in __all__:
        from hwbench.api import estimates as api

        return getattr(api, name)
    raise AttributeError(f"module 'hwbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
