"""hwbench for Python: the frozen list of names, and answers that are those of the command line."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import hwbench
from hwbench import api
from hwbench.errors import InputError
from hwbench.notice_texts import few
from hwbench.predict.estimate import Estimate
from hwbench.predict.model.runtimes import runtimes_on, without_parameters
from hwbench.report.text.compare import MAX_ROWS
from hwbench.study.compare.devices import Comparison

NAMES = [
    "HwbenchError", "InputError", "__version__", "bench", "calibrate", "compare", "count", "device", "devices",
    "estimate", "estimate_all", "estimate_language", "explain", "lightning_callback", "meter", "model", "models",
    "peak", "record", "register_formula", "require", "run", "run_language", "self_check", "study_clock", "sweep",
    "trace", "trainer_callback", "validate", "write_report",
]  # fmt: skip
"""What other programs may rely on: names are added here, never renamed or removed."""


def printed(*words: str) -> str:
    """The output of a command in a pipe, whatever width the shell states."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "hwbench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def imported(code: str, *names: str) -> list[str]:
    """The modules of these names that a program imports."""
    program = f"import sys; {code}; print(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_public_names_are_these() -> None:
    assert sorted(hwbench.__all__) == NAMES
    stub = ast.parse(Path(hwbench.__file__).with_suffix(".pyi").read_text())  # what type checkers read
    assert next(ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)) == hwbench.__all__
    imported = {name.name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert sorted({*imported, "__version__"}) == NAMES
    assert all(getattr(hwbench, name) is not None for name in NAMES)
    assert dir(hwbench) == NAMES
    for module in (hwbench, api):
        with pytest.raises(AttributeError, match="nothing"):
            _ = module.nothing  # type: ignore[attr-defined]


def test_every_function_of_the_api_is_callable() -> None:
    assert all(callable(getattr(api, name)) for name in api.__all__)
    assert set(NAMES) - {"HwbenchError", "InputError", "__version__", "write_report"} <= set(api.__all__)
    assert callable(hwbench.write_report)


def test_importing_it_imports_nothing_else() -> None:
    assert imported("import hwbench", "click", "msgspec", "numpy", "yaml") == []


def test_estimates_import_nothing_heavy() -> None:
    heavy = ("click", "numpy", "torch", "numba", "scipy", "yaml", "hwbench.cli", "hwbench.measure")
    program = "import hwbench; str(hwbench.estimate('alexnet', 'rtx3090'))"
    imported(program)  # a fresh checkout parses the catalog once
    assert imported(program, *heavy) == []


def test_it_is_typed() -> None:
    assert (Path(hwbench.__file__).parent / "py.typed").is_file()


def test_answers_print_as_the_command_line_does() -> None:
    assert str(hwbench.estimate("alexnet", "rtx3090")) + "\n" == printed("estimate", "alexnet", "rtx3090")
    assert str(hwbench.count("lenet5", convention="mac")) + "\n" == printed(
        "count", "-m", "lenet5", "--convention", "mac"
    )
    assert str(hwbench.peak("i7-12700h")) + "\n" == printed("peak", "-d", "i7-12700h")


def test_answers_are_the_structs_of_the_packages() -> None:
    first, second = hwbench.estimate("alexnet", "rtx3090"), hwbench.estimate("alexnet", "rtx3090")
    assert type(first) is Estimate
    assert first == second
    assert len(repr(first)) < 220
    assert first.to_dict()["schema"] == "hwbench.estimate/2"


def test_several_estimates() -> None:
    answer = hwbench.estimate_all("alexnet", "rtx3090", dtypes=("fp32", "fp16"), batches=(1, 8))
    assert [(row.dtype, row.batch) for row in answer.estimates] == [("fp32", 1), ("fp32", 8), ("fp16", 1), ("fp16", 8)]
    single = hwbench.estimate("alexnet", "rtx3090", batch=8)
    assert single.improvements  # sought for a single estimate alone
    assert answer.estimates[1] == replace(single, improvements=())


def test_runtimes_are_compared_by_forecast() -> None:
    answer = hwbench.estimate_all("alexnet", "i9-10940x", runtime="all")
    known = runtimes_on("cpu")
    assert tuple(row.runtime for row in answer.estimates) == known
    for row in answer.estimates:
        single = hwbench.estimate("alexnet", "i9-10940x", runtime=row.runtime)
        assert row.expected_time_s == single.expected_time_s
    assert ("runtimes-without-parameters" in {own.code for own in answer.notices}) == bool(without_parameters("cpu"))
    lines = str(answer).splitlines()
    assert [line.split()[0] for line in lines if line.startswith(known)] == list(known)
    two = hwbench.estimate_all("alexnet", "i9-10940x", runtime="torch-compile, torch-eager")
    assert [row.runtime for row in two.estimates] == ["torch-compile-cpu", "torch-eager-cpu"]
    with pytest.raises(InputError) as caught:
        hwbench.estimate("alexnet", "i9-10940x", runtime="all")
    assert (caught.value.code, caught.value.field) == ("single-value", "runtime")


def test_values_of_a_device_can_be_set() -> None:
    peak = hwbench.peak("rtx3090", settings={"clock": "3GHz"})
    assert {row.clock_hz for row in peak.peaks} == {3e9}
    assert hwbench.device("rtx3090", clock="3GHz") == hwbench.device(hwbench.device("rtx3090"), clock="3GHz")
    assert hwbench.peak(hwbench.device("rtx3090", clock="3GHz")).peaks == peak.peaks


def test_a_device_gives_others_and_its_peaks() -> None:
    device = hwbench.device("rtx3090")
    fast = device.with_(clock="3 GHz")
    assert fast == hwbench.device("rtx3090", clock="3 GHz")
    assert fast.peak("fp16").flops_per_second == pytest.approx(82 * 3e9 * 512)
    assert device.peak("fp16", "base").flops_per_second < device.peak("fp16").flops_per_second
    with pytest.raises(hwbench.InputError) as error:
        device.with_(clock="fast")
    assert (error.value.code, error.value.field) == ("not-a-quantity", "settings.clock")
    with pytest.raises(hwbench.InputError) as error:
        device.peak("fp4")
    assert error.value.code == "unknown-rate"


def test_comparison_names_each_device() -> None:
    comparison = hwbench.compare("rtx3090", "RTX 4090", model="alexnet")
    assert [device.name for device in comparison.devices] == ["rtx3090", "rtx4090"]
    assert comparison == hwbench.compare(["rtx3090", "RTX 4090"], model="alexnet")
    assert "rtx4090" in str(comparison)


@pytest.mark.slow
def test_devices_are_a_mapping_of_what_is_wanted() -> None:
    every, gpus = hwbench.devices(), hwbench.devices(kind="gpu", vendor="nvidia")
    assert every["rtx3090"] == hwbench.device("rtx3090") == gpus["rtx3090"]
    assert 0 < len(gpus) < len(every)
    assert hwbench.devices()["rtx3090"] is every["rtx3090"]  # read once
    assert f"{len(gpus)} devices" in str(gpus)
    assert "lenet5" in hwbench.models()
    assert list(hwbench.models(search="resnet")) == [name for name in hwbench.models() if "resnet" in name]


def test_a_sweep_computes_what_is_asked_for() -> None:
    plan = hwbench.sweep(["alexnet", "lenet5"], {"a": hwbench.device("rtx3090")}, batches=range(1, 4))
    assert plan.points == 6
    rows = plan.rows
    assert [row["batch"] for row in rows] == [1, 2, 3, 1, 2, 3]
    assert [row["model"] for row in rows[2:4]] == ["alexnet", "lenet5"]
    assert {row.device for row in plan.front} == {"rtx3090"}


def test_a_sweep_of_one_device_needs_no_list() -> None:
    assert hwbench.sweep("alexnet", "rtx3090").points == 1
    assert hwbench.sweep("alexnet", hwbench.device("rtx3090")).points == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda: hwbench.estimate("alexnet", "rtx3090", bacth=8),
        lambda: hwbench.sweep("alexnet", "rtx3090", batch=8),
        lambda: hwbench.compare("rtx3090", devices=["rtx4090"]),
        lambda: hwbench.count("alexnet", batches=(1, 8)),
    ],
)
def test_an_argument_that_does_not_exist_is_no_default(ask: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument '"):
        ask()


@pytest.mark.parametrize(
    ("ask", "code", "field"),
    [
        (lambda: hwbench.estimate("alexnet", "rtx3090", mode="train"), "unknown-mode", "mode"),
        (lambda: hwbench.estimate("alexnet", "rtx3090", dtype=16), "unknown-dtype", "dtype"),
        (lambda: hwbench.estimate("alexnet", "rtx3090", dtype=None), "unknown-dtype", "dtype"),
        (lambda: hwbench.estimate("alexnet", None), "unknown-device", "device"),
        (lambda: hwbench.peak(3090), "unknown-device", "device"),
    ],
)
def test_an_argument_of_another_type_is_named(ask: Any, code: str, field: str) -> None:
    with pytest.raises(InputError) as error:
        ask()
    assert (error.value.code, error.value.field) == (code, field)


def test_what_is_printed_and_shown_in_a_notebook_has_the_warnings() -> None:
    answer = hwbench.estimate("lenet5", "rtx3090", dtype="int8")
    (warning,) = map(str, answer.notices)
    assert str(answer).endswith(f"\n\nwarning: {warning}")
    assert warning in answer._repr_html_()
    assert " ".join(printed("estimate", "lenet5", "rtx3090", "--dtype", "int8").split()) == " ".join(
        str(answer).split()
    )


def test_html_is_headed_by_a_title_and_not_by_the_columns() -> None:
    assert hwbench.devices()._repr_html_().startswith("<p><b>Catalogued devices</b></p>")
    assert hwbench.models()._repr_html_().startswith("<p><b>Catalogued networks</b></p>")
    assert hwbench.study_clock()._repr_html_().startswith("<p><b>Clock speed as a predictor</b></p>")


def test_one_of_a_kind_is_singular() -> None:
    assert str(hwbench.devices(search="titan-v")).endswith("\n\n1 device")
    assert str(hwbench.models(search="lenet5")).endswith("\n\n1 network")


def test_a_search_for_a_cloud_instance_finds_its_device() -> None:
    assert list(hwbench.devices(search="g5.xlarge")) == ["a10g"]
    assert list(hwbench.devices(search="p4d.24xlarge", kind="gpu")) == ["a100-sxm4-40gb"]


@pytest.mark.parametrize(
    ("text", "found", "other"), [("m5", "apple-m5", "h100-sxm"), ("4090", "rtx4090", ""), ("x3d", "ryzen7-9800x3d", "")]
)
def test_a_search_finds_what_begins_with_its_text_first(text: str, found: str, other: str) -> None:
    names = list(hwbench.devices(search=text))
    assert found in names
    assert other not in names


def test_long_tables_and_lists_of_names_end_with_how_many_more_there_are() -> None:
    every, text = hwbench.compare(kind="cpu"), str(hwbench.compare(kind="cpu"))
    assert isinstance(every, Comparison)
    assert f"... and {len(every.devices) - MAX_ROWS} more" in text
    assert len(text.splitlines()) < 4 * MAX_ROWS
    assert few(list("abcdef"), 6) == "a, b, c, d, e, f"
    assert few(list("abcdefg"), 6) == "a, b, c and 4 more"


def test_quantities_are_numbers_or_text() -> None:
    assert hwbench.require("alexnet", rate="30/s").devices == hwbench.require("alexnet", rate=30).devices


def test_parameters_and_studies() -> None:
    assert hwbench.calibrate().parameters.runtimes
    assert hwbench.study_clock(model="alexnet", device="i7-6700k").model.device == "i7-6700k"
    assert hwbench.validate().all.n >= 50


@pytest.mark.realtime
def test_bench_measures() -> None:
    run = hwbench.bench("clock", budget=0.3)
    assert run.results[0].kernel == "clock"
    assert 1e8 < run.results[0].value < 1e10
    assert run.run.measurements[0].samples
    assert run.path is None
    assert "clock" in str(run)


def test_answers_show_themselves_in_a_notebook() -> None:
    for answer in (hwbench.count("lenet5"), hwbench.devices(kind="gpu"), hwbench.models()):
        assert "<table>" in answer._repr_html_()


def test_a_module_is_traced_and_left_as_it_was() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(1568, 4)
    )
    before = {name: value.clone() for name, value in module.state_dict().items()}
    inputs = torch.empty(2, 3, 16, 16)
    workload = hwbench.trace(module, inputs)
    assert workload.macs == 8 * 14 * 14 * 27 + 1568 * 4
    assert workload.params == 8 * 27 + 8 + 1568 * 4 + 4
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    estimate = hwbench.estimate(module, "rtx3090", inputs=inputs)
    assert (estimate.batch, estimate.flops) == (2, 4 * workload.macs)  # the inputs' batch, where nothing else is said
    assert hwbench.count(module, inputs).batch == 2
    assert hwbench.estimate(module, "rtx3090", inputs=inputs, batch=3).flops == 6 * workload.macs
    assert hwbench.estimate(workload, "rtx3090", batch=2).flops == estimate.flops
    assert hwbench.estimate(module, "rtx3090", inputs=inputs, mode="training").flops > 2 * estimate.flops


