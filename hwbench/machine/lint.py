"""What is wrong with catalog files beyond their form: sources, arithmetic, names. Run by CI over everything."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from operator import attrgetter

from hwbench.errors import InputError, nearest
from hwbench.files import folders, places
from hwbench.files.content import read_text
from hwbench.machine import catalog
from hwbench.machine.device import Device, Peak, peaks
from hwbench.machine.parts import Architecture, PublishedPeak, Rate, Source
from hwbench.units import Quantity

TOLERANCE = 0.01
"""How far a published figure may be from the computed one: published figures are rounded."""

DOCUMENT = re.compile(r"\b(publication|document|PJDOC-\d+|BD)[ -]\d{4,}")
"""The number under which a vendor's document is found, in the title of a source."""

SUITES = {
    **dict.fromkeys(("SPECint1992", "SPECfp1992"), ""),
    **dict.fromkeys(("SPECint1995", "SPECfp1995"), "www.spec.org/"),
    **dict.fromkeys(("SPECint2000", "SPECfp2000"), "www.spec.org/cpu2000/results/"),
    **dict.fromkeys(("SPECint2006", "SPECfp2006"), "www.spec.org/cpu2006/results/"),
    **dict.fromkeys(("SPECint2017", "SPECfp2017"), "www.spec.org/cpu2017/results/"),
    **dict.fromkeys(("Geekbench6-single", "Geekbench6-multi"), "browser.geekbench.com/"),
}
"""Names of suites in device files, each base score of one copy or run, and where their pages are."""


def lint() -> list[str]:
    """Return a line for each fault, `file: what is wrong`; empty when the catalog is valid."""
    faults: list[str] = []
    for path in folders.files("architectures").values():
        faults += _faults(path, lambda path: lint_architecture(catalog.load_architecture(path)))
    for path in folders.files("devices").values():
        faults += _faults(path, lambda path: lint_device(catalog.load_device(path)))
    faults += [*_shared_pages(), *_without_l2(), *_mended()]
    return [*faults, *folders.lint_names("architectures"), *folders.lint_names("devices")]


def _without_l2() -> list[str]:
    """Return GPUs whose file has no L2, while that of another with as many units and memory channels has: one chip."""
    known: dict[tuple[str, int, float | None], str] = {}
    without = []
    for name, device in catalog.valid_devices()[0].items():
        chip = (device.architectures, device.count, device.memory.bus)
        if device.kind == "gpu" and any(cache.name == "L2" for cache in device.caches):
            known.setdefault(chip, name)
        elif device.kind == "gpu":
            without.append((name, chip))
    return [f"{name}: it has no L2, and {known[chip]}, the same chip, has" for name, chip in without if chip in known]


def _shared_pages() -> list[str]:
    """Return pages that the scores of two devices cite: one was copied and not changed."""
    owners: dict[str, str] = {}
    faults = []
    for name, device in catalog.valid_devices()[0].items():
        for score in device.scores:
            owner = owners.setdefault(score.url, name)
            if owner != name:
                faults.append(f"{name}: the page {score.url} is that of a score of {owner}")
    return faults


def _faults(path: str, check: Callable[[str], list[str]]) -> list[str]:
    name = os.path.basename(path)
    try:
        lines = [f"{path}: {fault}" for fault in check(path)]
    except InputError as error:
        lines = [str(error)]
    return lines if name == name.lower() else [*lines, f"{path}: a file name is in lower case"]


def sources() -> tuple[int, int]:
    """Return how many sources the catalog has, and how many can be opened."""
    every = _sources()
    return len(every), sum(map(_opens, every))


def _sources() -> list[Source]:
    every: list[Source] = []
    for path in folders.files("architectures").values():
        with suppress(InputError):
            every += catalog.load_architecture(path).sources
    for device in catalog.valid_devices()[0].values():
        every += device.sources
    return every


def _opens(source: Source) -> bool:
    """Return whether a source can be opened, by an address or a document's number."""
    return bool(source.url or DOCUMENT.search(source.title))


@lru_cache(maxsize=4)
def _unopened(folder: str) -> frozenset[str]:
    """Return the titles that a reviewed list excuses, by reason: a list that may only shrink."""
    path = os.path.join(folder, "unopened.txt")
    lines = read_text(path).splitlines() if os.path.isfile(path) else []
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _vague(sources: tuple[Source, ...]) -> list[str]:
    """Return the sources that can neither be opened nor are excused."""
    vague = (each.title for each in sources if not _opens(each) and each.title not in _unopened(places.shipped()))
    return [f"the source {title!r} has neither an address nor a document's number" for title in vague]


def _mended() -> list[str]:
    """Return the titles that are excused and that no source has that needs it."""
    left = _unopened(places.shipped()) - {source.title for source in _sources() if not _opens(source)}
    return [f"unopened.txt: {title!r} is of no source that cannot be opened: leave it out" for title in sorted(left)]


