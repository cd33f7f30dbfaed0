"""The sliders: values of a device that can be replaced, with what the catalog says and how far they reach."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from hwbench.machine.device import Device, fastest, peaks

REACH = 4.0
"""A slider reaches from the catalog's value over this to the value times this."""
MAX_TOKENS = 131_072


class Knob(Struct, frozen=True):
    """A slider of `field` (of `--set`): the `value` of the catalog in `unit`, which times `scale` is in SI units."""

    field: str
    title: str
    value: float
    unit: str
    scale: float
    low: float
    high: float
    whole: bool = False

    def text(self, value: float) -> str:
        """Return a value of the slider as `--set` takes it."""
        return f"{round(value):d}" if self.whole else f"{value:.4g}{self.unit}"

    def number(self, text: str | None) -> float:
        """Return the value of a setting in the unit of the slider; that of the catalog for other text and none."""
        try:
            return float((text or "").removesuffix(self.unit))
        except ValueError:
            return self.value


def knobs(device: Device, dtype: str) -> tuple[Knob, ...]:
    """Return the sliders of a device: those whose value is known. The clock is that of its peak in a dtype."""
    return tuple(_knobs(device, dtype))


def _knobs(device: Device, dtype: str) -> Iterator[Knob]:
    several = len(device.units) > 1
    every = peaks(device)
    peak = fastest(every, dtype) or fastest(every, "fp32")
    clocks = {term.name: term.clock_hz for term in peak.terms} if peak else {}
    bandwidth = (device.sustained and device.sustained.bandwidth) or device.memory.bandwidth
    for units in device.units:
        name = f".{units.name}" if several else ""
        if units.name in clocks:
            of = f"clock of {units.name}" if several else "clock"
            yield _knob(f"clock{name}", of, clocks[units.name], "GHz", 1e9)
    for units in device.units:
        name = f".{units.name}" if several else ""
        low = max(1, round(units.count / REACH))
        yield Knob(
            f"units{name}",
            f"number of {units.name}s",
            units.count,
            "",
            1.0,
            low,
            round(units.count * REACH),
            whole=True,
        )
    if bandwidth:
        yield _knob("bandwidth", "memory bandwidth", float(bandwidth), "GB/s", 1e9)
    if device.power:
        yield _knob("power", "power limit", float(device.power), "W", 1.0)
    yield _knob("overhead", "overhead, times", device.overhead or 1.0, "", 1.0)


def language_knobs(device: Device, tokens: Mapping[str, int]) -> tuple[Knob, ...]:
    """Return the sliders of a language model: those of the device, and tokens by the field that asks for them."""
    of_device = [knob for knob in knobs(device, "fp16") if knob.field.partition(".")[0] in ("clock", "bandwidth")]
    if device.memory.size:
        of_device.append(_knob("memory", "memory", float(device.memory.size), "GiB", 2.0**30))
    knobs_of_tokens = (
        Knob(name, f"{name}, tokens", usual, "", 1.0, 16, MAX_TOKENS, True) for name, usual in tokens.items()
    )
    return (*of_device, *knobs_of_tokens)


def _knob(field: str, title: str, value: float, unit: str, scale: float) -> Knob:
    shown = value / scale
    return Knob(field, title, shown, unit, scale, shown / REACH, shown * REACH)
