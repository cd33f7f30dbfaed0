"""A line on the terminal (on standard error) that shows how far a measurement is and how much time is left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hwbench.cli.output import CLEAR, on_terminal, tell

INTERVAL_S = 0.25


class Line:
    """The line, drawn from the first `show` on and every INTERVAL_S at most, without a thread of its own."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0
        self._share = 0.0

    def show(self, share: float, text: str) -> None:
        """Show that a share (0 to 1) of the work is done, never less than before, and what is done now."""
        now = time.monotonic()
        if now - self._last < INTERVAL_S:
            return
        self._last = now
        self._share = max(self._share, share)
        if self._bar is None:
            self._start()
        self._bar.update(self._task, completed=self._share, description=text)
        self._bar.refresh()

    def _start(self) -> None:
        tell(CLEAR)
        from rich.console import Console  # which only terminals need
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(bar_width=24), TimeRemainingColumn(compact=True), TextColumn("left · {task.description}"))
        # No refreshing thread: it would run in the middle of samples.
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        self._bar.start()
        self._task = self._bar.add_task("starting", total=1.0)

    def close(self) -> None:
        """Remove the line."""
        if self._bar is not None:
            self._bar.stop()
        else:
            tell(CLEAR)


@contextmanager
def line(first: str = "") -> Iterator[Callable[[float, str], None] | None]:
    """Yield `show(share, text)`, None where standard error is not a terminal. `first` is shown until the first call."""
    if not on_terminal():
        yield None
        return
    bar = Line()
    tell(f"{first} …" if first else "")
    try:
        yield bar.show
    finally:
        bar.close()
