"""What a record says of its machine and of the conditions: from recorded trees, from made ones, and of this machine."""

import os
import platform
from pathlib import Path
from typing import Any

import pytest

from hwbench.machine.host.describe import host
from hwbench.machine.host.facts import Files
from hwbench.measure import settings
from hwbench.measure.environment import snapshot, software
from hwbench.measure.environment.machine import cautions, environment, machine_key, turbo, variables
from hwbench.measure.settings import CpuClass
from hwbench.notices import Notice, notice

HOSTS = Path(__file__).parents[1] / "hosts"
TREES = sorted(path.name for path in HOSTS.iterdir() if path.is_dir())


def tree(folder: Path, files: dict[str, str]) -> Files:
    for name, text in files.items():
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Files(str(folder))


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("bare-i9-10940x", {"core": tuple(range(14))}),  # of 28 threads
        ("hybrid-i7-12700h", {"P-core": (0, 2, 4, 6, 8, 10), "E-core": tuple(range(12, 20))}),
        ("big-little-rk3399", {"big": (4, 5), "little": (0, 1, 2, 3)}),
        ("docker-cgroup2", {"core": (2, 3, 4, 5)}),  # --cpuset-cpus 2-5
        ("two-sockets-x5670", {"core": (0, 1, 2, 3, 4, 5)}),  # one node in the affinity
        ("pentium4-ht", {"core": (0,)}),
        ("no-sys-core2-e8400", {"core": (0, 1)}),
    ],
)
def test_cpus_to_measure_on_are_one_a_core(name: str, classes: dict[str, tuple[int, ...]]) -> None:
    assert {one.name: one.cpus for one in settings.allowed(str(HOSTS / name))} == classes


def test_an_affinity_narrows_them() -> None:
    assert settings.allowed(str(HOSTS / "bare-i9-10940x"), {1, 15, 17}) == (
        CpuClass("core", (1, 17)),
    )  # 15 is 1's thread
    assert settings.allowed(str(HOSTS / "hybrid-i7-12700h"), {1, 12}) == (
        CpuClass("P-core", (1,)),
        CpuClass("E-core", (12,)),
    )


def test_without_any_file_there_are_cpus_all_the_same(tmp_path: Path) -> None:
    (found,) = settings.allowed(str(tmp_path), {3, 5})
    assert found == CpuClass("core", (3, 5))


