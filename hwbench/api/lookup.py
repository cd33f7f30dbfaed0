"""What names mean: devices, this machine, and saved runs."""

from typing import TYPE_CHECKING

from hwbench.errors import InputError, shown
from hwbench.machine.device import Device
from hwbench.notices import Notice

if TYPE_CHECKING:  # nothing of the measure room is loaded for a catalogued device
    from hwbench.machine.host.describe import Host
    from hwbench.measure.record import Record


def device(name: str, settings: tuple[str, ...]) -> tuple[Device, tuple[Notice, ...]]:
    """The device of `--device` with each `--set` applied, and warnings about it. Raises InputError.

    `host` has the ceilings of this machine's saved runs where there are any, `run:FILE` those of that run.
    """
    from hwbench.machine import catalog
    from hwbench.machine.device import override

    warnings: tuple[Notice, ...] = ()
    if name.lower() == "host":
        from hwbench.machine.host.describe import host

        found = host()
        chosen, warnings = at_measured(found.device, found.notices, saved(found))
        chosen = calibrated(found, chosen)
    elif name.lower().startswith("run:"):
        from hwbench.measure import store
        from hwbench.measure.analysis import sustained as ceilings

        chosen = ceilings.device(store.load(name[4:]))
    else:
        chosen = catalog.device(name)
    pairs: dict[str, str] = {}
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"'{shown(setting)}' is not FIELD=VALUE, as in clock=3GHz", field="--set")
        if field.strip() in pairs:
            raise InputError(f"'{shown(field)}' is set twice", field="--set")
        pairs[field.strip()] = value.strip()
    return override(chosen, pairs), warnings


def stated(name: str) -> Device:
    """A measured device (`host` or `run:FILE`) as its system describes it, without what was measured."""
    if name.lower() == "host":
        from hwbench.machine.host.describe import host

        return host().device
    from hwbench.measure import store
    from hwbench.measure.analysis import sustained as ceilings

    return ceilings.stated(store.load(name[4:]))


def saved(found: "Host") -> "Record | None":
    """What the saved runs of this machine say of it, None where there are none or their folder cannot be read."""
    from hwbench.measure import store

    try:
        if not store.names():
            return None
        from hwbench.measure.analysis import sustained as ceilings
        from hwbench.measure.environment import machine as environment

        return ceilings.newest(environment.machine_key(found))
    except InputError:
        return None


def calibrated(machine: "Host", device: Device) -> Device:
    """The machine at hand with the factors that `hwbench calibrate --device host` kept of it, if it did."""
    from msgspec.structs import replace

    from hwbench.machine.device import Sustained
    from hwbench.measure import host_calibration

    factors = host_calibration.load(machine)
    if not factors:
        return device
    sustained = device.sustained or Sustained(source="hwbench calibrate")
    return replace(device, sustained=replace(sustained, factors=factors))


def at_measured(stated: Device, notices: tuple[Notice, ...], run: "Record | None") -> tuple[Device, tuple[Notice, ...]]:
    """The machine at hand with the ceilings of a run, and what of the warnings about it then still holds."""
    if run is None:
        return stated, notices
    from hwbench.machine.host.describe import CLOCK_DOUBTS
    from hwbench.measure.analysis import sustained as ceilings

    chosen = ceilings.measured(stated, run)
    clocked = any(origin == "measured" and ".clock" in field for field, origin in chosen.provenance.items())
    still = [notice for notice in notices if not (clocked and notice.code in CLOCK_DOUBTS)]
    return chosen, (*still, *ceilings.doubts(run))
