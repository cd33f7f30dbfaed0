"""A device: what a machine consists of, and its theoretical peaks: units × clock × flops_per_cycle."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.machine import parts
from hwbench.machine.parts import Clock, ClockKind, Kind, Name, Provenance, Released, Source, Units
from hwbench.units import Bytes, BytesPerSecond, Hertz, Quantity, Watts, whole_number

ACCUMULATE_DEFAULT = (None, "fp64", "fp32", "int32")
"""Accumulators that `Device.peak` may use, those that frameworks sum in by default. `peaks` alone lists others."""
MAX_UNITS = 10_000_000
_MEMORY: dict[str, tuple[str, type[Quantity]]] = {"bandwidth": ("bandwidth", BytesPerSecond), "memory": ("size", Bytes)}
_WEAKNESS: tuple[Provenance, ...] = ("spec", "derived", "measured", "set", "os", "assumed")
"""Origins from the strongest to the weakest."""


class PeakTerm(Struct, frozen=True):
    """What one class of units adds to a peak: `units × clock_hz × flops_per_cycle` FLOP/s."""

    name: str
    architecture: str
    units: int
    clock_hz: float
    clock: ClockKind
    flops_per_cycle: float
    provenance: Provenance
    how: str | None = None

    @property
    def flops_per_second(self) -> float:
        """FLOP/s of this class alone."""
        return self.units * self.clock_hz * self.flops_per_cycle


class Peak(Struct, frozen=True):
    """A compute ceiling in FLOP/s: the sum of its terms, one a class of units; `missing` classes have no such rate.

    That of an accelerator has no terms, but the FLOP/s that its vendor `stated`.
    """

    engine: str
    isa: str
    dtype: str
    accumulate: str | None
    sparsity: str
    terms: tuple[PeakTerm, ...]
    missing: tuple[str, ...] = ()
    stated: float | None = None

    @property
    def flops_per_second(self) -> float:
        """FLOP/s of the whole device."""
        return self.stated or sum(term.flops_per_second for term in self.terms)

    @property
    def provenance(self) -> Provenance:
        """The weakest origin of a term; `derived` at best, as a product, unless it is stated."""
        if self.stated:
            return "spec"
        kinds = {term.provenance for term in self.terms}
        return max(kinds | {"derived"}, key=_WEAKNESS.index)

    @property
    def label(self) -> str:
        """Which ceiling this is, in words: `matrix tensor-core fp16 (fp32 accumulate)`."""
        extras = [f"{self.accumulate} accumulate"] if self.accumulate else []
        extras += [] if self.sparsity == "dense" else [f"{self.sparsity} sparse"]
        extras += [f"without {', '.join(self.missing)}"] if self.missing else []
        return f"{self.engine} {self.isa} {self.dtype}" + (f" ({', '.join(extras)})" if extras else "")


class Device(Struct, frozen=True, forbid_unknown_fields=True):
    """A machine as its data sheet, its operating system or a measurement describes it. SI units throughout.

    `overhead` multiplies what the time model forecasts for launches and host, where somebody asks what if.
    """

    title: Name
    kind: Kind
    vendor: Name
    units: Annotated[tuple[Units, ...], Meta(max_length=16)] = ()
    memory: parts.Memory = parts.Memory()
    segment: parts.Segment | None = None
    released: Released | None = None
    power: Watts | None = None
    laptop: parts.Laptop | None = None
    link: BytesPerSecond | None = None
    caches: tuple[parts.Cache, ...] = ()
    published: tuple[parts.PublishedPeak, ...] = ()
    disputed: tuple[parts.DisputedPeak, ...] = ()
    sustained: parts.Sustained | None = None
    calibrations: tuple[parts.DeviceCalibration, ...] | None = msgspec.field(default=None, name="calibration")
    overhead: parts.Factor | msgspec.UnsetType = msgspec.UNSET
    scores: tuple[parts.Score, ...] = ()
    sources: tuple[Source, ...] = ()
    provenance: dict[Name, Provenance] = {}
    aliases: tuple[Name, ...] = ()
    notes: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        names = [units.name for units in self.units]
        if len(set(names)) < len(names):
            raise ValueError("two classes of units have the same name")
        if (self.kind == "accelerator") == bool(self.units):
            raise ValueError("CPUs and GPUs have units, accelerators published peaks alone")

    @property
    def label(self) -> str:
        """Name in the catalog, or the title of a device without one."""
        return self.name or self.title

    @property
    def count(self) -> int:
        """Units of all classes."""
        return sum(units.count for units in self.units)

    @property
    def architectures(self) -> str:
        """Names of the architectures, `golden-cove + gracemont` for a hybrid."""
        return " + ".join(dict.fromkeys(units.architecture for units in self.units))

    def provenance_of(self, field: str) -> Provenance:
        """Return where a field's value came from: the entry of the longest path at or above it, else `spec`."""
        path = field
        while path:
            if path in self.provenance:
                return self.provenance[path]
            path = path.rpartition(".")[0]
        return "spec"

    def peak(self, dtype: str, clock: ClockKind | None = None) -> Peak:
        """Return the highest dense peak of a dtype at one kind of clock, by default as `choose_clock` does.

        Its accumulator is one that frameworks use. Raises InputError where the rate or the clock is unknown; the rate
        of another dtype is never used instead.
        """
        every = peaks(self, clock)
        if result := highest(every, dtype):
            return result
        if clock is not None and any(p.dtype == dtype for p in peaks(self)):
            raise InputError("unknown-clock", f"The {clock} clock of {self.label} is unknown.", field="clock")
        known = ", ".join(dict.fromkeys(p.dtype for p in every if p.sparsity == "dense")) or "none"
        message = f"The {dtype} rate of {self.label} is unknown. Known rates: {known}."
        raise InputError("unknown-rate", message, field="dtype")

    def with_cores(self, count: int) -> "Device":
        """Return the device with so many of its units, the first ones of the first classes."""
        units, left = [], count
        for cores in self.units:
            if left > 0:
                units.append(msgspec.structs.replace(cores, count=min(left, cores.count)))
            left -= cores.count
        return msgspec.structs.replace(self, units=tuple(units))

    def with_(self, /, **settings: str) -> "Device":
        """Return the device with values replaced, each marked `assumed`: `with_(clock="3 GHz")`. Raises InputError."""
        device = self
        for field, text in settings.items():
            try:
                device = _with_value(device, field, text)
            except InputError as error:
                raise error.at(field=f"settings.{field}") from None
        return device


