"""A line on the terminal (on standard error) that shows how far a measurement is and how much time is left."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hwbench.errors import shown

INTERVAL_S = 0.25
CLEAR = "\r\033[K"
_SLOW = ("torchvision:", "timm:", "hf:", "layers:", "torch:", "onnx:")


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
        _write(CLEAR)
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
            _write(CLEAR)


@contextmanager
def line(first: str = "") -> Iterator[Callable[[float, str], None] | None]:
    """Yield `show(share, text)`, None where standard error is not a terminal. `first` is shown until the first call."""
    if not _on_terminal():
        yield None
        return
    bar = Line()
    _write(f"{first} …" if first else "")
    try:
        yield bar.show
    finally:
        bar.close()


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show what is being done until it is done, where there is something to show and standard error is a terminal."""
    show = bool(text) and _on_terminal()
    _write(f"{text} …" if show else "")
    try:
        yield
    finally:
        _write(CLEAR if show else "")


def tracing(*models: object, training: bool = False) -> str:
    """Return what to show while models are counted: nothing for those that take an instant."""
    slow = [model for model in models if isinstance(model, str) and (training or _is_slow(model))]
    return f"tracing {shown(slow[0], 60)}" if slow else ""


def _is_slow(model: str) -> bool:
    """Return whether a model takes more than an instant to count."""
    return model.startswith(_SLOW) or model.endswith(".onnx") or ".py:" in model


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _write(text: str) -> None:
    if text:
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()
