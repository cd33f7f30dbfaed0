"""Ends of a fit's intervals: conformal quantiles, and how much a device that was not fitted widens them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hwbench.predict.fitting import fit, priors
from hwbench.predict.model.parameters import parameters


def test_ends_are_conformal_quantiles() -> None:
    """Of 9 errors, one more lies between the lowest and the highest with probability 8 / 10."""
    errors = np.array([0.3, -0.1, 0.0, 0.5, -0.4, 0.2, 0.1, -0.2, 0.4])
    assert fit._ends(errors, 0.8) == (-0.4, 0.5)
    many = np.arange(19.0)
    assert fit._ends(many, 0.8) == pytest.approx((18 * (1 - 0.9 * 20 / 19), 18 * 0.9 * 20 / 19))


@pytest.mark.parametrize(
    ("shift", "device"), [(-0.5, (0.7**2 - 0.2**2) ** 0.5), (0.5, (0.8**2 - 0.3**2) ** 0.5), (0.0, 0.0)]
)
def test_a_device_left_out_widens_by_its_farther_end(
    shift: float, device: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors from -0.2 to 0.3; without their own device in the fit, all are off by `shift`."""
    errors = np.linspace(-0.2, 0.3, 9)
    fits: list[Any] = []

    def fitted(start: Any, free: Any, problems: Any) -> str:
        fits.append(problems)
        return "far"

    def predicted(cases: Any, runtime: Any) -> Any:
        return cases.times / np.exp(errors + (shift if runtime == "far" else 0.0))

    monkeypatch.setattr(fit, "fitted", fitted)
    monkeypatch.setattr(fit, "predicted", predicted)
    problems: Any = {
        name: {split: SimpleNamespace(times=np.full(9, 2.0), name=f"{name} {split}") for split in ("fit", "tune")}
        for name in ("b", "a")
    }
    cases: Any = [
        SimpleNamespace(device=SimpleNamespace(vendor=vendor), dtype=dtype)
        for vendor, dtype in (("Y", "fp32"), ("X", "amp"), ("Y", "fp32"))
    ]
    near: Any = "near"
    start: Any = None
    spread = fit._spread(start, (), near, problems, cases, lambda _: None)
    tail = np.quantile(np.tile(errors, 2), (0.9 * 19 / 18))
    assert spread.high == pytest.approx(tail)
    assert spread.low == pytest.approx(tail - 0.1)
    low, high = 0.1 - tail + shift, tail + shift
    expected = max(high**2 - tail**2, low**2 - (tail - 0.1) ** 2, 0.0) ** 0.5
    assert spread.device == pytest.approx(expected)
    assert spread.device == pytest.approx(device, abs=0.02)
    assert (spread.devices, spread.vendors, spread.dtypes) == (("a", "b"), ("X", "Y"), ("amp", "fp32"))
    assert [[problem.name for problem in each] for each in fits] == [["a fit"], ["b fit"]]
    alone = fit._spread(start, (), near, {"a": problems["a"]}, cases, lambda _: None)
    assert (alone.devices, alone.device) == (("a",), priors.UNTESTED.device)


def test_mean_absolute_errors_are_shares_of_the_measured_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "predicted", lambda cases, runtime: np.array([1.5, 1.0, 3.0]))
    problems: Any = {"x": {"tune": SimpleNamespace(times=np.array([1.0, 2.0, 3.0]))}}
    runtime: Any = None
    assert fit._errors(runtime, problems) == {"x": {"tune": pytest.approx((0.5 + 0.5 + 0.0) / 3)}}


def test_the_largest_relative_difference_of_parameters() -> None:
    name = "torch-eager-cuda"
    file = parameters()
    runtime = file.runtimes[name]
    assert runtime.gpu is not None
    compute = {
        **runtime.gpu.compute,
        "conv": runtime.gpu.compute["conv"] * 1.25,
        "stem": runtime.gpu.compute["stem"] * 0.9,
    }
    changed = replace(runtime, gpu=replace(runtime.gpu, compute=compute, launch=runtime.gpu.launch * 1.125))
    other = replace(file, runtimes={**file.runtimes, name: changed})
    assert fit.difference(other, file, [name, "torch-eager-cpu"]) == {name: pytest.approx(0.25), "torch-eager-cpu": 0.0}
