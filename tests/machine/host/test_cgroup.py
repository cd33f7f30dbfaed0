"""Limits of control groups, versions 1 and 2, in trees as containers and plain machines show them."""

from pathlib import Path

import pytest

from hwbench.machine.host.cgroup import CgroupLimits, Mount, limits, parse_groups, parse_mounts
from hwbench.machine.host.files import Files


def tree(root: Path, files: dict[str, str]) -> Files:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return Files(str(root))


V2 = "sys/fs/cgroup"


def test_nothing_to_read_is_no_limit(tmp_path: Path) -> None:
    assert limits(Files(str(tmp_path))) == CgroupLimits()


def test_version_2_takes_the_smallest_quota_over_all_ancestors(tmp_path: Path) -> None:
    files = tree(tmp_path, {
        "proc/self/cgroup": "0::/a/b/c",
        f"{V2}/a/cpu.max": "200000 100000",
        f"{V2}/a/b/cpu.max": "max 100000",
        f"{V2}/a/b/c/cpu.max": "100000 20000",
        f"{V2}/a/b/memory.max": "1048576",
        f"{V2}/a/b/c/memory.max": "max",
        f"{V2}/a/b/c/cpuset.cpus.effective": "1-2",
        f"{V2}/other/cpu.max": "1000 100000",
    })  # fmt: skip
    assert limits(files) == CgroupLimits(frozenset({1, 2}), 2.0, 1048576)


def test_a_path_that_is_not_below_the_mount_means_the_mount(tmp_path: Path) -> None:
    files = tree(tmp_path, {"proc/self/cgroup": "0::/docker/4f0c", f"{V2}/cpu.max": "50000 100000"})
    assert limits(files).quota == 0.5


@pytest.mark.parametrize("path", ["/../../sibling", "/..", "/a/../../..", "", "//"])
def test_a_path_never_leads_out_of_the_mount(path: str, tmp_path: Path) -> None:
    files = tree(tmp_path, {
        "proc/self/cgroup": f"0::{path}", f"{V2}/cpu.max": "300000 100000", "sys/sibling/cpu.max": "1 100000",
        "sys/fs/cpu.max": "1 100000",
    })  # fmt: skip
    assert limits(files).quota == 3.0


def test_a_period_may_be_missing(tmp_path: Path) -> None:
    assert limits(tree(tmp_path, {f"{V2}/cpu.max": "250000"})).quota == 2.5


NO_QUOTAS = ("max 100000", "", "0 100000", "-1 100000", "100000 0", "x y", "100000 -5", "1e5 100000")


@pytest.mark.parametrize("text", NO_QUOTAS)
def test_what_is_no_quota_is_none(text: str, tmp_path: Path) -> None:
    assert limits(tree(tmp_path, {f"{V2}/cpu.max": text})).quota is None


def test_version_1_by_controller_without_a_namespace(tmp_path: Path) -> None:
    files = tree(tmp_path, {
        "proc/self/cgroup": "3:cpuset:/pod\n2:cpu,cpuacct:/pod/box\n1:memory:/pod",
        f"{V2}/cpu,cpuacct/cpu.cfs_quota_us": "-1",
        f"{V2}/cpu,cpuacct/cpu.cfs_period_us": "100000",
        f"{V2}/cpu,cpuacct/pod/cpu.cfs_quota_us": "150000",
        f"{V2}/cpu,cpuacct/pod/cpu.cfs_period_us": "100000",
        f"{V2}/cpu,cpuacct/pod/box/cpu.cfs_quota_us": "400000",
        f"{V2}/cpu,cpuacct/pod/box/cpu.cfs_period_us": "100000",
        f"{V2}/cpuset/pod/cpuset.cpus": "0-7",
        f"{V2}/cpuset/pod/cpuset.effective_cpus": "4-7",
        f"{V2}/memory/memory.limit_in_bytes": "9223372036854771712",
        f"{V2}/memory/pod/memory.limit_in_bytes": "2147483648",
    })  # fmt: skip
    assert limits(files) == CgroupLimits(frozenset({4, 5, 6, 7}), 1.5, 2147483648)


def test_both_versions_at_once(tmp_path: Path) -> None:
    files = tree(tmp_path, {
        "proc/self/cgroup": "2:cpu:/job\n0::/user",
        "proc/self/mountinfo": "\n".join((
            "30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
            "31 25 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd",
            "32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            "33 25 0:29 / /tmp rw - tmpfs tmpfs rw",
            "nonsense",
        )),
        f"{V2}/cpu/job/cpu.cfs_quota_us": "300000",
        f"{V2}/cpu/job/cpu.cfs_period_us": "100000",
        f"{V2}/unified/user/cpu.max": "400000 100000",
        f"{V2}/cpu.max": "1 100000",
    })  # fmt: skip
    assert limits(files).quota == 3.0


def test_a_mount_may_show_a_group_below_the_root(tmp_path: Path) -> None:
    files = tree(tmp_path, {
        "proc/self/cgroup": "0::/docker/id/inner",
        "proc/self/mountinfo": "30 25 0:26 /docker/id /my\\040cgroup rw - cgroup2 cgroup2 rw",
        "my cgroup/cpu.max": "400000 100000",
        "my cgroup/inner/cpu.max": "200000 100000",
    })  # fmt: skip
    assert limits(files).quota == 2.0


def test_sets_that_exclude_each_other_are_no_set(tmp_path: Path) -> None:
    files = tree(tmp_path, {
        "proc/self/cgroup": "0::/a", f"{V2}/cpuset.cpus.effective": "0-1", f"{V2}/a/cpuset.cpus.effective": "2-3",
    })  # fmt: skip
    assert limits(files).cpus is None


def test_groups_are_by_controller() -> None:
    assert parse_groups("4:cpu,cpuacct:/a:b\n1:name=systemd:/c\n0::/d\nx") == {
        "cpu": "/a:b", "cpuacct": "/a:b", "name=systemd": "/c", "": "/d",
    }  # fmt: skip


def test_only_mounts_with_a_controller_that_matters_are_kept() -> None:
    pids = "1 2 0:3 / /cg/pids rw - cgroup cgroup rw,pids"
    cpu = "1 2 0:3 /x /cg/cpu rw shared:1 - cgroup cgroup rw,cpu,cpuacct"
    assert parse_mounts(f"{pids}\n{cpu}") == (Mount("/cg/cpu", "/x", frozenset({"cpu"})),)
