"""`--json`: one object, the keys that other programs rely on (DESIGN, section 6), and the numbers of the issue."""

from collections.abc import Callable
from typing import Any

import pytest

INT, REAL, TEXT, BOOL = (int,), (int, float), (str,), (bool,)


def optional(kinds: tuple[type, ...]) -> tuple[type, ...]:
    return (*kinds, type(None))


class Each:
    """A list, or the values of an object, each of one shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Known:
    """A value of a shape, or null where it is unknown."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


CONVENTIONS = {"flop": INT, "mac": INT, "mac-bias": INT}
COUNT = {
    "model": TEXT, "params": INT, "macs": INT, "flops": INT, "traffic_bytes": INT, "elementwise_flops": INT,
    "convention": TEXT, "conventions": CONVENTIONS, "uncounted": Each(TEXT),
    "layers": Each({
        "name": TEXT, "kind": TEXT, "params": INT, "macs": INT, "flops": INT, "traffic_bytes": INT,
        "output_shape": Each(INT), "conventions": CONVENTIONS,
    }),
}  # fmt: skip
ESTIMATE = {
    "model": TEXT, "device": TEXT, "dtype": TEXT, "batch": INT, "mode": TEXT, "flops": INT, "traffic_bytes": INT,
    "peak_flops_per_second": REAL, "bandwidth_bytes_per_second": optional(REAL), "ideal_time_s": REAL,
    "runtime": TEXT, "math": TEXT, "least_flops": REAL, "boost": REAL,
    "engines": Each({"dtype": TEXT, "peak": TEXT, "flops_per_second": REAL, "share": REAL}),
    "roofline_time_s": optional(REAL), "throughput_per_s": optional(REAL), "utilization": optional(REAL),
    "expected_time_s": optional(REAL), "interval_s": Known(Each(REAL)), "interval_level": optional(REAL),
    "roofline": {"throughput_per_s": optional(REAL), "utilization": optional(REAL), "bound": optional(TEXT)},
    "bound": optional(TEXT), "shares": Known({"compute": REAL, "memory": REAL, "overhead": REAL}),
    "provenance": Each(TEXT), "memory_needed_bytes": INT, "fits": optional(BOOL),
    "layers": Each({
        "name": TEXT, "kind": TEXT, "flops": INT, "traffic_bytes": INT, "roofline_time_s": optional(REAL),
        "roofline_bound": optional(TEXT), "expected_time_s": optional(REAL), "bound": optional(TEXT),
        "utilization": optional(REAL), "dtype": TEXT, "least_flops": REAL, "least_traffic_bytes": REAL,
    }),
}  # fmt: skip
PEAK = {
    "device": TEXT, "units": INT, "clock_hz": optional(REAL), "provenance": Each(TEXT),
    "peaks": Each({
        "engine": TEXT, "isa": TEXT, "dtype": TEXT, "flops_per_cycle": optional(REAL), "flops_per_second": REAL,
        "clock_hz": optional(REAL), "provenance": TEXT,
    }),
    "memory": {
        "type": optional(TEXT), "size_bytes": optional(REAL), "bandwidth_bytes_per_second": optional(REAL),
        "bus_bits": optional(REAL), "rate_transfers_per_second": optional(REAL),
    },
}  # fmt: skip
REQUIRE = {
    "model": TEXT, "dtype": TEXT, "batch": INT, "rate_per_s": REAL, "latency_s": optional(REAL),
    "utilization": optional(REAL),
    "flops_per_second": REAL, "bytes_per_second": REAL, "memory_bytes": INT, "judged": INT, "unknown": Each(TEXT),
    "devices": Each({
        "name": TEXT, "power_w": optional(REAL), "verdict": TEXT, "time_s": REAL, "interval_s": Each(REAL),
        "roofline_time_s": REAL, "throughput_per_s": REAL, "bound": optional(TEXT),
    }),
}  # fmt: skip
DEVICES = {
    "devices": Each({
        "name": TEXT, "title": TEXT, "kind": TEXT, "vendor": TEXT, "architecture": TEXT, "units": optional(INT),
        "released": optional(TEXT),
    }),
}  # fmt: skip
COMPARE = {
    "dtype": TEXT, "model": optional(TEXT), "batches": Each(INT), "baseline": TEXT,
    "devices": Each({
        "name": TEXT, "title": TEXT, "kind": TEXT, "vendor": TEXT, "architecture": TEXT, "released": optional(TEXT),
        "units": INT, "clock_hz": optional(REAL), "flops_per_cycle": optional(REAL), "peak": optional(TEXT),
        "peak_flops_per_second": optional(REAL), "bandwidth_bytes_per_second": optional(REAL),
        "ridge_point": optional(REAL), "power_w": optional(REAL), "peak_flops_per_second_per_w": optional(REAL),
        "peaks": Each({"engine": TEXT, "dtype": TEXT, "isa": TEXT, "flops_per_second": REAL, "provenance": TEXT}),
        "times": Each({
            "batch": INT, "ideal_time_s": REAL, "roofline_time_s": optional(REAL), "expected_time_s": optional(REAL),
            "throughput_per_s": optional(REAL), "throughput_per_s_per_w": optional(REAL), "bound": optional(TEXT),
            "fits": optional(BOOL),
        }),
        "missing": Each(TEXT),
    }),
    "decompositions": Each({
        "device": TEXT, "baseline": TEXT, "of": TEXT, "batch": optional(INT), "ratio": REAL,
        "factors": Each({"name": TEXT, "ratio": REAL, "factor": REAL, "share": optional(REAL)}),
    }),
}  # fmt: skip
POINT = {
    "model": TEXT, "device": TEXT, "kind": TEXT, "dtype": TEXT, "power_w": optional(REAL), "batch": INT,
    "ideal_time_s": REAL, "roofline_time_s": optional(REAL), "expected_time_s": optional(REAL),
    "throughput_per_s": optional(REAL), "throughput_per_s_per_w": optional(REAL), "bound": optional(TEXT),
    "fits": optional(BOOL), "pareto": BOOL,
}  # fmt: skip
FRONT = {
    "model": TEXT, "dtype": TEXT, "batch": INT, "rank": INT, "device": TEXT, "power_w": REAL, "time_s": REAL,
    "interval_s": Each(REAL), "throughput_per_s": REAL, "bound": TEXT,
}  # fmt: skip
SWEEP = {"count": INT, "points": Each(POINT), "front": Each(FRONT)}
ENDS = Each(REAL)
INVERSIONS = {"pairs": INT, "inverted": INT, "equal_clock": INT, "share": optional(REAL)}
BETWEEN = {"a": TEXT, "b": TEXT, "rows": Each(INT), "a_wins": INT, **INVERSIONS}
CLOCK = {
    "data": TEXT, "level": REAL, "window_years": REAL, "clock": TEXT,
    "suites": Each({
        "suite": TEXT, "n": INT, "devices": INT, "microarchitectures": optional(INT), "clock_hz": ENDS,
        "r2_clock": REAL, "r2_clock_cv": optional(REAL), "r2_microarchitecture": optional(REAL), "ci": ENDS,
        "spearman": optional(REAL),
        "slope_clock": REAL, "slope_within": optional(REAL), "inversions": INVERSIONS, "inversions_window": INVERSIONS,
        "between": Each(BETWEEN), "pairs": Each(BETWEEN), "grade": TEXT, "verdict": TEXT, "notes": Each(TEXT),
        "intervals": {"level": REAL, "slope_clock": ENDS, "r2_clock_cv": ENDS},
        "cores": {"n": INT, "r2": REAL, "r2_cv": optional(REAL), "slope": REAL},
        "striking": Each({"slower": {"device": TEXT, "clock": REAL, "score": REAL, "year": optional(REAL)}}),
    }),
    "catalog": Each({"kind": TEXT, "n": INT, "r2_clock": REAL, "r2_product": REAL, "shares": Each(REAL)}),
}  # fmt: skip
CLOCK_OF_MODEL = {
    "suites": Each(TEXT),
    "model": {
        "model": TEXT, "device": TEXT, "dtype": TEXT, "batch": INT, "clock_hz": REAL, "roofline_time_s": optional(REAL),
        "expected_time_s": optional(REAL), "elasticity_roofline": optional(REAL),
        "elasticity_expected": optional(REAL), "verdict": TEXT,
    },
}  # fmt: skip
MODELS = {"models": Each({"name": TEXT, "title": TEXT, "params": INT, "macs": INT}), "language_models": Each(TEXT)}