def choose_clock(clock: Clock, isa: str, kind: ClockKind | None = None) -> tuple[Hertz, ClockKind] | None:
    """Return the clock that a peak multiplies by, and which it is.

    Unless one kind is asked for: a fixed clock, else the published all-core clock of the ISA, else boost (the highest
    that the vendor states, so that the peak stays a bound at it), else base. None where the kind asked for is unknown.
    """
    known: dict[ClockKind, Hertz | None] = {
        "fixed": clock.fixed, "all_core": clock.all_core.get(isa), "boost": clock.boost, "base": clock.base,
    }  # fmt: skip
    for candidate, value in known.items():
        if value is not None and kind in (None, candidate):
            return value, candidate
    return None


def peaks(device: Device, clock: ClockKind | None = None) -> tuple[Peak, ...]:
    """Return every ceiling of a device, in its architectures' order, at one kind of clock (see `choose_clock`).

    Those of an accelerator hold at no known clock.
    """
    if not device.units:
        return tuple(
            Peak(p.engine, p.isa or "stated", p.dtype, p.accumulate, p.sparsity, (), (), float(p.flops_per_second))
            for p in device.published
            if clock is None
        )
    result: dict[tuple[str, str, str, str | None, str], dict[str, PeakTerm]] = {}
    partial = set()  # a class of units has the rate but not the clock asked for: the sum would not be the device's
    for units in device.units:
        origins: dict[ClockKind, Provenance] = {}
        for rate in units.rates:
            identity = (rate.engine, rate.isa, rate.dtype, rate.accumulate, rate.sparsity)
            chosen = choose_clock(units.clock, rate.isa, clock)
            if chosen is None:
                partial.add(identity)
                continue
            clock_hz, kind = chosen
            if kind not in origins:
                origins[kind] = _provenance(device, units, kind)
            speed = (units.count, float(clock_hz), kind, rate.flops_per_cycle)
            term = PeakTerm(units.name, units.architecture, *speed, origins[kind], rate.how)
            result.setdefault(identity, {})[units.name] = term
    names = [units.name for units in device.units]
    return tuple(
        Peak(*identity, tuple(terms.values()), tuple(name for name in names if name not in terms))
        for identity, terms in result.items()
        if identity not in partial
    )


