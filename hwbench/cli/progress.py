"""A line on the terminal: how far a measurement is and what time is left; on standard error, if that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INTERVAL_S = 0.25


class Line:
    """The line; `show(share, text)` redraws it at most four times a second, by no thread of its own."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task
        self._last = 0.0

    def show(self, share: float, text: str) -> None:
        """Say that a share (0 to 1) of the work is done, and what is done now."""
        now = time.monotonic()
        if self._bar is not None and now - self._last >= INTERVAL_S:
            self._last = now
            self._bar.update(self._task, completed=share, description=text)
            self._bar.refresh()


@contextmanager
def line() -> Iterator[Callable[[float, str], None]]:
    """What shows progress: `show(share, text)`; where standard error is no terminal it does nothing."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield Line(None, None).show
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), TimeRemainingColumn(compact=True), TextColumn("left · {task.description}"))
    # No refreshing thread: it would run in the middle of samples.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        yield Line(bar, bar.add_task("starting", total=1.0)).show
