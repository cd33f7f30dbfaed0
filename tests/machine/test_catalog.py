"""Every catalogued device: it loads, its peaks add up, and they are the ones that vendors print and people measure."""

import csv
import os
import re
from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.files import folders, names
from hwbench.machine import catalog
from hwbench.machine.device import Device, Peak, peaks
from hwbench.machine.lint import matching, uncovered
from hwbench.machine.parts import Memory, PublishedPeak
from hwbench.units import Bytes, BytesPerSecond
from tests.shipped import DEVICES

HERE = Path(__file__).parent
ARCHITECTURES = {name: catalog.load_architecture(path) for name, path in folders.files("architectures").items()}
VENDORS = sorted({device.vendor for device in DEVICES.values()})
MEASURED = Path(os.environ.get("HWBENCH_SHARED", HERE.parents[2] / "shared")) / "data" / "measured"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def of(vendor: str) -> list[tuple[str, Device]]:
    return [(name, device) for name, device in DEVICES.items() if device.vendor == vendor]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog of one's own, before ours."""
    for kind in ("devices", "architectures"):
        (tmp_path / kind).mkdir()
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    return tmp_path


CPU = """\
title: A CPU
kind: cpu
vendor: Nobody
aliases: [parents-alias]
units:
  - {architecture: zen2, count: 8, name: core, clock: {base: 3 GHz, boost: 4 GHz}}
memory: {type: DDR4, size: 64 GiB, bandwidth: 50 GB/s}
published:
  - {engine: vector, dtype: fp32, flops_per_second: 1 TFLOP/s}
sources:
  - {title: A, gives: [units, memory]}
provenance: {power: assumed}
"""


def write(folder: Path, name: str, text: str) -> str:
    path = folder / "devices" / f"{name}.yaml"
    path.write_text(text)
    return str(path)


def fault(name: str) -> InputError:
    with pytest.raises(InputError) as caught:
        catalog.device(name)
    assert str(caught.value).isprintable()
    return caught.value


def test_the_catalog_is_large_enough() -> None:
    kinds = [device.kind for device in DEVICES.values()]
    assert kinds.count("cpu") >= 60
    assert kinds.count("gpu") >= 40
    assert {arch.kind for arch in ARCHITECTURES.values()} == {"cpu", "gpu"}
    assert sum(len(device.published) for device in DEVICES.values()) >= 300


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_device_is_whole(vendor: str) -> None:
    for name, device in of(vendor):
        assert device.name == name == name.lower()
        assert {ARCHITECTURES[units.architecture].kind for units in device.units} <= {device.kind}, name
        assert device.memory.bandwidth or name == "raspberry-pi-3", "nobody publishes it there"
        shared = device.kind == "cpu" or "memory is the CPU's" in (device.notes or "")
        assert device.memory.size or shared, f"{name}: a card has memory, a CPU and its graphics may go with any"
        assert device.sources, name
        assert uncovered(device) == [], name
        assert device.peak("bf16" if device.kind == "accelerator" else "fp32").flops_per_second > 0, name
        assert name in {device.name for device in (catalog.device(name), catalog.device(name.upper()))}


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_peak_is_units_times_clock_times_rate(vendor: str) -> None:
    """Recomputed here from the device's and the architecture's own numbers."""
    for name, device in of(vendor):
        expected: dict[tuple[str | None, ...], float] = {}
        for units in device.units:
            clock = units.clock
            for rate in units.rates or ARCHITECTURES[units.architecture].rates:
                hertz = clock.fixed or clock.all_core.get(rate.isa) or clock.boost or clock.base or float("nan")
                which = (rate.engine, rate.isa, rate.dtype, rate.accumulate, rate.sparsity)
                term = units.count * float(hertz) * rate.flops_per_cycle
                expected[which] = expected.get(which, 0) + term
        if device.kind == "accelerator":
            expected = {identity(p): float(p.flops_per_second) for p in device.published}
        found = peaks(device)
        assert {identity(p): p.flops_per_second for p in found} == expected, name
        assert len(found) == len(expected), name
        assert all(value > 0 for value in expected.values()), name


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_peak_of_each_dtype_is_the_highest_dense_one(vendor: str) -> None:
    for name, device in of(vendor):
        every = peaks(device)
        for dtype in {p.dtype for p in every}:
            allowed = [p for p in every if p.dtype == dtype and p.sparsity == "dense" and p.accumulate != "fp16"]
            if not allowed:
                continue
            found = device.peak(dtype)
            assert found in allowed, name
            assert found.flops_per_second == max(p.flops_per_second for p in allowed), name


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_published_peak_is_the_computed_one(vendor: str) -> None:
    for name, device in of(vendor):
        for one in device.published:
            computed = matching(device, one)
            assert computed is not None, (name, one)
            assert computed.flops_per_second == pytest.approx(one.flops_per_second, rel=0.01), (name, one)