@pytest.mark.slow
def test_named_models_are_traced_as_on_the_command_line() -> None:
    pytest.importorskip("transformers")
    count = hwbench.count("hf:bert?num_hidden_layers=1", context=16)
    assert count.macs < hwbench.count("hf:bert?num_hidden_layers=1", context=32).macs


WRONG: list[tuple[Any, str | None, str | None]] = [
    (lambda: hwbench.estimate("alexnt", "rtx3090"), None, None),
    (lambda: hwbench.estimate("alexnet", "rtx3091"), None, None),
    (lambda: hwbench.estimate(7, "rtx3090"), "unknown-model", "model"),
    (lambda: hwbench.estimate("alexnet", "rtx3090", dtype="fp23"), "unknown-dtype", "dtype"),
    (lambda: hwbench.estimate("alexnet", "rtx3090", batch=0), "batch-range", "batch"),
    (lambda: hwbench.estimate("alexnet", "rtx3090", batch="8"), "batch-range", "batch"),
    (lambda: hwbench.estimate("alexnet", "rtx3090", clock="turbo"), "unknown-clock", "clock"),
    (lambda: hwbench.estimate("alexnet", "rtx3090", clock=True), "unknown-clock", "clock"),
    (lambda: hwbench.compare("rtx4090", "rtx3090", level=10**400), "bad-level", "level"),
    (lambda: hwbench.estimate_language(float("nan"), "rtx4090"), "unknown-model", "model"),
    (lambda: hwbench.explain("lenet5", threads=1e-9), "threads-range", "threads"),
    (lambda: hwbench.bench("clock", threads=(-1,)), "threads-range", "threads"),
    (lambda: hwbench.estimate("alexnet", "rtx3090", clock="boost", settings={"clock": "1GHz"}), "exclusive", "clock"),
    (lambda: hwbench.estimate("alexnet", "rtx3090", runtime="abacus"), None, None),
    (lambda: hwbench.count("alexnet", object()), "inputs-of-name", "inputs"),
    (lambda: hwbench.count("alexnet", convention="flops"), "unknown-convention", "convention"),
    (lambda: hwbench.bench("clok"), "unknown-kernel", "kernels"),
    (lambda: hwbench.bench("clock", budget="30"), None, "budget"),
    (lambda: hwbench.bench("clock", budget=1e9), "duration-range", "budget"),
    (lambda: hwbench.require("alexnet"), "missing", "rate"),
    (lambda: hwbench.require("alexnet", rate=-1.0), "not-positive", "rate"),
    (lambda: hwbench.devices(kind="tpu"), "unknown-kind", "kind"),
    (lambda: hwbench.devices(year=20), "bad-year", "year"),
    (lambda: hwbench.compare("rtx3090", "rtx4090", sort="time"), "needs-model", "sort"),
    (lambda: hwbench.sweep("alexnet", ["rtx3090"], mode="training"), "not-swept", "mode"),
    (lambda: hwbench.sweep("alexnet", ["rtx3090"], kind="gpu"), "exclusive", "devices"),
]


