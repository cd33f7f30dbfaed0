"""What a worker of a cluster answers is believed only as far as it can be checked."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hwbench.api import measurements
from hwbench.errors import InputError
from hwbench.measure import cluster, store
from hwbench.measure.analysis.evidence import machine_of, saved
from hwbench.measure.cluster import Failure, Success, WorkerAnswer
from tests.measure.records import a_run, measured


def answered(out: str, began: float = 0.0) -> Success | Failure:
    node = a_run(measured()).environment["hostname"]
    return cluster.checked("host", "tcp://worker", WorkerAnswer(0, out, "", str(node), began))


def test_an_honest_record_is_believed() -> None:
    run = a_run(measured())
    outcome = answered(store.encode(run))
    assert isinstance(outcome, Success)
    assert outcome.run.id == run.id
    named = answered(store.encode(msgspec.structs.replace(run, name="baseline")))
    assert isinstance(named, Success)
    assert named.run.name is None  # whose name people give to runs of their own


@pytest.mark.parametrize("setting", [None, "here", "cluster"])
def test_no_worker_speaks_for_this_machine(setting: str | None, tmp_path: Path) -> None:
    """Any worker may state the key of this machine; its record is shown and compared, but is no evidence of it."""
    own = a_run(measured())
    key = str(own.environment["machine"])
    store.save(own, str(tmp_path))
    stated = {} if setting is None else {"setting": setting}
    claim = answered(store.encode(a_run(measured(), environment={**own.environment, **stated}, id=store.new_id())))
    assert isinstance(claim, Success)
    store.save(claim.run, str(tmp_path))
    assert len(store.names(str(tmp_path))) == 2
    assert [run.id for run in saved(key, str(tmp_path))] == [own.id]
    assert machine_of(claim.run) != machine_of(own) == key


@pytest.mark.parametrize(
    "identity",
    ["../outside", "/abs/path", "x\0y", "x" * 5000, "", "20261124-085512-123-abcde\n", "２0261124-085512-123-abcdef"],
)
def test_an_id_never_chooses_a_file(identity: str, tmp_path: Path) -> None:
    run = a_run(measured(), id=identity)
    outcome = answered(store.encode(run))
    assert isinstance(outcome, Failure)
    assert outcome.code == "bad-id"
    with pytest.raises(InputError) as caught:
        store.save(run, str(tmp_path / "runs"))
    assert caught.value.code == "bad-id"
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_another_time_is_refused() -> None:
    now = datetime.now(UTC)
    late = a_run(measured(), id=store.new_id(now + timedelta(days=400)))
    other = a_run(measured(), created=(now + timedelta(days=400)).isoformat())
    impossible = a_run(measured(), id="20261399-085512-123-abcdef")
    for run in (late, other, impossible):
        outcome = answered(store.encode(run))
        assert isinstance(outcome, Failure)
        assert outcome.code == "other-time"


def test_the_size_of_an_answer_is_limited_by_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    text = store.encode(a_run(measured()))
    monkeypatch.setattr(store, "MAX_BYTES", len(text) - 1)
    outcome = answered(text)
    assert isinstance(outcome, Failure)
    assert outcome.code == "not-a-record"


def test_a_record_that_cannot_be_saved_costs_the_other_hosts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = [a_run(measured(), id=store.new_id()) for _ in range(2)]
    outcomes = [Success(host, host, run) for host, run in zip("bc", runs, strict=True)]
    outcomes.insert(0, Success("a", "a", msgspec.structs.replace(runs[0], id="../outside")))
    monkeypatch.setattr(cluster, "connected", nullcontext)
    monkeypatch.setattr(cluster, "bench", lambda *_: outcomes)
    answer = measurements.bench_cluster("tcp://nowhere", save=str(tmp_path / "runs"))
    assert [run.path is None for run in answer.runs] == [True, False, False]
    assert "host-not-saved" in [notice.code for notice in answer.notices]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(f"{run.id}.json" for run in runs)
