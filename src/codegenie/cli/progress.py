"""Show a progress bar on a terminal, after half a second.

A thread draws it from counters that are updated once per plugin. So the bar does not slow hashing
down, and it moves even while one large plugin is hashed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from codegenie.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

T = TypeVar("T")

DELAY_SECONDS = 0.5
"""A shorter command needs no bar, and a bar that only flashes is distracting."""

WIDE = 70
"""Columns of a terminal that is wide enough for a bar beside names and numbers."""

WIDE_BAR, NARROW_BAR = 16, 4


def follow(
    doing: str,
    names: Sequence[str],
    verdicts: Iterable[T],
    *,
    files: Callable[[T], int],
    shown: bool,
    console: Console | None = None,
) -> Iterator[T]:
    """Yield ``verdicts``, one per plugin, and show the progress.

    Args:
        names: the plugins in their order, for display only.
        files: returns the number of files of a verdict.
        shown: False shows no bar, like a standard error that is not a terminal.
        console: the console to draw on, instead of standard error.
    """
    if not shown or (console is None and not sys.stderr.isatty()):
        yield from verdicts
        return
    with _Bar(doing, names, console) as bar:
        for verdict in verdicts:
            bar.advance(files(verdict))
            yield verdict


class _Bar:
    def __init__(self, doing: str, names: Sequence[str], console: Console | None) -> None:
        self._doing = doing
        self._names = names
        self._console = console
        self._done = 0
        self._files = 0
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._task: TaskID
        self._is_over = False
        self._timer = threading.Timer(DELAY_SECONDS, self._start)
        self._timer.daemon = True

    def __enter__(self) -> _Bar:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_over = True
            if self._progress is not None:
                self._progress.stop()

    def advance(self, files: int) -> None:
        """Count one more plugin, with this number of files."""
        with self._lock:
            self._done += 1
            self._files += files
            self._show()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        console = self._console or Console(stderr=True, highlight=False)
        with self._lock:
            if self._is_over:
                return
            self._progress = Progress(
                TextColumn(
                    "{task.description}",
                    markup=False,
                    table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
                ),
                BarColumn(bar_width=WIDE_BAR if console.width >= WIDE else NARROW_BAR),
                TextColumn(
                    "{task.fields[counted]}", markup=False, table_column=Column(no_wrap=True)
                ),
                TimeElapsedColumn(),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                expand=True,
            )
            # One plugin has no partial progress. Without a total, the bar pulses.
            total = len(self._names) if len(self._names) > 1 else None
            self._task = self._progress.add_task("", total=total, counted="")
            self._show()
            self._progress.start()

    def _show(self) -> None:
        """Update the bar, if it exists. Called with the lock held."""
        if self._progress is None:
            return
        name = self._names[self._done] if self._done < len(self._names) else ""
        counted = f"{self._done}/{len(self._names)} plugins, {self._files} files"
        self._progress.update(
            self._task,
            description=printable(f"{self._doing} {name}"),
            completed=self._done,
            counted=counted if len(self._names) > 1 else "",
        )
