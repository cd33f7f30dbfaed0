"""Wrong inputs: exit code 2, one line that says what is wrong and where, no traceback; with --json also an object.

Each table is `input, words of the message`. The words name the place (option, or file:line:column: field) and the
reason, with the nearest valid choice where one exists.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMANDS = [
    # misspelt names
    ("estimat", "there is no command 'estimat' (did you mean estimate?)"),
    ("devices shwo rtx3090", "devices: no such command 'shwo' (did you mean show?)"),
    ("--nope", "no such option '--nope'"),
    ("results list --from /no/such/folder", "/no/such/folder: is no folder"),
    ("calibrate --show -o parameters.json", "--show: fits nothing: it goes with no file and no device"),
    (
        "estimate --modle alexnet --device rtx3090",
        "estimate: no such option '--modle' (did you mean --mode or --model?",
    ),
    ("estimate --model alexnt --device rtx3090", "there is no model named 'alexnt' (did you mean alexnet"),
    ("estimate --model alexnet --device rtx309", "there is no device named 'rtx309' (did you mean rtx3090"),
    ("estimate --model alexnet --device 'Gefroce RTX 3090'", "(did you mean rtx3090"),
    ("peak --device 'no such thing at all'", "there is no device named 'no such thing at all'"),
    ("devices show i7-12700hq", "there is no device named 'i7-12700hq' (did you mean i7-12700h"),
    ("models show resnet-5o", "there is no model named 'resnet-5o' (did you mean resnet50"),
    ("devices list --vendor nvida", "--vendor: there is no vendor 'nvida' (did you mean NVIDIA?)"),
    ("count --model alexnet --dtype fp33", "--dtype: there is no dtype 'fp33' (did you mean fp32"),
    ("count --model alexnet --dtype ''", "--dtype: there is no dtype ''"),
    ("count --model alexnet --convention flops", "count: invalid value for '--convention'"),
    ("peak --device rtx3090 --clock turbo", "peak: invalid value for '--clock'"),
    ("devices list --kind tpu", "devices list: invalid value for '--kind'"),
    # names that are no names
    ("estimate --model alexnet --device ''", "the device name is empty"),
    ("estimate --model ' ' --device rtx3090", "the model name is empty"),
    ("count --model $'\\n'", "there is no model named"),
    (f"count --model {'a' * 5000}", "there is no model named 'aaaa"),
    (f"peak --device {'a' * 5000}.yaml", "cannot be read: File name too long"),
    ("peak --device '\x1b[31m\u202e'", "there is no device named '\\"),
    ("peak --device '\udcff\udcfe'", "there is no device named '\\"),
    ("count --model ../../etc/passwd.yaml", "../../etc/passwd.yaml: cannot be read: No such file or directory"),
    ("count --model /", "/: cannot be read: Is a directory"),
    # missing, surplus
    ("estimate --model alexnet", "estimate: missing option '--device'"),
    ("count", "count: missing option '--model'"),
    ("count --model alexnet lenet5", "count: got unexpected extra argument (lenet5)"),
    ("devices show", "devices show: missing argument 'NAME'"),
    ("study clock --columns device=a", "--columns: needs --data"),
    (
        "study clock --suite SPECint200",
        "--suite: there is no suite 'SPECint200' (did you mean SPECint2006 or SPECint2000",
    ),
    (
        "study clock --pair k7 netbrust",
        "--pair: no row is of a microarchitecture, family or device 'netbrust' (did you",
    ),
    ("study clock --pair k7 amd", "--pair: has rows that are of both classes"),
    ("study clock --pair k7 ''", "--pair: names two classes: neither may be empty"),
    ("study clock --model alexnet --device rtx3090 --suite SPECint2000", "--model: goes without --suite and --pair"),
    ("study clock --window soon", "--window: 'soon' is not a number of years"),
    ("study clock --window nan", "--window: 'nan' is not a number of years"),
    ("study clock --model alexnet", "--device: --model and --device go together"),
    ("study clock --model alexnet --device rtx3090 --batch 1,2", "--batch: takes one dtype and one batch"),
    ("study clock --data none.csv", "none.csv: cannot be read: No such file or directory"),
    ("study clock --data none.csv --model alexnet", "--model: goes without --data"),
    ("study clok", "study: no such command 'clok' (did you mean clock?)"),
    ("require --model alexnet", "a target is needed: --rate 30/s or --latency 5ms"),
    # numbers and units
    ("estimate --model alexnet --device rtx3090 --batch 0", "--batch: '0' is not a batch size"),
    ("estimate --model alexnet --device rtx3090 --batch -1", "--batch: '-1' is not a batch size"),
    ("estimate --model alexnet --device rtx3090 --batch 1.5", "--batch: '1.5' is not a batch size"),
    ("estimate --model alexnet --device rtx3090 --batch 1e3", "--batch: '1e3' is not a batch size"),
    ("estimate --model alexnet --device rtx3090 --batch nan", "--batch: 'nan' is not a batch size"),
    ("estimate --model alexnet --device rtx3090 --batch ²", "--batch: '²' is not a batch size"),
    ("estimate --model alexnet --device rtx3090 --batch 1,,2", "--batch: '' is not a batch size"),
    (f"estimate --model alexnet --device rtx3090 --batch {'9' * 9000}", "--batch: '9999"),
    ("count --model alexnet --batch 1,2", "--batch: counts one dtype and one batch at a time"),
    ("count --model alexnet --dtype fp32,fp16", "--dtype: counts one dtype and one batch at a time"),
    ("require --model alexnet --rate 1/s --batch 1,2", "--batch: takes one dtype and one batch"),
    ("estimate --model alexnet --device rtx3090 --set clock=0GHz", "--set clock: must be more than zero"),
    ("estimate --model alexnet --device rtx3090 --set clock=1e-400GHz", "--set clock: must be more than zero"),
    ("estimate --model alexnet --device rtx3090 --set clock=1e999GHz", "--set clock: '1e999GHz' is too large"),
    ("estimate --model alexnet --device rtx3090 --set clock=1e9", "--set clock: '1e9' has no unit: write it like"),
    ("estimate --model alexnet --device rtx3090 --set clock=nanGHz", "--set clock: 'nanGHz' is not a quantity"),
    ("estimate --model alexnet --device rtx3090 --set clock=-3GHz", "--set clock: '-3GHz' is negative"),
    ("estimate --model alexnet --device rtx3090 --set clock=3GB", "--set clock: 'GB' is not a unit of Hz"),
    ("estimate --model alexnet --device rtx3090 --set clock=3ghz", "--set clock: 'ghz' is not a unit of Hz"),
    ("estimate --model alexnet --device rtx3090 --set clock", "--set: 'clock' is not FIELD=VALUE, as in clock=3GHz"),
    ("estimate --model alexnet --device rtx3090 --set =3GHz", "cannot be set: choose from clock"),
    ("estimate --model alexnet --device rtx3090 --set clok=3GHz", "--set clok: cannot be set"),
    ("estimate --model alexnet --device rtx3090 --set clock=1GHz --set clock=2GHz", "--set: 'clock' is set twice"),
    ("peak --device rtx3090 --set clock.SN=3GHz", "--set clock.SN: there are no units called 'SN' (did you mean SM?)"),
    ("peak --device rtx3090 --set units=0", "--set units: '0' is not a number of units"),
    ("peak --device rtx3090 --set units=8e1", "--set units: '8e1' is not a number of units"),
    ("peak --device i7-12700h --set units=4", "--set units: there is more than one class of units: name one"),
    ("peak --device rtx3090 --set power.x=300W", "--set power.x: cannot be set"),
    ("peak --device rtx3090 --clock all-core", "--clock: rtx3090 has no known all-core clock"),
    ("require --model alexnet --rate 30", "--rate: '30' has no unit: write it like '30/s'"),
    ("require --model alexnet --rate 0/s", "--rate: must be more than zero"),
    ("require --model alexnet --rate -5/s", "--rate: '-5/s' is negative"),
    ("require --model alexnet --rate 30fps", "--rate: 'fps' is not a unit of /s"),
    ("require --model alexnet --latency 5m", "--latency: 'm' is not a unit of s: write it like '5 ms'"),
    ("require --model alexnet --latency inf", "--latency: 'inf' is not a quantity"),
    ("require --model alexnet --rate 1/s --utilization 0", "--utilization: must be from 0.000001 to 1"),
    ("require --model alexnet --rate 1/s --utilization nan", "--utilization: must be from 0.000001 to 1"),
    ("require --model alexnet --rate 1/s --utilization 50%", "require: invalid value for '--utilization': '50%'"),
    ("devices list --year 20", "--year: '20' is not a year or a range of years"),
    ("devices list --year 2021..2017", "--year: 2021..2017 ends before it begins"),
    ("devices list --year ２０２０", "is not a year or a range of years"),
    # comparisons and sweeps
    ("compare rtx3090 rtx409", "there is no device named 'rtx409' (did you mean rtx4090"),
    ("compare rtx3090 --model alexnet --runtime torch-egaer-cuda", "--runtime: there is no runtime 'torch-egaer-cuda'"),
    (
        "sweep --model alexnet -d rtx3090 --runtime torch-egaer-cuda",
        "--runtime: there is no runtime 'torch-egaer-cuda'",
    ),
    ("compare rtx3090 --sort speed", "compare: invalid value for '--sort'"),
    ("compare rtx3090 rtx4090 --sort time", "--sort: a time needs a model: --model"),
    ("compare rtx3090 rtx4090 --baseline rtx2080ti", "--baseline: 'rtx2080ti' is not among the devices compared"),
    ("compare rtx3090 rtx4090 --dtype fp32,fp16", "--dtype: compares at one dtype"),
    ("compare rtx3090 rtx4090 --format xml", "compare: invalid value for '--format'"),
    ("compare --vendor nvida", "--vendor: there is no vendor 'nvida' (did you mean NVIDIA?)"),
    ("compare --kind gpu --year 1999", "no catalogued device is left by the filters"),
    (f"compare --model alexnet --batch {','.join(map(str, range(1, 101)))}", "--batch: more than 10000 rows"),
    ("compare nowhere.json also-nowhere.json", "nowhere.json: cannot be read: No such file"),
    ("compare nowhere.json", "one run has nothing to be compared with"),
    ("compare nowhere.json rtx3090", "compares devices or saved runs, not both"),
    ("compare latest latest", "there are no saved runs: `hwbench bench` makes one"),
    ("compare a.json b.json --margin 3", "--margin: '3' is not a share: write it like '3%'"),
    ("compare rtx3090 rtx4090 --margin 3", "--margin: '3' is not a share: write it like '3%'"),
    ("compare rtx3090 rtx4090 --level 2", "--level: must be from 0.5 to below 1"),
    ("compare latest latest --model alexnet", "--model: is for devices, and these are saved runs"),
    ("compare latest latest --sort peak", "--sort: is for devices, and these are saved runs"),
    ("compare a.json b.json --margin nan", "--margin: 'nan' is not a share"),
    ("compare a.json b.json --level 0.2", "--level: must be from 0.5 to below 1"),
    ("sweep --device rtx3090", "sweep: missing option '--model'"),
    ("sweep --model alexnet --batch 8..1", "--batch: 8..1 ends before it begins"),
    ("sweep --model alexnet --batch 1..", "--batch: '1..' is not a range of batch sizes: write it like 1..256"),
    ("sweep --model alexnet --batch 1..8:0", "--batch: '1..8:0' is not a range of batch sizes"),
    ("sweep --model alexnet --batch 1..1000000", "--batch: "),
    ("sweep --model alexnet --device rtx3090 --kind gpu", "--device: names devices, which no filter applies to"),
    ("sweep --model alexnet --kind gpu --year 1990", "no catalogued device is left by the filters"),
    ("sweep --model alexnet -o points.parquet", "--output: must end in .csv or .json"),
    ("sweep --model alexnet -d rtx3090 -o nowhere/p.csv", "nowhere/p.csv: cannot be written: No such file"),
    ("sweep --model alexnet --device rtx3090 --dtype fp4", "--dtype: no device has a known fp4 rate"),
    ("sweep --model alexnet --mode training", "--mode: a training step is traced anew for each batch"),
    ("fleet bench --scheduler tcp://127.0.0.1:1 --timeout 5", "--timeout: '5' has no unit"),
    ("fleet bench --scheduler tcp://127.0.0.1:1 --timeout 1ms", "--timeout: must be from 1 s to 86400 s"),
    ("fleet bench --scheduler tcp://127.0.0.1:1 --save x --no-save", "--save and --no-save exclude each other"),
    ("fleet bench", "fleet bench: missing option '--scheduler'"),
    # measured runs (those that need torch: test_run.py)
    ("run", "run: missing option '--model'"),
    ("run --model lenet5 --budget 3", "--budget: '3' has no unit: write it like '5 ms'"),
    ("run --model lenet5 --batch 1,2 --layers", "--layers: times the layers of one dtype and one batch"),
    (
        "run --model lenet5 --compile --layers",
        "--layers: times the layers of one dtype and one batch, without --compile",
    ),
    ("run --model lenet5 --mode training", "--mode: only inference is run"),
    (f"run --model lenet5 --batch {','.join(map(str, range(1, 70)))}", "--batch: more than 64 runs"),
    ("explain --dtype bf16", "explain: invalid value for '--dtype'"),
    ("explain --batch 1,2", "--batch: takes one batch"),
    ("explain --budget 1", "--budget: '1' has no unit"),
    ("explain --run nowhere.json", "nowhere.json: cannot be read: No such file"),
    ("explain --run latest", "there are no saved runs: `hwbench bench` makes one"),
    ("explain --run a.json --save", "--run: reads what is saved already: leave out --save"),
    ("peak --device run:nowhere.json", "nowhere.json: cannot be read: No such file"),
    ("estimate --model alexnet --device run:latest", "there are no saved runs: `hwbench bench` makes one"),
    # what a device or a model does not have
    ("estimate --model alexnet --device rtx3090 --dtype fp8", "--dtype: rtx3090 has no known fp8 rate: it has fp32"),
    ("count --model matmul:4x4", "'matmul:4x4' is not a matrix product: write it like matmul:4096x4096x4096"),
    ("count --model matmul:0x4x4", "'matmul:0x4x4' is not a matrix product"),
    ("count --model matmul:999999999999x999999999999x999999999999", "is larger than any machine's memory"),
    # files that are no files for us
    ("count --model /dev/zero", "/dev/zero: is larger than 1024 KiB"),
    ("count --model /dev/null", "/dev/null: is empty"),
]

TEXT_ONLY = [  # commands without --json, or a line that ends before it could stand there
    ("count --model", "option '--model' requires an argument"),
    ("completion tcsh", "completion: invalid value for '{bash|zsh|fish}': 'tcsh'"),
    ("completion", "completion: missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish"),
    ("compare a.json b.json --format csv", "--format: runs are compared as text or json"),
    ("sweep --model alexnet -o p.csv --format csv", "--format: goes to standard output"),
    ("devices new ''", "NAME: a device name is 1 to 100 printable characters"),
    ("devices new ../../my-card", "NAME: a device name is 1 to 100 printable characters, and no path"),
    ("--json", "no such option '--json'"),
    ("compare rtx3090 rtx4090 --format csv --json", "--format: csv and --json exclude each other"),
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

DEVICES = [  # (what in DEVICE, becomes what, where and why)
    ("title: A card\n", "", ":1:1: missing field `title`"),
    ("title: A card", "title: ''", ":1:1: title: expected text of length >= 1"),
    ("title: A card", "title: 3", ":1:1: title: expected text, got a whole number"),
    ("title: A card", "title:", ":1:1: title: expected text, got nothing"),
    ("title: A card", f"title: {'x' * 300}", ":1:1: title: expected text of length <= 200"),
    ("title: A card", "titel: A card", ":1:1: titel: unknown field 'titel' (did you mean title?)"),
    ("vendor: NVIDIA", "vendor: NVIDIA\nvendor: AMD", ":4:1: the key 'vendor' stands twice in the same mapping"),
    ("kind: gpu", "kind: tpu", ":2:1: kind: "),
    ("kind: gpu", "kind: cpu", ":6:5: units[0].architecture: is an architecture of a gpu, not of a cpu"),
    ("released: 2020-09", "released: 2020-13", ":4:1: released: expected a date like"),
    ("released: 2020-09", "released: 2020", ":4:1: released: "),
    ("ampere-ga10x", "ampere-ga10y", ":6:5: units[0].architecture: there is no architecture named 'ampere-ga10y' (did"),
    ("count: 82", "count: 0", ":7:5: units[0].count: expected a whole number >= 1"),
    ("count: 82", "count: -82", ":7:5: units[0].count: expected a whole number >= 1"),
    ("count: 82", "count: 82.5", ":7:5: units[0].count: expected a whole number, got a number"),
    ("count: 82", "count: '82'", ":7:5: units[0].count: expected a whole number, got text"),
    ("count: 82", "count: 1e9", ":7:5: units[0].count: expected a whole number, got a number"),
    ("count: 82", "count: .nan", ":7:5: units[0].count: expected a whole number, got text"),
    ("count: 82", "count: 99999999999", ":7:5: units[0].count: expected a whole number <= 10000000"),
    ("count: 82", f"count: {'9' * 500}", ":7:12: the number 9999"),
    ("count: 82", "cuont: 82", ":7:5: units[0].cuont: unknown field 'cuont' (did you mean count?)"),
    ("1.4 GHz", "1.4", ":8:13: units[0].clock.base: 1.4 has no unit: write it like '2.4 GHz'"),
    ("1.4 GHz", "'1e9'", ":8:13: units[0].clock.base: '1e9' has no unit: write it like '2.4 GHz'"),
    ("1.4 GHz", "1e9", ":8:13: units[0].clock.base: "),
    ("1.4 GHz", "0 GHz", ":8:13: units[0].clock.base: must be more than zero"),
    ("1.4 GHz", "-1.4 GHz", ":8:13: units[0].clock.base: '-1.4 GHz' is negative"),
    ("1.4 GHz", "nan GHz", ":8:13: units[0].clock.base: 'nan GHz' is not a quantity"),
    ("1.4 GHz", ".inf", ":8:13: units[0].clock.base: '.inf' is not a quantity"),
    ("1.4 GHz", "1.4 GiB", ":8:13: units[0].clock.base: 'GiB' is not a unit of Hz"),
    ("1.4 GHz", "2 GHz", ":8:5: units[0].clock: the base clock (2 GHz) is above the boost clock (1.7 GHz)"),
    ("{base: 1.4 GHz, boost: 1.7 GHz}", "{}", ":8:5: units[0].clock: a clock needs a base"),
    ("{base: 1.4 GHz, boost: 1.7 GHz}", "1.4 GHz", ":8:5: units[0].clock: expected a mapping, got text"),
    ("boost: 1.7", "bost: 1.7", ":8:28: units[0].clock.bost: unknown field 'bost' (did you mean boost?)"),
    ("24 GiB", "24 GHz", ":9:10: memory.size: 'GHz' is not a unit of B"),
    ("936 GB/s", "936 GB", ":9:24: memory.bandwidth: 'GB' is not a unit of B/s"),
    ("936 GB/s", "[936 GB/s]", ":9:24: memory.bandwidth: "),
    ("{size: 24 GiB, bandwidth: 936 GB/s}", "[]", ":9:1: memory: expected a mapping, got a list"),
    ("350 W", "350", ":10:1: power: 350 has no unit: write it like '350 W'"),
    ("350 W", "350 kg", ":10:1: power: 'kg' is not a unit of W"),
    ("power: 350 W", "caches: [{name: L2}]", ":10:10: caches[0]: missing field `size`"),
    ("power: 350 W", "provenance: {units: guess}", ":10:1"),
    ("power: 350 W", "based_on: card", ":10:1: based_on: there is no device named 'card'"),
    ("power: 350 W", "based_on: card.yaml", ":10:1: based_on: is based on itself, directly or through others"),
    ("power: 350 W", "based_on: rtx309", ":10:1: based_on: there is no device named 'rtx309' (did you mean rtx3090"),
    ("power: 350 W", "based_on: [rtx3090]", ":10:1: based_on: must name a file of the same folder or a catalog entry"),
    ("power: 350 W", "based_on: missing.yaml", ":10:1: based_on: there is no file"),
    ("power: 350 W", "<<: {power: 350 W}", ":10:1: <<: unknown field '<<'"),
    ("power: 350 W", "power: !!python/object/apply:os.system [id]", ":10:8: the tag"),
    ("power: 350 W", "power: &watts 350 W", ":10:8: anchors and aliases are not allowed"),
    ("power: 350 W", "power: *watts", ":10:8: anchors and aliases are not allowed"),
    ("power: 350 W", "? [power]\n: 350 W", ":10:3: a key must be plain text"),
    ("power: 350 W", "power: [", ": is not valid YAML: "),
    ("power: 350 W", "\tpower: 350 W", ":10:1: is not valid YAML: "),
    ("power: 350 W", "---\npower: 350 W", ":10:1: a file holds one document only"),
]

LAYERS = [  # (the layers of a network, where and why)
    ("[]", ":3:1: layers: has no layers"),
    ("[flatten]", ":3:1: layers: has no layers"),
    ("{conv: {}}", ":3:1: layers: expected a list, got a mapping"),
    ("[4]", ":3:10: layers[0]: a layer is a kind, or a kind with a mapping of options"),
    ("[{conv: 4}]", ":3:10: layers[0]: a layer is a kind, or a kind with a mapping of options"),
    ("[{conv: {}, relu: {}}]", ":3:10: layers[0]: a layer is a kind, or a kind with a mapping of options"),
    ("[cnov]", ":3:10: layers[0]: there is no layer kind 'cnov' (did you mean conv"),
    ("[{conv: {channels: 4}}]", ":3:11: layers[0].conv: layer conv1: missing option 'kernel'"),
    (
        "[{conv: {chanels: 4}}]",
        ":3:18: layers[0].conv.chanels: layer conv1: unknown option 'chanels' (did you mean cha",
    ),
    ("[{conv: {channels: 0, kernel: 3}}]", ":3:18: layers[0].conv.channels: layer conv1: channels: expected"),
    ("[{conv: {channels: 4, kernel: 9}}]", "conv1: the kernel (9, dilation 1) is larger than the padded input (8 + "),
    ("[{conv: {channels: 4, kernel: 3, stride: 0}}]", "layers[0].conv.stride: layer conv1: stride: expected"),
    ("[{conv: {channels: 4, kernel: 3, groups: 2}}]", "conv1: 2 groups do not divide 3 input and 4 output channels"),
    ("[{conv: {channels: 4, kernel: [3, 3, 3]}}]", "conv1: kernel has 3 numbers for 2 spatial dimensions"),
    ("[{relu: {name: r}}, {relu: {name: r}}]", ":3:30: layers[1].relu: two layers are called 'r'"),
    ("[{relu: {name: [r]}}]", "layers[0].relu.name: must be text of at most 100 characters"),
    ("[{linear: {features: 1e9}}]", "layers[0].linear.features: layer linear1: features: expected"),
    ("[{attention: {heads: 3}}]", "attention1: needs tokens × (q + k + v), got 3×8×8"),
    ("[{select: {index: 9}}]", "layers[0].select: cannot select 9 of 3×8×8"),
    ("[{repeat: {count: 1000000000, layers: [relu]}}]", "layers[0].repeat.count: must be a whole number up to 100000"),
    (
        "[{repeat: {count: 99999, layers: [{repeat: {count: 99999, layers: [flatten]}}]}}]",
        "the network repeats more than 100000 times",
    ),
    ("[{residual: {layers: [{conv: {channels: 4, kernel: 3}}]}}]", "the two sides have different shapes, 4×6×6 and "),
    ("[{branches: {layers: [[relu]]}}]", "layers[0].branches.layers: needs a list of at least two lists of layers"),
    ("[{branches: {combine: mul, layers: [[relu], [relu]]}}]", "combine is concat or add, not 'mul'"),
    ("[{linear: {features: 1099511627776}}, {linear: {features: 1099511627776}}]", "is larger than any machine's mem"),
]

BOMB = "a: &a [lol, lol]\n" + "".join(
    f"{b}: &{b} [{', '.join(9 * [f'*{a}'])}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

FILES: list[tuple[str, Any, str]] = [  # (what it is, its content, where and why); each both as a device and as a model
    ("empty", b"", ": is empty"),
    ("only comments", b"# nothing\n", ": is empty"),
    ("a list", b"- a\n- b\n", ":1:1: holds no mapping of fields to values"),
    ("a word", b"hello\n", ":1:1: holds no mapping of fields to values"),
    ("binary", bytes(range(256)), ":2: is not UTF-8 text"),
    ("a program", Path(sys.executable).read_bytes()[:100_000], "is not UTF-8 text"),
    ("Latin-1", "title: Gerät\n".encode("latin-1"), ":1: is not UTF-8 text"),
    ("UTF-16", "title: X\n".encode("utf-16"), ":1: is not UTF-8 text"),
    ("a NUL", b"title: a\0b\n", ": is not valid YAML: "),
    ("a bell", b"title: a\x07b\n", ": is not valid YAML: "),
    ("an alias bomb", BOMB.encode(), ":1:4: anchors and aliases are not allowed"),
    ("deep lists", b"a: " + b"[" * 50_000, ":1:44: is nested more than 40 levels deep"),
    ("deep mappings", b"a: " + b"{a: " * 500 + b"1" + b"}" * 500, ": is nested more than 40 levels deep"),
    ("100 MB", 100_000_000, ": is larger than 1024 KiB, which no file of this kind needs"),
    ("50000 unknown keys", b"".join(b"k%d: 1\n" % i for i in range(50_000)), ":1:1: k0: unknown field 'k0'"),
    ("a merge conflict", b"title: X\n<<<<<<< HEAD\nkind: gpu\n", ": is not valid YAML: "),
    ("HTML", b"<!DOCTYPE html>\n<html><p>404: Not Found</p></html>\n", ": is not valid YAML: "),
    ("a folder", "folder", ": cannot be read: Is a directory"),
    ("a link to itself", "loop", ": cannot be read: Too many levels of symbolic links"),
    ("a pipe that nobody feeds", "pipe", ": is empty"),
    ("missing", None, ": cannot be read: No such file or directory"),
]


@pytest.fixture(params=[False, True], ids=["text", "json"])
def as_json(request: pytest.FixtureRequest) -> bool:
    """Every wrong input is tried both ways."""
    return bool(request.param)


def _ids(table: list[Any]) -> list[str]:
    return [ascii(" ".join(map(str, row[:-1])))[1:61] for row in table]


def _refused(answer: Any, words: str, as_json: bool) -> None:
    assert answer.code == 2, answer
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("hwbench: ")
    assert "Traceback" not in answer.err
    assert answer.err[:-1].isprintable()
    assert len(answer.err) < 1200
    assert words in answer.err
    if not as_json:
        assert answer.out == ""
        return
    error = answer.json["error"]
    assert set(answer.json) == {"error"}
    assert error["exit_code"] == 2
    assert isinstance(error["nearest"], list)
    assert set(error) <= {"message", "exit_code", "file", "line", "column", "field", "nearest"}
    assert error["message"].strip("…")[:100] in answer.err


def test_the_tables_are_long_enough() -> None:
    rows = [*COMMANDS, *TEXT_ONLY, *DEVICES, *LAYERS, *FILES]
    assert len(rows) >= 80
    assert len({str(row[:-1]) for row in rows}) == len(rows)


@pytest.mark.parametrize(("command", "words"), COMMANDS, ids=_ids(COMMANDS))
def test_command(cli: Callable[..., Any], command: str, words: str, as_json: bool) -> None:
    _refused(cli(command + (" --json" if as_json else "")), words, as_json)


@pytest.mark.parametrize(("command", "words"), TEXT_ONLY, ids=_ids(TEXT_ONLY))
def test_command_without_json(cli: Callable[..., Any], command: str, words: str) -> None:
    _refused(cli(command), words, as_json="--json" in command)


@pytest.mark.parametrize(("found", "becomes", "words"), DEVICES, ids=_ids(DEVICES))
def test_device(cli: Callable[..., Any], tmp_path: Path, found: str, becomes: str, words: str, as_json: bool) -> None:
    assert DEVICE.count(found) == 1
    path = tmp_path / "card.yaml"
    path.write_text(DEVICE.replace(found, becomes))
    arguments = ["estimate", "--model", "lenet5", "--device", str(path)]
    _refused(cli(*arguments, *(["--json"] if as_json else [])), words, as_json)


def test_the_device_of_the_table_is_sound(cli: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(DEVICE)
    assert cli("peak", "--device", str(path)).code == 0


@pytest.mark.parametrize(("layers", "words"), LAYERS, ids=_ids(LAYERS))
def test_layers(cli: Callable[..., Any], tmp_path: Path, layers: str, words: str, as_json: bool) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(f"title: A network\ninput: [3, 8, 8]\nlayers: {layers}\n")
    _refused(cli("count", "--model", str(path), *(["--json"] if as_json else [])), words, as_json)


@pytest.mark.parametrize("command", ["peak --device", "count --model"])
@pytest.mark.parametrize(("what", "content", "words"), FILES, ids=_ids(FILES))
def test_file(
    cli: Callable[..., Any], tmp_path: Path, what: str, content: Any, words: str, command: str, as_json: bool
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
    answer = cli(*command.split(), str(path), *(["--json"] if as_json else []))
    _refused(answer, words, as_json)
    assert answer.err.startswith(f"hwbench: {path}:")
    if as_json:
        assert answer.json["error"]["file"] == str(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission(cli: Callable[..., Any], tmp_path: Path, as_json: bool) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(DEVICE)
    path.chmod(0)
    _refused(cli("peak", "--device", str(path), *(["--json"] if as_json else [])), "Permission denied", as_json)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux")
def test_file_that_fails_while_it_is_read(cli: Callable[..., Any], as_json: bool) -> None:
    _refused(cli("peak --device /proc/self/mem" + (" --json" if as_json else "")), "/proc/self/mem: ", as_json)


def test_circle_of_two_files(cli: Callable[..., Any], tmp_path: Path, as_json: bool) -> None:
    (tmp_path / "a.yaml").write_text("title: A\nbased_on: b.yaml\n")
    (tmp_path / "b.yaml").write_text("title: B\nbased_on: a.yaml\n")
    answer = cli("peak", "--device", str(tmp_path / "a.yaml"), *(["--json"] if as_json else []))
    _refused(answer, ":2:1: based_on: is based on itself, directly or through others", as_json)


def test_circle_of_architectures(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    for folder in ("devices", "architectures"):
        (tmp_path / folder).mkdir()
    (tmp_path / "architectures" / "one.yaml").write_text("title: One\nbased_on: two\n")
    (tmp_path / "architectures" / "two.yaml").write_text("title: Two\nbased_on: one\n")
    (tmp_path / "devices" / "card.yaml").write_text(DEVICE.replace("ampere-ga10x", "one"))
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    answer = cli("peak --device card" + (" --json" if as_json else ""))
    _refused(answer, ":2:1: based_on: is based on itself, directly or through others", as_json)


@pytest.mark.parametrize("command", ["devices list", "peak --device rtx3090", "models", "count --model lenet5"])
def test_catalog_folder_that_is_none(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str, as_json: bool
) -> None:
    monkeypatch.setenv("HWBENCH_CONFIGS", "/dev/null")
    if as_json and command == "models":
        command = "models list"
    _refused(cli(command + (" --json" if as_json else "")), "/dev/null: HWBENCH_CONFIGS names no folder", as_json)


def test_broken_index(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "index.json").write_text('{"files": 3}')
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    answer = cli("peak --device 'GeForce RTX 3090'" + (" --json" if as_json else ""))
    _refused(answer, "index.json: is not an index: ", as_json)


def test_lint_of_a_broken_catalog_fails(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    for kind in ("devices", "models"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "broken.yaml").write_text("title: [\n")
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    for kind in ("devices", "models"):
        answer = cli(f"{kind} lint" + (" --json" if as_json else ""))
        assert answer.code == 2
        faults = answer.json["faults"] if as_json else answer.out.splitlines()[:-1]
        assert any("broken.yaml:2:1: is not valid YAML" in fault for fault in faults)


def test_what_we_did_wrong_is_one_line_too(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a\nb")

    monkeypatch.setattr("hwbench.api.lookup.device", broken)
    for error in (
        broken,
        _raise(MemoryError()),
        _raise(OSError(28, "No space left on device")),
        _raise(RecursionError()),
    ):
        monkeypatch.setattr("hwbench.api.lookup.device", error)
        answer = cli("peak --device rtx3090" + (" --json" if as_json else ""))
        assert answer.code in (1, 2)
        assert answer.err.count("\n") == 1
        assert (json.loads(answer.out)["error"]["exit_code"] if as_json else answer.code) == answer.code
    monkeypatch.setattr("hwbench.api.lookup.device", broken)
    answer = cli("peak --device rtx3090")
    assert answer.code == 1
    assert "hwbench: internal error: KeyError: 'a\\nb' (" in answer.err
    assert "test_bad_input.py:" in answer.err


def _raise(error: Exception) -> Callable[..., None]:
    def broken(*_: object) -> None:
        raise error

    return broken
