"""Waiting for changes of a plugin folder and its lock. Needs ``watchfiles``, an optional package.

The operating system tells of changes below the folder for as long as that folder exists. Whether it
still is the same one is asked at every tick; when another stands in its place it is watched anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from watchfiles import Change, watch

from codegenie.integrity.walk import BYTECODE_FOLDER, BYTECODE_SUFFIX

TICK_MILLISECONDS = 200
"""How long a folder that was exchanged, or a lock that lies elsewhere, goes unnoticed."""

MAX_NAMED = 3
"""Paths in one event. What differs from the lock is listed after it anyway."""

_UNDECODABLE = "Unable to decode path"
"""What watchfiles says of a name that is not UTF-8."""

Identity = tuple[int, int]


class CannotWatch(Exception):
    """The system refuses to tell of changes. One sentence says why."""


def events(root: str, lock: str) -> Iterator[str]:
    """Yield what has happened, in words, whenever something has: first, at once, an empty text.

    Both paths are absolute. What happens between two events is never lost: a change that comes
    while the last event is dealt with is the next event.

    Raises:
        CannotWatch: there are too many folders for the limits of this system, for example.
        KeyboardInterrupt: the user ended it.
    """
    try:
        root.encode("utf-8")
    except UnicodeEncodeError:
        raise CannotWatch(f"{root} cannot be watched: its name is not UTF-8") from None
    what = ""
    while True:
        watched = _identity(root)
        if watched is None:
            yield f"{root} is gone"
            while _identity(root) is None:
                time.sleep(TICK_MILLISECONDS / 1000)
            what = f"{root} is back"
            continue
        try:
            yield from _while_it_is(watched, root, lock, what)
        except FileNotFoundError:
            time.sleep(TICK_MILLISECONDS / 1000)  # it went away while the watch was set up
            continue
        except OSError as error:
            raise CannotWatch(f"{root} cannot be watched: {error}") from error
        except RuntimeError as error:  # what watchfiles raises for all else
            # A name that is not UTF-8 ends the watch, and tells at least that something changed.
            if _UNDECODABLE not in str(error):
                raise CannotWatch(f"{root} cannot be watched: {error}") from error
            what = f"changed: something whose name is not UTF-8, below {root}"
            continue
        what = f"{root} was exchanged"


def _while_it_is(watched: Identity, root: str, lock: str, what: str) -> Iterator[str]:
    """The events of one folder, ``what`` being the first, until another one is in its place."""

    def counts(_: Change, path: str) -> bool:
        return _counts(path.removeprefix(root))

    lock_before = _state(lock)
    is_first = True
    # The first tick is the first event: the watch is on then, so nothing falls between the two.
    for batch in watch(
        root,
        watch_filter=counts,
        rust_timeout=TICK_MILLISECONDS,
        yield_on_timeout=True,
    ):
        # A folder that was removed is not watched any more, even if its number was used again.
        if _identity(root) != watched or (Change.deleted, root) in batch:
            return
        lock_now = _state(lock)
        paths = {os.path.relpath(path, root) for _, path in batch}
        if lock_now != lock_before and not lock.startswith(f"{root}/"):
            paths.add(lock)
        lock_before = lock_now
        if is_first:
            yield what
        elif paths:
            yield _in_words(sorted(paths))
        is_first = False


def _counts(below: str) -> bool:
    """Whether a path is of what is verified: bytecode is not, nor is a file on its way to be one
    of the two beside the plugins."""
    name = below.rpartition("/")[2]
    if below == f"/{name}" and name.startswith(".PLUGINS."):
        return False
    return BYTECODE_FOLDER not in below.split("/") and not name.endswith(BYTECODE_SUFFIX)


def _in_words(paths: list[str]) -> str:
    more = len(paths) - MAX_NAMED
    return f"changed: {', '.join(paths[:MAX_NAMED])}" + (f" and {more} more" if more > 0 else "")


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
