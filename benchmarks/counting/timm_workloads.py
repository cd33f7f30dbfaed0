"""Trace every model of timm and pack the traces into the file that comes with hwbench (configs/traced/timm.zip).

Needs a venv of its own (pip install -e . torch timm): 5,000 traces, about an hour of one core. Traces are kept in
FOLDER, a file each, so that a run that was stopped goes on where it was. Models are traced at the size of their usual
image and of the test image that timm's benchmark uses, in mixed precision (channels last and not) and in fp32, and
at the sizes that `--sizes` names (`MODEL@SIDE` a line). What cannot be traced is written to FOLDER/failures.json.
`--sizes FILE --only` traces those alone, and `add` puts the traces of a folder into the packed file. A name that ends
in `-reparameterized` is of a model whose branches and norms are merged first.
Usage: python benchmarks/counting/timm_workloads.py trace FOLDER [--sizes FILE] [--only]
       python benchmarks/counting/timm_workloads.py pack FOLDER
       python benchmarks/counting/timm_workloads.py add FOLDER
"""

import argparse
import json
import logging
import os
import random
import signal
import time
import warnings
from collections.abc import Iterator
from importlib import metadata

import msgspec

from hwbench.files import atomic, content
from hwbench.workload.request import MERGED, ModelRequest
from hwbench.workload.saved import file as saved_file
from hwbench.workload.saved import shipped

MODES = {"plain-nchw": (None, False), "amp-nchw": ("fp16", False), "amp-nhwc": ("fp16", True)}
"""Traces of a model, by the mode's name in the packed file: autocast and channels last."""
PATIENCE = 180
"""Seconds for one trace."""


def wanted(sizes: str | None, only: bool) -> list[tuple[str, int]]:
    """Return the models and sides to trace, in an order that makes any first part a fair sample."""
    import timm

    pairs = set()
    for name in () if only else timm.list_models():
        config = timm.get_pretrained_cfg(name)
        usual = config.input_size[-1] if config else 224
        pairs |= {(name, usual), (name, config.test_input_size[-1] if config and config.test_input_size else usual)}
    for line in content.read_text(sizes).split() if sizes else ():
        name, _, side = line.partition("@")
        pairs.add((name, int(side)))
    return random.Random(0).sample(sorted(pairs), len(pairs))


def trace(folder: str, sizes: str | None, only: bool) -> None:
    """Write one file per trace, except for those that exist."""
    import torch

    from hwbench.workload.tracing import sources

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _out_of_time)
    told = os.path.join(folder, "failures.json")
    failures = json.loads(content.read_text(told)) if os.path.exists(told) else {}
    start, pairs = time.perf_counter(), wanted(sizes, only)
    for mode in MODES:
        os.makedirs(os.path.join(folder, mode), exist_ok=True)
    for number, (name, side) in enumerate(pairs, 1):
        for mode, (autocast, channels_last) in MODES.items():
            key = f"{mode}/{name}@{side}"
            path = os.path.join(folder, f"{key}.json")
            if key in failures or os.path.exists(path):
                continue
            signal.alarm(PATIENCE)
            try:
                request = ModelRequest(f"timm:{name}", image_size=side, autocast=autocast, channels_last=channels_last)
                saved_file.save(sources.workload(request), path)
            except Exception as error:
                failures[key] = f"{type(error).__name__}: {error}"
                atomic.write_atomically(told, json.dumps(failures, indent=1))
            finally:
                signal.alarm(0)
        if number % 50 == 0:
            print(f"{number} of {len(pairs)}, {len(failures)} failed, {time.perf_counter() - start:.0f} s", flush=True)


def _out_of_time(*_: object) -> None:
    raise TimeoutError(f"took more than {PATIENCE} s")


