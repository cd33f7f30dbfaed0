"""A team of threads, each on its own CPU, that run one job together: how all-core kernels are timed.

Matrix products have workers of their own (gemm/threads.py), which wait for compiled jobs in compiled code.
"""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Struct

from hwbench.measure.settings import Settings

Member = TypeVar("Member")
Job = Callable[[int], object]
"""What a member runs, given its position in the team; compiled code that releases the GIL."""


class _Member:
    """One thread, waiting for jobs. Plain locks hand them over: a few microseconds, against samples of 20 ms."""

    def __init__(self, position: int, cpu: int | None) -> None:
        self.position = position
        self.cpu = cpu
        self.job: Job | None = None
        self.error: BaseException | None = None
        self.start, self.done = threading.Lock(), threading.Lock()
        self.start.acquire()
        self.done.acquire()
        self.thread = threading.Thread(target=self._work, name=f"hwbench-{position}", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        if self.cpu is not None and hasattr(os, "sched_setaffinity"):
            with suppress(OSError):  # a sandbox forbids it, or the CPU is offline: run wherever the kernel puts us
                os.sched_setaffinity(0, {self.cpu})
        while True:
            self.start.acquire()
            job = self.job
            if job is None:
                return
            try:
                job(self.position)
            except BaseException as error:
                self.error = error
            self.done.release()

    def send(self, job: Job | None) -> None:
        """Hand over a job; None ends the thread."""
        self.job = job
        with suppress(RuntimeError):  # interrupted between two jobs: it was started and has not looked yet
            self.start.release()


class Team:
    """As many threads as CPUs, each pinned to its own. They start at the first job and sleep between jobs."""

    def __init__(self, cpus: Sequence[int | None]) -> None:
        self.cpus = tuple(cpus)
        self._members: list[_Member] = []

    def __len__(self) -> int:
        return len(self.cpus)

    def run(self, job: Job) -> None:
        """Run `job(position)` in every member; return when all are done, and raise what a member raised."""
        if not self._members:
            self._members = [_Member(position, cpu) for position, cpu in enumerate(self.cpus)]
        try:
            for member in self._members:
                member.send(job)
            for member in self._members:
                member.done.acquire()
        except BaseException:  # interrupted: nobody knows who is done, so these threads end with their job
            self.close()
            raise
        errors = [member.error for member in self._members if member.error is not None]
        for member in self._members:
            member.error = None
        if errors:
            raise errors[0]

    def close(self) -> None:
        """End the threads; the next job starts new ones."""
        members, self._members = self._members, []
        for member in members:
            member.send(None)
        for member in members:
            member.thread.join()


class Placement(Struct, frozen=True):
    """Where a task runs: on this thread, which is kept on the first CPU, or on all CPUs of a team."""

    cpus: tuple[int, ...] = ()
    core_class: str | None = None
    team: Team | None = None

    def __len__(self) -> int:
        return len(self.team) if self.team else 1

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a task that follow from where it runs."""
        timer, close = ("wall", self.team.close) if self.team else ("cpu", None)
        return {"cpus": self.cpus, "core_class": self.core_class, "threads": len(self), "timer": timer, "close": close}

    def run(self, job: Job) -> None:
        """Run `job(position)` in every member of the team, or `job(0)` on this thread where there is none."""
        if self.team is None:
            job(0)
        else:
            self.team.run(job)

    def each(self, members: Sequence[Member], job: Callable[[Member], object]) -> None:
        """Run a job in every member of the team, each with its own of `members`."""
        self.run(lambda position: job(members[position]))


def one_of_each(settings: Settings) -> list[Placement]:
    """Return the first core of each class, with the class's name where there are several."""
    named = len(settings.classes) > 1
    return [Placement(group.cpus[:1], group.name if named else None) for group in settings.classes]


def first(settings: Settings, threads: int) -> Placement:
    """Return so many cores, of a team if there are several."""
    cpus = settings.cpus[:threads]
    return Placement(cpus, team=Team(cpus) if threads > 1 else None)


def teams(settings: Settings) -> list[Placement]:
    """Return the first cores for each number of threads above one."""
    return [first(settings, threads) for threads in settings.threads if threads > 1]