def _provenance(device: Device, units: Units, clock: ClockKind) -> Provenance:
    """Return the weakest origin among the factors of a term; how many CPUs there are is for the system to tell."""
    fields = ("count", f"clock.{clock}", "rates")
    origins = {field: device.provenance_of(f"units.{units.name}.{field}") for field in fields}
    return max((own for field, own in origins.items() if (field, own) != ("count", "os")), key=_WEAKNESS.index)


def highest(every: tuple[Peak, ...], dtype: str) -> Peak | None:
    """Return the highest dense peak of a dtype with an accumulator that frameworks use; None where there is none."""
    fitting = [p for p in every if p.dtype == dtype and p.sparsity == "dense" and p.accumulate in ACCUMULATE_DEFAULT]
    return max(fitting, key=lambda p: p.flops_per_second, default=None)


def fastest(every: tuple[Peak, ...], dtype: str) -> Peak | None:
    """Return the highest ceiling for data of a dtype; for fp16 and bf16 that may be the one of the fp32 units."""
    own = highest(every, dtype)
    single = highest(every, "fp32") if dtype in ("fp16", "bf16") else None
    return max((each for each in (own, single) if each), key=lambda each: each.flops_per_second, default=None)


def _with_value(device: Device, field: str, text: str) -> Device:
    """Return the device with the value of `clock`, `units`, `units.P-core`, `memory` ... replaced."""
    head, dot, unit_class = field.partition(".")
    if field in _MEMORY:
        attribute, quantity = _MEMORY[field]
        memory = msgspec.structs.replace(device.memory, **{attribute: quantity.parse_positive(text)})
        return _with_setting(device, f"memory.{attribute}", memory=memory)
    if field == "power":
        return _with_setting(device, "power", power=Watts.parse_positive(text))
    if field == "overhead":
        return _with_setting(device, field, overhead=_factor(text))
    classes = [units.name for units in device.units]
    if head not in ("clock", "units"):
        choices = ("clock", "units", "power", "overhead", *_MEMORY)
        message = f"'{shown(head, 40)}' cannot be set: choose from {', '.join(choices)}."
        raise InputError("unknown-setting", message, nearest=nearest(head, choices))
    if not classes:
        message = f"The clock and units of {device.label} are unknown."
        raise InputError("unknown-units", message, nearest=("power", *_MEMORY))
    if dot and unit_class not in classes:
        raise InputError("unknown-units", f"There are no units called '{shown(unit_class)}'.", nearest=classes)
    if head == "units" and not dot and len(classes) > 1:
        message = "The device has more than one class of units: name one."
        raise InputError("units-ambiguous", message, nearest=[f"units.{name}" for name in classes])
    for position, units in enumerate(device.units):
        if unit_class not in ("", units.name):
            continue
        if head == "clock":
            clock = msgspec.structs.replace(units.clock, fixed=Hertz.parse_positive(text))
            units = msgspec.structs.replace(units, clock=clock)  # noqa: PLW2901
        elif (count := whole_number(text, MAX_UNITS)) is not None:
            units = msgspec.structs.replace(units, count=count)  # noqa: PLW2901
        else:
            raise InputError("units-range", f"'{shown(text, 40)}' is not a number of units (1 to {MAX_UNITS}).")
        every = (*device.units[:position], units, *device.units[position + 1 :])
        device = _with_setting(device, f"units.{units.name}.{'clock' if head == 'clock' else 'count'}", units=every)
    return device


def _factor(text: str) -> float:
    """Return how many times as much. Raises InputError."""
    try:
        return msgspec.convert(text, parts.Factor, strict=False)
    except msgspec.ValidationError:
        message = f"'{shown(text, 40)}' is not how many times as much overhead (0.001 to 1000), such as 0.5."
        raise InputError("factor-range", message) from None


def _with_setting(device: Device, field: str, **values: Any) -> Device:
    """Return the device with values replaced, and the origin of `field` with it."""
    provenance: dict[str, Provenance] = {**device.provenance, field: "set"}
    provenance.pop(f"{field}.fixed", None)
    return msgspec.structs.replace(device, provenance=provenance, **values)
