"""JSON Schemas of what `--json` writes, from the structs of the answers: `python docs/schemas.py estimate` prints one.

A schema has the name that the key `schema` has, without number. Where an answer writes other keys than its struct has,
they are stated here; tests/test_schemas.py compares every schema with real output.
"""

import sys
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from hwbench.answers import Answer
from hwbench.api.accuracy import Calibration, SavedCalibration, TimeModel
from hwbench.api.catalogs import DeviceRow, ModelRow
from hwbench.api.inference import InferenceRuns
from hwbench.api.measurements import ClusterBench
from hwbench.api.records import Bench, ChangedRuns, SavedRuns
from hwbench.api.runs import RunComparisons
from hwbench.explore.report import Report
from hwbench.machine.description import Description
from hwbench.machine.device import Device
from hwbench.measure.record import Record
from hwbench.predict.estimate import Engine, Estimate, Estimates, RooflineRates
from hwbench.predict.forecast import Shares
from hwbench.predict.language.estimate import LanguageEstimate
from hwbench.predict.language.memory import Remedy
from hwbench.predict.language.model import Parts
from hwbench.predict.replay.language import LanguageRow, LanguageValidation
from hwbench.predict.replay.metrics import Metrics
from hwbench.predict.replay.summary import ReplayRow, Validation
from hwbench.study.clock.results import ClockStudy
from hwbench.study.compare.devices import Comparison
from hwbench.study.compare.self_check import SelfCheck
from hwbench.study.explain import Explanation
from hwbench.study.inference import Inference
from hwbench.study.language import LanguageRun
from hwbench.study.language_points import LanguagePoints
from hwbench.study.requirement import Requirement
from hwbench.study.step import StepExplanation
from hwbench.study.sweep.front import FrontRow, Sweep
from hwbench.study.utilization import Utilization
from hwbench.workload.counting import Count
from hwbench.workload.language.counting import LanguageCount

Ends = tuple[float, float]
"""The low and the high end of an interval."""
UNION = "anyOf"
TEXTS = {"type": "array", "items": {"type": "string"}}
HEAD = {
    "schema": {"type": "string", "pattern": "^hwbench[.]"},
    "hwbench_version": {"type": "string"},
    "warnings": TEXTS,
    "notices": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "text": {"type": "string"}},
            "required": ["code", "text"],
        },
    },
}


class Baselines(Struct, frozen=True):
    """Errors of the two bounds, taken for forecasts."""

    ideal: Metrics
    roofline: Metrics


class GroupErrors(Metrics, frozen=True, kw_only=True):
    """Errors of rows with the same device, runtime, dtype and layout."""

    device: str
    runtime: str | None
    dtype: str
    layout: str | None
    unseen: Metrics
    baselines: Baselines


class FamilyErrors(Metrics, frozen=True, kw_only=True):
    """Errors of one family of networks."""

    family: str
    fitted: bool


class SweepPoint(Struct, frozen=True):
    """One network on one device at one dtype and batch; null is unknown."""

    model: str
    device: str
    kind: str
    dtype: str
    power_w: float | None
    batch: int
    ideal_time_s: float
    roofline_time_s: float | None
    expected_time_s: float | None
    interval_low_s: float | None
    interval_high_s: float | None
    throughput_per_s: float | None
    throughput_per_s_per_w: float | None
    bound: str | None
    fits: bool | None
    pareto: bool
    rank: int | None


class LanguagePhase(Struct, frozen=True):
    """The prompt or the generation of a language model."""

    name: str
    kind: str
    flops: int
    least_flops: int
    traffic_bytes: int
    least_traffic_bytes: int
    intensity: float
    ideal_time_s: float
    roofline_time_s: float
    roofline_bound: str
    expected_time_s: float
    interval_s: Ends
    bound: str
    count: int
    limited_by: str
    utilization: float
    parts_s: Parts


class LanguageMemory(Struct, frozen=True):
    """Bytes that a language model needs on its devices, and what they have."""

    weights_bytes: int
    kv_bytes: int
    buffers_bytes: int
    needed_bytes: int
    device_bytes: float | None
    fits: bool | None
    longest_context: int | None
    largest_batch: int | None
    would_fit: tuple[Remedy, ...]


class LanguageFigures(Struct, frozen=True):
    """What is stated of language models alone."""

    weights: str
    kv_dtype: str
    prompt: int
    generate: int
    devices: int
    split: str
    link_bytes_per_second: float | None
    gpu_layers: int | None
    params: int
    active_params: int
    ttft_s: float | None
    ttft_interval_s: Ends | None
    tokens_per_s: float | None
    tokens_per_s_interval: Ends | None
    tokens_per_s_all: float | None
    total_s: float
    total_interval_s: Ends
    energy_per_token_bound_j: float | None
    memory: LanguageMemory
    check_command: str


class Form(Struct, frozen=True):
    """An answer of one form: the keys of a struct, less those that are left out, and those that are added."""

    struct: type
    without: tuple[str, ...] = ()
    added: dict[str, Any] = {}


FORECAST = (
    "expected_time_s", "interval_s", "interval_level", "throughput_per_s", "utilization", "bound", "shares",
    "elasticities", "calibration",
)  # fmt: skip
LANGUAGE = {
    "math": str, "dtype": str, "batch": int, "flops": int, "least_flops": int, "engines": tuple[Engine, ...],
    "boost": float, "ridge_point": float, "shares": Shares, "elasticities": None, "calibration": None,
    "memory_needed_bytes": int, "memory_size_bytes": float | None, "fits": bool | None, "traffic_bytes": int,
    "ideal_time_s": float, "roofline_time_s": float, "expected_time_s": float, "interval_s": Ends,
    "throughput_per_s": float, "utilization": float, "bound": str, "roofline": RooflineRates,
    "layers": tuple[LanguagePhase, ...], "language": LanguageFigures,
}  # fmt: skip
RECORD = {"path": str | None, "run": Record}
FAULTS = {"faults": tuple[str, ...]}
LINTED = ("devices", "architectures", "sources", "openable")
FILE = {name: get_type_hints(Device)[name] for name in ("aliases", "notes", "sources", "scores")}


