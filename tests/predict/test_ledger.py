"""The ledger: errors on measured step times, held to what was reached once, so that no change makes them worse unseen.

The measurements are not part of the project: without their folder this is skipped, and says so.
"""

import os
import re
from pathlib import Path
from statistics import mean

import pytest

from hwbench.predict.data import tables
from hwbench.predict.model.parameters import HeldOut, parameters
from hwbench.predict.replay.replay import replay
from hwbench.predict.replay.summary import Validation
from hwbench.report.text import validation as report
from hwbench.report.text.layout import PLAIN

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "accuracy.md"
FOLDER = ROOT.parent / "shared" / "data" / "measured" / "timm"
UNMEASURED = 0.02
"""Share of the rows that may be without a prediction: models that timm has no more."""


HOME = {
    "rtx3090 amp nchw torch-2.4": 0.05,
    "rtx3090 amp nhwc torch-2.4": 0.05,
    "rtx4090 amp nchw torch-2.4": 0.05,
    "rtx4090 amp nchw torch-2.9": 0.05,
    "rtx5090 amp nchw torch-2.9": 0.075,
    "i9-10940x fp32 nchw torch-2.4": 0.115,
    "i7-12700h fp32 nchw torch-2.4": 0.08,
}
"""Mean errors on families that were held out, which no change may exceed unseen."""
COMPILED = 0.12
"""The same of compiled code on a GPU."""
AWAY = {"gpu": 0.12, "cpu": 0.18}
TIMED = {"gpu": 0.075, "cpu": 0.135}
"""The same on devices that were held out: by their data sheet, and after twelve timings."""
CORE = {"torch-eager-cpu": 0.1, "torch-compile-cpu": 0.125, "onnxruntime-cpu": 0.085, "openvino-cpu": 0.07}
SIZES = 0.3
KINDS = {"torch-eager-cpu": 0.38, "torch-compile-cpu": 0.25, "onnxruntime-cpu": 0.38, "openvino-cpu": 0.44}
"""The same of runtimes on one core, and of networks of one kind of layer whose whole kind was held out."""
COVERED = (0.76, 0.84)
"""Shares of measurements of families held out in the interval that the device's other families give."""
COVERED_CORE = (0.72, 0.88)
"""The same of runtimes on one core, whose interval is as wide as few operators need."""
INSIDE = (0.7, 0.905)
"""Shares of measurements of devices held out in the interval that the other devices give: of each after timings; by
data sheet in the mean of devices."""
MIN_INSIDE = 0.7
"""Least share by data sheet of any device; two cards tell little of how far off a third is, so that it may be 99 %."""
SOFTWARE, SAME_DEVICE = 0.05, (0.74, 0.84)
"""Mean errors under a version of torch that was held out, and shares of them in the interval under another."""


def ledger(way: str, runtime: str | None = None) -> list[tuple[str, HeldOut]]:
    """Return the rows of the shipped parameters that hold out something, with the kind of device."""
    runtimes = parameters().runtimes.items()
    return [
        ("gpu" if one.gpu else "cpu", row)
        for name, one in runtimes
        for row in one.held_out
        if row.without == way and runtime in (None, name)
    ]


def test_errors_on_held_out_families_stay_as_small_as_they_were() -> None:
    rows = [row for name in ("torch-eager-cuda", "torch-2.4-compile-cpu") for _, row in ledger("families", name)]
    assert {row.of for row in rows} == set(HOME)
    assert all(row.mape <= HOME[row.of] for row in rows), rows
    compiled = [row for _, row in ledger("families", "torch-compile-cuda")]
    assert compiled
    assert all(row.mape <= COMPILED for row in compiled), compiled
    assert all(COVERED[0] <= row.inside <= COVERED[1] for row in (*rows, *compiled))


def test_errors_of_runtimes_on_one_core_stay_as_small_as_they_were() -> None:
    for name, limit in CORE.items():
        [(_, row)] = ledger("families", name)
        assert row.of.startswith("epyc-9r14-core fp32")
        assert row.mape <= limit, row
        [(_, sizes)], [(_, kinds)] = ledger("sizes of layers", name), ledger("kinds of layers", name)
        assert sizes.mape <= SIZES, sizes
        assert kinds.mape <= KINDS[name], kinds
        assert row.inside >= COVERED[0], row
        assert all(COVERED_CORE[0] <= each.inside <= COVERED_CORE[1] for each in (row, sizes, kinds)), name


def test_errors_on_held_out_devices_stay_as_small_as_they_were() -> None:
    for way, limits in (("device", AWAY), ("device, 12 timings", TIMED)):
        rows = ledger(way)
        assert {row.of for _, row in rows} == set(HOME)
        for kind, row in rows:
            assert row.mape <= limits[kind], row
            assert row.inside >= MIN_INSIDE, row
    assert all(INSIDE[0] <= row.inside <= INSIDE[1] for _, row in ledger("device, 12 timings"))
    for kind in AWAY:
        held: dict[str, list[float]] = {}
        for own, row in ledger("device"):
            if own == kind:
                held.setdefault(row.of.split()[0], []).append(row.inside)
        assert INSIDE[0] <= mean(mean(shares) for shares in held.values()) <= INSIDE[1], held


def test_errors_under_software_that_was_held_out_stay_as_small_as_they_were() -> None:
    rows = [row for _, row in ledger("software")]
    assert [row.of for row in rows] == ["rtx4090 amp nchw torch-2.4", "rtx4090 amp nchw torch-2.9"]
    assert all(row.mape <= SOFTWARE and SAME_DEVICE[0] <= row.inside <= SAME_DEVICE[1] for row in rows), rows


@pytest.fixture(scope="module")
def found() -> Validation:
    if not FOLDER.is_dir():
        pytest.skip(f"no measurements to replay: {FOLDER} is not there")
    return replay(tables.read([str(path) for path in sorted(FOLDER.glob("*.csv"))]))


def test_no_row_is_dropped_silently(found: Validation) -> None:
    paths = sorted(FOLDER.glob("*.csv"))
    lines = sum(1 for path in paths for line in path.read_text().splitlines() if line and line[0] != "#") - len(paths)
    assert found.all.n + len(found.skipped) == lines
    assert len(found.skipped) <= UNMEASURED * lines
    assert all(one.reason for one in found.skipped)


def test_the_forecast_beats_the_bounds_everywhere(found: Validation) -> None:
    for one in found.groups:
        assert (one.all.mape or 1) < 0.7 * (one.roofline.mape or 0), one.device
        assert (one.all.mape or 1) < 0.3 * (one.ideal.mape or 0), one.device


def test_the_page_shows_what_is_printed(found: Validation) -> None:
    lines = report.summary(found, PLAIN)
    _shown(r"\$ cd [^\n]*\n\$ hwbench validate [^\n]*\.csv", lines[: lines.index("the worst 20") - 1])


def _shown(command: str, lines: list[str]) -> None:
    """`HWBENCH_UPDATE_DOCS=1` writes the table of the page anew, as all output that pages show."""
    table = "\n".join(lines)
    text = PAGE.read_text(encoding="utf-8")
    block = re.compile(rf"(```text\n{command}\n).*?(\n```)", re.DOTALL)
    fresh, count = block.subn(lambda match: f"{match.group(1)}{table}{match.group(2)}", text)
    assert count == 1
    if os.environ.get("HWBENCH_UPDATE_DOCS"):
        PAGE.write_text(fresh, encoding="utf-8")
        text = fresh
    assert text == fresh
