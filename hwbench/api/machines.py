"""Measured machines: this one with what its saved runs and its calibration say, and those of saved runs."""

from msgspec.structs import replace

from hwbench.api.references import DeviceRef, LocatedDevice
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.machine.host.describe import CLOCK_DOUBTS, Host, host
from hwbench.machine.parts import Sustained
from hwbench.measure import host_calibration, store
from hwbench.measure.analysis import sustained as ceilings
from hwbench.measure.environment import machine as environment


def host_device() -> LocatedDevice:
    """Return this machine with the ceilings of its saved runs and its calibration factors, where there are any."""
    machine = host()
    located = measured(machine)
    return LocatedDevice(calibrated(machine, located.device), located.notices)


def run_device(name: str) -> Device:
    """Return the machine of a saved run, with the ceilings that it measured. Raises InputError."""
    return ceilings.measured_device(store.load(name))


def stated(ref: DeviceRef) -> Device:
    """Return a measured device as its system describes it, without what was measured."""
    return host().device if ref.kind == "host" else ceilings.stated_device(store.load(ref.name))


def key(ref: DeviceRef) -> str | None:
    """Return the key of the machine that a device is: this one, or that of a run; None for a catalogued device."""
    if ref.kind == "host":
        return environment.machine_key(host())
    return str(store.load(ref.name).environment.get("machine")) if ref.kind == "run" else None


def newest_ceilings(machine: Host) -> ceilings.Ceilings | None:
    """Return what the saved runs of a machine measured; None where there are none or they cannot be read."""
    try:
        return ceilings.newest(environment.machine_key(machine)) if store.names() else None
    except InputError:
        return None


def calibrated(machine: Host, device: Device) -> Device:
    """Return the machine with the factors that `hwbench calibrate --device host` saved, if it did."""
    factors = host_calibration.load(machine)
    if not factors:
        return device
    sustained = device.sustained or Sustained(source="hwbench calibrate")
    return replace(device, sustained=replace(sustained, factors=factors))


def measured(machine: Host) -> LocatedDevice:
    """Return a machine with the ceilings of its saved runs, and those of its notices that still apply."""
    saved = newest_ceilings(machine)
    if saved is None:
        return LocatedDevice(machine.device, machine.notices)
    device = ceilings.with_ceilings(machine.device, saved)
    clocks = any(origin == "measured" and ".clock" in field for field, origin in device.provenance.items())
    notices = [notice for notice in machine.notices if not (clocks and notice.code in CLOCK_DOUBTS)]
    return LocatedDevice(device, (*notices, *ceilings.doubts(saved)))
