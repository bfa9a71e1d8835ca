"""Hashing the large files of a tree, on as many threads as there are processors.

Hashing releases the interpreter lock, so two files take little more time than one. A worker imports
nothing: it may run while ``find_spec`` holds the global import lock (``_find_spec`` in CPython's
``Lib/importlib/_bootstrap.py``), where an import would wait for ever.
"""

import _thread
import os

from codegenie import _start
from codegenie.files import reason
from codegenie.hashing import sha256

BUFFER = 128 * 1024
"""Bytes read at once, into the same memory each time. More falls out of the processor's cache; and
glibc takes a larger buffer from ``mmap``, in pages that a first walk finds a third slower."""

MAX_THREADS = 4

BYTES_PER_THREAD = 512 * 1024
"""Fewer take less time to hash than another thread takes to start."""


class LargeFile:
    """An open file and, once it was hashed, its digest; or in words why it has none."""

    __slots__ = ("descriptor", "digest", "failure", "path", "size")

    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size
        self.digest = b""
        self.failure = ""


def hash_all(files: list[LargeFile]) -> None:
    """Hash every file and close it. What went wrong stands in its ``failure``."""
    waiting = list(files)
    running = []
    try:
        for _ in range(_threads_for(files) - 1):
            done = _thread.allocate_lock()
            done.acquire()
            try:
                _thread.start_new_thread(_work, (waiting, done))
            except RuntimeError:
                break  # no threads here, or no more of them
            running.append(done)
        _hash_waiting(waiting)
    finally:
        del waiting[:]  # an exception of this thread (a KeyboardInterrupt) ends the others, too
        for done in running:
            done.acquire()
        for file in files:
            _start.close(file.descriptor)


def _threads_for(files: list[LargeFile]) -> int:
    """How many threads the files are worth, this one included."""
    worth = sum(file.size for file in files) // BYTES_PER_THREAD
    return min(worth, len(files), MAX_THREADS, _processors())


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _work(waiting: list[LargeFile], done: _thread.LockType) -> None:
    try:
        _hash_waiting(waiting)
    finally:
        done.release()


def _hash_waiting(waiting: list[LargeFile]) -> None:
    buffer = bytearray(BUFFER)
    while True:
        try:
            file = waiting.pop()
        except IndexError:
            return
        try:
            _hash(file, buffer)
        except OSError as error:
            file.failure = f"cannot be read: {reason(error)}"


def _hash(file: LargeFile, buffer: bytearray) -> None:
    view = memoryview(buffer)
    engine = sha256(b"")
    size = 0
    # Up to one byte more than there should be: a file that grows while it is read is noticed, and
    # never keeps anybody busy for ever.
    while count := _start.readv(file.descriptor, [view[: file.size + 1 - size]]):
        engine.update(view[:count])
        size += count
        if size > file.size:
            break
    if size == file.size:
        file.digest = engine.digest()
    else:
        file.failure = "changed while it was read"