class Nothing(Struct, frozen=True):
    """An answer whose keys are all stated here."""


def properties(struct: type, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the types of properties of a class by name."""
    return {name: get_type_hints(getattr(struct, name).fget)["return"] for name in names}


FORMS: dict[str, tuple[Form, ...]] = {
    "bench": (Form(Bench),),
    "calibrate": (Form(Calibration), Form(TimeModel)),
    "calibration": (Form(SavedCalibration),),
    "compare": (Form(Comparison),),
    "compare-runs": (Form(RunComparisons),),
    "count": (Form(Count),),
    "devices": (Form(Nothing, added={"devices": tuple[DeviceRow, ...]}),),
    "devices-lint": (Form(Nothing, added=FAULTS | dict.fromkeys(LINTED, int)),),
    "devices-show": (Form(Description, ("measured",), FILE),),
    "estimate": (Form(Estimate, added=properties(Estimate, FORECAST)), Form(LanguageEstimate, added=LANGUAGE)),
    "estimates": (Form(Estimates),),
    "explain": (Form(Explanation, added=RECORD),),
    "fleet-bench": (Form(ClusterBench),),
    "inference": (Form(Inference, added=RECORD),),
    "inferences": (Form(InferenceRuns),),
    "language-count": (Form(LanguageCount),),
    "language-points": (Form(LanguagePoints),),
    "language-run": (Form(LanguageRun),),
    "models": (Form(Nothing, added={"models": tuple[ModelRow, ...], "language_models": tuple[str, ...]}),),
    "models-lint": (Form(Nothing, added=FAULTS | {"models": int}),),
    "peak": (Form(Description),),
    "report": (Form(Report),),
    "require": (Form(Requirement),),
    "results": (Form(SavedRuns),),
    "results-change": (Form(ChangedRuns),),
    "self-check": (Form(SelfCheck),),
    "step": (Form(StepExplanation, added=RECORD),),
    "study-clock": (Form(ClockStudy),),
    "sweep": (
        Form(Sweep),
        Form(Nothing, added={"count": int, "points": tuple[SweepPoint, ...], "front": tuple[FrontRow, ...]}),
    ),
    "utilization": (Form(Utilization),),
    "validate": (
        Form(
            Validation, ("all", "ideal", "roofline", "rows"),
            {
                **get_type_hints(Metrics), "baselines": Baselines, "groups": tuple[GroupErrors, ...],
                "families": tuple[FamilyErrors, ...], "rows": tuple[ReplayRow, ...] | msgspec.UnsetType,
            },
        ),
    ),
    "validate-language": (Form(LanguageValidation, ("rows",), {"rows": tuple[LanguageRow, ...] | msgspec.UnsetType}),),
}  # fmt: skip


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the answers of a name."""
    definitions: dict[str, Any] = {}
    forms = [_form(form, definitions) for form in FORMS[name]]
    body = forms[0] if len(forms) == 1 else {UNION: forms}
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"hwbench.{name}"}
    return {**title, **body, "$defs": dict(sorted(definitions.items()))}


def _form(form: Form, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one form; what it refers to is added to `definitions`."""
    added = form.added
    types = [form.struct, *added.values()]
    schemas, components = msgspec.json.schema_components(types, schema_hook=_text_schema, ref_template="#/$defs/{name}")
    for answer in _answers(Answer):
        if answer.__name__ in components:
            _as_written(components[answer.__name__], answer)
    own = components.pop(form.struct.__name__)
    definitions |= components
    if form.struct is Estimates:
        definitions["Estimate"] = _form(FORMS["estimate"][0], definitions)
        definitions["Estimate"]["required"] = definitions["Estimate"]["required"][2:]  # those of the whole answer
    without = {*form.without, "warnings", "notices"}
    keys = {key: value for key, value in own.get("properties", {}).items() if key not in without}
    needed = [key for key in own.get("required", ()) if key not in without]
    optional = [key for key, kind in added.items() if msgspec.UnsetType in getattr(kind, "__args__", ())]
    keys |= dict(zip(added, schemas[1:], strict=True))
    needed = list(dict.fromkeys([*HEAD, *needed, *(key for key in added if key not in optional)]))
    text = own.get("description", "")
    return {"type": "object", "description": text, "properties": {**HEAD, **keys}, "required": needed}


def _text_schema(kind: type) -> dict[str, Any]:
    """Return the schema of a class that is written as text: quantities are."""
    return {"type": "string", "description": str(kind.__doc__)}


def _answers(kind: type) -> list[type[Answer]]:
    """Return the classes of answers, of all levels."""
    return [each for below in kind.__subclasses__() for each in (below, *_answers(below))]


def _as_written(described: dict[str, Any], answer: type[Answer]) -> None:
    """Change the schema of an answer's struct to that of its JSON: without context, with sentences for notices."""
    for key in answer.CONTEXT:
        described["properties"].pop(key, None)
    described["required"] = [key for key in described.get("required", ()) if key not in answer.CONTEXT]
    for key, value in described["properties"].items():
        if value.get("items") == {"$ref": "#/$defs/Notice"}:
            described["properties"][key] = TEXTS
    if "notices" in described["properties"]:
        described["properties"] |= {key: HEAD[key] for key in ("warnings", "notices")}


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(schema(sys.argv[1])), indent=1).decode() + "\n")
