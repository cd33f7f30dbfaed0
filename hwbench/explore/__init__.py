"""The answers on a local page: a small web server over `hwbench.api`, and the page that it serves."""

from hwbench.explore.start import explore

__all__ = ["explore"]
