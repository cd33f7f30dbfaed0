"""The team of pinned threads: every member works, on its own CPU, and failures and interrupts reach who asked."""

import os
import threading

import pytest

from hwbench.measure.kernels.team import Team


def test_every_member_runs_the_job_once_each_time() -> None:
    team = Team((None, None, None))
    seen: list[int] = []
    names = set()

    def job(position: int) -> None:
        seen.append(position)
        names.add(threading.current_thread().name)

    for _ in range(3):
        team.run(job)
    assert sorted(seen) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(names) == len(team) == 3
    team.close()
    team.run(job)
    assert len(seen) == 12
    team.close()


def test_members_are_pinned_and_their_maker_is_not() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin threads")
    before = os.sched_getaffinity(0)
    cpu = max(before)
    found: list[set[int]] = []
    team = Team((cpu,))
    team.run(lambda _position: found.append(os.sched_getaffinity(0)))
    team.close()
    assert found == [{cpu}]
    assert os.sched_getaffinity(0) == before


def test_a_cpu_that_is_not_there_is_no_failure() -> None:
    team = Team((100_000,))
    seen: list[int] = []
    team.run(seen.append)
    team.close()
    assert seen == [0]


def test_an_error_of_a_member_is_raised_once_all_are_done() -> None:
    team = Team((None, None))
    done = []

    def job(position: int) -> None:
        if position == 0:
            raise ValueError("no")
        done.append(position)

    with pytest.raises(ValueError, match="no"):
        team.run(job)
    assert done == [1]
    team.run(done.append)
    assert sorted(done) == [0, 1, 1]
    team.close()


def test_an_interrupted_team_ends_its_threads_and_can_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Team((None, None))
    team.run(lambda _position: None)
    members = list(team._members)

    started, release = threading.Event(), threading.Event()
    seen: list[int] = []

    class Interrupted:
        def acquire(self) -> None:
            started.wait(5)
            raise KeyboardInterrupt

        def release(self) -> None:
            pass

    def job(position: int) -> None:
        if position == 1:
            started.set()
            release.wait(5)
            seen.append(position)

    monkeypatch.setattr(members[0], "done", Interrupted())
    threading.Timer(0.05, release.set).start()
    with pytest.raises(KeyboardInterrupt):
        team.run(job)
    assert seen == [1]
    assert not any(member.thread.is_alive() for member in members)
    team.run(seen.append)
    assert sorted(seen) == [0, 1, 1]
    team.close()
