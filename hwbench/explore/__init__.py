"""The answers on a local page, live or in a file: a small web server over `hwbench.api`, and its page."""

from hwbench.explore.report import write_report
from hwbench.explore.start import explore

__all__ = ["explore", "write_report"]