@pytest.mark.slow
@pytest.mark.no_cover
def test_names_and_aliases_mean_one_device_each() -> None:
    for kind, found in (("devices", DEVICES), ("architectures", ARCHITECTURES)):
        owner: dict[str, str] = {names.key(name): name for name in found}
        assert len(owner) == len(found)
        for name, one in found.items():
            for alias in one.aliases:
                assert owner.setdefault(names.key(alias), name) == name, f"{alias} means two {kind}"
                said = alias if len(alias) % 2 else alias.upper().replace("-", " ")
                assert os.path.basename(folders.find(kind, said)) == f"{name}.yaml"
    assert len({device.title for device in DEVICES.values()}) == len(DEVICES)
    assert list(folders.lint_names("devices")) == list(folders.lint_names("architectures")) == []


EVERYDAY = [
    "rtx3090", "rtx2080ti", "gtx1080ti", "v100-sxm2", "a100-sxm4-80gb", "h100-sxm", "mi300x", "t4", "l40s",
    "rtx-pro-6000-blackwell-max-q", "i9-10940x", "ryzen9-9950x", "xeon-platinum-8124m", "athlon-xp-2600plus",
    "pentium4-2.53", "rtx4090", "rtx5090", "k80", "m60", "l4", "h200", "b200", "titan-x-maxwell", "titan-x-pascal",
    "gtx1080", "mi250x", "jetson-agx-orin", "i7-12700h",
]  # fmt: skip


@pytest.mark.parametrize("name", EVERYDAY)
def test_everyday_names_exist(name: str) -> None:
    assert catalog.device(name).name == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("RTX 3090", "rtx3090"),
        ("NVIDIA GeForce RTX 3090", "rtx3090"),
        ("3090", "rtx3090"),
        ("Athlon XP 2600+", "athlon-xp-2600plus"),
        ("Core i9-12900K", "i9-12900k"),
        ("a100-80gb", "a100-sxm4-80gb"),
        ("AMD Instinct MI250X", "mi250x"),
        ("Tesla T4", "t4"),
    ],
)
def test_what_people_say_is_found(said: str, name: str) -> None:
    assert catalog.device(said).name == name


@pytest.mark.parametrize(
    "row",
    rows(HERE.parent / "golden" / "peaks.csv"),
    ids=lambda row: f"{row['device']}-{row['engine']}-{row['dtype']}-{row['accumulate']}",
)
def test_peaks_are_those_of_the_vendors_documents(row: dict[str, str]) -> None:
    wanted = (row["engine"], row["isa"], row["dtype"], row["accumulate"] or None, "dense")
    (found,) = [p for p in peaks(catalog.device(row["device"])) if identity(p) == wanted]
    assert found.flops_per_second == pytest.approx(float(row["tflops"]) * 1e12, rel=0.01), row["source"]


def identity(p: Peak | PublishedPeak) -> tuple[str | None, ...]:
    return (p.engine, p.isa, p.dtype, p.accumulate, p.sparsity)


MEASURED_ON = {  # the architecture and ISA behind the words of the file
    "2x Xeon Gold 6154 AVX-512": ("skylake-sp", "avx512"),
    "2x Xeon Gold 6154 AVX2 FMA": ("skylake-sp", "avx2"),
    "2x Xeon Gold 6154 AVX-512 1 thread": ("skylake-sp", "avx512"),
    "i7-4770K Haswell FMA3": ("haswell", "avx2"),
    "i7-4770K FMA (v1)": ("haswell", "avx2"),
    "2x Xeon X5482 SSE2 (v1)": ("core2", "sse2"),
    "i7-6820HK Skylake FMA3": ("skylake", "avx2"),
    "i7-3630QM Ivy Bridge AVX mul+add": ("ivy-bridge", "avx"),
}
MEASURED_PEAKS = MEASURED / "cpu_peak_golden.csv"


