"""The catalog of devices and networks: all of it, a part, one entry, and what is wrong with it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, TypeVar, Unpack

from msgspec import Struct, json, to_builtins

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import check_dtype
from hwbench.api.lookup import Model, ModelOptions
from hwbench.errors import InputError, nearest, shown
from hwbench.files import folders, names, places
from hwbench.machine import catalog, description, elsewhere
from hwbench.machine.description import DeviceDetails
from hwbench.machine.device import Device
from hwbench.machine.parts import KINDS
from hwbench.notices import Notice
from hwbench.report.text import machine as machine_text
from hwbench.report.text import workload as workload_text
from hwbench.report.text.format import number
from hwbench.report.text.layout import PLAIN, Style, sentences
from hwbench.workload import load
from hwbench.workload.ops import Workload

T = TypeVar("T")


class Filter(Struct, frozen=True):
    """Which catalogued devices are meant; what is None does not matter."""

    kind: str | None = None
    vendor: str | None = None
    architecture: str | None = None
    year: str | None = None

    def named(self) -> dict[str, str | None]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class DeviceRow(Struct, frozen=True):
    """A device in the JSON of `devices list`."""

    name: str
    title: str
    kind: str
    vendor: str
    architecture: str
    units: int | None
    released: str | None
    power_w: float | None
    bandwidth_bytes_per_second: float | None
    aliases: tuple[str, ...]


class ModelRow(Struct, frozen=True):
    """A network in the JSON of `models list`."""

    name: str
    title: str
    params: int
    macs: int
    input_shape: tuple[int, ...]
    ops: int


class Catalog(Answer, Mapping[str, T]):
    """Entries of the catalog by name, which print themselves as a table; `notices` name files that are left out."""

    MAIN: ClassVar[tuple[str, ...]] = ("count",)
    ROWS: ClassVar[str] = "rows"

    def __init__(self, entries: Mapping[str, T], notices: tuple[Notice, ...] = ()) -> None:
        self._entries, self.notices = dict(entries), notices

    def __getitem__(self, name: str) -> T:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self)

    @property
    def rows(self) -> tuple[Any, ...]:
        """A row an entry."""
        return ()

    def body(self) -> dict[str, Any]:
        """Return the answer's own part of its JSON."""
        return {self.SCHEMA: to_builtins(self.rows)}


class Devices(Catalog[Device]):
    """Catalogued devices by name."""

    SCHEMA: ClassVar[str] = "devices"
    TITLE: ClassVar[str] = "Catalogued devices"

    @property
    def rows(self) -> tuple[DeviceRow, ...]:
        """A row a device."""
        return tuple(map(_device_row, self.values()))


class Models(Catalog[Workload]):
    """Catalogued networks by name; `language` are the names of language models."""

    SCHEMA: ClassVar[str] = "models"
    TITLE: ClassVar[str] = "Catalogued networks"

    def __init__(
        self, entries: Mapping[str, Workload], notices: tuple[Notice, ...] = (), language: tuple[str, ...] = ()
    ) -> None:
        super().__init__(entries, notices)
        self.language = language

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        """A row a network."""
        return tuple(ModelRow(w.name, w.title, w.params, w.macs, w.input_shape, len(w.ops)) for w in self.values())

    def body(self) -> dict[str, Any]:
        """Return the networks, and the names of the language models."""
        return {**super().body(), "language_models": self.language}


@answers.lines.register
def _device_lines(answer: Devices, style: Style = PLAIN) -> list[str]:
    return [*(machine_text.device_list(answer.values(), style) if answer else ()), *_counted(answer, "device")]


def _counted(answer: Catalog[Any], noun: str) -> list[str]:
    return ["", number(len(answer), noun)] if answer else [f"No {noun} is called that."]


@answers.lines.register
def _model_lines(answer: Models, style: Style = PLAIN) -> list[str]:
    lines = [*(workload_text.model_list(answer.values(), style) if answer else ()), *_counted(answer, "network")]
    if answer.language:
        text = f"{number(len(answer.language), 'language model')}: {', '.join(answer.language)}"
        lines += ["", *sentences(text, style)]
    return lines


