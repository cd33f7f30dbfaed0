"""hwbench for Python: the frozen list of names, and answers that are those of the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

import hwbench
from hwbench.errors import InputError

NAMES = [
    "HwbenchError", "InputError", "__version__", "bench", "compare", "count", "device", "devices", "estimate", "models",
    "peak",
]  # fmt: skip
"""What other programs may rely on: names are added here, never renamed or removed."""


def printed(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "hwbench", *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_public_names_are_these() -> None:
    assert sorted(hwbench.__all__) == NAMES
    assert all(getattr(hwbench, name) is not None for name in NAMES)
    assert dir(hwbench) == NAMES
    with pytest.raises(AttributeError, match="nothing"):
        _ = hwbench.nothing  # type: ignore[attr-defined]


def test_importing_it_imports_nothing_else() -> None:
    code = "import hwbench, sys; print([m for m in ('click', 'msgspec', 'numpy', 'yaml') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_it_is_typed() -> None:
    assert (Path(hwbench.__file__).parent / "py.typed").is_file()


def test_answers_print_as_the_command_line_does() -> None:
    assert str(hwbench.estimate("alexnet", "rtx3090")) + "\n" == printed("estimate", "-m", "alexnet", "-d", "rtx3090")
    assert str(hwbench.count("lenet5", convention="mac")) + "\n" == printed(
        "count", "-m", "lenet5", "--convention", "mac"
    )
    assert str(hwbench.peak("i7-12700h")) + "\n" == printed("peak", "-d", "i7-12700h")


def test_comparison_names_each_device() -> None:
    found = hwbench.compare("rtx3090", "RTX 4090", model="alexnet")
    assert [one.name for one in found.devices] == ["rtx3090", "rtx4090"]
    assert "rtx4090" in str(found)


def test_bench_measures() -> None:
    found = hwbench.bench("clock", budget_s=0.3)
    assert found.results[0].kernel == "clock"
    assert 1e8 < found.results[0].value < 1e10
    assert found.run.measurements[0].samples
    assert "clock" in str(found)


def test_answers_show_themselves_in_a_notebook() -> None:
    shown = hwbench.count("lenet5")._repr_html_()
    assert "<table><thead>" in shown
    assert "61,706" in shown


def test_a_module_is_traced_and_left_as_it_was() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(1568, 4)
    )
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = hwbench.count(module, torch.empty(2, 3, 16, 16))
    assert found.macs == 8 * 14 * 14 * 27 + 1568 * 4
    assert found.params == 8 * 27 + 8 + 1568 * 4 + 4
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert hwbench.estimate(module, "rtx3090", inputs=torch.empty(2, 3, 16, 16), batch=2).flops == 4 * found.macs


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: hwbench.estimate("alexnt", "rtx3090"), "alexnet"),
        (lambda: hwbench.estimate("alexnet", "rtx3091"), "no device"),
        (lambda: hwbench.estimate(7, "rtx3090"), "int is neither"),  # type: ignore[arg-type]
        (lambda: hwbench.count("alexnet", object()), "torch modules"),
        (lambda: hwbench.bench("clok"), "clock"),
        (lambda: hwbench.estimate("alexnet", "rtx3090", runtime="abacus"), "runtime"),
    ],
)
def test_what_is_wrong_is_said(call: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        call()  # type: ignore[operator]
    assert said in str(caught.value)
