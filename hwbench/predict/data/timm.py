"""The tables of timm's `results/benchmark-infer-*.csv`: rows in timm's form, and what a file's name tells of them."""

import os
import re

from hwbench.errors import InputError
from hwbench.notices import Notice, notice
from hwbench.predict.data.rows import (
    DTYPES,
    LAYOUTS,
    Defaults,
    MeasuredTime,
    RowError,
    catalog_name,
    positive_count,
    positive_number,
)

COLUMNS = ("model", "infer_step_time", "infer_batch_size", "infer_img_size")
REQUIRED = COLUMNS[:2]
MAX_CONTRADICTION = 0.05
"""Share by which a row's throughput and step time may differ."""
_COMPILERS = ("dynamo", "compile", "inductor")
_NO_DEVICE = re.compile(r"benchmark|model|infer|eager|cpu|cu[0-9]+|rocm[0-9]*|pt[0-9]+")


def measured_time(row: dict[str, str], defaults: Defaults, place: str) -> MeasuredTime:
    """Return a row of timm's tables, whose step time is in milliseconds a batch. Raises RowError."""
    model = row.get("model", "")
    if not model:
        raise RowError("The row has no model.")
    catalog_name(model, "model")
    batch = positive_count(row.get("infer_batch_size", ""), "infer_batch_size")
    time = positive_number(row.get("infer_step_time", ""), "infer_step_time") / 1e3
    rate = row.get("infer_samples_per_sec")
    if rate:
        batches = positive_number(rate, "infer_samples_per_sec") * time / batch
        if abs(batches - 1) > MAX_CONTRADICTION:
            raise RowError(f"infer_samples_per_sec times infer_step_time is {batches:.3g} batches instead of one.")
    params = row.get("param_count")
    return MeasuredTime(
        device=defaults.device or "",
        model=f"timm:{model}",
        batch=batch,
        dtype=defaults.dtype or "",
        time_s=time,
        place=place,
        image_size=positive_count(row.get("infer_img_size", ""), "infer_img_size"),
        layout=defaults.layout,
        runtime=defaults.runtime,
        source="timm results",
        params=positive_number(params, "param_count") * 1e6 if params and params != "0.0" else None,
    )


def defaults_of(path: str, options: Defaults) -> tuple[Defaults, tuple[Notice, ...]]:
    """Return the values that hold for all rows of a file: from the options, else from its name.

    Raises InputError if neither tells the device or the dtype.
    """
    name, notices = parse_name(path)
    values = {field: getattr(options, field) or getattr(name, field) for field in Defaults.__struct_fields__}
    if name.device and not options.device:
        try:
            catalog_name(name.device, "The device in the file's name")
        except RowError as error:
            raise InputError("unknown-device", str(error), file=path) from None
    for field in ("device", "dtype"):
        if not values[field]:
            raise InputError(
                f"missing-{field}", f"The file's name does not tell the {field}: it must be given.", file=path
            )
    return Defaults(**values), notices


def parse_name(path: str) -> tuple[Defaults, tuple[Notice, ...]]:
    """Return what a file name such as `benchmark-infer-amp-nhwc-pt240-cu124-rtx3090-dynamo.csv` tells.

    Words are separated by `-` or `_`, in any order. Whatever is no dtype, layout, version or runtime is the device.
    """
    words = re.split(r"[-_]", os.path.splitext(os.path.basename(path))[0].lower())
    dtypes = [DTYPES[word] for word in words if word in DTYPES]
    layouts = [word for word in words if word in LAYOUTS]
    versions = [version for version in map(torch_version, words) if version]
    how = "compile" if any(word in _COMPILERS for word in words) else "eager"
    known = {"", *DTYPES, *LAYOUTS, *_COMPILERS}
    mixed = "amp" in dtypes
    defaults = Defaults(
        device="-".join(word for word in words if word not in known and not _NO_DEVICE.fullmatch(word)) or None,
        dtype="amp" if mixed else dtypes[0] if dtypes else None,
        layout=layouts[0] if layouts else None,
        runtime=f"torch-{versions[0]}-{how}" if versions else None,
    )
    return defaults, (notice("autocast-as-fp16", file=path),) if mixed and "bf16" in dtypes else ()


def torch_version(word: str) -> str | None:
    """Return the version in a word of a file name: `pt240` is 2.4, `pt113` is 1.13, `pt2100` is 2.10."""
    match = re.fullmatch(r"pt([12])([0-9]+)", word)
    if match is None:
        return None
    major, rest = match.groups()
    minor = rest if major == "1" or len(rest) == 1 else rest[:-1]  # the last digit is the patch, since 2.0
    return f"{major}.{int(minor)}"
