"""The form of msgspec's messages, on which the place and the nearest choices of an error rest."""

from typing import Annotated, Any, Literal

import msgspec
import pytest

from hwbench.files.messages import complaint


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A struct in a list."""

    count: Annotated[int, msgspec.Meta(ge=1)]


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    """A struct with the kinds of fields that files have."""

    title: str
    kind: Literal["cpu", "gpu"] = "cpu"
    parts: tuple[Part, ...] = ()


FORMS: list[tuple[dict[str, Any], str, str, tuple[str, ...]]] = [
    ({"title": 1}, "This must be text, not a whole number.", "title", ()),
    ({}, "Object missing required field `title`.", "", ()),
    ({"title": "x", "tilte": 1}, "Object contains unknown field `tilte`.", "tilte", ("title",)),
    ({"title": "x", "kind": "gpus"}, "Invalid enum value 'gpus'.", "kind", ("gpu",)),
    ({"title": "x", "kind": "other"}, "Invalid enum value 'other'.", "kind", ("cpu", "gpu")),
    ({"title": "x", "parts": [{"count": 0}]}, "This must be a whole number >= 1.", "parts[0].count", ()),
    ({"title": "x", "parts": [{"count": 1, "cuont": 1}]}, "Object contains unknown field `cuont`.", "parts[0].cuont",
     ("count",)),
]  # fmt: skip


@pytest.mark.parametrize(("data", "sentence", "field", "nearest"), FORMS)
def test_a_reason_a_field_and_the_nearest_choices(
    data: dict[str, Any], sentence: str, field: str, nearest: tuple[str, ...]
) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(data, Thing)
    found = complaint(caught.value, Thing)
    assert (found.sentence, found.field, found.nearest) == (sentence, field, nearest)