VERSIONS = dict.fromkeys(("estimate", "estimates", "require", "compare", "sweep"), 2)
"""Numbers of the schemas whose keys changed their meaning."""
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("count --model alexnet", COUNT),
    ("count --model bert-base --convention mac --dtype int4 --batch 3", COUNT),
    ("count --model matmul:7x8x9", COUNT),
    ("models show lenet5", COUNT),
    ("estimate --model alexnet --device rtx3090", ESTIMATE),
    ("estimate --model vgg16 --device i7-12700h --clock base", ESTIMATE),
    ("estimate --model resnet18 --device host", ESTIMATE),
    ("estimate --model alexnet --device rtx3090 --batch 1,8 --dtype fp32,fp16", {"estimates": Each(ESTIMATE)}),
    ("peak", PEAK),
    ("peak --device h100-sxm", PEAK),
    ("peak --device i7-12700h", PEAK),
    ("devices show rtx3090", {**PEAK, "aliases": Each(TEXT), "sources": Each({"title": TEXT, "gives": Each(TEXT)})}),
    (
        "devices show opteron-2222",
        {**PEAK, "scores": Each({"suite": TEXT, "score": REAL, "url": TEXT, "available": TEXT, "system": TEXT})},
    ),
    ("require --model alexnet --rate 30/s", REQUIRE),
    ("require --model alexnet --latency 5ms --dtype fp16", REQUIRE),
    ("compare rtx3090 i7-12700h athlon-xp-2000plus", COMPARE),
    ("compare rtx3090 apple-m1 athlon-xp-2000plus --model alexnet --batch 1,8 --dtype fp16 --clock boost", COMPARE),
    ("compare --kind gpu --year 2022.. --vendor amd --sort per-watt", COMPARE),
    ("sweep --model lenet5 --device rtx3090 --device apple-m1 --batch 1..3 --dtype fp32,fp16", SWEEP),
    ("devices list", DEVICES),
    ("devices list --vendor nvidia --year 2020.. --architecture ampere", DEVICES),
    ("devices search 3090", DEVICES),
    ("devices lint", {"faults": Each(TEXT), "devices": INT, "architectures": INT, "sources": INT, "openable": INT}),
    ("study clock --suite SPECint2000 --suite SPECfp2006 --pair core2 netburst,k8", CLOCK),
    ("study clock --model alexnet --device rtx3090", CLOCK_OF_MODEL),
    ("models list", MODELS),
    ("models search resnet", MODELS),
    ("models lint", {"faults": Each(TEXT), "models": INT}),
]


