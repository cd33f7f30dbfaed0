"""Answers that only the API gives: several estimates, entries of the catalog, checks of it."""

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from hwbench import answers
from hwbench.answers import Answer
from hwbench.machine.description import Description
from hwbench.notices import Notice
from hwbench.predict.estimate import Estimate
from hwbench.report import renderers as _renderers  # noqa: F401  (registers the texts of answers)
from hwbench.report.text import estimate as estimate_text
from hwbench.report.text import machine as machine_text
from hwbench.report.text.layout import PLAIN, Style

A = TypeVar("A", bound=Struct)


def notices_of(answer: Any) -> tuple[Any, ...]:
    """Return what a reader of an answer must know."""
    return tuple(dict.fromkeys([*getattr(answer, "notices", ()), *getattr(answer, "warnings", ())]))


def add_notices(answer: A, notices: Iterable[Any]) -> A:
    """Return an answer with more notices before its own."""
    field = "notices" if "notices" in answer.__struct_fields__ else "warnings"
    return replace(answer, **{field: tuple(dict.fromkeys([*notices, *getattr(answer, field)]))})


class Estimates(Answer, Struct, frozen=True):
    """Estimates of one model on one device: one for each dtype and batch."""

    SCHEMA: ClassVar[str] = "estimates"
    ROWS: ClassVar[str] = "estimates"

    estimates: tuple[Estimate, ...]

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of any of them."""
        return tuple(dict.fromkeys(notice for estimate in self.estimates for notice in notices_of(estimate)))


@answers.lines.register
def _estimates(answer: Estimates, style: Style = PLAIN) -> list[str]:
    return estimate_text.several(answer.estimates, style)


@answers.rows.register
def _estimate_rows(answer: Estimates) -> list[dict[str, Any]]:
    rows = [estimate.body() for estimate in answer.estimates]
    return [{key: value for key, value in row.items() if not isinstance(value, list | dict)} for row in rows]


class DeviceDetails(Answer, Struct, frozen=True):
    """A catalogued device: its peaks, and what its file says beyond them."""

    SCHEMA: ClassVar[str] = "devices-show"

    description: Description
    notices: tuple[Notice, ...] = ()

    def body(self) -> dict[str, Any]:
        """Return the answer's own part of its JSON."""
        device = self.description.source
        extra = {name: to_builtins(getattr(device, name)) for name in ("aliases", "notes", "sources", "scores")}
        body = self.description.body()
        del body["measured"]  # a catalogued device has no runs
        return {**body, **extra}


@answers.lines.register
def _device_details(answer: DeviceDetails, style: Style = PLAIN) -> list[str]:
    device = answer.description.source
    lines = [*machine_text.heading(device, style), *machine_text.details(device, style)]
    return [*lines, "", *machine_text.peak_table(device, answer.description.known, style)]


class Faults(Answer, Struct, frozen=True):
    """What is wrong with a part of the catalog, a line each, and how many files of each kind were checked."""

    name: str
    faults: tuple[str, ...]
    checked: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the object that the command line writes with `--json`."""
        return answers.document(self.name, {"faults": self.faults, **self.checked})


@answers.lines.register
def _faults(answer: Faults, style: Style = PLAIN) -> list[str]:  # noqa: ARG001
    counts = [f"{count} {kind}" for kind, count in answer.checked.items()]
    return [*answer.faults, ", ".join([*counts, f"{len(answer.faults)} faults"])]


class Export(Answer, Struct, frozen=True):
    """A model that was saved in a file."""

    SCHEMA: ClassVar[str] = "models-export"

    path: str
    title: str
    ops: int


@answers.lines.register
def _export(answer: Export, style: Style = PLAIN) -> list[str]:  # noqa: ARG001
    return [f"{answer.path}: {answer.title}, {answer.ops} different ops"]
