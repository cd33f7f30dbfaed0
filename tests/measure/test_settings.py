"""The CPUs that may be measured on and the numbers of threads, of recorded machines."""

from pathlib import Path

import pytest

from hwbench.machine.host.describe import host
from hwbench.measure import settings
from hwbench.measure.settings import CpuClass
from tests.measure.trees import HOSTS


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
