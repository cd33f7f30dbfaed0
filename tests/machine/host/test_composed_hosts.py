"""Machines of every kind that systems describe in their own way, composed (tests/hosts/composed.yaml)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hwbench.machine.host.describe import Host, host
from hwbench.machine.host.files import parse_cpulist
from hwbench.machine.parts import Units

MACHINES = yaml.safe_load((Path(__file__).parents[2] / "hosts/composed.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def shipped_catalog_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HWBENCH_CONFIGS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


def cpuinfo(machine: dict[str, Any]) -> str:
    if "text" in machine:
        return str(machine["text"])
    blocks = []
    for fields, count in machine.get("cpus", ()):
        for _ in range(count):
            lines = (field.partition(":") for field in fields.split("; "))
            text = "\n".join(f"{name.strip()}\t: {value.strip().strip(chr(39))}" for name, _, value in lines)
            blocks.append(f"processor\t: {len(blocks)}\n{text}\n")
    return "\n".join([*blocks, machine.get("tail", "")])


def tree(machine: dict[str, Any], root: Path) -> Host:
    files = {"proc/cpuinfo": cpuinfo(machine), **machine.get("files", {})}
    for cpus, each in machine.get("each", {}).items():
        for cpu in parse_cpulist(str(cpus)):
            files |= {f"sys/devices/system/cpu/cpu{cpu}/{name}": text for name, text in each.items()}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n", encoding="utf-8")
    return host(str(root), system="linux")


def fp32(units: Units) -> float:
    return max(
        (rate.flops_per_cycle for rate in units.rates if (rate.engine, rate.dtype) == ("vector", "fp32")), default=0
    )


@pytest.mark.sample(24)
@pytest.mark.parametrize("machine", MACHINES, ids=[machine["id"] for machine in MACHINES])
def test_a_composed_host_is_described(machine: dict[str, Any], tmp_path: Path) -> None:
    found, want = tree(machine, tmp_path), dict(machine["expect"])
    device = found.device
    codes = {notice.code for notice in found.notices}
    assert set(want.pop("notices", ())) <= codes
    scalar = [units for units in device.units if {rate.isa for rate in units.rates} == {"scalar"}]
    guessed = any(units.architecture == "unknown" for units in scalar)
    assert guessed == any("two scalar FMA" in str(notice) for notice in found.notices)  # which is no upper bound
    if "classes" in want:
        classes = {units.name: [units.architecture, units.count, fp32(units)] for units in device.units}
        assert classes == want.pop("classes")
    if "clock" in want:
        clock = device.units[0].clock
        assert (clock.boost or clock.base) == float(want.pop("clock"))
    if "memory" in want:
        assert device.memory.size == want.pop("memory")
    if "vendor" in want:
        assert device.vendor == want.pop("vendor")
    for field, value in want.items():
        assert getattr(found, field) == value


def test_each_has_its_source_and_its_own_name() -> None:
    assert all(machine["source"] for machine in MACHINES)
    assert len({machine["id"] for machine in MACHINES}) == len(MACHINES) >= 60


def test_a_hybrid_whose_e_cores_are_off_hides_nothing(tmp_path: Path) -> None:
    fields = (
        "vendor_id: GenuineIntel; cpu family: 6; model: 183; model name: 13th Gen Intel(R) Core(TM) i7-13700K; "
        "flags: fpu sse sse2 avx avx2 fma"
    )
    for name, architecture in (("core", "raptor-cove"), ("atom", "gracemont")):
        found = tree({"cpus": [[fields, 8]], "files": {f"sys/devices/cpu_{name}/cpus": "0-7"}}, tmp_path / name)
        assert [units.architecture for units in found.device.units] == [architecture]
        assert "core-classes-hidden" not in {notice.code for notice in found.notices}
