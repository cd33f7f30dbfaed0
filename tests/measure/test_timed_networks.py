"""The factors of this machine are kept beside its runs, and a damaged file counts as none."""

from pathlib import Path

import pytest

from hwbench.machine.host import host
from hwbench.measure import timed_networks
from hwbench.workload import zoo

FACTORS = {"compute": 0.9, "memory": 1.1, "overhead": 1.0, "spread": 0.12}


def test_factors_are_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWBENCH_RESULTS", str(tmp_path / "new"))
    machine = host()
    assert timed_networks.load(machine) == {}
    path = timed_networks.save(machine, FACTORS)
    assert timed_networks.load(machine) == FACTORS
    for text in ("", "{}", '{"compute": 1}', '{"compute":0,"memory":1,"overhead":1,"spread":1}', '["no"]', "\xff"):
        Path(path).write_text(text)
        assert timed_networks.load(machine) == {}


def test_every_network_is_in_the_catalog() -> None:
    assert {name for name, _ in timed_networks.NETWORKS} <= set(zoo.workloads())
