"""Fitting: parameters that made the times are found again, splits are disjoint, the shipped file follows from data."""

import os
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.predict.data import splits, tables
from hwbench.predict.data.rows import MeasuredTime
from hwbench.predict.fitting import fit as fitting
from hwbench.predict.fitting import priors
from hwbench.predict.fitting.cases import cases
from hwbench.predict.fitting.problem import Case, fitted, predicted, problem, soft, with_values
from hwbench.predict.forecast import forecast
from hwbench.predict.model.parameters import GpuParameters, ParameterFile, parameters
from hwbench.workload import load

DATA = Path(os.environ.get("HWBENCH_DATA", Path(__file__).parents[4] / "shared" / "data")) / "measured" / "timm"
RTX3090 = catalog.device("rtx3090")
MODELS = load.workloads()
TRUE = replace(priors.GPU, prologue=30.0, memory={**priors.GPU.memory, "map": 0.75, "batch_norm": 0.8})


def made(own: GpuParameters, batches: tuple[int, ...] = (64, 512)) -> list[Case]:
    """Cases whose times follow from known parameters exactly."""
    runtime = replace(priors.START["torch-eager-cuda"], gpu=own)
    known = ParameterFile("", 0, "", {"torch-eager-cuda": runtime})
    found = []
    for name, workload in MODELS.items():
        for batch in batches:
            time = forecast(workload, RTX3090, "fp16", batch, known=known)
            assert time is not None
            found.append(Case(workload, RTX3090, "fp16", batch, time.time_s, splits.family(name)))
    return found


def test_arrays_of_kernels_give_the_time_of_each_case() -> None:
    some = made(TRUE)
    runtime = replace(priors.START["torch-eager-cuda"], gpu=TRUE)
    assert predicted(problem(some, RTX3090), runtime) == pytest.approx([case.time_s for case in some], rel=1e-9)


def test_what_made_the_times_is_found_again() -> None:
    cases_ = problem(made(TRUE), RTX3090)
    start = priors.START["torch-eager-cuda"]
    free = [one for one in priors.GPU_FREE if one.path in ("prologue", "memory.map", "memory.batch_norm")]
    before = np.abs(np.log(predicted(cases_, start) / cases_.times)).mean()
    found = fitted(start, free, [cases_])
    assert np.abs(np.log(predicted(cases_, found) / cases_.times)).mean() < 0.1 * before
    assert found.gpu is not None
    assert found.gpu.memory["map"] == pytest.approx(0.75, rel=0.05)
    assert found.gpu.memory["batch_norm"] == pytest.approx(0.8, rel=0.05)
    assert found.gpu.memory["pool"] == priors.GPU.memory["pool"]


def test_values_go_where_their_path_says() -> None:
    start = priors.START[priors.EARLY_COMPILED]
    found = with_values(start, [priors.CPU_FREE[0], priors.CPU_FREE[-1]], [0.1, 0.2])  # compute.conv, packed
    assert found.cpu is not None
    assert found.cpu.compute["conv"] == 0.1
    assert found.cpu.packed == 0.2
    assert priors.CPU.compute["conv"] != 0.1


def test_far_errors_count_by_their_size_not_its_square() -> None:
    small, large = soft(np.array([0.001, 10.0]))
    assert small == pytest.approx(0.001, rel=1e-3)
    assert large**2 < 0.1 * 10.0**2


def test_every_free_parameter_exists_and_starts_below_its_ceiling() -> None:
    for name, free in priors.FREE.items():
        assert len({one.path for one in free}) == len(free)
        for one in free:
            assert 0 < one.prior <= one.ceiling
            start = priors.DERIVED[name](priors.START)
            assert with_values(start, [one], [one.prior * 2]) != start


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("timm:tf_efficientnet_b0.ns_jft_in1k", "efficientnet"),
        ("vit_base_patch16_224", "vit"),
        ("test_vit", "vit"),
        ("legacy_seresnet50", "resnet"),
        ("alexnet", "alexnet"),
        ("hf:bert", "bert"),
    ],
)
def test_families(model: str, family: str) -> None:
    assert splits.family(model) == family


def test_families_are_spread_evenly_over_groups() -> None:
    groups = [splits.fold(f"family{n}", 4) for n in range(4000)]
    assert groups == [splits.fold(f"family{n}", 4) for n in range(4000)]
    assert [round(groups.count(group) / 40) for group in range(4)] == pytest.approx([25] * 4, abs=3)


def test_rows_of_another_network_or_image_are_not_fitted() -> None:
    row = MeasuredTime("rtx3090", "resnet50", 8, "fp32", 1e-3, "mine.csv:2", image_size=224, runtime="torch-2.4-eager")
    larger = replace(row, image_size=288, place="mine.csv:3")
    other = replace(row, params=60e6, place="mine.csv:4")
    found, skipped = cases(tables.MeasuredTable((row, larger, other)))
    assert [one.workload.name for one in found["torch-eager-cuda"]] == ["resnet50"]
    reasons = {one.place: one.reason for one in skipped}
    assert sorted(reasons) == ["mine.csv:3", "mine.csv:4"]
    assert "images of 224 pixels, not of 288" in reasons["mine.csv:3"]
    assert "another network" in reasons["mine.csv:4"]


def test_too_few_measurements_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        fitting.calibrated({"torch-eager-cuda": made(TRUE)[:5]})
    assert caught.value.code == "too-few-cases"


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the measurements in {DATA}")
def test_the_shipped_parameters_follow_from_the_measurements() -> None:
    usable, _ = cases(tables.read([str(path) for path in sorted(DATA.glob("*.csv"))]))
    found = fitting.calibrated(usable)
    names = sorted(usable)
    assert names == ["torch-2.4-compile-cpu", "torch-compile-cuda", "torch-eager-cuda"]
    for name, largest in fitting.difference(found, parameters(), names).items():
        assert largest < 0.02, name
        kept, anew = (
            {(row.without, row.of): row for row in each.runtimes[name].held_out} for each in (parameters(), found)
        )
        assert kept.keys() == anew.keys()
        for key, row in kept.items():
            assert (row.mape, row.inside) == pytest.approx((anew[key].mape, anew[key].inside), abs=0.005)
