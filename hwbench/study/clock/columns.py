"""The mapping of fields to columns: canonical names, a table known by its header, or the user's own mapping."""

import re
from collections.abc import Iterator, Sequence

from hwbench.errors import InputError, nearest, shown

CANONICAL = (
    "suite=suite,device=device,year=year,clock=clock_ghz,cores=cores,microarchitecture=microarchitecture,score=score"
)
RECOGNIZED = (
    CANONICAL,
    "suite=suite,device=manufacturer+family+model,year=hw_avail,clock=clock_mhz,microarchitecture=class,family=family,"
    "score=basemean",
    "suite=suite,device=manufacturer+family+model,year=hw_avail|date,clock=clock_mhz,boost=base_clock_if_turbo_mhz,"
    "cores=hw_ncores,microarchitecture=microarchitecture|code_name|family,family=family,score=basemean",
    "device=name,clock=base_ghz,boost=boost_ghz,cores=cores,microarchitecture=family,score=gb6_single,score=gb6_multi",
    "device=vendor+model,clock=MYCT:ns,microarchitecture=vendor,score=PRP",
)
"""Known mappings: the first of these whose columns a table has is used by default.

`field=column`; `a+b` joins columns, `a|b` takes the first that is filled, `:MHz` gives a unit missing in the name.
Besides the canonical table: CPU DB's classes and scores of SPEC, Geekbench 6 medians, UCI's machines of the 1980s.
"""

FIELDS = ("suite", "device", "year", "clock", "boost", "cores", "microarchitecture", "family", "score")

Mapping = tuple[tuple[str, str], ...]

REQUIRED = ("device", "clock", "score")


def recognize(header: Sequence[str], path: str) -> Mapping:
    """Return the mapping of a header, canonical without the columns it lacks. Raises InputError where none fits."""
    canonical = tuple((field, column) for field, column in _pairs(CANONICAL) if column in header)
    missing = [field for field in REQUIRED if field not in dict(canonical)]
    if not missing:
        return canonical
    for text in RECOGNIZED:
        mapping = tuple(_pairs(text))
        if all(name in header for _, column in mapping for name in _names(column)):
            return mapping
    columns = [dict(_pairs(CANONICAL))[field] for field in missing]
    message = f"The header lacks {', '.join(columns)}. Map the columns, as in score=basemean,clock=clock_mhz."
    raise InputError("columns-missing", message, file=path, field=columns[0], nearest=nearest(columns[0], header))


def parse(text: str, header: Sequence[str], path: str) -> Mapping:
    """Return the mapping of a text such as `clock=mhz,score=points`. Raises InputError for unknown names."""
    known = {name.casefold(): name for name in header}
    checked = []
    for field, column in list(_pairs(text)):
        if field not in FIELDS:
            fields = nearest(field, FIELDS) or FIELDS
            raise InputError("unknown-field", f"There is no field '{shown(field)}'.", field="columns", nearest=fields)
        for name in _names(column):
            if name.casefold() not in known:
                message, choices = f"{shown(path)} has no column '{shown(name)}'.", nearest(name, header) or header[:9]
                raise InputError("unknown-column", message, field="columns", nearest=choices)
        names, colon, unit = column.partition(":")
        spelled = re.sub(r"[^+|]+", lambda name: known[name.group().casefold()], names)
        checked.append((field, f"{spelled}{colon}{unit}"))
    if missing := [field for field in REQUIRED if field not in dict(checked)]:
        raise InputError("columns-missing", f"The mapping of columns has no {missing[0]}.", field="columns")
    return tuple(checked)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        field, equals, column = (word.strip() for word in part.partition("="))
        if not equals or not field or not column:
            message = f"'{shown(part)}' is not FIELD=COLUMN, as in clock=clock_mhz."
            raise InputError("not-a-mapping", message, field="columns")
        yield field.casefold(), column


def _names(column: str) -> list[str]:
    return [name for name in re.split(r"[+|]", column.partition(":")[0]) if name]


def value(values: dict[str, str], column: str) -> str:
    """Return the text of a column, of several joined, or of the first that is filled."""
    names = column.partition(":")[0]
    if "|" in names:
        return next((text for name in names.split("|") if (text := values.get(name) or "")), "")
    return " ".join(text for name in names.split("+") if (text := values.get(name) or ""))


def suffix(name: str) -> str:
    """Return the unit of a clock at the end of a column's name; GHz where there is none."""
    return next((unit for unit in ("ghz", "mhz", "khz", "hz") if name.casefold().endswith(unit)), "ghz")
