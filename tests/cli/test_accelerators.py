"""Every command answers of accelerators, or says what is not known of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("estimate resnet50 tpu-v5p", "unknown-rate"),  # Google states none in fp32
        ("estimate resnet50 tpu-v5p --dtype bf16 --set clock=1GHz", "unknown-units"),
        ("estimate resnet50 tpu-v5p --dtype bf16 --runtime torch-eager", "runtime-for-other-device"),
        ("estimate llama3-8b tpu-v5p", "no-time-model"),
        ("require llama3-8b --tokens 30/s --kind accelerator", "no-time-model"),
        ("study clock --model resnet50 --device tpu-v5p --dtype bf16", "unknown-clock"),
        ("peak tpu-v5p --clock base", "unknown-clock"),
    ],
)
def test_what_is_not_known_is_refused(command: str, code: str, cli: Callable[..., Any]) -> None:
    answer = cli(*command.split(), "--json")
    assert answer.code == 2
    assert json.loads(answer.out)["error"]["code"] == code


@pytest.mark.parametrize(
    "command",
    [
        "peak gaudi3",
        "devices show trainium2",
        "devices list --kind accelerator",
        "compare tpu-v5p h100-sxm --dtype bf16",
        "compare tpu-v5p h100-sxm gaudi3 --dtype bf16 --model resnet50",
        "compare tpu-v5p gaudi3 --dtype bf16 --format csv",
        "require resnet50 --rate 100/s --dtype bf16 --kind accelerator",
        "require resnet50 --rate 100/s --dtype bf16 --kind accelerator --utilization 0.5",
        "sweep resnet50 -d tpu-v5p -d h100-sxm --dtype bf16 --batch 1..4",
        "estimate resnet50 gaudi2 --dtype fp8 --runtime all",
        "estimate resnet50 trainium3 --dtype bf16,fp32 --batch 1,8",
    ],
)
def test_every_command_answers_of_accelerators(command: str, cli: Callable[..., Any]) -> None:
    assert cli(*command.split()).code == 0
