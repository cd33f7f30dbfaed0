"""Wrong inputs: exit code 2, one line on standard error, no traceback; with --json also an object.

Tables hold codes and places, which programs rely on; SENTENCES holds a few whole lines, for their words.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMANDS = [  # (the command, code of the error, the option or command that it is about)
    # misspelt names
    ("estimat", "unknown-command", None),
    ("devices shwo rtx3090", "usage", "devices"),
    ("--nope", "unknown-option", None),
    ("results list --from /no/such/folder", "not-a-folder", None),
    ("calibrate --show -o parameters.json", "exclusive", "--show"),
    ("estimate --modle alexnet --device rtx3090", "unknown-option", "estimate"),
    ("estimate --model alexnt --device rtx3090", "unknown-model", None),
    ("estimate --model alexnet --device rtx309", "unknown-device", None),
    ("estimate --model alexnet --device 'Gefroce RTX 3090'", "unknown-device", None),
    ("peak --device 'no such thing at all'", "unknown-device", None),
    ("devices show i7-12700hq", "unknown-device", None),
    ("models show resnet-5o", "unknown-model", None),
    ("devices list --vendor nvida", "unknown-vendor", "--vendor"),
    ("count --model alexnet --dtype fp33", "unknown-dtype", "--dtype"),
    ("count --model alexnet --dtype ''", "unknown-dtype", "--dtype"),
    ("count --model alexnet --convention flops", "bad-value", "--convention"),
    ("peak --device rtx3090 --clock turbo", "bad-value", "--clock"),
    ("devices list --kind tpu", "bad-value", "--kind"),
    # names that are no names
    ("estimate --model alexnet --device ''", "empty-name", None),
    ("estimate --model ' ' --device rtx3090", "empty-name", None),
    ("count --model $'\\n'", "unknown-model", None),
    (f"count --model {'a' * 5000}", "unknown-model", None),
    (f"peak --device {'a' * 5000}.yaml", "not-readable", None),
    ("peak --device '\x1b[31m\u202e'", "unknown-device", None),
    ("peak --device '\udcff\udcfe'", "unknown-device", None),
    ("count --model ../../etc/passwd.yaml", "not-readable", None),
    ("count --model /", "not-readable", None),
    # missing, surplus
    ("estimate --model alexnet", "missing", "--device"),
    ("count", "missing", "--model"),
    ("count --model alexnet lenet5", "given-twice", "--model"),
    ("devices show", "missing", "devices show"),
    ("study clock --columns device=a", "missing", "--columns"),
    ("study clock --suite SPECint200", "unknown-suite", "--suite"),
    ("study clock --pair k7 netbrust", "unknown-class", "--pair"),
    ("study clock --pair k7 amd", "classes-overlap", "--pair"),
    ("study clock --pair k7 ''", "empty-class", "--pair"),
    ("study clock --model alexnet --device rtx3090 --suite SPECint2000", "exclusive", "--model"),
    ("study clock --window soon", "bad-years", "--window"),
    ("study clock --window nan", "bad-years", "--window"),
    ("study clock --model alexnet", "missing", "--device"),
    ("study clock --model alexnet --device rtx3090 --batch 1,2", "single-value", "--batch"),
    ("study clock --data none.csv", "not-readable", None),
    ("study clock --data none.csv --model alexnet", "exclusive", "--model"),
    ("study clok", "usage", "study"),
    ("require --model alexnet", "missing", "--rate"),
    # numbers and units
    ("estimate --model alexnet --device rtx3090 --batch 0", "batch-range", "--batch"),
    ("estimate --model alexnet --device rtx3090 --batch -1", "batch-range", "--batch"),
    ("estimate --model alexnet --device rtx3090 --batch 1.5", "batch-range", "--batch"),
    ("estimate --model alexnet --device rtx3090 --batch 1e3", "batch-range", "--batch"),
    ("estimate --model alexnet --device rtx3090 --batch nan", "batch-range", "--batch"),
    ("estimate --model alexnet --device rtx3090 --batch ²", "batch-range", "--batch"),
    ("estimate --model alexnet --device rtx3090 --batch 1,,2", "batch-range", "--batch"),
    (f"estimate --model alexnet --device rtx3090 --batch {'9' * 9000}", "batch-range", "--batch"),
    ("count --model alexnet --batch 1,2", "single-value", "--batch"),
    ("count --model alexnet --dtype fp32,fp16", "single-value", "--dtype"),
    ("require --model alexnet --rate 1/s --batch 1,2", "single-value", "--batch"),
    ("estimate --model alexnet --device rtx3090 --set clock=0GHz", "quantity-zero", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock=1e-400GHz", "quantity-zero", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock=1e999GHz", "quantity-range", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock=1e9", "no-unit", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock=nanGHz", "not-a-quantity", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock=-3GHz", "negative-quantity", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock=3GB", "wrong-unit", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock=3ghz", "wrong-unit", "--set clock"),
    ("estimate --model alexnet --device rtx3090 --set clock", "bad-setting", "--set"),
    ("estimate --model alexnet --device rtx3090 --set =3GHz", "unknown-setting", "--set"),
    ("estimate --model alexnet --device rtx3090 --set clok=3GHz", "unknown-setting", "--set clok"),
    ("estimate --model alexnet --device rtx3090 --set clock=1GHz --set clock=2GHz", "given-twice", "--set"),
    ("peak --device rtx3090 --set clock.SN=3GHz", "unknown-units", "--set clock.SN"),
    ("peak --device rtx3090 --set units=0", "units-range", "--set units"),
    ("peak --device rtx3090 --set units=8e1", "units-range", "--set units"),
    ("peak --device i7-12700h --set units=4", "units-ambiguous", "--set units"),
    ("peak --device rtx3090 --set power.x=300W", "unknown-setting", "--set power.x"),
    ("peak --device rtx3090 --clock all-core", "unknown-clock", "--clock"),
    ("require --model alexnet --rate 30", "no-unit", "--rate"),
    ("require --model alexnet --rate 0/s", "quantity-zero", "--rate"),
    ("require --model alexnet --rate -5/s", "negative-quantity", "--rate"),
    ("require --model alexnet --rate 30fps", "wrong-unit", "--rate"),
    ("require --model alexnet --latency 5m", "wrong-unit", "--latency"),
    ("require --model alexnet --latency inf", "not-a-quantity", "--latency"),
    ("require --model alexnet --rate 1/s --utilization 0", "utilization-range", "--utilization"),
    ("require --model alexnet --rate 1/s --utilization nan", "utilization-range", "--utilization"),
    ("require --model alexnet --rate 1/s --utilization 50%", "bad-value", "--utilization"),
    ("devices list --year 20", "bad-year", "--year"),
    ("devices list --year 2021..2017", "bad-year", "--year"),
    ("devices list --year ２０２０", "bad-year", "--year"),
    # comparisons and sweeps
    ("compare rtx3090 rtx409", "unknown-device", None),
    ("compare rtx3090 --model alexnet --runtime torch-egaer-cuda", "unknown-runtime", "--runtime"),
    ("sweep --model alexnet -d rtx3090 --runtime torch-egaer-cuda", "unknown-runtime", "--runtime"),
    ("compare rtx3090 --sort speed", "bad-value", "--sort"),
    ("compare rtx3090 rtx4090 --sort time", "needs-model", "--sort"),
    ("compare rtx3090 rtx4090 --baseline rtx2080ti", "unknown-baseline", "--baseline"),
    ("compare rtx3090 rtx4090 --dtype fp32,fp16", "single-value", "--dtype"),
    ("compare rtx3090 rtx4090 --format xml", "bad-value", "--format"),
    ("compare --vendor nvida", "unknown-vendor", "--vendor"),
    ("compare --kind gpu --year 1999", "no-device", None),
    (f"compare --kind cpu --model alexnet --batch {','.join(map(str, range(1, 101)))}", "too-many", "--batch"),
    ("compare nowhere.json also-nowhere.json", "not-readable", None),
    ("compare nowhere.json", "single-run", "NAMES"),
    ("compare nowhere.json rtx3090", "mixed-kinds", "NAMES"),
    ("compare latest latest", "no-runs", None),
    ("compare a.json b.json --margin 3", "bad-share", "--margin"),
    ("compare rtx3090 rtx4090 --margin 3", "bad-share", "--margin"),
    ("compare rtx3090 rtx4090 --level 2", "bad-level", "--level"),
    ("compare latest latest --model alexnet", "not-for-runs", "--model"),
    ("compare latest latest --sort peak", "not-for-runs", "--sort"),
    ("compare a.json b.json --margin nan", "bad-share", "--margin"),
    ("compare a.json b.json --level 0.2", "bad-level", "--level"),
    ("sweep --device rtx3090", "missing", "--model"),
    ("sweep --model alexnet --batch 8..1", "bad-range", "--batch"),
    ("sweep --model alexnet --batch 1..", "bad-range", "--batch"),
    ("sweep --model alexnet --batch 1..8:0", "bad-range", "--batch"),
    ("sweep --model alexnet --batch 1..1000000", "too-many", "--batch"),
    ("sweep --model alexnet --device rtx3090 --kind gpu", "exclusive", "--device"),
    ("sweep --model alexnet --kind gpu --year 1990", "no-device", None),
    ("sweep --model alexnet -o points.parquet", "bad-suffix", "--output"),
    ("sweep --model alexnet -d rtx3090 -o nowhere/p.csv", "not-writable", None),
    ("sweep --model alexnet --device rtx3090 --dtype fp4", "no-rate", "--dtype"),
    ("sweep --model alexnet --mode training", "not-swept", "--mode"),
    ("fleet bench --scheduler tcp://127.0.0.1:1 --timeout 5", "no-unit", "--timeout"),
    ("fleet bench --scheduler tcp://127.0.0.1:1 --timeout 1ms", "duration-range", "--timeout"),
    ("fleet bench --scheduler tcp://127.0.0.1:1 --save x --no-save", "exclusive", "--save"),
    ("fleet bench", "missing", "fleet bench"),
    # measured runs (those that need torch: test_run.py)
    ("run", "missing", "--model"),
    ("run --model lenet5 --budget 3", "no-unit", "--budget"),
    ("run --model lenet5 --batch 1,2 --layers", "single-value", "--layers"),
    ("run --model lenet5 --compile --layers", "single-value", "--layers"),
    ("run --model lenet5 --mode training --runtime openvino", "inference-only", "--runtime"),
    (f"run --model lenet5 --batch {','.join(map(str, range(1, 70)))}", "too-many", "--batch"),
    ("explain --dtype bf16", "bad-value", "--dtype"),
    ("explain --batch 1,2", "single-value", "--batch"),
    ("explain --budget 1", "no-unit", "--budget"),
    ("explain --run nowhere.json", "not-readable", None),
    ("explain --run latest", "no-runs", None),
    ("explain --run a.json --save", "exclusive", "--run"),
    ("peak --device run:nowhere.json", "not-readable", None),
    ("estimate --model alexnet --device run:latest", "no-runs", None),
    # what a device or a model does not have
    ("estimate --model alexnet --device rtx3090 --dtype fp8", "unknown-rate", "--dtype"),
    ("count --model matmul:4x4", "not-a-matmul", "--model"),
    ("count --model matmul:0x4x4", "not-a-matmul", "--model"),
    ("count --model matmul:999999999999x999999999999x999999999999", "too-large", "layers[0].matmul"),
    # files that are no files for us
    ("count --model /dev/zero", "too-large", None),
    ("count --model /dev/null", "empty-file", None),
]

TEXT_ONLY = [  # (the command, a part of the line), commands without --json
    ("count --model", "Option '--model' requires an argument."),
    ("completion tcsh", "SHELL: 'tcsh' is not one of bash, zsh, fish."),
    ("completion", "completion: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish."),
    ("compare a.json b.json --format csv", "a.json: The file cannot be read: No such file or directory."),
    (
        "sweep --model alexnet -o p.csv --format csv",
        "--format: CSV goes to standard output and cannot be combined with a file.",
    ),
    ("devices new ''", "NAME: A device name is 1 to 100 printable characters and no path."),
    ("devices new ../../my-card", "NAME: A device name is 1 to 100 printable characters and no path."),
    ("--json", "No such option '--json'. (did you mean --version?)"),
    ("compare rtx3090 rtx4090 --format csv --json", "--format: The format csv and JSON exclude each other."),
]

DEVICE = """\
title: A card
kind: gpu
vendor: NVIDIA
released: 2020-09
units:
  - architecture: ampere-ga10x
    count: 82
    clock: {base: 1.4 GHz, boost: 1.7 GHz}
