"""What the page asks: models and devices by their names in the catalog, and the values that its sliders replaced.

A page that somebody else wrote can make a browser send us a question, so that nothing in one is ever imported or
opened: models and devices are those of the catalog, this machine (`host`) and its saved runs.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from msgspec import Struct

from hwbench import api
from hwbench.api.checks import MAX_BATCH, DeviceRef
from hwbench.api.lookup import is_language_question
from hwbench.errors import InputError, nearest, shown
from hwbench.files import names
from hwbench.measure import store
from hwbench.measure.record import Record
from hwbench.units import whole_number

MAX_MODELS, MAX_DEVICES, MAX_LENGTH, MAX_FIELDS = 6, 12, 120, 60
_SET = "set."
MAX_TOKENS = 100_000_000
SINGLE = ("dtype", "batch", "runtime", "math", "weights", "prompt", "generate", "context")


class Question(Struct, frozen=True):
    """What is asked, as `hwbench estimate` takes it. `settings` replace values of the first device only.

    A report may also be about saved `runs`, about `scores` for the study of clock speed, and about measured times in
    files; no query names those.
    """

    models: tuple[str, ...]
    devices: tuple[str, ...]
    dtype: str = "fp32"
    batch: int = 1
    runtime: str | None = None
    math: str = "default"
    settings: Mapping[str, str] = {}
    weights: str | None = None
    prompt: int | None = None
    generate: int | None = None
    context: int | None = None
    along: str | None = None
    runs: tuple[Record, ...] = ()
    scores: str | None = None
    measurements: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The model that is looked at."""
        return self.models[0]

    @property
    def device(self) -> str:
        """The device that is looked at."""
        return self.devices[0]

    def settings_of(self, device: str) -> dict[str, str]:
        """Return the values that are replaced of one of the devices: only the first has some."""
        return dict(self.settings) if device == self.device else {}

    @property
    def is_measured(self) -> bool:
        """Whether the device is this machine, or that of a saved run."""
        return DeviceRef.parse(self.device).kind != "catalog"

    @property
    def is_language(self) -> bool:
        """Whether the model is a language model, which llama.cpp runs."""
        return is_language_question(self.model, {}, None)


class CatalogEntry(Struct, frozen=True):
    """A model or a device that can be chosen: its name, what people call it, and other words that find it."""

    name: str
    title: str
    kind: Literal["network", "language", "cpu", "gpu", "accelerator", "host"]
    words: str = ""


@cache
def models() -> dict[str, CatalogEntry]:
    """Return the models of the catalog by name."""
    from hwbench.workload.language.catalog import cards  # which questions about devices do without

    catalog = api.models()
    networks = {name: CatalogEntry(name, workload.title or name, "network") for name, workload in catalog.items()}
    known = cards()
    return networks | {name: CatalogEntry(name, known[name].title or name, "language") for name in catalog.language}


@cache
def devices() -> dict[str, CatalogEntry]:
    """Return this machine and the devices of the catalog by name."""
    every = {"host": CatalogEntry("host", "this machine", "host", "host localhost")}
    for name, device in api.devices().items():
        words = " ".join((*device.aliases, *dict.fromkeys(units.architecture for units in device.units)))
        every[name] = CatalogEntry(name, device.title, device.kind, words)
    return every


def parse(fields: Iterable[tuple[str, str]]) -> Question:
    """Return the question of a query's fields. Raises InputError for what is unknown, too long or out of range."""
    pairs = list(fields)
    if len(pairs) > MAX_FIELDS:
        raise InputError("too-many", f"There are more than {MAX_FIELDS} fields.", field="query")
    for field, value in pairs:
        if len(field) > MAX_LENGTH or len(value) > MAX_LENGTH:
            raise InputError("too-long", f"'{shown(field, 30)}' is too long.", field="query")
    single = {field: value for field, value in pairs if field in (*SINGLE, "along") and value}
    settings = {field.removeprefix(_SET): value for field, value in pairs if field.startswith(_SET)}
    strange = [
        field for field, _ in pairs if field not in (*SINGLE, "along", "model", "device") and not field.startswith(_SET)
    ]
    if strange:
        message = f"There is no field '{shown(strange[0], 40)}'."
        raise InputError("unknown-field", message, field="query", nearest=nearest(strange[0], SINGLE))
    return Question(
        models=_models([value for field, value in pairs if field == "model"]),
        devices=_devices([value for field, value in pairs if field == "device"]),
        dtype=single.get("dtype", "fp32"),
        batch=_number(single, "batch", MAX_BATCH) or 1,
        runtime=single.get("runtime"),
        math=single.get("math", "default"),
        settings=settings,
        weights=single.get("weights"),
        prompt=_number(single, "prompt", MAX_TOKENS),
        generate=_number(single, "generate", MAX_TOKENS),
        context=_number(single, "context", MAX_TOKENS),
        along=single.get("along"),
    )


def _models(chosen: list[str]) -> tuple[str, ...]:
    """Return the names of catalogued models, in any spelling. Raises InputError."""
    if not 1 <= len(chosen) <= MAX_MODELS:
        raise InputError("number-range", f"Choose 1 to {MAX_MODELS} models.", field="model")
    by_key = {names.key(name): name for name in models()}
    for name in chosen:
        if names.key(name) not in by_key:
            message = f"'{shown(name, 60)}' is not in the catalog; `hwbench estimate` takes files and other sources."
            raise InputError("unknown-model", message, field="model", nearest=nearest(name, models()))
    return tuple(dict.fromkeys(by_key[names.key(name)] for name in chosen))


def _devices(chosen: list[str]) -> tuple[str, ...]:
    """Return the names of catalogued devices, `host`, and `run:ID` of saved runs. Raises InputError."""
    if not 1 <= len(chosen) <= MAX_DEVICES:
        raise InputError("number-range", f"Choose 1 to {MAX_DEVICES} devices.", field="device")
    return tuple(dict.fromkeys(map(_device, chosen)))


def _device(name: str) -> str:
    ref = DeviceRef.parse(name)
    if ref.kind == "host":
        return "host"
    if ref.kind == "run":
        if ref.name not in store.names():
            raise InputError("unknown-run", f"There is no saved run '{shown(ref.name, 60)}'.", field="device")
        return name
    if names.is_path(name):
        message = f"'{shown(name, 60)}' is a file; this page reads devices of the catalog."
        raise InputError("unknown-device", message, field="device")
    return name if name in devices() else api.device(name).name


def _number(fields: Mapping[str, str], name: str, most: int) -> int | None:
    """Return a whole number from 1 to `most`, None without the field. Raises InputError."""
    if name not in fields:
        return None
    number = whole_number(fields[name], most)
    if number is None:
        raise InputError("number-range", f"'{shown(fields[name], 40)}' is not from 1 to {most:,}.", field=name)
    return number
