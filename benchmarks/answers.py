"""Record the JSON answers of sixty varied commands, or compare two recordings key by key.

    python benchmarks/answers.py record FOLDER
    python benchmarks/answers.py compare BEFORE AFTER

A change that should not alter answers is checked by recording before and after it. Catalogued names only, and a
saved run of the tests: nothing is measured, so the answers do not depend on the machine or the hour.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUN = "tests/golden/run-1.json"
COMMANDS = tuple(
    line.strip()
    for line in f"""
    estimate --model alexnet --device rtx3090
    estimate --model alexnet --device RTX_3090 --dtype fp16 --batch 64
    estimate --model resnet50 --device h100-sxm --dtype bf16 --batch 32
    estimate --model resnet50 --device i9-10940x
    estimate --model resnet50 --device i9-10940x --runtime torch-compile-cpu --batch 8
    estimate --model vgg16 --device rtx4090 --dtype amp --batch 128
    estimate --model bert-base --device a100-sxm4-80gb --dtype fp16
    estimate --model mobilenet-v2 --device ryzen9-9950x --dtype fp32,bf16 --batch 1,8
    estimate --model vit-b-16 --device rtx3090 --runtime torch-compile-cuda --dtype fp16 --batch 16
    estimate --model alexnet --device rtx3090 --set clock=3GHz
    estimate --model alexnet --device rtx3090 --set bandwidth=2TB/s --set memory=48GiB
    estimate --model densenet121 --device i7-12700h --clock base
    estimate --model matmul:4096x4096x4096 --device rtx3090
    estimate --model matmul:64x64x64 --device i9-10940x --dtype fp64
    estimate --model alexnet --device run:{RUN}
    estimate --model timm:resnet50 --device rtx3090 --dtype amp --batch 256
    estimate --model timm:vit_base_patch16_224 --device rtx4090 --dtype amp --batch 64
    estimate --model googlenet --device mi250x --dtype fp16
    estimate --model squeezenet1.0 --device m1
    estimate --model alexnet-owt --device v100-sxm2-32gb --dtype fp16 --batch 1,2,4,8
    count --model alexnet
    count --model alexnet --convention mac
    count --model alexnet --convention mac-bias
    count --model alexnet-grouped --batch 8
    count --model resnet50 --dtype fp16
    count --model bert-base
    count --model lenet5
    count --model timm:convnext_tiny
    count --model matmul:10x20x30
    peak --device rtx3090
    peak --device h100-sxm
    peak --device i9-10940x
    peak --device i7-12700h --clock boost
    peak --device run:{RUN}
    peak --device m1
    require --model alexnet --rate 30/s
    require --model bert-base --latency 5ms --dtype fp16 --utilization 0.3
    require --model resnet50 --rate 1000/s --batch 8 --all
    compare rtx3090 rtx4090
    compare i9-10940x i7-12700h ryzen9-9950x --model alexnet
    compare rtx3090 rtx4090 --model resnet50 --dtype fp16 --batch 1,64
    compare --kind cpu --year 2020.. --sort per-watt
    compare --kind gpu --vendor amd
    compare {RUN} {RUN}
    sweep --model alexnet --batch 1..8 --device rtx3090 --device rtx4090
    sweep --model resnet50 --kind gpu --dtype fp16 --batch 1,64
    sweep --model alexnet --model resnet50 --kind cpu --year 2022.. --batch 1
    study clock
    study clock --model alexnet --device i9-10940x
    validate
    validate --rows
    devices list
    devices list --kind gpu
    devices show rtx3090
    devices show i9-10940x
    devices search threadripper
    models list
    models show alexnet
    results show {RUN}
    estimate --model alexnt --device rtx3090
    peak --device rtx9999
    """.strip().splitlines()
)


def answer(command: str) -> str:
    """Return the standard output of a command with --json, run in an empty home."""
    folder = ROOT / "build" / "answers-home"
    folder.mkdir(parents=True, exist_ok=True)
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "hwbench", *command.split(), "--json"],
        cwd=ROOT, env=os.environ | homes, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout or json.dumps({"stderr": done.stderr, "exit": done.returncode})


def record(folder: Path) -> None:
    """Write every command's answer to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        for index, text in enumerate(pool.map(answer, COMMANDS)):
            (folder / f"{index:02d}.json").write_text(text)
    print(f"{len(COMMANDS)} answers in {folder}")


def differences(before: Any, after: Any, at: str = "") -> list[str]:
    """Yield the places where two JSON values differ, without list positions."""
    if isinstance(before, dict) and isinstance(after, dict):
        places = [f"{at}.{key} {'gone' if key in before else 'new'}" for key in sorted(before.keys() ^ after.keys())]
        return places + [
            d for key in before.keys() & after.keys() for d in differences(before[key], after[key], f"{at}.{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [d for pair in zip(before, after, strict=True) for d in differences(*pair, f"{at}[]")]
    if before == after and type(before) is type(after):
        return []
    if isinstance(before, str) and isinstance(after, str) and " " in before:
        return [f"{at} in other words"]
    return [f"{at} {str(before)[:60]!r} -> {str(after)[:60]!r}"]


def compare(before: Path, after: Path) -> None:
    """Print each kind of difference once: in how many of the answers it occurs, and the first of them."""
    places: dict[str, list[str]] = {}
    for index, command in enumerate(COMMANDS):
        old, new = (json.loads((folder / f"{index:02d}.json").read_text()) for folder in (before, after))
        for place in dict.fromkeys(differences(old, new)):
            places.setdefault(place, []).append(command)
    for place, commands in sorted(places.items(), key=lambda item: -len(item[1])):
        print(f"{len(commands):3} answers: {place}   ({commands[0]})")
    changed = {command for commands in places.values() for command in commands}
    print(f"{len(COMMANDS) - len(changed)} of {len(COMMANDS)} answers are the same")


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(Path(sys.argv[2]))
    else:
        compare(Path(sys.argv[2]), Path(sys.argv[3]))
