"""What a device can do."""

from collections.abc import Mapping

from msgspec.structs import replace

from hwbench.api.checks import DeviceRef, check_clock
from hwbench.api.lookup import locate, stated
from hwbench.machine import description
from hwbench.machine.description import Description
from hwbench.machine.device import Device


def peak(
    device: str | Device = "host", clock: str | None = None, *, settings: Mapping[str, str] | None = None
) -> Description:
    """Return every theoretical peak of a device, of this machine by default, beside what its saved runs reached.

    That of this machine is its CPU; its GPUs are named.
    """
    located = locate(device, settings)
    peaks = description.known_peaks(located.device, check_clock(clock))
    answer = description.describe(located.device, peaks)
    about_peaks = tuple(own for own in located.notices if not own.code.startswith("calibrated"))  # these: forecasts
    doubtful = any(own.code == "ceilings-doubtful" for own in about_peaks)
    notices = (*(about_peaks or description.notices(located.device, peaks)), *description.unmeasured(located.device))
    if isinstance(device, str) and DeviceRef.parse(device).kind == "host":
        from hwbench.machine.host import files, gpus  # which catalogued devices do without

        notices += gpus.beside(files.Files())
    if located.device.sustained is None:
        return replace(answer, notices=notices)
    from hwbench.study.achieved import Achieved, achieved  # for measured devices alone

    rows: tuple[Achieved, ...] = ()
    if isinstance(device, str) and not settings:
        rows = achieved(stated(device), located.device, doubtful=doubtful)
    measured = {"source": located.device.sustained.source, "achieved": rows}
    return replace(answer, notices=notices, measured=measured)