@pytest.mark.skipif(not MEASURED_PEAKS.is_file(), reason=f"no measured peaks at {MEASURED_PEAKS}")
@pytest.mark.parametrize(
    "row", rows(MEASURED_PEAKS) if MEASURED_PEAKS.is_file() else [], ids=lambda row: f"{row['device']}-{row['dtype']}"
)
def test_measured_peaks_come_close_and_never_pass(row: dict[str, str]) -> None:
    name, isa = MEASURED_ON[row["device"]]
    (rate,) = [r for r in catalog.architecture(name).rates if (r.isa, r.dtype) == (isa, row["dtype"])]
    assert rate.flops_per_cycle == float(row["flops_per_cycle"])
    ceiling = int(row["cores"]) * float(row["clock_ghz"]) * 1e9 * rate.flops_per_cycle
    ratio = float(row["measured_gflops"]) * 1e9 / ceiling
    least = 0.75 if "Ivy Bridge" in row["device"] else 0.95  # its clock is the nominal one, the laptop's was lower
    assert least <= ratio <= 1.005


def test_our_clocks_are_those_that_the_measured_machines_ran_at() -> None:
    gold = catalog.device("xeon-gold-6154")
    found = {(p.isa, p.dtype): p for p in peaks(gold)}
    assert 2 * found["avx512", "fp32"].flops_per_second == 36 * 2.7e9 * 64
    assert 2 * found["avx2", "fp64"].flops_per_second == 36 * 3.3e9 * 16


def test_a_path_is_a_device(folder: Path) -> None:
    path = write(folder, "my-cpu", CPU)
    assert catalog.device(path) == catalog.device("my-cpu") == catalog.load_device(path)
    assert catalog.device(path).units[0].rates == ARCHITECTURES["zen2"].rates
    assert catalog.devices()["my-cpu"].name == "my-cpu"
    assert set(catalog.devices()) == {*DEVICES, "my-cpu"}
    assert set(catalog.architectures()) == set(ARCHITECTURES)
    assert "No such file" in fault("./none.yaml").message


SCORE = "{suite: SPECint2000, score: 500, url: https://example.org, available: 2020-1}"


def test_a_device_may_have_rates_of_its_own(folder: Path) -> None:
    rates = "rates: [{engine: vector, isa: x, dtype: fp32, flops_per_cycle: 7}]"
    write(folder, "my-cpu", CPU.replace("count: 8", f"count: 8, {rates}").replace("zen2", "nobody-knows"))
    assert catalog.device("my-cpu").peak("fp32").flops_per_second == 8 * 4e9 * 7


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "why"),
    [
        ("zen2", "zen22", 6, "units[0].architecture", "no architecture named 'zen22'. (did you mean zen2"),
        ("zen2", "hopper", 6, "units[0].architecture", "architecture is of a gpu, the device is a cpu"),
        ("zen2", "''", 6, "units[0].architecture", "length >= 1"),
        ("count: 8", "count: 0", 6, "units[0].count", ">= 1"),
        ("count: 8", "count: 10000001", 6, "units[0].count", "<= 10000000"),
        ("base: 3 GHz", "base: 5 GHz", 6, "units[0].clock", "base clock (5 GHz) is above the boost clock (4 GHz)"),
        ("{base: 3 GHz, boost: 4 GHz}", "{}", 6, "units[0].clock", "a clock needs"),
        ("kind: cpu", "kind: tpu", 2, "kind", "Invalid enum value 'tpu'. (did you mean"),
        ("memory: {", "memroy: {", 7, "memroy", "(did you mean memory?)"),
        (
            "dtype: fp32",
            "dtype: fp31",
            9,
            "published[0].dtype",
            "Invalid enum value 'fp31'. (did you mean fp32",
        ),
        ("title: A CPU", "", 1, "", "missing required field `title`"),
        ("vendor: Nobody", "vendor: Nobody\nreleased: 2020-13", 4, "released", "such as 2024-05"),
        ("vendor: Nobody", "vendor: Nobody\nreleased: 20²0", 4, "released", "such as 2024-05"),
        ("vendor: Nobody", "vendor: Nobody\nreleased: 2100", 4, "released", "must be text"),
        ("vendor: Nobody", "vendor: Nobody\nreleased: '2100'", 4, "released", "such as 2024-05"),
        ("vendor: Nobody", "vendor: Nobody\nreleased: 2020-05-01", 4, "released", "length <= 7"),
        ("vendor: Nobody", f"vendor: Nobody\nscores: [{SCORE}]", 4, "scores[0].available", "such as 2024-05"),
        (
            "vendor: Nobody",
            "vendor: Nobody\nlaptop: {power: [50 W, 50 W]}",
            4,
            "laptop",
            "the least (50 W) is not below the most (50 W)",
        ),
        ("vendor: Nobody", "vendor: Nobody\nlaptop: {boost: [1 GHz]}", 4, "laptop.boost", "length 2"),
    ],
)
def test_a_wrong_device_is_named_with_its_place(
    old: str, new: str, line: int, field: str, why: str, folder: Path
) -> None:
    path = write(folder, "my-cpu", CPU.replace(old, new, 1))
    error = fault("my-cpu")
    assert why in str(error)
    assert (error.file, error.field or "") == (path, field)
    assert error.line == line or not field


