"""Made-up measurements and the records of these that tests share."""

import msgspec

from hwbench.machine.host.describe import host
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.session import record


def measured(variant: str = "a", **more: object) -> Measurement:
    return Measurement("made-up", variant, "s", 1.0, (Sample(0.02, 1, 0.02),) * 3, **more)  # type: ignore[arg-type]


def a_run(*measurements: Measurement, **more: object) -> Record:
    found = record(lambda: measurements, host(), (), ("hwbench", "bench"))
    return msgspec.structs.replace(found, **more)