class Faults(Answer, Struct, frozen=True):
    """What is wrong with a part of the catalog, a line each, and how many files and sources were checked."""

    name: str
    faults: tuple[str, ...]
    checked: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the object that the command line writes with `--json`."""
        return answers.document(self.name, {"faults": self.faults, **self.checked})


@answers.lines.register
def _faults(answer: Faults, style: Style = PLAIN) -> list[str]:  # noqa: ARG001
    counts = [f"{count} {kind}" for kind, count in answer.checked.items()]
    return [*answer.faults, ", ".join([*counts, number(len(answer.faults), "fault")])]


class Export(Answer, Struct, frozen=True):
    """A model that was saved in a file."""

    SCHEMA: ClassVar[str] = "models-export"

    path: str
    title: str
    ops: int


@answers.lines.register
def _export(answer: Export, style: Style = PLAIN) -> list[str]:  # noqa: ARG001
    return [f"{answer.path}: {answer.title}, {answer.ops} different ops"]


def devices(
    *,
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    search: str | None = None,
) -> Devices:
    """Return the catalogued devices by name, the user's included: all, or those of a kind, vendor, architecture, year.

    `architecture` is a part of its name, `year` one such as `2020` or a range such as `2017..2021` or `2022..`, and
    `search` a part of the name, title, alias or architecture, in which case, spaces and dashes do not matter, or a
    cloud instance. Where a word or a number begins with it, devices that only have it within one are left out.
    """
    every, notices = _valid_devices(_state("devices"))
    chosen = select(every.values(), Filter(kind, vendor, architecture, year))
    if search is not None:
        wanted, instance = names.key(search), elsewhere.of_instance(search)
        named = [device for device in chosen if any(wanted in names.key(text) for text in _texts(device))]
        begun = [device for device in named if any(_begins(wanted, text) for text in _texts(device))]
        chosen = begun or named or [device for device in chosen if device.name == instance]
    return Devices({device.name: device for device in chosen}, notices)


def _state(kind: str) -> tuple[tuple[str, int], ...]:
    """Return the files of a catalog folder with the times of their last changes."""
    return tuple((path, _changed(path)) for path in folders.files(kind).values())


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1)
def _valid_devices(_files: tuple[tuple[str, int], ...]) -> tuple[dict[str, Device], tuple[Any, ...]]:
    """Return the devices whose files are in order, and what is wrong with the others; read again after changes."""
    return catalog.valid_devices()


@lru_cache(maxsize=1)
def _valid_models(_files: tuple[tuple[str, int], ...]) -> tuple[dict[str, Workload], tuple[Any, ...]]:
    return load.valid_workloads()


def _texts(device: Device) -> tuple[str, ...]:
    return device.name, device.title, device.architectures, *device.aliases


def _begins(wanted: str, text: str) -> bool:
    """Return whether a word or number of a text begins with a key: `m5` begins one of Apple M5 and none of SXM5."""
    words = re.findall(r"[a-z]+|[0-9.]+|[+]", text.lower())
    return any(names.key("".join(words[start:])).startswith(wanted) for start in range(len(words)))


def select(devices: Iterable[Device], wanted: Filter) -> list[Device]:
    """Return the devices that a filter lets through. Raises InputError for an unknown kind or vendor, or no year."""
    every = list(devices)
    first, last = years(wanted.year)
    if wanted.kind not in (None, *KINDS):
        message = f"There is no kind of device '{shown(wanted.kind)}'."
        raise InputError("unknown-kind", message, field="kind", nearest=KINDS)
    vendors = {device.vendor.lower(): device.vendor for device in every}
    vendor, architecture = wanted.vendor, wanted.architecture
    if vendor is not None and vendor.lower() not in vendors:
        choices = [vendors[name] for name in nearest(vendor, vendors)] or sorted(vendors.values())
        raise InputError("unknown-vendor", f"There is no vendor '{shown(vendor)}'.", field="vendor", nearest=choices)
    return [
        device
        for device in every
        if wanted.kind in (None, device.kind)
        and (vendor is None or vendor.lower() == device.vendor.lower())
        and (architecture is None or architecture.lower() in device.architectures)
        and (wanted.year is None or (device.released is not None and first <= int(device.released[:4]) <= last))
    ]


def years(text: str | int | None) -> tuple[int, int]:
    """Return the first and last year of `2020`, `2017..2021`, `2022..` or `..2010`. Raises InputError."""
    if text is None:
        return 0, 9999
    first, dots, last = str(text).partition("..")
    digits = [part for part in (first, last) if part]
    if not digits or any(not (part.isascii() and part.isdigit() and len(part) == 4) for part in digits):
        message = f"'{shown(text, 40)}' is not a year or a range of years (2020, 2017..2021, 2022..)."
        raise InputError("bad-year", message, field="year")
    low, high = int(first or 0), int(last or 9999) if dots else int(first)
    if low > high:
        raise InputError("bad-year", f"{text} ends before it begins.", field="year")
    return low, high


def _device_row(device: Device) -> DeviceRow:
    return DeviceRow(
        name=device.name,
        title=device.title,
        kind=device.kind,
        vendor=device.vendor,
        architecture=device.architectures,
        units=device.count or None,
        released=device.released,
        power_w=float(device.power) if device.power else None,
        bandwidth_bytes_per_second=float(device.memory.bandwidth) if device.memory.bandwidth else None,
        aliases=device.aliases,
    )


def device_details(name: str) -> DeviceDetails:
    """Return a catalogued device with its peaks, aliases, notes, published scores and sources."""
    device = catalog.device(name)
    peaks = description.known_peaks(device)
    return DeviceDetails(description.describe(device, peaks), description.notices(device, peaks))


def device_template(name: str) -> str:
    """Return a commented YAML file of a device to be filled in. Raises InputError for what cannot be a file's name."""
    return _template("device", name)