def test_a_broken_architecture_is_named_itself(folder: Path) -> None:
    (folder / "architectures" / "zen2.yaml").write_text("title: [\n")
    write(folder, "my-cpu", CPU)
    assert fault("my-cpu").file == str(folder / "architectures" / "zen2.yaml")
    with pytest.raises(InputError, match="not valid YAML"):
        catalog.devices()


def test_a_child_differs_in_what_it_says(folder: Path) -> None:
    write(folder, "parent", CPU)
    write(
        folder,
        "child",
        "based_on: parent\ntitle: Child\nmemory: {size: 128 GiB}\npower: 65 W\nprovenance: {memory.size: os}\n"
        "sources: []\n",
    )
    parent, child = catalog.device("parent"), catalog.device("child")
    assert (child.name, child.title, child.vendor) == ("child", "Child", "Nobody")
    assert child.units == parent.units
    assert child.memory == Memory(type="DDR4", size=Bytes(128 * 2**30), bandwidth=BytesPerSecond(50e9))
    assert child.provenance == {"power": "assumed", "memory.size": "os"}
    assert child.sources == ()
    assert (child.aliases, child.published) == ((), ())
    assert (parent.aliases, len(parent.published)) == (("parents-alias",), 1)


def test_a_list_is_replaced_not_merged(folder: Path) -> None:
    write(folder, "parent", CPU)
    units = "units: [{architecture: zen3, count: 2, clock: {boost: 1 GHz}}]"
    write(folder, "child", f"based_on: parent\n{units}\npublished: []\n")
    child = catalog.device("child")
    assert [(u.architecture, u.count, u.clock.base, u.name) for u in child.units] == [("zen3", 2, None, "units")]
    assert child.title == "A CPU"


@pytest.mark.parametrize("base", ["parent", "PARENT", "parents alias", "parent.yaml", "./parent.yaml"])
def test_a_base_is_a_name_or_a_file(base: str, folder: Path) -> None:
    write(folder, "parent", CPU)
    write(folder, "child", f"based_on: {base}\ntitle: Child\n")
    assert catalog.device("child").memory == catalog.device("parent").memory


def test_a_file_anywhere_may_be_based_on_the_catalog(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("based_on: rtx 3090\ntitle: Mine\nmemory: {bandwidth: 1 TB/s}\n")
    mine = catalog.device(str(path))
    assert (mine.name, mine.title, mine.memory.bandwidth, mine.aliases) == ("mine", "Mine", 1e12, ())
    assert peaks(mine) == peaks(catalog.device("rtx3090"))


def chain(folder: Path, length: int) -> None:
    """`length` files, each based on the one before."""
    write(folder, "link-0", CPU)
    for i in range(1, length):
        write(folder, f"link-{i}", f"based_on: link-{i - 1}\ntitle: Link {i}\nnotes: note {i}\n")


def test_a_chain_is_followed(folder: Path) -> None:
    chain(folder, catalog.MAX_CHAIN + 1)
    last = catalog.device(f"link-{catalog.MAX_CHAIN}")
    assert (last.title, last.vendor) == (f"Link {catalog.MAX_CHAIN}", "Nobody")


def test_an_endless_chain_is_refused(folder: Path) -> None:
    chain(folder, catalog.MAX_CHAIN + 3)
    error = fault(f"link-{catalog.MAX_CHAIN + 2}")
    assert f"more than {catalog.MAX_CHAIN} files" in error.message
    assert (error.field, error.line) == ("based_on", 1)


@pytest.mark.parametrize("base", ["one", "ONE", "one.yaml", "../devices/one.yaml"])
def test_a_device_is_not_based_on_itself(base: str, folder: Path) -> None:
    path = write(folder, "one", f"title: x\nbased_on: {base}\n")
    error = fault("one")
    assert "is based on itself" in error.message
    assert (error.file, error.line, error.column, error.field) == (
        error.file if "devices/" in base else path, 2, 1, "based_on",
    )  # fmt: skip


@pytest.mark.parametrize("length", [2, 3, 8])
def test_a_circle_of_files_is_refused(length: int, folder: Path) -> None:
    for i in range(length):
        write(folder, f"link-{i}", f"based_on: link-{(i + 1) % length}\ntitle: x\n")
    assert "is based on itself, directly or through others" in fault("link-0").message


def test_a_circle_through_a_link_is_refused(folder: Path) -> None:
    path = Path(write(folder, "one", "based_on: two\n"))
    (folder / "devices" / "two.yaml").symlink_to(path)
    assert "is based on itself" in fault("one").message


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("rtx309", "There is no device named 'rtx309'. (did you mean rtx3090"),
        ("[a]", "not the name of a file or a catalog entry"),
        ("3090", "not the name of a file or a catalog entry"),
        ("", "not the name of a file or a catalog entry"),
        ("' '", "The device name is empty"),
        ("zen2", "There is no device named 'zen2'"),
    ],
)
def test_a_base_that_does_not_exist(base: str, why: str, folder: Path) -> None:
    path = write(folder, "child", f"title: x\nbased_on: {base}\n")
    error = fault("child")
    assert why in str(error)
    assert (error.file, error.line, error.field) == (path, 2, "based_on")


