"""Hash the large files of a tree, on as many threads as there are processors.

Hashing releases the GIL, so two files take little more time than one. A worker imports nothing,
because ``find_spec`` may hold the global import lock (``_find_spec`` in CPython's
``Lib/importlib/_bootstrap.py``), and an import in the worker would wait forever.
"""

import _thread
import os

from codegenie import _start
from codegenie.files import reason
from codegenie.hashing import expect, sha256

BUFFER = 128 * 1024
"""Bytes read at once, into the same memory each time. A larger buffer does not fit into the
processor's cache, and glibc allocates it with ``mmap``, which makes a first walk a third slower."""

MAX_THREADS = 4

BYTES_PER_THREAD = 512 * 1024
"""Hashing fewer bytes takes less time than starting another thread."""


FORK_INTERVAL = 1.0
"""The seconds after which a thread that waits for others checks if it was forked."""


class LargeFile:
    """An open file and, after hashing, its digest or its failure in words."""

    __slots__ = ("descriptor", "digest", "failure", "path", "size")

    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size
        self.digest = b""
        self.failure = ""


def hash_all(files: list[LargeFile]) -> None:
    """Hash every file and close it. An error is recorded in the file's ``failure``."""
    try:
        expect(sum(file.size for file in files))
        process = os.getpid()
        _hash_in_threads(files, process)
        if os.getpid() != process:
            # A signal handler or an audit hook has forked. The other threads are in the parent.
            _hash_waiting([file for file in files if not file.digest and not file.failure])
    finally:
        for file in files:
            _start.close(file.descriptor)


def _hash_in_threads(files: list[LargeFile], process: int) -> None:
    waiting = list(files)
    running = []
    try:
        for _ in range(_threads_for(files) - 1):
            done = _thread.allocate_lock()
            done.acquire()
            try:
                _thread.start_new_thread(_work, (waiting, done))
            except RuntimeError:
                break  # this platform has no threads, or the limit is reached
            running.append(done)
        _hash_waiting(waiting)
    finally:
        del waiting[:]  # an exception here, such as KeyboardInterrupt, also ends the other threads
        for done in running:
            while os.getpid() == process and not done.acquire(timeout=FORK_INTERVAL):
                pass


def _threads_for(files: list[LargeFile]) -> int:
    """Return the number of threads to use, including this one."""
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
    """Hash files until none is left. One buffer serves all of them, so memory stays flat."""
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
    engine = sha256()
    size = 0
    # Threat: a file that grows during the loop keeps this thread busy forever. Rule: read at most
    # one byte more than the size. That byte shows that the file has changed.
    # By offset, because a forked child shares the position in the file.
    while count := _read_at(file, view[: file.size + 1 - size], size):
        engine.update(view[:count])
        size += count
        if size > file.size:
            break
    if size == file.size:
        file.digest = engine.digest()
    else:
        file.failure = "changed while it was read"


def _read_at(file: LargeFile, view: memoryview, offset: int) -> int:
    """Read into memory from an offset of a file; return the number of bytes."""
    if _start.preadv is not None:
        return _start.preadv(file.descriptor, [view], offset)
    data = _start.pread(file.descriptor, len(view), offset)
    view[: len(data)] = data
    return len(data)
