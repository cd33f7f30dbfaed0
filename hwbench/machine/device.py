"""A device: the specification of a machine, and what a user asks it for."""

from hwbench.machine.parts import ClockKind, Specification
from hwbench.machine.peak import Peak, peak


class Device(Specification, frozen=True, forbid_unknown_fields=True):
    """A machine as its data sheet, its operating system or a measurement describes it. SI units throughout."""

    def with_(self, **settings: str) -> "Device":
        """Return the device with values replaced, each marked `assumed`: `with_(clock="3 GHz")`. Raises InputError."""
        from hwbench.machine.settings import override  # which most uses do without

        return override(self, settings)

    def peak(self, dtype: str, clock: ClockKind | None = None) -> Peak:
        """Return the highest dense peak of a dtype at one kind of clock, by default as `choose_clock` does.

        Raises InputError where the rate or the clock is unknown.
        """
        return peak(self, dtype, clock)
