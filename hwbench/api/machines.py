"""Measured machines: this one with what its saved runs and its calibrations say, and those of saved runs."""

from msgspec.structs import replace

from hwbench.api.checks import DeviceRef, LocatedDevice
from hwbench.errors import InputError
from hwbench.files import folders
from hwbench.machine import calibrations
from hwbench.machine.device import Device
from hwbench.machine.host.describe import CLOCK_DOUBTS, Host, host
from hwbench.measure import store
from hwbench.measure.analysis import evidence
from hwbench.measure.analysis import sustained as ceilings
from hwbench.measure.analysis.evidence import Evidence
from hwbench.measure.environment import machine as environment
from hwbench.measure.record import Record
from hwbench.notices import notice


def host_device() -> LocatedDevice:
    """Return this machine with the ceilings of its saved runs and its calibrations, where there are any."""
    machine = host()
    located = calibrated(measured(machine), host_key(machine))
    if file := folders.files("devices").get("host"):
        return replace(located, notices=(*located.notices, notice("host-file", file=file)))
    return located


def run_device(name: str) -> LocatedDevice:
    """Return the machine of a saved run, with the ceilings that it measured and the best of others."""
    run = store.load(name)
    stated = ceilings.stated_device(run)
    if ceilings.is_gpu(run):
        return LocatedDevice(ceilings.with_ceilings(stated, ceilings.ceilings(run)))
    _, known = completed(run, name)
    return calibrated(_with_evidence(LocatedDevice(stated), known), f"host-{evidence.machine_of(run)}")


def completed(run: Record, name: str) -> tuple[Record, tuple[Evidence, ...]]:
    """Return a saved run with the best evidence of its machine's ceilings, and that evidence.

    Where the run is named, what it measured comes first; `latest` names no run but the machine.
    """
    machine = evidence.machine_of(run)
    others = evidence.saved(machine) if machine else ()
    return evidence.completed(run, others, prefer=name.lower() != store.LATEST)


def stated(ref: DeviceRef) -> Device:
    """Return a measured device as its system describes it, without what was measured."""
    return host().device if ref.kind == "host" else ceilings.stated_device(store.load(ref.name))


def key(ref: DeviceRef) -> str | None:
    """Return the key of the machine that a device is: this one, or that of a run; None for a catalogued device."""
    if ref.kind == "host":
        return environment.machine_key(host())
    return str(evidence.machine_of(store.load(ref.name))) if ref.kind == "run" else None


def host_key(machine: Host | None = None) -> str:
    """Return the key under which the calibrations of this machine are kept."""
    return f"host-{environment.machine_key(machine or host())}"


def calibrated(located: LocatedDevice, key: str) -> LocatedDevice:
    """Return a device with its saved calibrations, and notices of those since which its ceilings have changed."""
    device, known = located.device, calibrations.load(key)
    if not known:
        return located
    now = device.sustained.source if device.sustained else None
    own = (
        notice("calibrated-with-other-ceilings", runtime=each.runtime, was=each.ceilings, now=now)
        for each in known
        if each.ceilings != now
    )
    return LocatedDevice(replace(device, calibrations=known), (*located.notices, *own))


def measured(machine: Host) -> LocatedDevice:
    """Return a machine with the best ceilings of its saved runs, and those of its notices that still apply."""
    located = LocatedDevice(machine.device, machine.notices)
    try:
        return _with_evidence(located, evidence.best(evidence.saved(environment.machine_key(machine))))
    except InputError:  # the folder of runs cannot be read
        return located


def _with_evidence(located: LocatedDevice, known: tuple[Evidence, ...]) -> LocatedDevice:
    """Return a device with its measured ceilings, and a notice of those that are doubtful."""
    if not known:
        return located
    device = ceilings.with_ceilings(located.device, ceilings.of_evidence(known))
    clocks = any(origin == "measured" and ".clock" in field for field, origin in device.provenance.items())
    notices = [notice for notice in located.notices if not (clocks and notice.code in CLOCK_DOUBTS)]
    return LocatedDevice(device, (*notices, *evidence.doubts(known)))