def pack(folder: str) -> None:
    """Write the packed file from all traces of a folder, and read each back to see that it is the same."""
    import timm

    found: dict[str, dict[tuple[int, str], str]] = {}
    for mode, name, side, path in _traces(folder):
        found.setdefault(name, {})[side, mode] = path
    members: dict[str, list[shipped.PackedTrace]] = {}
    for name, paths in sorted(found.items()):
        for (side, mode), path in sorted(paths.items()):
            made = shipped.pack(saved_file.load(path), name, side, mode)
            members.setdefault(_member(name), []).append(made)
    held = shipped.TraceIndex(
        schema=shipped.SCHEMA,
        made_with={name: metadata.version(name) for name in ("timm", "torch")},
        models={
            name: shipped.PackedModel(_member(name), _usual(name), tuple(sorted({side for side, _ in paths})))
            for name, paths in found.items()
        },
        tags=_tags(set(found)),
        renamed=_renamed(),
        other_heads=tuple(tag for tag in timm.list_pretrained() if _classes(tag) != _classes(tag.partition(".")[0])),
    )
    os.makedirs(os.path.dirname(shipped.path()), exist_ok=True)
    shipped.write(shipped.path(), held, sorted(members.items()))
    count = 0
    for name, paths in sorted(found.items()):
        for (side, mode), path in paths.items():
            autocast, channels_last = MODES[mode]
            asked = ModelRequest(f"timm:{name}", image_size=side, autocast=autocast, channels_last=channels_last)
            back, original = shipped.workload(asked), saved_file.load(path)
            assert back is not None, path
            assert msgspec.structs.replace(back, title=original.title) == original, path
            count += 1
    size = os.path.getsize(shipped.path())
    print(f"{shipped.path()}: {count} traces of {len(found)} models, {size / 1e6:.2f} MB")


def add(folder: str) -> None:
    """Put the traces of a folder into the packed file, in place of those of the same model, side and mode."""
    held = shipped.index()
    assert held is not None
    names = sorted({model.member for model in held.models.values()})
    members = {name: {_key(each): each for each in shipped._member(shipped.path(), name)} for name in names}
    models = dict(held.models)
    for mode, name, side, path in _traces(folder):
        made = shipped.pack(saved_file.load(path), name, side, mode)
        members.setdefault(_member(name), {})[_key(made)] = made
        sides = {side, *(models[name].sides if name in models else ())}
        models[name] = shipped.PackedModel(_member(name), _usual(name), tuple(sorted(sides)))
    held = msgspec.structs.replace(held, models=dict(sorted(models.items())))
    packed = [(name, [some[key] for key in sorted(some)]) for name, some in sorted(members.items())]
    shipped.write(shipped.path(), held, packed)


def _key(trace: shipped.PackedTrace) -> tuple[str, int, str]:
    return (trace.model, trace.side, trace.mode)


def _traces(folder: str) -> Iterator[tuple[str, str, int, str]]:
    """Return mode, model, side and path of every trace in a folder, grouped by member."""
    for name in sorted({file for mode in MODES for file in os.listdir(os.path.join(folder, mode))}):
        model, _, side = name.removesuffix(".json").rpartition("@")
        for mode in MODES:
            path = os.path.join(folder, mode, name)
            if name.endswith(".json") and os.path.exists(path):
                yield mode, model, int(side), path


def _member(name: str) -> str:
    """Return the member of the packed file for a model: names with the same beginning are similar models."""
    return f"{name.partition('_')[0].rstrip('0123456789')}.msgpack"


def _usual(name: str) -> int:
    import timm

    name = name.removesuffix(MERGED)
    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return int(config.input_size[-1]) if config else 224


def _tags(models: set[str]) -> dict[str, int]:
    """Return pretrained weights whose usual image is not that of their model."""
    import timm

    sides = {tag: _usual(tag) for tag in timm.list_pretrained() if tag.partition(".")[0] in models}
    return {tag: side for tag, side in sides.items() if side != _usual(tag.partition(".")[0])}


def _renamed() -> dict[str, str]:
    """Return names of earlier versions with today's, with a tag of weights where the old name had one."""
    from timm.models import _registry

    return {old: new for old, new in sorted(_registry._deprecated_models.items()) if new}


def _classes(name: str) -> int:
    import timm

    config = timm.get_pretrained_cfg(name)
    return int(config.num_classes) if config else 1000


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["trace", "pack", "add"])
    parser.add_argument("folder")
    parser.add_argument("--sizes")
    parser.add_argument("--only", action="store_true")
    options = parser.parse_args()
    if options.command == "trace":
        trace(options.folder, options.sizes, options.only)
    else:
        (pack if options.command == "pack" else add)(options.folder)


if __name__ == "__main__":
    main()
