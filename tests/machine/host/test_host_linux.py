"""Readers of /proc and /sys: every oddity that a kernel writes, one at a time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.machine.host import linux
from hwbench.machine.host.clock import brand_clock, linux_clock
from hwbench.machine.host.cpuinfo import flags_of, hexadecimal, identity_of, parse_cpuinfo
from hwbench.machine.host.facts import CacheFact, Facts, Identity, merged_caches
from hwbench.machine.host.files import Files, format_cpulist, parse_cpulist
from hwbench.machine.host.memory import memory_size

CPU = "sys/devices/system/cpu"


def tree(root: Path, files: dict[str, str | bytes]) -> Files:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return Files(str(root))


def facts(root: Path, files: dict[str, str | bytes], affinity: set[int] | None = None) -> Facts:
    found = linux.read(tree(root, files), affinity)
    assert found is not None
    return found


@given(st.frozensets(st.integers(0, 2000)))
def test_cpu_lists_survive_the_round_trip(cpus: frozenset[int]) -> None:
    assert parse_cpulist(format_cpulist(cpus)) == cpus


@pytest.mark.slow
@given(st.text())
def test_any_text_is_some_cpu_list(text: str) -> None:
    assert all(0 <= cpu <= 65536 for cpu in parse_cpulist(text))


@pytest.mark.parametrize(("text", "cpus"), [
    ("0-3,8", {0, 1, 2, 3, 8}), ("", set()), ("\n", set()), (" 1 , 2 ", {1, 2}), ("3-1", set()), ("x,5", {5}),
    ("0-99999999999", set()), ("70000", set()), ("65535-999999999", {65535, 65536}), ("-1", set()),
])  # fmt: skip
def test_cpu_lists(text: str, cpus: set[int]) -> None:
    assert parse_cpulist(text) == cpus


def test_cpu_lists_are_written_as_the_kernel_does() -> None:
    assert format_cpulist([8, 3, 2, 1, 0, 3]) == "0-3,8"
    assert format_cpulist([]) == ""


def test_files_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    files = tree(tmp_path, {"number": "12", "word": "twelve"})
    assert files.text("folder") is files.text("missing") is files.text("nul\0") is None
    assert (files.number("number"), files.number("word"), files.number("missing")) == (12, None, None)
    assert files.names("missing") == files.names("nul\0") == []


@given(st.binary(max_size=300))
def test_any_cpuinfo_is_read(content: bytes) -> None:
    cpus = parse_cpuinfo(content.decode("utf-8", "replace")).blocks
    assert all(isinstance(number, int) and number >= 0 for number in cpus)
    assert all(isinstance(identity_of(fields), Identity) for fields in cpus.values())


def test_old_arm_kernels_write_one_block_for_all() -> None:
    text = "Processor\t: ARMv7 rev 0\nprocessor\t: 0\nBogoMIPS : 1\n\nprocessor\t: 1\n\n"
    cpus = parse_cpuinfo(
        f"{text}Features\t: neon\nCPU implementer\t: 0x41\nCPU part\t: 0xc09\n\nHardware : board"
    ).blocks
    assert sorted(cpus) == [0, 1]
    assert identity_of(cpus[1]) == Identity("0x41", model=0xC09)
    assert flags_of(cpus.values()) == ("neon",)


def test_flags_are_those_that_all_have() -> None:
    assert flags_of([{"flags": "a b c"}, {"flags": "c b"}, {}]) == ("b", "c")
    assert flags_of([]) == flags_of([{}]) == ()
    assert flags_of([{"features": "esan3 vx"}]) == ("esan3", "vx")


def test_identities_read_well() -> None:
    assert str(Identity()) == "a CPU that does not say what it is"
    assert str(Identity("IBM/S390")) == "IBM/S390"
    assert str(Identity("0x41", model=0xD0C)) == "Arm implementer 0x41 part 0xd0c"
    assert "model 85" in str(Identity("GenuineIntel", 6, 85, 7))
    assert identity_of({"cpu implementer": "nonsense"}) == Identity()
    assert hexadecimal("0xzz") is hexadecimal("12") is None


@pytest.mark.parametrize(("text", "hertz"), [
    ("Intel(R) Xeon(R) CPU @ 2.60GHz", 2.6e9), ("Pentium II 450MHz", 4.5e8), ("AMD EPYC 7763", None),
    ("9999 GHz", None),
])  # fmt: skip
def test_the_clock_in_a_brand(text: str, hertz: float | None) -> None:
    assert brand_clock(text) == hertz


POLICY, TOP = f"{CPU}/cpufreq/policy0", f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq"


def acpi(top: str, listed: str, boost: str = "") -> dict[str, str | bytes]:
    return {
        f"{POLICY}/related_cpus": "0",
        f"{POLICY}/cpuinfo_max_freq": top,
        f"{POLICY}/scaling_driver": "acpi-cpufreq",
        f"{POLICY}/scaling_available_frequencies": listed,
        f"{CPU}/cpufreq/boost": boost,
    }


@pytest.mark.parametrize(("files", "base", "boost"), [
    ({TOP: "3500000"}, None, 3.5e9),
    ({TOP: "3500000", f"{CPU}/cpu0/cpufreq/base_frequency": "4000000"}, None, 3.5e9),
    ({TOP: "0"}, 2.1e9, None),
    ({f"{CPU}/cpu0/acpi_cppc/nominal_freq": "2450"}, 2.45e9, None),
    ({f"{POLICY}/related_cpus": "0 1", f"{POLICY}/cpuinfo_max_freq": "2000000"}, None, 2e9),
    (acpi("2501000", "2501000 2500000"), 2.501e9, None),
    (acpi("3700000", "3700000 2200000", "1"), 3.7e9, None),
    (acpi("3700000", "3700000 2200000", "0"), None, 3.7e9),
    (acpi("4700000", "3700000 2200000", "1"), None, 4.7e9),
    ({}, 2.1e9, None),
])  # fmt: skip
def test_clocks(files: dict[str, str | bytes], base: float | None, boost: float | None, tmp_path: Path) -> None:
    cpus = parse_cpuinfo("processor : 0\nmodel name : x @ 2.00GHz\ncpu MHz : 2100.000").blocks
    assert linux_clock(tree(tmp_path, files), cpus, [0]) == (base, boost)


def test_the_device_tree_may_know_the_clock(tmp_path: Path) -> None:
    files = tree(tmp_path, {
        "proc/device-tree/cpus/cpu@0/clock-frequency": (1_500_000_000).to_bytes(4, "big"),
        "proc/device-tree/cpus/cpu@1/clock-frequency": b"x",
        "proc/device-tree/cpus/other": b"",
    })  # fmt: skip
    assert linux_clock(files, {}, [0]) == (1.5e9, None)


@pytest.mark.parametrize(("text", "size"), [
    ("32K", 32768), ("8M", 8 << 20), ("36608K", 36608 << 10), ("", None), ("K", None), ("12", None), ("-4K", None),
    ("99999999999999K", None),
])  # fmt: skip
def test_cache_sizes(text: str, size: int | None) -> None:
    assert linux.cache_size(text) == size


def cache(cpu: int, index: int, level: str, kind: str, size: str, shared: str) -> dict[str, str | bytes]:
    folder = f"{CPU}/cpu{cpu}/cache/index{index}"
    named = {"level": level, "type": kind, "size": size, "shared_cpu_list": shared}
    return {f"{folder}/{name}": value for name, value in named.items()}


def test_of_unequal_instances_the_largest_counts(tmp_path: Path) -> None:
    files = tree(tmp_path, {
        **cache(0, 3, "3", "Unified", "32768K", "0-1"), **cache(2, 3, "3", "Unified", "98304K", "2-3"),
        **cache(0, 0, "x", "Data", "32K", "0"), **cache(0, 1, "1", "Instruction", "32K", "0"),
        **cache(0, 2, "2", "Unified", "512K", ""), f"{CPU}/cpu0/cache/uevent": "",
    })  # fmt: skip
    cores: dict[int, tuple[int | str, ...]] = {cpu: ("ids", cpu) for cpu in range(4)}
    assert linux.caches(files, cores, range(4)) == (
        CacheFact("L2", 512 << 10), CacheFact("L3", 96 << 20, 2),
    )  # fmt: skip


def test_caches_that_classes_share_stand_once() -> None:
    big, small, shared = CacheFact("L1d", 2, 1), CacheFact("L1d", 1, 1), CacheFact("L3", 9, 4)
    assert merged_caches({"P": (big, shared), "E": (small, shared)}) == (
        CacheFact("P L1d", 2, 1), CacheFact("E L1d", 1, 1), shared,
    )  # fmt: skip
    assert merged_caches({"P": (big,), "E": ()}) == (CacheFact("P L1d", 2, 1),)  # nothing is said of the others


def test_cores_by_ids_when_there_are_no_sibling_lists(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{CPU}/online": "0-7"}
    for cpu in range(8):
        files[f"{CPU}/cpu{cpu}/topology/core_id"] = str(cpu % 2)
        files[f"{CPU}/cpu{cpu}/topology/physical_package_id"] = str(cpu // 4)
    found = facts(tmp_path, files)
    assert (found.classes[0].cores, found.packages, found.smt, found.counted) == (4, 2, True, True)


def test_a_core_id_below_zero_is_none(tmp_path: Path) -> None:
    found = facts(tmp_path, {f"{CPU}/online": "0", f"{CPU}/cpu0/topology/core_id": "-1"})
    assert (found.classes[0].cores, found.counted, found.smt) == (1, False, None)


def test_smt_may_be_known_without_the_cores(tmp_path: Path) -> None:
    found = facts(tmp_path, {"proc/cpuinfo": "processor : 0\nprocessor : 1", f"{CPU}/smt/active": "1"})
    assert (found.classes[0].cores, found.counted, found.smt) == (2, False, True)


def test_cpus_by_their_folders_when_nothing_else_says(tmp_path: Path) -> None:
    found = facts(tmp_path, {f"{CPU}/cpu0/uevent": "", f"{CPU}/cpu1/uevent": "", f"{CPU}/cpuidle/x": ""})
    assert found.logical == 2


def test_lxcfs_renumbers_and_the_affinity_does_not(tmp_path: Path) -> None:
    found = facts(tmp_path, {"proc/cpuinfo": "processor : 0\n\nprocessor : 1\n"}, affinity={14, 15})
    assert (found.usable, found.notices) == (2, ())


def test_nothing_at_all_is_no_linux(tmp_path: Path) -> None:
    assert linux.read(Files(str(tmp_path)), None) is None


def test_one_part_at_two_clocks_makes_two_classes(tmp_path: Path) -> None:
    arm = "\n".join(f"processor : {cpu}\nCPU implementer : 0x41\nCPU part : 0xd0d\n" for cpu in range(4))
    files: dict[str, str | bytes] = {"proc/cpuinfo": arm}
    for capacities, names in ((("250", "400", "600", "1024"), ["class 1", "class 2", "class 3", "class 4"]),
                              (("400", "700", "760", "1024"), ["prime", "big", "little"]),
                              (("400", "930", "980", "1024"), ["big", "little"])):  # fmt: skip
        for cpu, capacity in enumerate(capacities):
            files[f"{CPU}/cpu{cpu}/cpu_capacity"] = capacity
        assert [one.name for one in facts(tmp_path, files).classes] == names


def test_hybrid_lists_must_cover_all_cpus(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{CPU}/online": "0-3"}
    files |= {"sys/devices/cpu_core/cpus": "0", "sys/devices/cpu_atom/cpus": "1"}
    assert [one.name for one in facts(tmp_path, files).classes] == ["core"]


@pytest.mark.parametrize(("text", "size"), [
    ("MemTotal: 16 kB", 16384), ("MemTotal: x kB", None), ("MemTotal:", None), ("", None), ("MemTotal: 0 kB", None),
    ("MemTotal: 99999999999999999999 kB", None),
])  # fmt: skip
def test_memory(text: str, size: int | None, tmp_path: Path) -> None:
    assert memory_size(tree(tmp_path, {"proc/meminfo": text})) == size


@pytest.mark.parametrize(("vendor", "product", "flags", "answer"), [
    ("", "", ("fpu",), False), ("", "", ("fpu", "hypervisor"), True), ("", "", (), None),
    ("QEMU", "pc", ("fpu", "hypervisor"), "QEMU pc"), ("Dell Inc.", "KVM switch", ("fpu",), False),
    ("Amazon EC2", "c7g.metal", ("asimd",), None), ("Amazon EC2", "m6g.large", ("asimd",), "Amazon EC2 m6g.large"),
    ("Microsoft Corporation", "Virtual Machine", ("asimd",), "Microsoft Corporation Virtual Machine"),
])  # fmt: skip
def test_hypervisors(
    vendor: str, product: str, flags: tuple[str, ...], answer: str | bool | None, tmp_path: Path
) -> None:
    files = tree(tmp_path, {"sys/class/dmi/id/sys_vendor": vendor, "sys/class/dmi/id/product_name": product})
    assert linux.hypervisor(files, flags) == answer


def test_xen_says_what_it_is(tmp_path: Path) -> None:
    assert linux.hypervisor(tree(tmp_path, {"sys/hypervisor/type": "xen"}), ("fpu", "hypervisor")) == "xen"
