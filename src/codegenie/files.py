"""Read one small file safely.

Every reader of a lock, file list or manifest calls ``read_regular``. The writers are in
``codegenie.writing``. The walk over a plugin's tree has its own rules, in
``codegenie.integrity.walk``.
"""

import os
import stat

from codegenie import _start
from codegenie._start import on_disk as on_disk
from codegenie.result import Err, Ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.result import Result  # noqa: F401

# O_NOFOLLOW: no link is followed in the last component. O_NONBLOCK: opening a FIFO without a writer
# returns at once instead of waiting forever.
OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Unreadable:
    """The path of a file that was not read, and the reason in one sentence."""

    __slots__ = ("detail", "path")

    def __init__(self, path, detail):
        # type: (str, str) -> None
        self.path = path
        self.detail = detail

    def __str__(self):
        # type: () -> str
        return f"{self.path}: {self.detail}"

    __repr__ = __str__


def kind_of(mode):
    # type: (int) -> str
    """Return the kind of an entry in words, from its ``st_mode``."""
    for test, name in (
        (stat.S_ISREG, "a regular file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if test(mode):
            return name
    return "of an unknown kind"


def reason(error):
    # type: (OSError) -> str
    """Return the text of an ``OSError`` without its path, because the caller names the path."""
    return (error.strerror or str(error)).lower()


def read_exactly(descriptor, size):
    # type: (int, int) -> bytes
    """Read ``size`` bytes, or fewer at the end of the file. A single ``read`` may return less."""
    data = _start.read(descriptor, size)
    if len(data) == size or not data:
        return data
    chunks = [data]
    missing = size - len(data)
    while missing:
        chunk = _start.read(descriptor, missing)
        if not chunk:
            break
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def open_unblocked(path, flags, *, folder=None):
    # type: (str | bytes, int, int | None) -> int
    """Open a file without waiting for a FIFO's writer, but wait for a lease on a regular file.

    A file server (Samba) holds a lease on a file that a client has cached, and releases it when
    another process opens the file. Until then ``O_NONBLOCK`` fails. Threat: an attacker replaces
    the file with a FIFO, so a blocking open waits forever. Rule: get an ``O_PATH`` descriptor
    first, and open that same file again.

    Raises:
        OSError: as ``os.open``.
    """
    try:
        return _start.open_file(path, flags, dir_fd=folder)
    except BlockingIOError:
        if not hasattr(os, "O_PATH"):
            raise
        pinned = _start.open_file(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            if not stat.S_ISREG(_start.fstat(pinned).st_mode):
                raise
            again = flags & ~(os.O_NONBLOCK | os.O_NOFOLLOW)
            return _start.open_file(f"/proc/self/fd/{pinned}", again)
        finally:
            _start.close(pinned)


def open_regular(path):
    # type: (str) -> Result[tuple[int, os.stat_result], Unreadable]
    """Open a regular file for reading, and return descriptor and status. Follows no link."""
    try:
        link_or_file = _start.lstat(path)
        if not stat.S_ISREG(link_or_file.st_mode):
            # Checked before opening as well, because opening a device can have side effects.
            return Err(Unreadable(path, f"is {kind_of(link_or_file.st_mode)}, not a regular file"))
        descriptor = open_unblocked(path, OPEN_FLAGS)
    except FileNotFoundError:
        return Err(Unreadable(path, "does not exist"))
    except (OSError, ValueError) as error:
        text = reason(error) if isinstance(error, OSError) else str(error)
        return Err(Unreadable(path, f"cannot be opened: {text}"))
    opened = _start.fstat(descriptor)
    if not stat.S_ISREG(opened.st_mode):
        _start.close(descriptor)
        return Err(Unreadable(path, f"is {kind_of(opened.st_mode)}, not a regular file"))
    return Ok((descriptor, opened))


def read_opened(path, descriptor, *, max_bytes):
    # type: (str, int, int) -> Result[bytes, Unreadable]
    """Read all of an open file of at most ``max_bytes`` bytes, and close it."""
    try:
        size = _start.fstat(descriptor).st_size
        if size > max_bytes:
            return Err(Unreadable(path, f"is larger than {max_bytes} bytes"))
        # Not ``max_bytes`` at once, because CPython allocates the whole size before it reads.
        data = read_exactly(descriptor, size + 1)
        if len(data) > size:  # the file has grown
            data += read_exactly(descriptor, max_bytes - size)
    except OSError as error:
        return Err(Unreadable(path, f"cannot be read: {reason(error)}"))
    finally:
        _start.close(descriptor)
    if len(data) > max_bytes:
        return Err(Unreadable(path, f"is larger than {max_bytes} bytes"))
    return Ok(data)


def read_regular(path, *, max_bytes):
    # type: (str, int) -> Result[bytes, Unreadable]
    """Read a regular file of at most ``max_bytes`` bytes, following no link."""
    opened = open_regular(path)
    if isinstance(opened, Err):
        return opened
    return read_opened(path, opened.value[0], max_bytes=max_bytes)


def utf8_text(text):
    # type: (str) -> str
    """Return text that UTF-8 can hold, with ``\\xff`` for bytes of a name that are not UTF-8."""
    if text.isascii():
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that encodes no byte, from an escape in JSON
        raw = text.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def as_locked(name):
    # type: (str) -> str
    """Return a name or path from the disk as a lock spells it: in UTF-8. Inverts ``on_disk``."""
    if name.isascii():
        return name
    try:
        return os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name  # a literal in source code, which is text already
