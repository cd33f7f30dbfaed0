"""Detection against recorded machines (tests/hosts): what it must answer, and that it always answers."""

import builtins
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwbench.machine.device import Device, peaks
from hwbench.machine.host import fallback
from hwbench.machine.host.describe import Host, describe, host
from hwbench.machine.host.facts import CoreClass, Facts

HOSTS = Path(__file__).parents[2] / "hosts"
NAMES = sorted(path.parent.name for path in HOSTS.glob("*/expected.yaml"))


@pytest.fixture(autouse=True)
def shipped_catalog_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HWBENCH_CONFIGS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


def expected(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((HOSTS / name / "expected.yaml").read_text())
    return loaded


def recorded(name: str, **options: Any) -> Host:
    return host(str(HOSTS / name), system=expected(name)["system"], **options)


def copy(name: str, to: Path) -> Path:
    return Path(shutil.copytree(HOSTS / name, to / name))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def fp32(device: Device, class_name: str) -> float:
    units = next(units for units in device.units if units.name == class_name)
    return max(rate.flops_per_cycle for rate in units.rates if (rate.engine, rate.dtype) == ("vector", "fp32"))


def test_there_are_recordings() -> None:
    assert len(NAMES) >= 13


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_host_is_described(name: str) -> None:
    want, got = expected(name), recorded(name)
    device = got.device
    assert device.name == "host"
    assert (got.brand, got.logical, got.usable) == (want["brand"], want["logical"], want["usable"])
    assert (got.quota, got.smt, got.hypervisor) == (want.get("quota"), want.get("smt"), want.get("hypervisor"))
    assert got.matched == want.get("matched")
    assert device.vendor == want["vendor"]
    assert device.memory.size == want["memory"]
    assert device.memory.bandwidth == want.get("bandwidth")
    assert device.provenance_of("memory.size") == "os"


@pytest.mark.parametrize("name", NAMES)
def test_the_classes_of_cores_are_told(name: str) -> None:
    want, device = expected(name)["classes"], recorded(name).device
    assert [units.name for units in device.units] == list(want)
    for units in device.units:
        one, place = want[units.name], f"units.{units.name}"
        assert (units.architecture, units.count, units.threads) == (one["architecture"], one["count"], one["threads"])
        assert units.clock.base == one.get("base")
        assert units.clock.boost == one.get("boost")
        assert device.provenance_of(f"{place}.clock.boost") == one["clock"]
        assert device.provenance_of(f"{place}.count") == one["counted"]
        assert device.provenance_of(f"{place}.rates") == one["rates"]
        assert fp32(device, units.name) == one["fp32"]


@pytest.mark.parametrize("name", NAMES)
def test_the_isa_follows_the_flags(name: str) -> None:
    want, device = expected(name), recorded(name).device
    rates = [rate for units in device.units for rate in units.rates]
    assert set(want["isa"]) <= {rate.isa for rate in rates}
    assert not set(want.get("not_isa", ())) & {rate.isa for rate in rates}
    assert not set(want.get("not_dtype", ())) & {rate.dtype for rate in rates}
    if want["classes"].get("core", {}).get("rates") == "assumed":
        assert all((rate.how or "").startswith("assumed from the flag") for rate in rates)


@pytest.mark.parametrize("name", [name for name in NAMES if "caches" in expected(name)])
def test_caches_are_of_one_instance(name: str) -> None:
    device = recorded(name).device
    found = {cache.name: [cache.size, cache.shared_by] for cache in device.caches}
    assert found == expected(name)["caches"]
    assert device.provenance_of("caches") == "os"


@pytest.mark.parametrize("name", NAMES)
def test_notices_are_those_expected_and_whole_sentences(name: str) -> None:
    notices = recorded(name).notices
    assert [notice.code for notice in notices] == expected(name)["notices"]
    texts = recorded(name).warnings
    assert len(texts) == len(notices)
    assert all(text[0].isupper() and text.endswith(".") and text.isprintable() for text in texts)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_host_has_peaks(name: str) -> None:
    found = peaks(recorded(name).device)
    assert found
    assert all(peak.flops_per_second > 0 for peak in found)
    assumed = "assumed" in (recorded(name).device.provenance.values())
    assert any(peak.provenance == "assumed" for peak in found) == assumed


def test_an_affinity_of_two_threads_of_one_core_is_one_core() -> None:
    assert recorded("bare-i9-10940x", affinity={3, 17}).device.count == 1
    assert recorded("bare-i9-10940x", affinity={3, 4}).device.count == 2


def test_an_affinity_may_leave_one_class_of_a_hybrid_cpu() -> None:
    found = recorded("hybrid-i7-12700h", affinity={12, 13, 14})
    assert [(units.name, units.count) for units in found.device.units] == [("E-core", 3)]
    assert [cache.name for cache in found.device.caches] == ["L1d", "L2", "L3"]
    assert found.usable == 3


def test_a_hybrid_cpu_without_a_known_name_has_both_classes(tmp_path: Path) -> None:
    tree = copy("hybrid-i7-12700h", tmp_path)
    edit(tree / "proc/cpuinfo", "12th Gen Intel(R) Core(TM) i7-12700H", "Genuine Intel(R) 0000")
    found = host(str(tree), system="linux")
    assert found.matched is None
    assert [(u.name, u.architecture, u.count) for u in found.device.units] == [
        ("P-core", "golden-cove", 6),
        ("E-core", "gracemont", 8),
    ]
    assert [u.clock.boost for u in found.device.units] == [4.7e9, 3.5e9]
    assert found.device.provenance_of("units.E-core.clock") == "os"


def test_the_quota_counts_the_fastest_cores_first(tmp_path: Path) -> None:
    tree = copy("hybrid-i7-12700h", tmp_path)
    (tree / "sys/fs/cgroup").mkdir(parents=True)
    (tree / "sys/fs/cgroup/cpu.max").write_text("750000 100000\n")
    found = host(str(tree), system="linux")
    assert [(u.name, u.count) for u in found.device.units] == [("P-core", 6), ("E-core", 2)]
    assert found.quota == 7.5


def test_a_known_hybrid_whose_classes_the_system_hides(tmp_path: Path) -> None:
    tree = copy("hybrid-i7-12700h", tmp_path)
    shutil.rmtree(tree / "sys/devices/cpu_atom")
    found = host(str(tree), system="linux")
    assert [(u.name, u.count) for u in found.device.units] == [("P-core", 14)]
    assert [notice.code for notice in found.notices] == ["core-classes-hidden"]


def test_a_known_device_with_fewer_classes_than_the_system_shows_is_not_it() -> None:
    classes = tuple(CoreClass(name=f"level {level}") for level in range(3))
    found = describe(Facts(brand="Apple M1", classes=classes))
    assert found.matched is None
    assert found.device.count == 3


def test_flags_that_a_hypervisor_hides_take_rates_away(tmp_path: Path) -> None:
    tree = copy("bare-i9-10940x", tmp_path)
    for flag in ("avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"):
        edit(tree / "proc/cpuinfo", f" {flag}", "")
    found = host(str(tree), system="linux")
    assert found.matched == "i9-10940x"
    assert fp32(found.device, "core") == 32
    hidden = next(notice for notice in found.notices if notice.code == "isa-hidden")
    assert "avx512" in hidden.data["isas"]


def test_a_cpu_without_any_rate_of_its_architecture_gets_assumed_ones(tmp_path: Path) -> None:
    for name in ("bare-i9-10940x", "no-sys-core2-e8400"):
        tree = copy(name, tmp_path)
        text = (tree / "proc/cpuinfo").read_text()
        lines = ("flags\t\t: strange" if line.startswith("flags") else line for line in text.splitlines())
        (tree / "proc/cpuinfo").write_text("\n".join(lines))
        found = host(str(tree), system="linux")
        assert {rate.isa for rate in found.device.units[0].rates} == {"scalar"}
        assert found.device.provenance_of("units.core.rates") == "assumed"


def test_a_brand_that_the_flags_contradict_is_not_believed(tmp_path: Path) -> None:
    tree = copy("bare-i9-10940x", tmp_path)
    edit(tree / "proc/cpuinfo", "avx512_vnni", "avx512_vnni amx_tile amx_bf16")
    found = host(str(tree), system="linux")
    assert found.matched is None
    assert "brand-contradicted" in [notice.code for notice in found.notices]
    assert found.device.units[0].architecture == "unknown"


def test_an_unknown_server_cpu_takes_two_avx512_units_and_says_so(tmp_path: Path) -> None:
    tree = copy("bare-i9-10940x", tmp_path)
    edit(tree / "proc/cpuinfo", "Core(TM) i9-10940X CPU @ 3.30GHz", "Xeon(R) CPU")
    found = host(str(tree), system="linux")
    assert found.device.units[0].architecture == "cascade-lake"
    assert found.device.provenance_of("units.core.rates") == "assumed"
    doubt = next(notice for notice in found.notices if notice.code == "model-ambiguous")
    assert doubt.data["others"][-1] == "a variant with one AVX-512 FMA unit"
    assert found.device.units[0].clock.boost == 4.8e9


def test_two_whole_sockets_have_twice_the_memory_bandwidth() -> None:
    found = recorded("two-sockets-x5670", affinity=set(range(24)))
    assert found.device.count == 12
    assert found.device.memory.bandwidth == 64e9
    assert found.device.provenance_of("memory.bandwidth") == "derived"


def test_a_broken_architecture_of_the_user_is_passed_over_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for kind in ("architectures", "devices"):
        (tmp_path / kind).mkdir()
    (tmp_path / "architectures/mine.yaml").write_text("title: x\ncpuid: [1\n")
    (tmp_path / "architectures/gracemont.yaml").write_text("title: x\ncpuid: [1\n")
    (tmp_path / "devices/mine.yaml").write_text("title: Intel Core2 Duo E8400\nkind: [\n")
    (tmp_path / "devices/binary.yaml").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("HWBENCH_CONFIGS", str(tmp_path))
    found = recorded("no-sys-core2-e8400")
    assert found.device.units[0].architecture == "core2"
    doubt = next(notice for notice in found.notices if notice.code == "architecture-left-out")
    assert doubt.data["others"] == 1
    assert ".yaml" in doubt.data["error"]
    tree = copy("hybrid-i7-12700h", tmp_path)
    edit(tree / "proc/cpuinfo", "12th Gen Intel(R) Core(TM) i7-12700H", "Genuine Intel(R) 0000")
    slow = host(str(tree), system="linux").device.units[1]
    assert slow.architecture == "unknown"
    assert slow.count == 8


@pytest.mark.parametrize("system", ["linux", "darwin", "win32", "freebsd14"])
def test_an_empty_tree_still_answers(system: str, tmp_path: Path) -> None:
    found = host(str(tmp_path), system=system)
    assert found.device.count == 1
    assert found.device.title == "Unknown CPU"
    assert found.device.units[0].rates[0].isa == "scalar"
    assert set(found.device.provenance.values()) == {"assumed"}
    assert [notice.code for notice in found.notices] == ["cores-uncounted", "cpu-unknown", "clock-assumed"]


FILES = ("proc/cpuinfo", "proc/meminfo", "proc/self/cgroup", "proc/self/mountinfo", "proc/self/status", "sysctl.txt",
         "sys/devices/system/cpu/online", "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
         "sys/devices/system/cpu/cpu0/cache/index0/size", "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
         "sys/devices/cpu_core/cpus", "sys/devices/cpu_atom/cpus", "sys/fs/cgroup/cpu.max", "sys/hypervisor/type",
         "sys/fs/cgroup/cpuset.cpus.effective", "sys/fs/cgroup/memory.max", "proc/device-tree/model")  # fmt: skip
NONSENSE = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet="0123456789-,:/. \tmaxkKMprocesdl\nCPUimplentrfag0x", max_size=200).map(str.encode),
    st.sampled_from([b"0-3", b"max 100000", b"150000 100000", b"0::/../..", b"4:cpu:/a\0b",
                     b"processor: 0\nflags: avx2 fma", b"processor: 1\nCPU implementer: 0x41\nCPU part: 0xd0c",
                     b"99999999999999999999", b"-1", b""]),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.dictionaries(st.sampled_from(FILES), NONSENSE), system=st.sampled_from(["linux", "darwin"]))