@pytest.mark.parametrize("base", ["/etc/passwd", "../secret.yaml", "linked.yaml", "./no/such.yaml"])
def test_a_base_is_no_file_of_another_folder(base: str, folder: Path) -> None:
    """An error shows what is in a file: a file of somebody's must not choose another one of mine."""
    secret = folder.parent / "secret.yaml"
    secret.write_text("password: 1\n")
    path = Path(write(folder, "child", f"title: x\nbased_on: {base}\n"))
    path.with_name("linked.yaml").symlink_to(secret)
    error = fault("child")
    assert (error.code, error.file, error.line, error.field) == ("base-elsewhere", str(path), 2, "based_on")


def test_a_base_that_cannot_be_read_is_named(folder: Path) -> None:
    write(folder, "child", "based_on: gone.yaml\n")
    assert re.search(r"child\.yaml:\d+:1: based_on: There is no file '.*gone\.yaml'\.$", str(fault("child")))
    write(folder, "gone", "a: &x 1\n")
    assert str(fault("child")).endswith("gone.yaml:1:4: Anchors and aliases are not allowed: write the value out.")


BASED = [name for name, path in folders.files("architectures").items() if "based_on" in Path(path).read_text()]


@pytest.mark.parametrize("name", BASED)
def test_a_based_architecture_has_what_its_base_has(name: str) -> None:
    base = Path(folders.find("architectures", name)).read_text().split("based_on:")[1].split()[0]
    parent, child = ARCHITECTURES[base], ARCHITECTURES[name]
    assert (child.vendor, child.kind, child.unit) == (parent.vendor, parent.kind, parent.unit)
    assert child.title != parent.title
    assert not {*map(names.key, child.aliases)} & {*map(names.key, parent.aliases)}


def test_architectures_do_not_claim_the_same_processor_twice() -> None:
    """Of two that do, one is the exception that its notes explain."""
    claims: dict[tuple[object, ...], list[str]] = {}
    for name, arch in ARCHITECTURES.items():
        for cpuid in arch.cpuid:
            for model in cpuid.models:
                claims.setdefault((cpuid.vendor, cpuid.family, model, cpuid.steppings), []).append(name)
    twice = {claim: names for claim, names in claims.items() if len(names) > 1}
    assert all(any(ARCHITECTURES[name].notes for name in names) for names in twice.values()), twice


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rates_keep_their_proportions(name: str) -> None:
    """A sparse rate is twice its dense one, 4/3 in fp4 of Blackwell Ultra, and a narrower type is never slower."""
    rates = {(r.isa, r.dtype, r.accumulate, r.sparsity): r.flops_per_cycle for r in ARCHITECTURES[name].rates}
    for (isa, dtype, accumulate, sparsity), rate in rates.items():
        if sparsity == "2:4" and (isa, dtype, accumulate, "dense") in rates:
            times = 4 / 3 if (name, dtype) == ("blackwell-b300", "fp4") else 2
            assert rate == times * rates[isa, dtype, accumulate, "dense"]
        if dtype == "fp64" and accumulate is None and (isa, "fp32", None, sparsity) in rates:
            assert rate <= rates[isa, "fp32", None, sparsity]
        if accumulate == "fp32" and (isa, dtype, "fp16", sparsity) in rates:
            assert rate <= rates[isa, dtype, "fp16", sparsity]
