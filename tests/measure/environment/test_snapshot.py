"""Conditions before and after a run, and the disturbances between them."""

import os
from pathlib import Path

import pytest

from hwbench.measure.environment import snapshot
from tests.measure.trees import tree

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