def test_nonsense_never_raises(
    contents: dict[str, bytes], system: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tree = tmp_path_factory.mktemp("tree")
    for name, content in contents.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    found = host(str(tree), system=system)
    assert peaks(found.device)
    assert found.device.count >= 1
    assert found.brand.isprintable()
    assert all(notice.text.isprintable() for notice in found.notices)
    shutil.rmtree(tree)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_recording_still_answers(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    name = data.draw(st.sampled_from(NAMES))
    tree = copy(name, tmp_path_factory.mktemp("tree"))
    files = sorted(path for path in tree.rglob("*") if path.is_file() and path.name != "expected.yaml")
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=8, unique=True)):
        if data.draw(st.booleans()):
            path.unlink()
        else:
            path.write_bytes(data.draw(NONSENSE))
    assert peaks(host(str(tree), system=expected(name)["system"]).device)
    shutil.rmtree(tree)


def test_this_machine_answers() -> None:
    found = host()
    assert 1 <= found.device.count <= found.usable <= found.logical
    assert peaks(found.device)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs an affinity")
def test_this_machine_under_taskset() -> None:
    one = min(os.sched_getaffinity(0))
    found = host(affinity={one})
    assert (found.usable, found.device.count) == (1, 1)


def test_nothing_heavy_is_imported() -> None:
    names = "('numpy', 'numba', 'rich', 'psutil', 'cpuinfo')"
    code = "import sys; from hwbench.machine.host.describe import host; host(); "
    code += f"print([m for m in {names} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if sys.platform in ("linux", "darwin"):
        assert done.stdout.strip() == "[]"


