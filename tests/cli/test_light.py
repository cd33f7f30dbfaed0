"""What a command imports and opens: for a quick answer click, msgspec, PyYAML and three files are enough."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = (
    "torch", "numba", "numpy", "scipy", "plotly", "rich", "distributed", "onnx", "pandas", "psutil", "cpuinfo",
    "platformdirs", "llvmlite", "onnxruntime", "openvino", "nncf",
)  # fmt: skip

COMMANDS = [
    "--help",
    "estimate --model alexnet --device rtx3090",
    "estimate --model alexnet --device rtx3090 --json",
    "estimate --model alexnet --device i9-10940x --runtime all",
    "estimate --model resnet50 --device 'RTX 4090' --batch 1,8 --dtype fp32,fp16",
    "count --model alexnet",
    "count --model matmul:64x64x64 --json",
    "peak --device i9-10940x",
    "compare rtx3090 i9-10940x --model alexnet",
    "compare --kind cpu --format csv",
    "devices",
    "devices list --kind gpu",
    "devices show rtx3090",
    "devices search titan",
    "devices new my-card",
    "models",
    "models show lenet5",
    "models search net",
    "completion bash",
    "estimate --model timm:resnet50 --device rtx3090 --dtype amp --channels-last",
    "estimate --model alexnt --device rtx3090",
    "estimate --model llama3-8b --weights q4_k_m --prompt 512 --generate 128 --device rtx3090",
]

WATCH = """
import atexit, json, os, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
heavy, command = json.loads(sys.argv[1]), sys.argv[2]
for name in heavy:
    assert name not in sys.modules, name
sys.argv = ["hwbench", *__import__("shlex").split(command)]
code = 0
from hwbench.__main__ import main
try:
    main()
except SystemExit as left:
    code = left.code
imported = sorted(name for name in heavy if name in sys.modules)
files = sorted({os.fspath(path) for path in opened if isinstance(path, (str, os.PathLike))})
print(json.dumps({"code": code, "imported": imported, "opened": files}), file=sys.stderr)
"""


def _watched(command: str) -> dict[str, object]:
    """Exit code, heavy modules imported and files opened by the command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, json.dumps(HEAVY), command], capture_output=True, timeout=60, check=True
    )
    found: dict[str, object] = json.loads(done.stderr.decode().splitlines()[-1])
    return found


@pytest.mark.sample(6)
@pytest.mark.parametrize("command", COMMANDS)
def test_imports_nothing_heavy(command: str) -> None:
    found = _watched(command)
    assert found["imported"] == []
    assert found["code"] == (2 if "alexnt" in command else 0)


@pytest.mark.parametrize("device", ["rtx3090", "RTX 3090", "GeForce RTX 3090"])
def test_a_look_up_opens_the_cache_of_each_kind_alone(device: str) -> None:
    command = f"estimate --model alexnet --device '{device}'"
    _watched(command)  # writes the caches where there are none
    opened = _watched(command)["opened"]
    assert isinstance(opened, list)
    assert [path for path in opened if path.endswith((".yaml", ".yml"))] == []
    caches = {os.path.basename(path).partition("-")[0] for path in opened if path.endswith(".cache")}
    assert caches == {"architectures", "devices", "models"}


def test_works_where_nothing_heavy_is_installed() -> None:
    block = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); from hwbench.__main__ import main; main()"
    arguments = ["estimate", "--model", "alexnet", "--device", "rtx3090"]
    done = subprocess.run([sys.executable, "-c", block, *arguments], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().startswith("AlexNet")


def test_importtime_agrees() -> None:
    """The same from the interpreter's own list, in case that a module hides from `sys.modules`."""
    command = [sys.executable, "-X", "importtime", "-m", "hwbench", "count", "--model", "alexnet"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True, env={**os.environ, "NO_COLOR": "1"})
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.decode().splitlines()}
    assert "hwbench" in names
    assert not names & set(HEAVY)


@pytest.mark.parametrize(
    "command", ["estimate --model alexnet --device rtx3090", "peak --device i7-12700h", "count -m vgg16"]
)
def test_catalogued_names_need_no_yaml_parser(command: str) -> None:
    _watched(command)  # writes the caches where there are none
    program = WATCH.replace("heavy, command = json.loads(sys.argv[1])", "heavy, command = ['yaml']")
    done = subprocess.run([sys.executable, "-c", program, "[]", command], capture_output=True, timeout=60, check=True)
    assert json.loads(done.stderr.splitlines()[-1])["imported"] == []
