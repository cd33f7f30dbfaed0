"""One broken file for each fault that lint finds."""

import os
from pathlib import Path

import msgspec
import pytest

from hwbench.files import places
from hwbench.machine import catalog
from hwbench.machine import lint as lint_module
from hwbench.machine.lint import lint, lint_architecture, lint_device, matching, uncovered

ARCHITECTURE = """\
title: An architecture
vendor: Nobody
kind: gpu
unit: SM
released: 2020-09
rates:
  - {engine: vector, isa: cuda, dtype: fp32, flops_per_cycle: 100}
  - {engine: matrix, isa: mma, dtype: fp16, accumulate: fp32, flops_per_cycle: 1000}
sources:
  - {title: A manual, url: "https://example.org/manual", gives: [rates]}
"""
DEVICE = """\
title: A card
kind: gpu
vendor: Nobody
released: 2020-09
units:
  - {architecture: arch, count: 10, name: SM, clock: {base: 1 GHz, boost: 2 GHz}}
memory: {size: 8 GiB, bus: 256 bit, rate: 16 GT/s, bandwidth: 512 GB/s}
caches: [{name: L2, size: 4 MiB}]
power: 100 W
published:
  - {engine: vector, dtype: fp32, flops_per_second: 2 TFLOP/s}
  - {engine: vector, dtype: fp32, flops_per_second: 1 TFLOP/s, clock: base}
  - {engine: matrix, dtype: fp16, accumulate: fp32, flops_per_second: 20 TFLOP/s, isa: mma}
sources:
  - {title: A data sheet, url: "https://example.org/sheet", gives: [released, units, memory, caches, power, published]}
"""
ALL = "[released, units, memory, caches, power, published]"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound catalog of one device and one architecture, in place of ours."""
    for kind, name, text in (("architectures", "arch", ARCHITECTURE), ("devices", "card", DEVICE)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(places, "shipped", lambda: str(tmp_path))
    monkeypatch.setattr(places, "user", lambda kind: str(tmp_path / "none"))
    monkeypatch.delenv("HWBENCH_CONFIGS", raising=False)
    return tmp_path


def broken(here: Path, old: str, new: str, kind: str = "devices") -> list[str]:
    """Faults once `old` is replaced by `new`."""
    path = here / kind / ("card.yaml" if kind == "devices" else "arch.yaml")
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return lint()


def test_the_shipped_catalog_is_sound() -> None:
    assert lint() == []


def test_a_sound_catalog_has_no_faults(here: Path) -> None:
    assert lint() == []


FAULTS = [
    ("gives: [released, ", "gives: [", "released has no source"),
    ("units, memory, caches", "units.SM.count, memory, caches", "units.SM.clock has no source"),
    ("units, memory, caches", "units.SM.clock, memory, caches", "units.SM.count has no source"),
    ("units, memory, caches", "units, memory.size, memory.bus, memory.rate, caches", "memory.bandwidth has no source"),
    ("units, memory, caches", "units, memory.bandwidth, memory.bus, memory.rate, caches", "memory.size has no source"),
    ("units, memory, caches", "units, memory.size, memory.bandwidth, memory.rate, caches", "memory.bus has no source"),
    ("units, memory, caches", "units, memory.size, memory.bandwidth, memory.bus, caches", "memory.rate has no source"),
    ("memory, caches, power", "memory, power", "caches.L2 has no source"),
    ("caches, power, published]", "caches, published]", "power has no source"),
    ("power, published]", "power]", "published has no source"),
    (
        "flops_per_second: 2 TFLOP/s",
        "flops_per_second: 2.03 TFLOP/s",
        "published vector fp32 peak of 2.03 TFLOP/s: units × clock × flops_per_cycle is 2 TFLOP/s (0.9852 ×)",
    ),
    ("flops_per_second: 1 TFLOP/s", "flops_per_second: 2 TFLOP/s", "is 1 TFLOP/s (0.5000 ×)"),
    ("flops_per_second: 20 TFLOP/s", "flops_per_second: 40 TFLOP/s", "is 20 TFLOP/s (0.5000 ×)"),
    ("20 TFLOP/s, isa: mma", "20 TFLOP/s, isa: wmma", "no rate of the architecture answers to it"),
    ("accumulate: fp32, flops", "accumulate: fp16, flops", "no rate of the architecture answers to it"),
    ("accumulate: fp32, flops", 'accumulate: fp32, sparsity: "2:4", flops', "no rate of the architecture answers"),
    ("clock: base}", "clock: all_core}", "published vector fp32 peak of 1 TFLOP/s: no rate of the architecture"),
    ("bandwidth: 512 GB/s", "bandwidth: 520 GB/s", "memory.bandwidth is 520 GB/s, but bus × rate is 512 GB/s"),
    (", bandwidth: 512 GB/s", "", "memory.bandwidth is None, but bus × rate is 512 GB/s"),
    ("power: 100 W", "power: 100", "card.yaml:9:1: power: 100 has no unit"),
    ("power: 100 W", "power: 100 W\nlaptop: {power: [35 W, 115 W]}", "laptop.power has no source"),
    ("power: 100 W", "power: 100 W\nlaptop: {boost: [1 GHz, 2.5 GHz]}", "laptop.boost has no source"),
    ("architecture: arch", "architecture: arhc", "There is no architecture named 'arhc'. (did you mean arch?)"),
    (
        ', url: "https://example.org/sheet"',
        "",
        "the source 'A data sheet' has neither an address nor a document's number",
    ),
    ("title: A card", "title: A card\naliases: [Card]", "is only a spelling of its name"),
]


@pytest.mark.parametrize(("old", "new", "said"), FAULTS, ids=[said[:50] for _, _, said in FAULTS])
def test_each_fault_of_a_device_is_found(old: str, new: str, said: str, here: Path) -> None:
    faults = broken(here, old, new)
    about = [fault for fault in faults if said in fault]
    assert len(about) == 1, faults
    assert len(faults) == 1 or "aliases: [Card]" in new, faults  # which also makes the index old
    assert about[0].startswith(str(here / "devices"))
    assert "\n" not in about[0]


@pytest.mark.parametrize("gives", ["unit", "units.S", "units.SM.c", "Units", "units.SM.clock.base"])
def test_a_source_covers_whole_paths_only(gives: str, here: Path) -> None:
    faults = broken(here, "units, memory, caches", f"{gives}, memory, caches")
    assert [fault.partition(": ")[2] for fault in faults] == [
        "units.SM.count has no source", "units.SM.clock has no source",
    ]  # fmt: skip


def test_a_figure_within_one_percent_is_rounded_not_wrong(here: Path) -> None:
    assert broken(here, "flops_per_second: 2 TFLOP/s", "flops_per_second: 2.019 TFLOP/s") == []
    assert broken(here, "bandwidth: 512 GB/s", "bandwidth: 516 GB/s") == []


@pytest.mark.parametrize(
    ("laptop", "said"),
    [
        ("{power: [35 W, 115 W], boost: [1 GHz, 2 GHz]}", None),
        ("{power: [35 W, 80 W]}", "power is 100 W, and the laptop's maker chooses 35 W to 80 W"),
        ("{power: [110 W, 115 W]}", "power is 100 W, and the laptop's maker chooses 110 W to 115 W"),
        ("{boost: [1 GHz, 1.9 GHz]}", "SM.clock.boost is 2 GHz, and the laptop's maker chooses 1 GHz to 1.9 GHz"),
    ],
)
def test_a_card_has_power_and_clocks_that_a_maker_may_choose(laptop: str, said: str | None, here: Path) -> None:
    (here / "devices" / "card.yaml").write_text(DEVICE.replace("power, published]", "power, laptop, published]"))
    faults = broken(here, "power: 100 W", f"power: 100 W\nlaptop: {laptop}")
    assert [fault.partition(": ")[2] for fault in faults] == ([said] if said else [])


def test_only_a_card_is_of_a_laptop(here: Path) -> None:
    (here / "architectures" / "core.yaml").write_text(ARCHITECTURE.replace("kind: gpu", "kind: cpu"))
    cpu = DEVICE.replace("kind: gpu", "kind: cpu").replace("architecture: arch", "architecture: core")
    (here / "devices" / "card.yaml").write_text(f"{cpu}laptop: {{}}\n")
    assert [fault.partition(": ")[2] for fault in lint()] == ["what the maker of a laptop chooses is of a GPU"]


@pytest.mark.parametrize("origin", ["assumed", "derived"])
def test_what_is_assumed_or_derived_needs_no_source(origin: str, here: Path) -> None:
    (here / "devices" / "card.yaml").write_text(DEVICE.replace("caches, power,", "caches,"))
    assert len(lint()) == 1
    assert broken(here, "power: 100 W", f"power: 100 W\nprovenance: {{power: {origin}}}") == []


def test_what_is_measured_needs_a_source(here: Path) -> None:
    (here / "devices" / "card.yaml").write_text(DEVICE.replace("caches, power,", "caches,"))
    assert len(broken(here, "power: 100 W", "power: 100 W\nprovenance: {power: measured}")) == 1


def test_rates_of_a_devices_own_need_a_source(here: Path) -> None:
    own = "rates: [{engine: vector, isa: cuda, dtype: fp32, flops_per_cycle: 100}]"
    path = here / "devices" / "card.yaml"
    text = DEVICE.replace("name: SM,", f"name: SM, {own},").replace(ALL, ALL.replace("units", "units.SM.count"))
    path.write_text(text.replace("units.SM.count,", "units.SM.count, units.SM.clock,"))
    assert uncovered(catalog.device("card")) == ["units.SM.rates"]
    assert any("card.yaml: units.SM.rates has no source" in fault for fault in lint())
    path.write_text(text.replace("units.SM.count,", "units,").replace("architecture: arch", "architecture: unknown"))
    assert uncovered(catalog.device("card")) == []
    assert any("fp16 peak of 20 TFLOP/s: no rate" in fault for fault in lint_device(catalog.device("card")))


SCORE = "{suite: SPECint2000, score: 500, url: https://www.spec.org/cpu2000/results/a.html}"
SCORES = [
    (SCORE, None),
    (SCORE.replace("SPECint2000", "SPECInt2000"), "there is no suite 'SPECInt2000' (did you mean SPECint2000?)"),
    (SCORE.replace("SPECint2000", "sysmark"), "there is no suite 'sysmark'"),
    (f"{SCORE}, {SCORE.replace('a.html', 'b.html')}", "the suite SPECint2000 stands twice"),
    (f"{SCORE}, {SCORE.replace('int', 'fp')}", "the page https://www.spec.org/cpu2000/results/a.html is of two scores"),
    (SCORE.replace("cpu2000", "cpu2006"), "is https://www.spec.org/cpu2006/results/a.html, and not at"),
    (SCORE.replace("www.spec.org", "spec.example"), "and not at www.spec.org/cpu2000/results/"),
    (SCORE.replace("score: 500", "score: 500, available: 1999-02"), "was available 1999-02, before the release"),
    (SCORE.replace("500", "0"), "scores[0].score: This must be a number > 0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("scores", "said"), SCORES)
def test_each_fault_of_a_score_is_found(scores: str, said: str | None, here: Path) -> None:
    (here / "architectures" / "core.yaml").write_text(ARCHITECTURE.replace("kind: gpu", "kind: cpu"))
    cpu = DEVICE.replace("kind: gpu", "kind: cpu").replace("architecture: arch", "architecture: core")
    (here / "devices" / "card.yaml").write_text(f"{cpu}scores: [{scores}]\n")
    faults = lint()
    assert (faults == []) if said is None else any(said in fault for fault in faults), faults


def test_scores_are_of_cpus_and_a_page_of_one_device(here: Path) -> None:
    (here / "devices" / "card.yaml").write_text(f"{DEVICE}scores: [{SCORE}]\n")
    (here / "devices" / "other.yaml").write_text(f"{DEVICE}scores: [{SCORE}]\n".replace("A card", "Other"))
    assert [fault.rpartition(": ")[2] for fault in lint()] == [
        "a score is of a CPU",
        "a score is of a CPU",
        "the page https://www.spec.org/cpu2000/results/a.html is that of a score of card",
    ]


ARCHITECTURE_FAULTS = [
    ("gives: [rates]", "gives: [released]", "rates have no source"),
    ("gives: [rates]", "gives: []", "rates have no source"),
    (
        "dtype: fp32, flops_per_cycle: 100}",
        "dtype: fp32, flops_per_cycle: 100}\n  - {engine: vector, isa: cuda, dtype: fp32, flops_per_cycle: 100}",
        "the rate ('vector', 'cuda', 'fp32', None, 'dense') stands twice",
    ),
    ("unit: SM\n", "", "missing required field `unit`"),
    ("kind: gpu", "kind: cpu", "architecture is of a cpu, the device is a gpu"),
    (', url: "https://example.org/manual"', "", "the source 'A manual' has neither an address nor a document's number"),
    ("title: An architecture", "title: x\naliases: [arch]", "is only a spelling of its name"),
]


@pytest.mark.parametrize(("old", "new", "said"), ARCHITECTURE_FAULTS)
def test_each_fault_of_an_architecture_is_found(old: str, new: str, said: str, here: Path) -> None:
    faults = broken(here, old, new, "architectures")
    assert any(said in fault for fault in faults), faults


def test_an_unreadable_file_is_one_fault_and_hides_no_other(here: Path) -> None:
    (here / "devices" / "bad.yaml").write_text("title: [\n")
    (here / "architectures" / "bad.yaml").write_bytes(b"\xff")
    faults = broken(here, "power: 100 W", "power: 100")
    assert [fault.removeprefix(str(here) + "/").partition(": ")[0] for fault in faults] == [
        "architectures/bad.yaml:1",
        "devices/bad.yaml:2:1",
        "devices/card.yaml:9:1",
    ]


def test_file_names_are_in_lower_case(here: Path) -> None:
    os.rename(here / "devices" / "card.yaml", here / "devices" / "Card.yaml")
    assert lint() == [f"{here}/devices/Card.yaml: a file name is in lower case"]


def test_names_that_mean_two_files(here: Path) -> None:
    (here / "devices" / "other.yaml").write_text(DEVICE.replace("A card", "Other\naliases: [CARD]"))
    assert lint() == [f"{here}/devices/other.yaml: the alias 'CARD' also means 'card'"]


def test_duplicates_are_told_in_the_order_of_the_file(here: Path) -> None:
    arch = catalog.architecture("arch")
    twice = msgspec.structs.replace(arch, rates=arch.rates * 3)
    faults = lint_architecture(twice)
    assert [fault.split("'")[1] for fault in faults] == ["vector", "matrix"]


def test_matching_picks_the_rate_that_the_figure_is_about(here: Path) -> None:
    card = catalog.device("card")
    found = [matching(card, one) for one in card.published]
    assert [p and p.flops_per_second for p in found] == [2e12, 1e12, 20e12]


def test_a_segment_is_of_a_gpu(here: Path) -> None:
    path = here / "devices" / "card.yaml"
    path.write_text(path.read_text().replace("kind: gpu", "kind: cpu\nsegment: consumer"))
    arch = here / "architectures" / "arch.yaml"
    arch.write_text(arch.read_text().replace("kind: gpu", "kind: cpu"))
    assert any("a segment is of a GPU" in fault for fault in lint())


def test_what_cannot_be_opened_is_reviewed_and_only_shrinks(here: Path) -> None:
    path = here / "devices" / "card.yaml"
    path.write_text(path.read_text().replace(', url: "https://example.org/sheet"', ""))
    (here / "unopened.txt").write_text("# a reason\nA data sheet\n")
    lint_module._unopened.cache_clear()
    assert lint() == []
    path.write_text(path.read_text().replace("A data sheet", "Data sheet publication 12345"))
    assert lint() == ["unopened.txt: 'A data sheet' is of no source that cannot be opened: leave it out"]
    lint_module._unopened.cache_clear()


def test_no_more_sources_are_excused_than_were() -> None:
    lines = (Path(places.shipped()) / "unopened.txt").read_text(encoding="utf-8").splitlines()
    assert sum(not line.startswith("#") for line in lines) <= 111


def test_a_gpu_has_the_l2_of_its_sister(here: Path) -> None:
    without = DEVICE.replace("caches: [{name: L2, size: 4 MiB}]\n", "").replace("caches, power", "power")
    (here / "devices" / "sister.yaml").write_text(without)
    assert lint() == ["sister: it has no L2, and card, the same chip, has"]
    (here / "devices" / "sister.yaml").write_text(
        without.replace("count: 10", "count: 8").split("published:")[0]
        + without[without.index("sources:") :].replace(", published", "")
    )
    assert lint() == []