class FakePsutil:
    class Memory:
        total = 8 << 30

    class Clock:
        max = 3600.0

    @staticmethod
    def cpu_count(logical: bool = True) -> int:
        return 16 if logical else 8

    @classmethod
    def cpu_freq(cls) -> "type[FakePsutil.Clock]":
        return cls.Clock

    @classmethod
    def virtual_memory(cls) -> "type[FakePsutil.Memory]":
        return cls.Memory


class FakeCpuinfo:
    @staticmethod
    def get_cpu_info() -> object:
        return {
            "brand_raw": "AMD Ryzen 7 5800X 8-Core Processor",
            "flags": ["fpu", "sse2", "avx", "avx2", "fma"],
            "vendor_id_raw": "AuthenticAMD",
            "family": 25,
            "model": 33,
            "stepping": 0,
            "l2_cache_size": 1,
        }


def test_another_system_is_asked_through_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", FakePsutil)
    monkeypatch.setitem(sys.modules, "cpuinfo", FakeCpuinfo)
    found = host(system="win32", affinity=set(range(16)))
    assert (found.matched, found.logical, found.usable, found.device.count) == ("ryzen7-5800x", 16, 16, 8)
    assert found.smt is True
    assert found.device.memory.size == float(8 << 30)
    facts = fallback.read(None)
    assert facts.classes[0].base == 3.6e9
    assert facts.classes[0].identity.model == 33


def test_another_system_where_the_libraries_know_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name in ("psutil", "cpuinfo"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    found = host(system="plan9", affinity={0})
    assert found.device.count == 1
    assert found.device.units[0].clock.base == 2e9
    assert "clock-assumed" in [notice.code for notice in found.notices]


def test_a_library_that_answers_nonsense_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nonsense:
        @staticmethod
        def get_cpu_info() -> object:
            return ["nothing"]

    monkeypatch.setitem(sys.modules, "cpuinfo", Nonsense)
    monkeypatch.setitem(sys.modules, "psutil", None)
    facts = fallback.read({0, 1})
    assert (facts.brand, facts.flags, facts.logical, facts.counted) == ("", (), 2, False)
