"""Check answers against the JSON Schemas of the documentation: every key that is written must be described."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from docs import schemas


@cache
def validator(name: str) -> Draft202012Validator:
    """Return the validator of a schema in which no key may be unknown."""
    return Draft202012Validator(_closed(schemas.schema(name)))


def _closed(value: Any) -> Any:
    """Return a schema whose objects have no other keys than those that it names."""
    if isinstance(value, list):
        return [_closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _closed(each) for key, each in value.items()}
    return inner | {"additionalProperties": False} if isinstance(value.get("properties"), dict) else inner


def check(answer: Any) -> None:
    """Assert that an object of `--json` is described by the schema that it names."""
    if "error" not in answer:
        name = answer["schema"].removeprefix("hwbench.").partition("/")[0]
        errors = [f"{error.json_path}: {error.message[:300]}" for error in validator(name).iter_errors(answer)]
        assert not errors, "\n".join(errors[:5])
