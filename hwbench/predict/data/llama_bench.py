"""Tables of tokens a second: what `llama-bench -o json|jsonl|csv|md` prints, and our own CSV.

Our form has the columns of COLUMNS in any order; `phase` is `pp` (a prompt) or `tg` (generation), `context` what is
cached before, and rates are those of all sequences of a `batch`:

    device,model,weight_dtype,phase,n_tokens,tokens_per_s

Files come from anybody: what they name is looked up in the catalog and never opened.
"""

import csv
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hwbench.errors import InputError, shown
from hwbench.files import content, folders
from hwbench.predict.data.rows import RowError, Skipped, catalog_name, positive_count, positive_number
from hwbench.workload.language import catalog, mixes

COLUMNS = ("device", "model", "weight_dtype", "phase", "n_tokens", "tokens_per_s")
MAX_BYTES, MAX_ROWS = 64 << 20, 200_000
_UNITS = {"B": 1e9, "M": 1e6, "K": 1e3, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_TEST = re.compile(r"(pp|tg)(\d+)(?:\s*@\s*d(\d+))?")
_HEADINGS = {
    "model": "model_type", "size": "model_size", "params": "model_n_params", "t/s": "avg_ts", "fa": "flash_attn",
    "threads": "n_threads", "ngl": "n_gpu_layers", "backend": "backends",
}  # fmt: skip
"""Columns of llama-bench's Markdown, by its names of them in JSON."""
_PLAIN_WORDS = ("instruct", "it", "chat", "base", "hf", "meta", "gguf", "imat", "mostly", "all")


class MeasuredTokens(Struct, frozen=True):
    """One measured rate: tokens a second of a phase of a catalogued model, over all sequences of a batch.

    `tokens` follow `context` cached ones in each sequence. `size` is that of the file in bytes, where it is stated.
    """

    device: str
    model: str
    weights: str
    phase: Literal["prompt", "generation"]
    tokens: int
    tokens_per_s: float
    place: str
    context: int = 0
    batch: int = 1
    devices: int = 1
    threads: int | None = None
    layers_on_device: int | None = None
    kv_dtype: str = "f16"
    fused_attention: bool = False
    microbatch: int = 512
    size: float | None = None

    @property
    def time_s(self) -> float:
        """Seconds of the phase, all sequences together."""
        return self.tokens * self.batch / self.tokens_per_s


class LanguageTable(Struct, frozen=True):
    """The rates of some files, and the rows that were left out."""

    rows: tuple[MeasuredTokens, ...]
    skipped: tuple[Skipped, ...]


def is_language_table(path: str) -> bool:
    """Return whether a file looks like a table of tokens a second."""
    text = content.read_text(path, MAX_BYTES)
    lines = [line for line in text.splitlines()[:200] if line.strip() and line[0] != "#"]
    first = lines[0].lower() if lines else ""
    return first.lstrip()[:1] in ("[", "{") or "avg_ts" in first or "tokens_per_s" in first or any(
        line.lstrip().startswith("|") and "t/s" in line for line in lines
    )  # fmt: skip


def read(paths: tuple[str, ...], device: str | None = None) -> LanguageTable:
    """Return the rates in files; `device` is that of rows that name none of the catalog. Raises InputError."""
    _shapes.cache_clear()  # the catalog may have changed
    _located.cache_clear()
    rows: list[MeasuredTokens] = []
    skipped: list[Skipped] = []
    for path in paths:
        for number, raw in enumerate(_raw_rows(path)):
            if number >= MAX_ROWS:
                raise InputError("too-many", f"There are more than {MAX_ROWS:,} rows.", file=path)
            place = f"{path}:{raw.pop('line', number + 1)}"
            try:
                rows.append(_measured(raw, device, place))
            except RowError as error:
                label = raw.get("model") or raw.get("model_filename") or raw.get("model_type") or "?"
                skipped.append(Skipped(shown(label, 80), str(error), place))
    return LanguageTable(tuple(rows), tuple(skipped))


def _raw_rows(path: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a file as text by column, with the `line` where it has lines. Raises InputError."""
    text = content.read_text(path, MAX_BYTES)
    start = text.lstrip()[:1]
    if start == "[":
        yield from map(_texts, _objects(text, path))
    elif start == "{":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield from ({**_texts(row), "line": str(number)} for row in _objects(f"[{line}]", path, number))
    else:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
        marked = [(n, line) for n, line in lines if line.lstrip().startswith("|")]
        yield from _cells(marked, path, markdown=True) if marked else _cells(lines, path, markdown=False)


def _objects(text: str, path: str, line: int | None = None) -> list[Any]:
    try:
        objects = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InputError("bad-json", "It is not valid JSON.", file=path, line=line) from None
    return [each for each in objects if isinstance(each, dict)]


def _texts(row: dict[str, Any]) -> dict[str, str]:
    return {str(key): "" if value is None else str(value) for key, value in row.items() if key != "line"}


def _cells(lines: list[tuple[int, str]], path: str, *, markdown: bool) -> Iterator[dict[str, str]]:
    """Yield the rows of a table of CSV or Markdown, by llama-bench's names in JSON."""
    header: list[str] = []
    for number, line in lines:
        try:
            cells = line.strip().strip("|").split("|") if markdown else next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise InputError("not-a-table", f"The line is not CSV: {error}.", file=path, line=number) from None
        cells = [cell.strip() for cell in cells]
        if not header:
            header = [_HEADINGS.get(cell.lower(), cell.lower()) if markdown else cell.lower() for cell in cells]
        elif not (markdown and set("".join(cells)) <= set("-: ")):
            yield {**dict(zip(header, cells, strict=False)), "line": str(number)}


def _measured(row: dict[str, str], device: str | None, place: str) -> MeasuredTokens:
    """Return a row. Raises RowError."""
    return _own(row, device, place) if "tokens_per_s" in row else _llama_bench(row, device, place)


def _own(row: dict[str, str], device: str | None, place: str) -> MeasuredTokens:
    phase = {"pp": "prompt", "tg": "generation"}.get(row.get("phase", "").lower())
    if phase is None:
        raise RowError(f"phase is '{shown(row.get('phase', ''), 20)}' but must be pp or tg.")
    note = row.get("note", "")
    threads, step = re.search(r"\bthreads=(\d{1,5})\b", note), re.search(r"\bubatch=(\d{1,6})\b", note)
    named = row.get("device") or device or ""
    if not named:
        raise RowError("The row has no device.")
    size = row.get("size_gib")
    return MeasuredTokens(
        device=catalog_name(named, "device") if row.get("device") else named,
        model=_known(row.get("model", "")),
        weights=_format(row.get("weight_dtype", "")),
        phase=phase,  # type: ignore[arg-type]
        tokens=positive_count(row.get("n_tokens") or "128", "n_tokens"),
        tokens_per_s=positive_number(row.get("tokens_per_s", ""), "tokens_per_s"),
        place=place,
        context=_count(row.get("context"), "context"),
        batch=_count(row.get("batch"), "batch", 1) or 1,
        devices=_count(row.get("n_devices"), "n_devices", 1) or 1,
        threads=int(threads[1]) if threads else None,
        kv_dtype=(row.get("kv_dtype") or "f16").lower(),
        fused_attention="fa=1" in note,
        microbatch=int(step[1]) if step else 512,
        size=positive_number(size, "size_gib") * 2**30 if size else None,
    )


def _llama_bench(row: dict[str, str], device: str | None, place: str) -> MeasuredTokens:
    phase, tokens, context = _test(row)
    file = re.split(r"[/\\]", row.get("model_filename", ""))[-1].removesuffix(".gguf")
    kind = row.get("model_type", "")
    weights = _format_of(kind) or _format_of(file.replace("-", " ").replace(".", " "))
    if weights is None:
        raise RowError(f"The format of the weights of '{shown(kind or file, 60)}' is not known.")
    params = _quantity(row.get("model_n_params", ""))
    model = _by_file(file) or _by_params(params, kind)
    if model is None:
        raise RowError(f"No catalogued model is '{shown(file or kind, 60)}' with {params:,.0f} parameters.")
    names, on_gpu = _devices(row)
    known = names and _located("devices", names[0])
    named = (not known and device) or next(iter(names), "")
    if not named:
        raise RowError("The row has no device.")
    return MeasuredTokens(
        device=named,
        model=model,
        weights=weights,
        phase=phase,
        tokens=tokens,
        tokens_per_s=positive_number(row.get("avg_ts", "").split("±")[0].strip(), "t/s"),
        place=place,
        context=context,
        devices=max(len(names), 1) if on_gpu else 1,
        threads=_count(row.get("n_threads"), "n_threads") or None,
        layers_on_device=_layers(row.get("n_gpu_layers", "")),
        kv_dtype=(row.get("type_k") or "f16").lower(),
        fused_attention=row.get("flash_attn", "").lower() in ("1", "true", "on"),
        microbatch=_count(row.get("n_ubatch"), "n_ubatch", 512) or 512,
        size=_quantity(row.get("model_size", "")) or None,
    )


def _devices(row: dict[str, str]) -> tuple[list[str], bool]:
    """Return the names of the devices that a row states, and whether they are GPUs."""
    gpus = [name.strip() for name in re.split(r"[,/]", row.get("gpu_info", "")) if name.strip()]
    backend = row.get("backends", "").upper()
    if gpus and backend != "CPU":
        return gpus, True
    return [row["cpu_info"]] if row.get("cpu_info") else [], bool(backend) and "CPU" not in backend


def _test(row: dict[str, str]) -> tuple[Literal["prompt", "generation"], int, int]:
    """Return the phase of a row, its tokens, and what is cached before. Raises RowError for both phases at once."""
    if "test" in row:
        match = _TEST.fullmatch(row["test"])
        if match is None:
            raise RowError(f"The test is '{shown(row['test'], 40)}', neither of a prompt nor of a generation alone.")
        phase: Literal["prompt", "generation"] = "prompt" if match[1] == "pp" else "generation"
        return phase, positive_count(match[2], "test"), _count(match[3], "depth")
    prompt, generated = _count(row.get("n_prompt"), "n_prompt"), _count(row.get("n_gen"), "n_gen")
    if bool(prompt) == bool(generated):
        raise RowError("The row is neither of a prompt nor of a generation alone.")
    return "prompt" if prompt else "generation", prompt or generated, _count(row.get("n_depth"), "n_depth")


def _layers(text: str) -> int | None:
    """Return how many layers are on the GPU, None for all (-1) or where that is not stated."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _count(text: str | None, column: str, default: int = 0) -> int:
    return default if text in (None, "") else 0 if text == "0" else positive_count(text or "", column)


def _quantity(text: str) -> float:
    """Return `8030261248`, `8.03 B` or `4.58 GiB` as a number; 0 for none. Raises RowError."""
    number, _, unit = text.strip().partition(" ")
    return positive_number(number, "size or params") * _UNITS.get(unit.upper(), 1.0) if number else 0.0


def _known(name: str) -> str:
    """Return a name of the catalog of language models. Raises RowError."""
    if model := catalogued(name):
        return model
    raise RowError(f"model is '{shown(name, 60)}', which is no language model of the catalog.")


def catalogued(name: str) -> str | None:
    """Return a name of the catalog of language models, that in the name of a file too."""
    if name and "/" not in name and _located(catalog.KIND, name.partition("?")[0]):
        return name
    return _by_file(name)


def _format(name: str) -> str:
    try:
        return mixes.weight_format(name)
    except InputError as error:
        raise RowError(error.message) from None


def _format_of(text: str) -> str | None:
    """Return the format in `llama 8B Q4_K - Medium`, or in the words of a file's name."""
    label = re.sub(r"\s-\s(small|medium|large)\b", lambda match: f"_{match[1][0]}", text.lower())
    label = label.replace(" mix", "_m")
    formats = [word for word in label.split() if mixes.SYNONYMS.get(word, word) in mixes.MIXES]
    return mixes.weight_format(formats[-1]) if formats else None


def _by_file(file: str) -> str | None:
    """Return the catalogued model in a file's name: what is left without its format and words of no shape."""
    stem = re.sub(r"[-_.](ud[-_.])?i?q\d.*$|[-_.](bf16|f16|f32)$", "", file.lower())
    words = re.split(r"[-_ ]", stem)
    for left_out in ((), _PLAIN_WORDS):
        name = "-".join(word for word in words if word and word not in left_out)
        if name and _located(catalog.KIND, name):
            return name
    return None


@lru_cache(maxsize=4096)
def _located(kind: str, name: str) -> str | None:
    return folders.locate(kind, name)


@cache
def _shapes() -> tuple[tuple[str, int], ...]:
    """Return the models of the catalog with their parameters, whatever the format."""
    return tuple((name, catalog.load(name, "f16").params) for name in folders.files(catalog.KIND))


def _by_params(params: float, kind: str) -> str | None:
    """Return the only shape of the catalog with so many parameters, to the digits that are stated, and this family."""
    family = kind.lower().split(" ")[0]
    close = []
    for name, own in _shapes():
        if params and abs(own / params - 1) < 0.002 and name.startswith(family.rstrip("0123456789.")):
            close.append((abs(own - params), name))
    return min(close)[1] if close else None