@pytest.mark.parametrize(
    ("name", "threads"), [("docker-cgroup2", (1,)), ("kubernetes-cgroup1", (1, 2)), ("pentium4-ht", (1,))]
)
def test_a_quota_holds_the_threads(name: str, threads: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--cpus 1.5` feeds one thread and a half: two of them would be stopped a quarter of the time."""
    root = str(HOSTS / name)
    allowed = settings.allowed(root)
    monkeypatch.setattr(settings, "allowed", lambda: allowed)
    machine = host(root, system="linux")
    assert settings.settings(machine).threads == threads, machine.quota
    assert settings.settings(machine, threads=(7,)).threads == (7,)


@pytest.mark.parametrize("name", TREES)
def test_every_recorded_machine_has_an_environment(name: str) -> None:
    root = str(HOSTS / name)
    system = "darwin" if name.startswith("macos") else "linux"
    machine = host(root, system=system)
    found = environment(machine, settings.allowed(root), Files(root))
    assert found.get("brand", "") == machine.brand
    assert None not in found.values()
    assert all(one.text for one in cautions(found))
    snapshot.snapshot([0], Files(root))


def test_this_machine() -> None:
    found = environment(host(), settings.allowed())
    assert found["system"] == platform.system()
    assert found["usable"] <= found["logical"]
    assert found["versions"]["python"].endswith(platform.python_version())
    assert found["versions"]["numba"]
    assert len(found["machine"]) == 16
    assert found["machine"] == machine_key(host())


def test_the_key_is_of_the_machine_and_not_of_what_may_be_used(tmp_path: Path) -> None:
    root = str(HOSTS / "bare-i9-10940x")
    files = tree(tmp_path, {"etc/machine-id": "abc\n"})
    other = tree(tmp_path / "other", {"etc/machine-id": "abd\n"})
    machine = host(root, {0, 1}, "linux")
    assert machine_key(machine, files) == machine_key(host(root, {5}, "linux"), files)
    assert machine_key(machine, files) != machine_key(machine, other)
    assert machine_key(machine, files) != machine_key(host(str(HOSTS / "pentium4-ht"), system="linux"), files)
    assert "abc" not in machine_key(machine, files)


def test_turbo(tmp_path: Path) -> None:
    assert turbo(Files(str(tmp_path))) is None
    assert turbo(tree(tmp_path / "a", {"sys/devices/system/cpu/intel_pstate/no_turbo": "1\n"})) is False
    assert turbo(tree(tmp_path / "b", {"sys/devices/system/cpu/intel_pstate/no_turbo": "0\n"})) is True
    assert turbo(tree(tmp_path / "c", {"sys/devices/system/cpu/cpufreq/boost": "0\n"})) is False


def test_variables_that_matter() -> None:
    every = {"OMP_NUM_THREADS": "1", "HOME": "/root", "NUMBA_CPU_NAME": "x" * 500, "MKL_CBWR": "AVX2", "TORCHX": "1"}
    assert list(variables(every)) == ["MKL_CBWR", "NUMBA_CPU_NAME", "OMP_NUM_THREADS", "TORCHX"]
    assert len(variables(every)["NUMBA_CPU_NAME"]) == 200


CAUTIONS: list[tuple[dict[str, Any], Notice | None]] = [
    ({}, None),
    (
        {"governor": "performance", "driver": "acpi-cpufreq", "turbo": True, "quota": 4.0, "variables": {"OMP_X": "1"}},
        None,
    ),
    ({"governor": "powersave", "driver": "intel_pstate"}, None),  # its usual, dynamic one
    ({"governor": "powersave", "driver": "acpi-cpufreq"}, notice("governor-slow", governor="powersave")),
    (
        {"governor": "performance, userspace", "driver": "cppc_cpufreq"},
        notice("governor-slow", governor="performance, userspace"),
    ),
    ({"turbo": False}, notice("turbo-off")),
    ({"quota": 0.5}, notice("quota-below-one-cpu", quota=0.5)),
    ({"quota": 1.5, "classes": {"core": "0-1"}}, notice("quota-below-cores", quota=1.5, cores=2)),
    (
        {"quota": 6.0, "classes": {"P-core": "0,2,4", "E-core": "6-9"}},
        notice("quota-below-cores", quota=6.0, cores=7),
    ),
    ({"quota": 2.0, "usable": 4, "classes": {"core": "0,2"}}, None),  # of 4 threads, which are 2 cores
    (
        {"variables": {"OPENBLAS_CORETYPE": "Haswell"}},
        notice("blas-kernels-chosen", variable="OPENBLAS_CORETYPE", value="Haswell"),
    ),
    (
        {"variables": {"NUMBA_CPU_NAME": "x86-64"}},
        notice("numba-target-chosen", variable="NUMBA_CPU_NAME", value="x86-64"),
    ),
]


@pytest.mark.parametrize(("environment", "caution"), CAUTIONS)
def test_only_what_matters_is_a_caution(environment: dict[str, Any], caution: Notice | None) -> None:
    assert cautions(environment) == ([] if caution is None else [caution])


LINUX = {
    "proc/loadavg": "1.50 0.75 0.25 2/100 999\n",
    "proc/pressure/cpu": "some avg10=12.50 avg60=1.00 avg300=0.10 total=1\nfull avg10=0.00 avg60=0.00 total=0\n",
    "proc/stat": "cpu0 100 20 30 999 7 5 5 40 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\ncpu2 9 0 0 0 0 0 0 0\n",
    "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable:   600 kB\n",
    "proc/self/cgroup": "0::/box\n",
    "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "sys/fs/cgroup/box/cpu.stat": "usage_usec 5\nnr_throttled 3\nthrottled_usec 2500000\n",
    "sys/class/hwmon/hwmon0/name": "k10temp\n",
    "sys/class/hwmon/hwmon0/temp1_input": "71250\n",
    "sys/class/hwmon/hwmon0/temp2_input": "93000\n",
    "sys/class/hwmon/hwmon1/name": "nvme\n",
    "sys/class/hwmon/hwmon1/temp1_input": "99000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "3400000\n",
}


def test_a_snapshot(tmp_path: Path) -> None:
    found = snapshot.snapshot([0, 1], tree(tmp_path, LINUX))
    tick = os.sysconf("SC_CLK_TCK")
    assert found["load"] == [1.5, 0.75, 0.25]
    assert found["pressure"] == 0.125
    assert found["busy_s"] == 160 / tick
    assert found["steal_s"] == 40 / tick
    assert found["throttled_s"] == 2.5
    assert found["temperature_c"] == 93.0
    assert found["clock_hz"] == [3.4e9]
    assert found["memory_available_bytes"] == 600 * 1024
    assert found["cpus"] == 2


@pytest.mark.parametrize("name", [*LINUX, None])
def test_nonsense_and_nothing_leave_a_snapshot_without_it(tmp_path: Path, name: str | None) -> None:
    files = {} if name is None else {**LINUX, name: "\0nonsense -1 avg10=x\ncpu0 a b\nthrottled_usec x\n"}
    found = snapshot.snapshot([0, 1], tree(tmp_path, files))
    assert found["time_s"] > 0
    assert None not in found.values()


def test_version_1_counts_throttled_time_in_nanoseconds(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:cpu,cpuacct:/a/b\n",
        "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
        "sys/fs/cgroup/cpu/a/b/cpu.stat": "nr_periods 1\nthrottled_time 1500000000\n",
        "sys/fs/cgroup/cpu/a/cpu.stat": "nr_periods 1\nthrottled_time 500000000\n",
    }
    assert snapshot.snapshot([0], tree(tmp_path, files))["throttled_s"] == 2.0


def test_disturbances_are_shares_of_the_time_that_passed() -> None:
    before = {"monotonic_s": 100.0, "cpus": 2, "busy_s": 10.0, "own_cpu_s": 1.0, "steal_s": 0.0, "throttled_s": 0.0}
    quiet = {"monotonic_s": 110.0, "cpus": 2, "busy_s": 20.5, "own_cpu_s": 11.0, "steal_s": 0.1, "throttled_s": 0.05}
    assert snapshot.disturbances(before, quiet) == []
    loud = {**quiet, "busy_s": 28.0, "steal_s": 1.0, "throttled_s": 4.0, "temperature_c": 95.0}
    assert [(one.code, *one.data.values()) for one in snapshot.disturbances(before, loud)] == [
        ("other-work", pytest.approx(0.4)),
        ("hypervisor-steal", pytest.approx(0.05)),
        ("quota-throttled", pytest.approx(0.4)),
        ("processor-hot", 95.0),
    ]
    assert snapshot.disturbances({}, {}) == []
    assert snapshot.disturbances({"monotonic_s": 1.0}, {"monotonic_s": 2.0, "steal_s": 4.0, "own_cpu_s": 9.0}) == []


def test_versions_are_found_without_importing() -> None:
    import subprocess
    import sys

    code = "import sys; from hwbench.measure.environment import software; print(software.versions());"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'numba'" in done.stdout
    assert done.stdout.rstrip().endswith("False")


def test_the_blas_of_numpy_names_its_kernel() -> None:
    import numpy as np

    assert np.ones((2, 2)).sum() == 4
    found = software.blas()
    assert found
    if software.openblas_kernel():
        assert found.endswith(f"({software.openblas_kernel()})")


def test_the_blas_is_told_its_threads() -> None:
    import numpy as np

    if not software.blas_threads(1):
        pytest.skip("numpy's BLAS is not OpenBLAS")
    assert np.allclose(np.ones((64, 64)) @ np.ones((64, 64)), 64)
    assert software.blas_threads(2)