@pytest.mark.parametrize(("call", "code", "field"), WRONG, ids=range(len(WRONG)))
def test_an_error_has_a_code_and_the_parameter(call: Any, code: str | None, field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        call()
    error = caught.value
    assert (error.code, error.field) == (code or error.code, field or error.field)
    assert isinstance(error, ValueError)
    assert code is None or "--" not in str(error)


def test_answers_can_be_members_of_a_set() -> None:
    answers = [hwbench.count("lenet5"), hwbench.estimate("lenet5", "rtx3090"), hwbench.devices(), hwbench.models()]
    again = [hwbench.count("lenet5"), hwbench.estimate("lenet5", "rtx3090"), hwbench.devices(), hwbench.models()]
    assert [hash(answer) for answer in answers] == [hash(answer) for answer in again]
    assert len({*answers[:2], *again[:2]}) == 2


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: hwbench.sweep("alexnet", []), "devices"),
        (lambda: hwbench.sweep([], "rtx3090"), "models"),
        (hwbench.compare, "names"),
        (lambda: hwbench.compare(3), "device"),  # type: ignore[arg-type]
        (lambda: hwbench.bench(["clock"]), "kernels"),  # type: ignore[arg-type]
    ],
)
def test_what_is_missing_or_of_another_type_is_named(call: Callable[[], Any], field: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert raised.value.field == field


def test_a_template_of_a_network_is_a_network(tmp_path: Path) -> None:
    path = tmp_path / "my-net.yaml"
    path.write_text(hwbench.api.model_template("my net"))
    answer = hwbench.count(str(path))
    assert (answer.params, answer.macs, answer.workload.title) == (5322, 1622176, "my net")