def _check(value: Any, shape: Any, where: str = "") -> None:
    if isinstance(shape, Known):
        _check(value, shape.shape, where) if value is not None else None
    elif isinstance(shape, Each):
        assert isinstance(value, list | dict), where
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check(item, shape.shape, f"{where}[{key}]")
    elif isinstance(shape, dict):
        for key, below in shape.items():
            assert key in value, f"{where}.{key}"
            _check(value[key], below, f"{where}.{key}")
    else:
        assert isinstance(value, shape), where
        assert isinstance(value, bool) == (bool in shape) or value is None, where


@pytest.mark.parametrize(("command", "shape"), SHAPES, ids=[command for command, _ in SHAPES])
def test_keys_and_types(cli: Callable[..., Any], command: str, shape: dict[str, Any]) -> None:
    answer = cli(f"{command} --json")
    assert answer.code == 0
    assert answer.err == ""
    found = answer.json
    words = command.split()
    name = words[0] if words[1:2] not in (["show"], ["lint"], ["clock"]) else "-".join(words[:2])
    name = {"models-show": "count"}.get(name, "estimates" if "estimates" in shape else name)
    assert found["schema"] == f"hwbench.{name}/{VERSIONS.get(name, 1)}"
    assert found["hwbench_version"].count(".") == 2
    _check(found["warnings"], Each(TEXT))
    assert list(found)[:3] == ["schema", "hwbench_version", "warnings"]
    _check(found, shape)


def test_count_of_alexnet(cli: Callable[..., Any]) -> None:
    found = cli("count --model alexnet --json").json
    assert found["params"] == 62378344
    assert found["conventions"] == {"flop": 2270512192, "mac": 1135256096, "mac-bias": 1135915368}
    assert (found["flops"], found["macs"], found["convention"]) == (2270512192, 1135256096, "flop")
    assert found["layers"][0]["params"] == 34944
    assert found["layers"][0]["conventions"]["mac-bias"] == 105705600
    assert found["layers"][0]["output_shape"] == [96, 55, 55]
    weighty = [layer["params"] for layer in found["layers"] if layer["params"]]
    assert weighty == [34944, 614656, 885120, 1327488, 884992, 37752832, 16781312, 4097000]
    for key in ("params", "macs", "flops", "elementwise_flops", "traffic_bytes"):
        assert sum(layer[key] for layer in found["layers"]) == found[key]