memory: {size: 24 GiB, bandwidth: 936 GB/s}
power: 350 W
"""


DEVICES = [  # (a part of DEVICE, what it becomes, code, line:column and field)
    ("title: A card\n", "", "invalid-field", "1:1"),
    ("title: A card", "title: ''", "invalid-field", "1:1 title"),
    ("title: A card", "title: 3", "invalid-field", "1:1 title"),
    ("title: A card", "title:", "invalid-field", "1:1 title"),
    ("title: A card", f"title: {'x' * 300}", "invalid-field", "1:1 title"),
    ("title: A card", "titel: A card", "invalid-field", "1:1 titel"),
    ("vendor: NVIDIA", "vendor: NVIDIA\nvendor: AMD", "key-twice", "4:1"),
    ("kind: gpu", "kind: tpu", "invalid-field", "2:1 kind"),
    ("kind: gpu", "kind: cpu", "architecture-kind", "6:5 units[0].architecture"),
    ("released: 2020-09", "released: 2020-13", "invalid-field", "4:1 released"),
    ("released: 2020-09", "released: 2020", "invalid-field", "4:1 released"),
    ("ampere-ga10x", "ampere-ga10y", "unknown-architecture", "6:5 units[0].architecture"),
    ("count: 82", "count: 0", "invalid-field", "7:5 units[0].count"),
    ("count: 82", "count: -82", "invalid-field", "7:5 units[0].count"),
    ("count: 82", "count: 82.5", "invalid-field", "7:5 units[0].count"),
    ("count: 82", "count: '82'", "invalid-field", "7:5 units[0].count"),
    ("count: 82", "count: 1e9", "invalid-field", "7:5 units[0].count"),
    ("count: 82", "count: .nan", "invalid-field", "7:5 units[0].count"),
    ("count: 82", "count: 99999999999", "invalid-field", "7:5 units[0].count"),
    ("count: 82", f"count: {'9' * 500}", "number-too-large", "7:12"),
    ("count: 82", "cuont: 82", "invalid-field", "7:5 units[0].cuont"),
    ("1.4 GHz", "1.4", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", "'1e9'", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", "1e9", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", "0 GHz", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", "-1.4 GHz", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", "nan GHz", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", ".inf", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", "1.4 GiB", "invalid-field", "8:13 units[0].clock.base"),
    ("1.4 GHz", "2 GHz", "invalid-field", "8:5 units[0].clock"),
    ("{base: 1.4 GHz, boost: 1.7 GHz}", "{}", "invalid-field", "8:5 units[0].clock"),
    ("{base: 1.4 GHz, boost: 1.7 GHz}", "1.4 GHz", "invalid-field", "8:5 units[0].clock"),
    ("boost: 1.7", "bost: 1.7", "invalid-field", "8:28 units[0].clock.bost"),
    ("24 GiB", "24 GHz", "invalid-field", "9:10 memory.size"),
    ("936 GB/s", "936 GB", "invalid-field", "9:24 memory.bandwidth"),
    ("936 GB/s", "[936 GB/s]", "invalid-field", "9:24 memory.bandwidth"),
    ("{size: 24 GiB, bandwidth: 936 GB/s}", "[]", "invalid-field", "9:1 memory"),
    ("350 W", "350", "invalid-field", "10:1 power"),
    ("350 W", "350 kg", "invalid-field", "10:1 power"),
    ("power: 350 W", "caches: [{name: L2}]", "invalid-field", "10:10 caches[0]"),
    ("power: 350 W", "provenance: {units: guess}", "invalid-field", "10:1 provenance"),
    ("power: 350 W", "based_on: card", "unknown-device", "10:1 based_on"),
    ("power: 350 W", "based_on: card.yaml", "based-on-itself", "10:1 based_on"),
    ("power: 350 W", "based_on: rtx309", "unknown-device", "10:1 based_on"),
    ("power: 350 W", "based_on: [rtx3090]", "based-on-type", "10:1 based_on"),
    ("power: 350 W", "based_on: missing.yaml", "not-a-file", "10:1 based_on"),
    ("power: 350 W", "<<: {power: 350 W}", "invalid-field", "10:1 <<"),
    ("power: 350 W", "power: !!python/object/apply:os.system [id]", "yaml-tag", "10:8"),
    ("power: 350 W", "power: &watts 350 W", "yaml-anchor", "10:8"),
    ("power: 350 W", "power: *watts", "yaml-anchor", "10:8"),
    ("power: 350 W", "? [power]\n: 350 W", "yaml-key", "10:3"),
    ("power: 350 W", "power: [", "not-yaml", "11:1"),
    ("power: 350 W", "\tpower: 350 W", "not-yaml", "10:1"),
    ("power: 350 W", "---\npower: 350 W", "several-documents", "10:1"),
]

LAYERS = [  # (the layers of a network, code, line:column and field)
    ("[]", "no-layers", "3:1 layers"),
    ("[flatten]", "no-layers", "3:1 layers"),
    ("{conv: {}}", "invalid-field", "3:1 layers"),
    ("[4]", "bad-layer", "3:10 layers[0]"),
    ("[{conv: 4}]", "bad-layer", "3:10 layers[0]"),
    ("[{conv: {}, relu: {}}]", "bad-layer", "3:10 layers[0]"),
    ("[cnov]", "unknown-layer", "3:10 layers[0]"),
    ("[{conv: {channels: 4}}]", "missing-option", "3:11 layers[0].conv"),
    ("[{conv: {chanels: 4}}]", "unknown-option", "3:18 layers[0].conv.chanels"),
    ("[{conv: {channels: 0, kernel: 3}}]", "bad-option", "3:18 layers[0].conv.channels"),
    ("[{conv: {channels: 4, kernel: 9}}]", "bad-option", "3:11 layers[0].conv"),
    ("[{conv: {channels: 4, kernel: 3, stride: 0}}]", "bad-option", "3:42 layers[0].conv.stride"),
    ("[{conv: {channels: 4, kernel: 3, groups: 2}}]", "bad-option", "3:11 layers[0].conv"),
    ("[{conv: {channels: 4, kernel: [3, 3, 3]}}]", "bad-option", "3:11 layers[0].conv"),
    ("[{relu: {name: r}}, {relu: {name: r}}]", "name-taken", "3:30 layers[1].relu"),
    ("[{relu: {name: [r]}}]", "bad-option", "3:18 layers[0].relu.name"),
    ("[{linear: {features: 1e9}}]", "bad-option", "3:20 layers[0].linear.features"),
    ("[{attention: {heads: 3}}]", "shape-mismatch", "3:11 layers[0].attention"),
    ("[{select: {index: 9}}]", "bad-option", "3:11 layers[0].select"),
    ("[{repeat: {count: 1000000000, layers: [relu]}}]", "bad-option", "3:20 layers[0].repeat.count"),
    (
        "[{repeat: {count: 99999, layers: [{repeat: {count: 99999, layers: [flatten]}}]}}]",
        "too-large",
        "3:76 layers[0].repeat.layers[0].repeat.layers[0]",
    ),
    ("[{residual: {layers: [{conv: {channels: 4, kernel: 3}}]}}]", "shape-mismatch", "3:11 layers[0].residual"),
    ("[{branches: {layers: [[relu]]}}]", "bad-layer", "3:22 layers[0].branches.layers"),
    ("[{branches: {combine: mul, layers: [[relu], [relu]]}}]", "bad-option", "3:22 layers[0].branches.combine"),
    (
        "[{linear: {features: 1099511627776}}, {linear: {features: 1099511627776}}]",
        "too-large",
        "3:48 layers[1].linear",
    ),
]

BOMB = "a: &a [lol, lol]\n" + "".join(
    f"{b}: &{b} [{', '.join(9 * [f'*{a}'])}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


FILES: list[tuple[str, Any, str, str]] = [  # (what it is, its content, code, place), each as a device and as a model
    ("empty", b"", "empty-file", ""),
    ("only comments", b"# nothing\n", "empty-file", ""),
    ("a word", b"hello\n", "not-a-mapping", "1:1"),
    ("binary", bytes(range(256)), "not-utf8", "2"),
    ("a program", Path(sys.executable).read_bytes()[:100_000], "not-utf8", "1"),
    ("Latin-1", "title: Gerät\n".encode("latin-1"), "not-utf8", "1"),
    ("UTF-16", "title: X\n".encode("utf-16"), "not-utf8", "1"),
    ("a NUL", b"title: a\0b\n", "not-yaml", ""),
    ("a bell", b"title: a\x07b\n", "not-yaml", ""),
    ("an alias bomb", BOMB.encode(), "yaml-anchor", "1:4"),
    ("deep lists", b"a: " + b"[" * 50_000, "too-deep", "1:44"),
    ("deep mappings", b"a: " + b"{a: " * 500 + b"1" + b"}" * 500, "too-deep", "1:164"),
    ("100 MB", 100_000_000, "too-large", ""),
    ("50000 unknown keys", b"".join(b"k%d: 1\n" % i for i in range(50_000)), "invalid-field", "1:1 k0"),
    ("a merge conflict", b"title: X\n<<<<<<< HEAD\nkind: gpu\n", "not-yaml", "3:1"),
    ("HTML", b"<!DOCTYPE html>\n<html><p>404: Not Found</p></html>\n", "not-yaml", "2:13"),
    ("a folder", "folder", "not-readable", ""),
    ("a link to itself", "loop", "not-readable", ""),
    ("a pipe that nobody feeds", "pipe", "empty-file", ""),
    ("missing", None, "not-readable", ""),
]


SENTENCES = [  # whole lines, as people see them
    ("estimat", "There is no command 'estimat'. (did you mean estimate?)"),
    (
        "estimate --modle alexnet --device rtx3090",
        "estimate: No such option '--modle'. (did you mean --mode or --model?)",
    ),
    ("estimate alexnet", "--device: A device is needed: see `hwbench devices` (host is this machine)."),
    ("devices list --vendor nvida", "--vendor: There is no vendor 'nvida'. (did you mean NVIDIA?)"),
    ("count --model alexnet --dtype fp33", "--dtype: There is no dtype 'fp33'. (did you mean fp32?)"),
    ("estimate alexnet rtx3090 --batch 0", "--batch: '0' is not a batch size (a whole number from 1 to 1000000000)."),
    ("count --model alexnet --batch 1,2", "--batch: Only a single value is possible here."),
    ("estimate --model alexnet --device rtx3090 --set clock", "--set: 'clock' is not FIELD=VALUE, such as clock=3GHz."),
    (
        "calibrate --show -o parameters.json",
        "--show: A calibration is shown or removed by itself, without files and output.",
    ),
    ("peak --device rtx3090 --clock turbo", "--clock: 'turbo' is not one of base, boost, all-core, fixed."),
    ("require --model alexnet", "--rate: A target is needed: a rate such as 30/s or a latency such as 5ms."),
    ("compare rtx3090 rtx4090 --sort time", "--sort: Sorting by time needs a model."),
    ("sweep --model alexnet --batch 8..1", "--batch: '8..1' ends before it begins."),
    ("explain --model lenet5 --try", "--try: This applies to steps of training alone (mode training)."),
    (
        "compare nowhere.json rtx3090",
        "NAMES: Devices and saved runs cannot be compared with each other; run:FILE is the machine of a run.",
    ),
]


def _ids(table: list[Any]) -> list[str]:
    return [ascii(" ".join(map(str, row[:2])))[1:61] for row in table]


def _refused(answer: Any) -> Any:
    """The error object of a command that was called with --json, whose line is on standard error too."""
    _one_line(answer)
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert error["exit_code"] == 2
    assert isinstance(error["nearest"], list)
    assert set(error) <= {"code", "message", "exit_code", "file", "line", "column", "field", "nearest"}
    assert error["message"].strip("…")[:100] in answer.err
    return error


def _one_line(answer: Any) -> None:
    assert answer.code == 2, answer
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("hwbench: ")
    assert answer.err[:-1].isprintable()
    assert len(answer.err) < 1200


def _place(error: dict[str, Any]) -> str:
    """`line:column field` of an error in a file."""
    numbers = ":".join(str(error[key]) for key in ("line", "column") if key in error)
    return " ".join(part for part in (numbers, error.get("field", "")) if part)


def test_the_tables_are_long_enough() -> None:
    rows = [*COMMANDS, *TEXT_ONLY, *DEVICES, *LAYERS, *FILES]
    assert len(rows) >= 80
    assert len({str(row[:2]) for row in rows}) == len(rows)


@pytest.mark.parametrize(("command", "code", "field"), COMMANDS, ids=_ids(COMMANDS))
def test_command(cli: Callable[..., Any], command: str, code: str, field: str | None) -> None:
    error = _refused(cli(f"{command} --json"))
    assert (error["code"], error.get("field")) == (code, field)


@pytest.mark.parametrize(("command", "line"), [*TEXT_ONLY, *SENTENCES], ids=_ids([*TEXT_ONLY, *SENTENCES]))
def test_lines(cli: Callable[..., Any], command: str, line: str) -> None:
    answer = cli(command)
    _one_line(answer)
    assert answer.err == f"hwbench: {line}\n"
    assert bool(answer.out) == ("--json" in command)


@pytest.mark.parametrize(("part", "becomes", "code", "place"), DEVICES, ids=_ids(DEVICES))
def test_device(cli: Callable[..., Any], tmp_path: Path, part: str, becomes: str, code: str, place: str) -> None:
    assert DEVICE.count(part) == 1
    path = tmp_path / "card.yaml"
    path.write_text(DEVICE.replace(part, becomes))
    error = _refused(cli("estimate", "lenet5", str(path), "--json"))
    assert (error["code"], _place(error)) == (code, place)


def test_the_device_of_the_table_is_valid(cli: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(DEVICE)
    assert cli("peak", "--device", str(path)).code == 0


def test_a_list_is_no_device(cli: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text("- a\n- b\n")
    error = _refused(cli("peak", "--device", str(path), "--json"))
    assert (error["code"], _place(error)) == ("not-a-mapping", "1:1")


@pytest.mark.parametrize(("layers", "code", "place"), LAYERS, ids=_ids(LAYERS))
def test_layers(cli: Callable[..., Any], tmp_path: Path, layers: str, code: str, place: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(f"title: A network\ninput: [3, 8, 8]\nlayers: {layers}\n")
    error = _refused(cli("count", "--model", str(path), "--json"))
    assert (error["code"], _place(error)) == (code, place)


@pytest.mark.parametrize("command", ["peak --device", "count --model"])
@pytest.mark.parametrize(("what", "content", "code", "place"), FILES, ids=_ids(FILES))
def test_file(
    cli: Callable[..., Any], tmp_path: Path, what: str, content: Any, code: str, place: str, command: str
) -> None:
    path = tmp_path / "file.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, int):
        with path.open("wb") as file:
            file.truncate(content)
    elif content == "folder":
        path.mkdir()
    elif content == "loop":
        path.symlink_to(path)
    elif content == "pipe":
        os.mkfifo(path)
    answer = cli(*command.split(), str(path), "--json")
    error = _refused(answer)
    assert answer.err.startswith(f"hwbench: {path}:")
    assert (error["file"], error["code"], _place(error)) == (str(path), code, place)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission(cli: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(DEVICE)
    path.chmod(0)
    assert _refused(cli("peak", "--device", str(path), "--json"))["file"] == str(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux")
def test_file_that_fails_while_it_is_read(cli: Callable[..., Any]) -> None:
    assert _refused(cli("peak --device /proc/self/mem --json"))["file"] == "/proc/self/mem"


def test_circle_of_two_files(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("title: A\nbased_on: b.yaml\n")
    (tmp_path / "b.yaml").write_text("title: B\nbased_on: a.yaml\n")
    assert _place(_refused(cli("peak", "--device", str(tmp_path / "a.yaml"), "--json"))) == "2:1 based_on"


def test_circle_of_architectures(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("devices", "architectures"):
        (tmp_path / folder).mkdir()
    (tmp_path / "architectures" / "one.yaml").write_text("title: One\nbased_on: two\n")
    (tmp_path / "architectures" / "two.yaml").write_text("title: Two\nbased_on: one\n")
    (tmp_path / "devices" / "card.yaml").write_text(DEVICE.replace("ampere-ga10x", "one"))
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    assert _place(_refused(cli("peak --device card --json"))) == "2:1 based_on"


@pytest.mark.parametrize("command", ["devices list", "peak --device rtx3090", "models list", "count --model lenet5"])
def test_catalog_folder_that_is_not_one(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("HWBENCH_CONFIGS", "/dev/null")
    assert _refused(cli(f"{command} --json"))["file"] == "/dev/null"


@pytest.mark.slow
def test_lint_of_a_broken_catalog_fails(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("devices", "models"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "broken.yaml").write_text("title: [\n")
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    for kind in ("devices", "models"):
        answer = cli(f"{kind} lint --json")
        assert answer.code == 2
        assert any("broken.yaml:2:1: " in fault for fault in answer.json["faults"])
        assert len(cli(f"{kind} lint").out.splitlines()) > 1


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (KeyError("a\nb"), 1),
        (MemoryError(), 1),
        (OSError(28, "No space left on device"), 2),
        (RecursionError(), 2),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception, exit_code: int, as_json: bool
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("hwbench.api.peaks.peak", broken)
    answer = cli("peak --device rtx3090" + (" --json" if as_json else ""))
    assert answer.code == exit_code
    assert answer.err.count("\n") == 1
    assert (json.loads(answer.out)["error"]["exit_code"] if as_json else answer.code) == answer.code
    if isinstance(error, KeyError):
        assert "hwbench: internal error: KeyError: 'a\\nb' (" in answer.err
        assert "test_bad_input.py:" in answer.err


@pytest.mark.parametrize("command", ["peak --device rtx309", "peak --device rtx3090 --nope"])
def test_a_traceback_where_it_is_asked_for(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    line = cli(command).err
    monkeypatch.setenv("HWBENCH_TRACEBACK", "1")
    answer = cli(command)
    assert answer.code == 2
    assert answer.err.startswith("Traceback")
    assert answer.err.endswith(line)
