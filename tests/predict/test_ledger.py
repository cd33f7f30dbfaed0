"""The ledger: errors on measured step times, held to what was reached once, so that no change makes them worse unseen.

The measurements are not part of the project: without their folder this is skipped, and says so.
"""

import os
import re
from pathlib import Path

import pytest
from msgspec import Struct

from hwbench.predict.data import tables
from hwbench.predict.fitting import fit as fitting
from hwbench.predict.fitting.cases import cases
from hwbench.predict.replay.metrics import Metrics
from hwbench.predict.replay.replay import replay
from hwbench.predict.replay.summary import ReplayGroup, Validation
from hwbench.report.text import validation as report
from hwbench.report.text.layout import PLAIN

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "accuracy.md"
FOLDER = ROOT.parent / "shared" / "data" / "measured" / "timm"
FITTED = (
    "i9-10940x_fp32_nchw_pt240_dynamo.csv", "rtx3090_amp_nchw_pt240.csv", "rtx3090_amp_nhwc_pt240.csv",
    "rtx4090_amp_nchw_pt240.csv",
)  # fmt: skip
"""The tables that the shipped parameters were fitted to; accuracy elsewhere is another question."""
UNMEASURED = 0.02
"""Share of the rows that may be without a prediction: models that timm has no more."""


class Bound(Struct, frozen=True):
    """What one table must reach, over families that were not fitted: fractions, as in Metrics."""

    device: str
    layout: str
    mape: float
    within_10: float
    spearman: float
    bias: float
    coverage: tuple[float, float]


BOUNDS = (
    Bound("rtx3090", "nhwc", mape=0.06, within_10=0.86, spearman=0.995, bias=0.03, coverage=(0.78, 0.86)),
    Bound("rtx3090", "nchw", mape=0.054, within_10=0.88, spearman=0.994, bias=0.03, coverage=(0.8, 0.89)),
    Bound("rtx4090", "nchw", mape=0.062, within_10=0.77, spearman=0.994, bias=0.03, coverage=(0.76, 0.84)),
    Bound("i9-10940x", "nchw", mape=0.13, within_10=0.5, spearman=0.97, bias=0.03, coverage=(0.76, 0.85)),
)


@pytest.fixture(scope="module")
def found() -> Validation:
    paths = [str(FOLDER / name) for name in FITTED]
    if not FOLDER.is_dir():
        pytest.skip(f"no measurements to replay: {FOLDER} is not there")
    return replay(tables.read(paths))


def group(found: Validation, device: str, layout: str) -> ReplayGroup:
    (one,) = [group for group in found.groups if (group.device, group.layout) == (device, layout)]
    return one


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound.device}-{bound.layout}")
def test_errors_on_unseen_families_stay_as_small_as_they_were(found: Validation, bound: Bound) -> None:
    unseen = group(found, bound.device, bound.layout).unseen
    assert unseen.n >= 50
    assert _worse(unseen, bound) == []


def _worse(found: Metrics, bound: Bound) -> list[str]:
    low, high = bound.coverage
    held = {
        "mape": (found.mape or 0) <= bound.mape,
        "within 10 %": found.within["10"] >= bound.within_10,
        "rank correlation": (found.spearman or 0) >= bound.spearman,
        "bias": abs(found.bias or 0) <= bound.bias,
        "coverage": low <= (found.interval_coverage or 0) <= high,
    }
    return [f"{name}: {found}" for name, well in held.items() if not well]


def test_no_row_is_dropped_silently(found: Validation) -> None:
    paths = [FOLDER / name for name in FITTED if FOLDER.is_dir()]
    lines = sum(1 for path in paths for line in path.read_text().splitlines() if line and line[0] != "#") - len(paths)
    assert found.all.n + len(found.skipped) == lines
    assert len(found.skipped) <= UNMEASURED * lines
    assert all(one.reason for one in found.skipped)


def test_the_forecast_beats_the_bounds_everywhere(found: Validation) -> None:
    for one in found.groups:
        assert (one.all.mape or 1) < 0.7 * (one.roofline.mape or 0), one.device
        assert (one.all.mape or 1) < 0.3 * (one.ideal.mape or 0), one.device


@pytest.fixture(scope="module")
def moved() -> Validation:
    """The RTX 4090 by parameters that were fitted on the RTX 3090 alone: only the device's file differs."""
    known, new = ([str(FOLDER / table) for table in FITTED if name in table] for name in ("rtx3090", "rtx4090"))
    if not known or not new:
        pytest.skip(f"no measurements to fit and replay: {FOLDER} is not there")
    usable, _ = cases(tables.read(known))
    found, _ = fitting.calibrated(usable)
    return replay(tables.read(new), known=found)


def test_a_card_that_was_never_fitted(moved: Validation) -> None:
    for one, mape in ((moved.all, 0.095), (moved.unseen, 0.09)):
        assert one.n >= 50
        assert (one.mape or 1) <= mape
        assert abs(one.bias or 1) <= 0.08
        assert one.interval_coverage is not None
        assert 0.76 <= one.interval_coverage <= 0.86


def test_the_page_shows_what_is_printed(found: Validation) -> None:
    lines = report.summary(found, PLAIN)
    _shown(r"\$ cd [^\n]*\n\$ hwbench validate --measurements [^\n]*\.csv", lines[: lines.index("the worst 20") - 1])


def test_the_page_shows_the_card_that_was_never_fitted(moved: Validation) -> None:
    lines = report.summary(moved, PLAIN)
    fitted_first = r"\$ hwbench calibrate [^\n]*\n\$ hwbench validate [^\n]* --parameters [^\n]*"
    _shown(fitted_first, lines[: lines.index("by device, all models") - 1])


def _shown(command: str, lines: list[str]) -> None:
    """`HWBENCH_UPDATE_DOCS=1` writes the table of docs/accuracy.md anew, as for all output that the pages show."""
    table = "\n".join(lines)
    text = PAGE.read_text(encoding="utf-8")
    block = re.compile(rf"(```text\n{command}\n).*?(\n```)", re.DOTALL)
    fresh, count = block.subn(lambda match: f"{match.group(1)}{table}{match.group(2)}", text)
    assert count == 1
    if os.environ.get("HWBENCH_UPDATE_DOCS"):
        PAGE.write_text(fresh, encoding="utf-8")
        text = fresh
    assert text == fresh