@pytest.mark.parametrize(("convention", "count"), [("flop", 2270512192), ("mac", 1135256096), ("mac-bias", 1135915368)])
def test_the_convention_changes_the_count_and_no_other_number(
    cli: Callable[..., Any], convention: str, count: int
) -> None:
    found = cli(f"count --model alexnet --convention {convention} --json").json
    assert (found["convention"], found["count"]) == (convention, count)
    other = cli("count --model alexnet --json").json
    changing = ("convention", "count")
    assert {k: v for k, v in found.items() if k not in changing} == {
        k: v for k, v in other.items() if k not in changing
    }


def test_estimate_of_alexnet_on_an_rtx3090(cli: Callable[..., Any]) -> None:
    found = cli("estimate --model alexnet --device rtx3090 --json").json
    assert found["peak_flops_per_second"] == pytest.approx(35.58e12, rel=0.005)
    assert found["bandwidth_bytes_per_second"] == 936e9
    assert found["ideal_time_s"] == pytest.approx(64e-6, rel=0.01)
    assert found["roofline_time_s"] >= 260e-6
    assert found["roofline_time_s"] == pytest.approx(sum(layer["roofline_time_s"] for layer in found["layers"]))
    linear = [layer for layer in found["layers"] if layer["kind"] == "linear"]
    assert [layer["bound"] for layer in linear[:2]] == ["memory"] * 2
    assert found["bound"] == max(found["shares"], key=found["shares"].get)
    assert found["utilization"] == pytest.approx(found["ideal_time_s"] / found["expected_time_s"])
    assert found["roofline"]["utilization"] == pytest.approx(found["ideal_time_s"] / found["roofline_time_s"])
    assert found["roofline"]["bound"] == "memory"
    assert found["roofline_time_s"] < found["expected_time_s"] < 4 * found["roofline_time_s"]
    low, high = found["interval_s"]
    assert low < found["expected_time_s"] < high
    assert found["interval_level"] == 0.8
    assert found["runtime"] == "torch-eager-cuda"
    assert found["expected_time_s"] == pytest.approx(sum(layer["expected_time_s"] for layer in found["layers"]))
    assert set(found["elasticities"]) == {"clock", "bandwidth", "units", "overhead"}
    assert found["warnings"] == []


def test_several_estimates(cli: Callable[..., Any]) -> None:
    found = cli("estimate --model alexnet --device rtx3090 --batch 1,8,8 --dtype fp32,fp16 --json").json
    rows = found["estimates"]
    assert [(row["dtype"], row["batch"]) for row in rows] == [("fp32", 1), ("fp32", 8), ("fp16", 1), ("fp16", 8)]
    assert rows[1]["flops"] == 8 * rows[0]["flops"]
    one = cli("estimate --model alexnet --device rtx3090 --batch 8 --dtype fp16 --json").json
    assert one.pop("improvements")  # sought for a single estimate alone
    assert rows[3].pop("improvements") == []
    assert {key: one[key] for key in rows[3]} == rows[3]


def test_a_setting_is_marked_as_set(cli: Callable[..., Any]) -> None:
    found = cli("estimate --model alexnet --device rtx3090 --set clock=3GHz --json").json
    assert found["peak_flops_per_second"] == pytest.approx(82 * 256 * 3e9)
    assert found["provenance"]["peak"] == "set"
    assert not any("assumed" in warning for warning in found["warnings"])
    assert cli("peak --device rtx3090 --set bandwidth=1TB/s --json").json["memory"][
        "bandwidth_bytes_per_second"
    ] == pytest.approx(1e12)


def test_numbers_of_peak(cli: Callable[..., Any]) -> None:
    peaks = cli("peak --device i7-12700h --json").json["peaks"]
    fp32 = next(peak for peak in peaks if (peak["isa"], peak["dtype"]) == ("avx2", "fp32"))
    assert fp32["flops_per_cycle"] is None  # two classes of cores: see `terms`
    assert fp32["flops_per_second"] == 6 * 4.7e9 * 32 + 8 * 3.5e9 * 16


def test_json_is_ascii_where_the_terminal_is(shell: Callable[..., Any]) -> None:
    found = shell("hwbench devices show i9-10940x --json", PYTHONIOENCODING="ascii")
    assert found.code == 0
    assert found.out.isascii()
    assert found.json == shell("hwbench devices show i9-10940x --json", PYTHONIOENCODING="utf-8").json


def test_a_file_name_of_odd_bytes(shell: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "net.yaml").write_text("title: T\ninput: [3, 8, 8]\nlayers: [relu]\n")
    answer = shell(f"cd {tmp_path} && cp net.yaml $'\\xff.yaml' && hwbench count --model $'\\xff.yaml' --json")
    assert answer.code == 0
    assert answer.json["params"] == 0
