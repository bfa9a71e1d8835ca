"""Let commands that write to one folder take turns.

The lock is an advisory ``flock`` on the folder itself. It needs no lock file, works in a read-only
folder, and is released when the process ends in any way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

MAX_WAIT_SECONDS = 600
"""Longer than hashing any real folder takes. Every user who can read a folder can hold its lock,
so waiting must be limited."""

_INTERVAL_SECONDS = 0.05

# Errors of NFS without its lock service, and of some FUSE file systems.
_NO_LOCKS = (errno.ENOLCK, errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


class StillLocked(Exception):
    """Another process has held the lock of a folder for too long. The text says which folder."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"{folder} has been in use by another codegenie command for {MAX_WAIT_SECONDS} seconds"
        )


@contextmanager
def locked(*folders: str, waiting: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the locks of folders. Skips folders that do not exist or cannot be opened.

    Args:
        waiting: called once for each folder that another process has locked.

    Raises:
        StillLocked: another process holds a lock. Nothing is locked.
    """
    with ExitStack() as stack:
        for folder in _in_one_order(folders):
            descriptor = _acquire(folder, waiting)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
        yield


def _in_one_order(folders: tuple[str, ...]) -> list[str]:
    """Return each folder once, in an order that is the same for all processes.

    Two commands that lock the same two folders in different orders would wait for each other.
    """
    found: dict[tuple[int, int], str] = {}
    for folder in folders:
        try:
            status = Path(folder).stat()
        except OSError:
            continue  # the command itself reports the error
        found[status.st_dev, status.st_ino] = folder
    return [found[identity] for identity in sorted(found)]


def _acquire(folder: str, waiting: Callable[[str], None]) -> int | None:
    """Return a descriptor that holds the lock, or None if the folder cannot be opened."""
    end = time.monotonic() + MAX_WAIT_SECONDS
    told = False
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        while not _try(descriptor):
            if not told:
                waiting(folder)
                told = True
            if time.monotonic() > end:
                raise StillLocked(folder)
            time.sleep(_INTERVAL_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try(descriptor: int) -> bool:
    """Return True if the lock is held now, or if this file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
