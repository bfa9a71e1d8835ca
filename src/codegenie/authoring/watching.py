"""Wait for changes of a plugin folder and its lock. Needs ``watchfiles``, an optional package.

The operating system reports changes below the folder as long as that folder exists. Each tick
checks that it is still the same folder. If it was replaced, the new folder is watched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from watchfiles import Change, watch

from codegenie.integrity.walk import BYTECODE_FOLDER, BYTECODE_SUFFIX, GIT

TICK_MILLISECONDS = 200
"""The longest time until a replaced folder, or a change of a lock elsewhere, is noticed."""

MAX_NAMED = 3
"""Paths in one event. All differences from the lock are listed after it anyway."""

_UNDECODABLE = "Unable to decode path"
"""The message of watchfiles about a name that is not UTF-8."""

Identity = tuple[int, int]


class CannotWatch(Exception):
    """The system cannot report changes. The text is one sentence."""


def events(root: str, lock: str) -> Iterator[str]:
    """Yield a description of each change. The first text is empty, and comes at once.

    Both paths are absolute. No change is lost: a change that happens while the caller handles an
    event is the next event.

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
            time.sleep(TICK_MILLISECONDS / 1000)  # it was removed while the watch started
            continue
        except OSError as error:
            raise CannotWatch(f"{root} cannot be watched: {error}") from error
        except RuntimeError as error:  # watchfiles raises it for all other errors
            # A name that is not UTF-8 ends the watch, but shows that something has changed.
            if _UNDECODABLE not in str(error):
                raise CannotWatch(f"{root} cannot be watched: {error}") from error
            what = f"changed: something whose name is not UTF-8, below {root}"
            continue
        what = f"{root} was exchanged"


def _while_it_is(watched: Identity, root: str, lock: str, what: str) -> Iterator[str]:
    """Yield the events of one folder, ``what`` first, until the folder is replaced."""

    def counts(_: Change, path: str) -> bool:
        return _counts(path.removeprefix(root))

    lock_before = _state(lock)
    is_first = True
    # The first tick is the first event. The watch is running then, so no change is missed.
    for batch in watch(
        root,
        watch_filter=counts,
        rust_timeout=TICK_MILLISECONDS,
        yield_on_timeout=True,
    ):
        # The system no longer watches a removed folder, even if its inode number is used again.
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
    """Return True if a path is verified. Bytecode, git's own files and temporary files are not."""
    name = below.rpartition("/")[2]
    if below == f"/{name}" and name.startswith(".PLUGINS."):
        return False
    parts = below.split("/")
    return not (BYTECODE_FOLDER in parts or GIT in parts or name.endswith(BYTECODE_SUFFIX))


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
