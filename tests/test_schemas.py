"""JSON Schemas of what `--json` writes. Whatever tests of the command line read as JSON is checked by them too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.schemas import FORMS, schema
from tests.cli.conftest import cli  # noqa: F401  (a fixture, which checks what it returns)
from tests.schemas import Draft202012Validator, validator

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "json.md"


@pytest.mark.parametrize("name", FORMS)
def test_a_schema_is_valid_and_linked(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert f"(schemas/{name}.json)" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("bench clock --quick --no-save", marks=pytest.mark.slow),
        "calibrate --show", "calibrate --show --device rtx4070",
        "count alexnet --tree", "count llama3-8b --weights q4_k_m", "compare rtx3060 l4 --model llama3-8b",
        "estimate alexnet athlon-xp-2000plus", "estimate llama3-8b rtx3090", "estimate llama3-8b rtx3090 --batch 1,4",
        "estimate mixtral-8x7b rtx3090 --weights q4_k_m --gpu-layers 24 --cpu ryzen9-7950x",
        "require --model llama3-8b --weights q4_k_m --tokens 30/s", "results list", "validate", "validate --rows",
        "report -m lenet5 -d rtx3090 -o {folder}/report.html",
    ],
)  # fmt: skip
def test_more_commands(cli: Callable[..., Any], command: str, tmp_path: Path) -> None:  # noqa: F811
    assert cli(command.format(folder=tmp_path) + " --json").json["schema"]


def test_a_key_that_no_schema_has_is_noticed(cli: Callable[..., Any]) -> None:  # noqa: F811
    answer = cli("count lenet5 --json").json
    answer["layers"][0]["colour"] = "blue"
    assert [error.json_path for error in validator("count").iter_errors(answer)] == ["$.layers[0]"]
