"""The environment that a record states: of recorded machines, of made-up ones, and of this machine."""

import platform
from pathlib import Path
from typing import Any

import pytest

from hwbench.machine.host.describe import host
from hwbench.machine.host.files import Files
from hwbench.measure import settings
from hwbench.measure.environment import snapshot
from hwbench.measure.environment.machine import cautions, environment, machine_key, turbo, variables
from hwbench.notices import Notice, notice
from tests.measure.trees import HOSTS, tree

TREES = sorted(path.name for path in HOSTS.iterdir() if path.is_dir())


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
