"""hwbench: how long will this network take on this machine, what holds it back, and how do you know?"""

from hwbench.version import VERSION as __version__  # noqa: N811

__all__ = ["__version__"]
