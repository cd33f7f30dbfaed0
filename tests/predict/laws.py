"""Laws of estimates, and how many estimates break them: `python -m tests.predict.laws [--batches 4] [--seed 1]`.

Every model of the catalog on every device at every dtype, in every runtime, strict and by default, at random batches.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hwbench.dtypes import BITS, MIXED
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Cache, Clock, Units
from hwbench.predict.model.grid import Grid, grid
from hwbench.predict.model.hardware import boost, memory_watts
from hwbench.predict.model.parameters import ParameterFile, Runtime, parameters
from hwbench.predict.model.runtimes import RUNTIMES, Math, runs_on
from hwbench.units import Bytes, BytesPerSecond, Hertz, Watts
from hwbench.workload import load
from hwbench.workload.ops import Workload

CLOSE = 1 + 1e-9
MAX_BATCH = 4096
MATHS: tuple[Math, ...] = ("default", "strict")


class Count(Struct, frozen=True):
    """Cases of a law, those that break it, and the lowest ratio of what must be more to what must be less."""

    cases: int = 0
    broken: int = 0
    worst: float = float("inf")

    def __add__(self, other: "Count") -> "Count":
        return Count(self.cases + other.cases, self.broken + other.broken, min(self.worst, other.worst))


class Case(Struct, frozen=True):
    """What one grid is of."""

    workload: Workload
    devices: tuple[Device, ...]
    dtype: str
    batches: tuple[int, ...]
    runtime: str
    math: Math

    def grid(self, devices: Sequence[Device] | None = None, known: ParameterFile | None = None, times: int = 1) -> Grid:
        """Return the estimates, of other devices, with other parameters or at multiples of the batches."""
        batches = [batch * times for batch in self.batches]
        return grid(self.workload, devices or self.devices, self.dtype, batches, self.runtime, self.math, known)


def held(less: np.ndarray, more: np.ndarray) -> Count:
    """Return how often `less` is at most `more`, where both are known."""
    known = ~(np.isnan(less) | np.isnan(more))
    ratio = more[known] / np.maximum(less[known], 1e-300)
    return Count(int(known.sum()), int((ratio * CLOSE < 1).sum()), float(ratio.min(initial=np.inf)))


def cases(random: np.random.Generator, batches: int, devices: int | None = None, share: float = 1.0) -> Iterator[Case]:
    """Yield grids of all models, dtypes, runtimes and kinds of fp32, or a share of them, at random batches."""
    every = tuple(catalog.devices().values())
    for workload in load.workloads().values():
        for dtype in (*BITS, MIXED):
            for runtime in RUNTIMES:
                able = [device for device in every if runs_on(runtime, device.kind)]
                for math in MATHS if runtime.endswith("cuda") and dtype in ("fp32", MIXED) else MATHS[:1]:
                    if random.random() > share:
                        continue
                    chosen = random.permutation(len(able))[:devices]
                    sizes = sorted({int(size) for size in MAX_BATCH ** random.uniform(0, 1, batches)})
                    some = tuple(able[index] for index in sorted(chosen))
                    yield Case(workload, some, dtype, tuple(sizes), runtime, math)


def order(case: Case) -> dict[str, Count]:
    """Count breaches of ideal ≤ roofline ≤ expected, the latter but for the clock above the data sheet."""
    found = case.grid()
    above = np.array([[boost(device)] for device in case.devices])
    return {
        "ideal ≤ roofline": held(found.ideal, found.roofline),
        "roofline ≤ expected × boost": held(found.roofline, found.time * above),
        "roofline ≤ expected, no boost": held(found.roofline, np.where(above > 1, np.nan, found.time)),
        "utilization ≤ boost": held(found.ideal, found.time * above),
        "shares from 0 to 1": held(np.maximum(found.compute, 0) + np.maximum(found.memory, 0), 0 * found.time + 1),
    }


def faster(device: Device, clock: float, bandwidth: float, cache: float, units: int) -> Device:
    """Return the device with more of everything, and power for as many units and as fast a memory."""

    def quicker(values: Clock) -> Clock:
        return Clock(
            base=Hertz(values.base * clock) if values.base else None,
            boost=Hertz(values.boost * clock) if values.boost else None,
            all_core={isa: Hertz(value * clock) for isa, value in values.all_core.items()},
            fixed=Hertz(values.fixed * clock) if values.fixed else None,
        )

    def more(part: Units) -> Units:
        return replace(part, clock=quicker(part.clock), count=part.count * units)

    speed = device.memory.bandwidth
    return replace(
        device,
        units=tuple(map(more, device.units)),
        power=Watts(device.power * units + max(bandwidth - units, 0) * memory_watts(device)) if device.power else None,
        caches=tuple(replace(each, size=Bytes(each.size * cache)) for each in device.caches),
        memory=replace(device.memory, bandwidth=BytesPerSecond(speed * bandwidth) if speed else None),
    )


def without_launches() -> ParameterFile:
    """Return parameters of runtimes whose launches, teams, hosts and new pages take no time."""

    def free(runtime: Runtime) -> Runtime:
        gpu = replace(runtime.gpu, launch=0.0, host=0.0) if runtime.gpu else None
        names = ("launch_convolution", "launch_product", "launch_light", "team_heavy", "team_light", "fresh")
        cpu = replace(runtime.cpu, **dict.fromkeys(names, 0.0)) if runtime.cpu else None
        return replace(runtime, gpu=gpu, cpu=cpu)

    known = parameters()
    return replace(known, runtimes={name: free(runtime) for name, runtime in known.runtimes.items()})


def monotone(case: Case, random: np.random.Generator) -> dict[str, Count]:
    """Count breaches of: a device with more of everything is not slower, and more clock and memory alone are not."""
    counts = {}
    for what, units in (("clock, bandwidth, cache", 1), ("units as well", 2)):
        better = [faster(d, *(1 + random.exponential(1, 3)), units) for d in case.devices]
        known = without_launches() if units > 1 else None
        before, after = case.grid(known=known), case.grid(better, known)
        for name in ("ideal", "roofline", "time"):
            counts[f"{name}, more {what}"] = held(getattr(after, name), getattr(before, name))
    return counts


def scaling(case: Case, times: int) -> dict[str, Count]:
    """Count breaches of: a batch several times as large takes no more than that many times as long.

    Launches take no time here and caches hold nothing: a small batch may live in a cache, and a large one may not.
    """
    known, bare = without_launches(), [replace(d, caches=(Cache("L2", Bytes(1e-9)),)) for d in case.devices]
    before, after = case.grid(bare, known=known), case.grid(bare, known=known, times=times)
    return {
        f"{name} of a larger batch": held(getattr(after, name), times * getattr(before, name))
        for name in ("ideal", "roofline", "time")
    }


def laws(case: Case, random: np.random.Generator) -> dict[str, Count]:
    """Count breaches of every law."""
    return {**order(case), **monotone(case, random), **scaling(case, int(random.integers(2, 9)))}


def main() -> None:
    """Print how many estimates break each law."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--devices", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    total: dict[str, Count] = {}
    for case in cases(random, options.batches, options.devices):
        for law, count in laws(case, random).items():
            total[law] = total.get(law, Count()) + count
    print(f"{'law':40}{'cases':>10}{'broken':>10}{'worst':>10}")
    for law, count in total.items():
        print(f"{law:40}{count.cases:>10,}{count.broken:>10,}{count.worst:>10.4g}")


if __name__ == "__main__":
    main()