def model_template(name: str) -> str:
    """Return a commented YAML file of a network to be changed. Raises InputError for what cannot be a file's name."""
    return _template("model", name)


def _template(kind: str, name: str) -> str:
    if not name.isprintable() or not 0 < len(name.strip()) <= 100 or "/" in name or "\\" in name:
        raise InputError("bad-name", f"A {kind} name is 1 to 100 printable characters and no path.", field="name")
    title = json.encode(name).decode()  # a JSON string is a YAML string
    with open(os.path.join(os.path.dirname(__file__), "templates", f"{kind}.yaml.template"), encoding="utf-8") as file:
        return file.read().format(name=name.lower().replace(" ", "-"), title=title, user=places.user("config"))


def lint_devices() -> Faults:
    """Return what is wrong with the catalog of devices: sources, published peaks, bandwidths, names."""
    from hwbench.machine import lint  # which loads every file

    counts = {kind: len(folders.files(kind)) for kind in ("devices", "architectures")}
    counts["sources"], counts["openable"] = lint.sources()
    return Faults("devices-lint", tuple(lint.lint()), counts)


def models(search: str | None = None) -> Models:
    """Return the catalogued networks by name, the user's included; `search` is a part of a name, title or alias."""
    every, notices = _valid_models(_state("models"))
    language = tuple(folders.files("language"))
    if search is None:
        return Models(every, notices, language)
    wanted, paths = names.key(search), folders.files("models")
    aliases = {name: folders.read_aliases(path) for name, path in paths.items()}
    texts = {name: (name, model.title, *aliases.get(name, ())) for name, model in every.items()}
    networks = {n: every[n] for n, own in texts.items() if any(wanted in names.key(t) for t in own)}
    return Models(networks, notices, tuple(name for name in language if wanted in names.key(name)))


def lint_models() -> Faults:
    """Return which networks have parameter or MAC counts other than the published ones."""
    from hwbench.workload import load

    faults, checked = load.lint()
    return Faults("models-lint", tuple(faults), {"models": checked})


def export(
    model: str,
    path: str,
    *,
    dtype: str = "fp32",
    batch: int | None = None,
    inputs: str | None = None,
    **options: Unpack[ModelOptions],
) -> Export:
    """Save a traced model as a small file that loads without torch, at a path ending in .json."""
    from hwbench.files import atomic
    from hwbench.workload.saved import file as saved_file

    if not path.endswith(".json"):
        raise InputError("bad-suffix", "The name of the file must end in .json.", field="path")
    source, name = Model(model, inputs, options), check_dtype(dtype)
    atomic.refuse_unwritable(path)
    workload = source.workload(name, source.batch(batch, name))
    saved_file.save(workload, path)
    return Export(path, workload.title, len(workload.ops))