def lint_device(device: Device) -> list[str]:
    """Return faults of one device: numbers without a source, published peaks and bandwidth that do not add up."""
    faults = [f"{field} has no source" for field in uncovered(device)]
    faults += ["a segment is of a GPU"] if device.segment and device.kind != "gpu" else []
    faults += [fault for published in device.published if (fault := _peak_fault(device, published))]
    for disputed in device.disputed:
        if matching(device, disputed) is not None and _peak_fault(device, disputed) is None:
            what = f"the disputed {disputed.dtype} peak of {disputed.flops_per_second}"
            faults.append(f"{what} agrees with the computed one")
    faults += [*_vague(device.sources), *_score_faults(device), *_laptop_faults(device)]
    memory = device.memory
    if memory.bus and memory.rate:
        computed = memory.bus * memory.rate / 8
        if memory.bandwidth is None or abs(computed / memory.bandwidth - 1) > TOLERANCE:
            faults.append(f"memory.bandwidth is {memory.bandwidth}, but bus × rate is {computed / 1e9:.4g} GB/s")
    return faults


def _laptop_faults(device: Device) -> list[str]:
    """Return values of a laptop's card outside the range that its maker may choose from."""
    if device.laptop is None:
        return []
    faults = [] if device.kind == "gpu" else ["what the maker of a laptop chooses is of a GPU"]
    values: list[tuple[str, Quantity | None, tuple[Quantity, Quantity] | None]] = [
        ("power", device.power, device.laptop.power),
        *((f"{units.name}.clock.boost", units.clock.boost, device.laptop.boost) for units in device.units),
    ]
    return faults + [
        f"{field} is {value}, and the laptop's maker chooses {ends[0]} to {ends[1]}"
        for field, value, ends in values
        if value and ends and not ends[0] <= value <= ends[1]
    ]


def _score_faults(device: Device) -> list[str]:
    """Return scores of GPUs, of suites that are spelled otherwise, without their suite's page, or that stand twice,
    and of systems before the CPU was sold."""
    faults = ["a score is of a CPU"] if device.scores and device.kind != "cpu" else []
    suites, urls = [score.suite for score in device.scores], [score.url for score in device.scores]
    faults += [f"the suite {suite} stands twice" for suite in dict.fromkeys(suites) if suites.count(suite) > 1]
    faults += [f"the page {url} is of two scores" for url in dict.fromkeys(urls) if urls.count(url) > 1]
    for score in device.scores:
        if score.available and device.released and score.available < device.released[: len(score.available)]:
            faults.append(f"the system of {score.suite} was available {score.available}, before the release")
        place = SUITES.get(score.suite)
        if place is None:
            close = nearest(score.suite, {name.lower(): name for name in SUITES}, most=1)
            hint = f" (did you mean {next(name for name in SUITES if name.lower() == close[0])}?)" if close else ""
            faults.append(f"there is no suite {score.suite!r}{hint}")
        elif not score.url.removeprefix("https://").removeprefix("http://").startswith(place):
            faults.append(f"the page of {score.suite} is {score.url}, and not at {place}")
    return faults


def lint_architecture(architecture: Architecture) -> list[str]:
    """Return faults of one microarchitecture: no source, or the same rate twice."""
    faults = [
        *([] if _covers(architecture.sources, "rates") else ["rates have no source"]),
        *_vague(architecture.sources),
    ]
    identities = [(r.engine, r.isa, r.dtype, r.accumulate, r.sparsity) for r in architecture.rates]
    return faults + [f"the rate {i} stands twice" for i in dict.fromkeys(identities) if identities.count(i) > 1]


def uncovered(device: Device) -> list[str]:
    """Return fields that hold numbers and that no source claims to give, unless they are marked `assumed`."""
    fields = [f"units.{units.name}.{part}" for units in device.units for part in ("count", "clock")]
    fields += [f"units.{u.name}.rates" for u in device.units if u.rates != _rates_of(u.architecture)]
    numbers = ("size", "bandwidth", "bus", "rate")
    fields += [f"memory.{name}" for name in numbers if getattr(device.memory, name) is not None]
    fields += [name for name in ("power", "published", "released") if getattr(device, name)]
    fields += [f"laptop.{name}" for name in ("power", "boost") if device.laptop and getattr(device.laptop, name)]
    fields += [f"caches.{cache.name}" for cache in device.caches]
    fields += ["published"] if device.disputed else []
    stated = (field for field in fields if device.provenance_of(field) not in ("assumed", "derived"))
    return [field for field in stated if not _covers(device.sources, field)]


def _rates_of(architecture: str) -> tuple[Rate, ...]:
    """Return the rates of a catalogued architecture; none for one that only the device's file knows."""
    try:
        return catalog.architecture(architecture).rates
    except InputError:
        return ()


def _covers(sources: tuple[Source, ...], field: str) -> bool:
    return any(field == gives or field.startswith(gives + ".") for source in sources for gives in source.gives)


def matching(device: Device, published: PublishedPeak) -> Peak | None:
    """Return the computed peak that a published one is about."""
    kind = attrgetter("engine", "dtype", "accumulate", "sparsity")
    alike = (peak for peak in peaks(device, published.clock) if kind(peak) == kind(published))
    return next((peak for peak in alike if published.isa in (None, peak.isa)), None)


def _peak_fault(device: Device, published: PublishedPeak) -> str | None:
    what = f"published {published.engine} {published.dtype} peak of {published.flops_per_second}"
    computed = matching(device, published)
    if computed is None:
        return f"{what}: no rate of the architecture answers to it"
    ratio = computed.flops_per_second / published.flops_per_second
    if abs(ratio - 1) <= TOLERANCE:
        return None
    return f"{what}: units × clock × flops_per_cycle is {computed.flops_per_second / 1e12:.5g} TFLOP/s ({ratio:.4f} ×)"
