"""The roofline: one compute ceiling over one memory ceiling."""

from typing import Literal

from msgspec import Struct

from hwbench.workload.ops import Work

Bound = Literal["compute", "memory"]


class Roofline(Struct, frozen=True):
    """One compute ceiling (FLOP/s) over one memory ceiling (B/s). Williams et al., CACM 52(4), 2009."""

    peak: float
    bandwidth: float

    @property
    def ridge_point(self) -> float:
        """Intensity in FLOP/byte above which compute is the bound."""
        return self.peak / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Return the highest FLOP/s that an intensity in FLOP/byte allows."""
        return min(self.peak, intensity * self.bandwidth)

    def time(self, work: Work) -> float:
        """Return the lower bound in seconds, with perfect overlap of compute and memory."""
        return max(work.flops / self.peak, work.traffic / self.bandwidth)

    def bound(self, work: Work) -> Bound:
        """Return what bounds the time of `work`."""
        return "compute" if work.flops / self.peak > work.traffic / self.bandwidth else "memory"
