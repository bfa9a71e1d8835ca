"""Keep verified machine code in sealed memory or in a private folder, so it cannot be replaced.

The dynamic linker opens files by path, after any check. So the file that it opens must be a copy of
the bytes that were hashed: on Linux a sealed ``memfd``; elsewhere, and where such memory cannot be
executed, a file in a folder that only this user may enter and that is removed after loading.
"""

import _thread
import os
import posixpath
import sys

from codegenie import _start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MFD_EXEC = 0x0010
"""``memfd_create``: stay executable where ``vm.memfd_noexec`` is 1 (Linux 6.3)."""

_sealed_paths: dict[tuple[str, bytes], tuple[str, os.stat_result]] = {}
"""Path and digest of what was sealed to the path and status of the copy, while the process lives.

Kept, with its descriptor open, for two reasons: CPython knows a single-phase extension module by
the path it was loaded from, and ``dlopen`` takes a path it has seen for the library it loaded then,
so a descriptor number must never be used for a second library.
"""

one_at_a_time = _thread.RLock()
"""Held while a copy is made, or is given a name: threads that load one library get one copy."""


def _after_fork() -> None:
    """Free the lock in the child of a fork: the thread that held it did not come along."""
    if not one_at_a_time._is_owned():  # type: ignore[attr-defined]
        one_at_a_time._at_fork_reinit()  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def seal(path: str, digest: bytes, data: bytes) -> str:
    """Put ``data`` into memory that can no longer be changed; return a path that opens it.

    Raises:
        OSError: this kernel or sandbox does not allow it.
    """
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        raise OSError("there is no memory that can be sealed")
    import fcntl  # noqa: F401  # before the lock is taken: nothing is imported under it

    with one_at_a_time:
        known = _sealed_paths.get((path, digest))
        if known is not None and _is_still(*known):
            return known[0]
        return _make_sealed_copy(path, digest, data)


def _make_sealed_copy(path: str, digest: bytes, data: bytes) -> str:
    """Write the bytes to a new ``memfd``, seal it, and return its path.

    Threat: other code writes to the copy before or after the linker maps it. Rule: seal the copy
    against every change, also against further seals. Consequence: what is mapped stays as written.
    """
    import fcntl

    name = posixpath.basename(path)[:200]
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        descriptor = os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        descriptor = os.memfd_create(name, flags)  # before Linux 6.3 the flag is unknown
    try:
        _write(descriptor, data)
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE,
        )
        used = {path for path, _ in _sealed_paths.values()}
        if f"/proc/self/fd/{descriptor}" in used:
            # Other code has closed a sealed descriptor (a daemon closes them all), and its number
            # was reused. Take the next number that was never that of another library.
            highest = max(int(posixpath.basename(taken)) for taken in used)
            other = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, highest + 1)
            os.close(descriptor)
            descriptor = other
        sealed = f"/proc/self/fd/{descriptor}"
        if not os.path.exists(sealed):
            raise FileNotFoundError(2, "no /proc", sealed)
    except BaseException:
        os.close(descriptor)
        raise
    _sealed_paths[(path, digest)] = sealed, _start.fstat(descriptor)
    return sealed


def _is_still(path: str, status: os.stat_result) -> bool:
    """Return True if a path of a sealed copy still leads to that copy.

    Other code may have closed the descriptor (a daemon closes them all), so its number may be that
    of any file now.
    """
    try:
        now = _start.fstat(int(posixpath.basename(path)))
    except OSError:
        return False  # closed
    return (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[_start.write(descriptor, view) :]


class Mirror:
    """A private folder in which files are placed as in their tree, while it is entered.

    The folder belongs to this user, no other user may enter it, and its name is random. An attacker
    who can write there runs as this user, so could write to this process's memory. Loaded code
    stays mapped after its file is removed.
    """

    __slots__ = ("_files", "_folder")

    def __init__(self, files: "Iterable[tuple[str, bytes]]") -> None:
        self._files = files
        self._folder = ""

    def __enter__(self) -> "Mirror":
        import tempfile

        self._folder = tempfile.mkdtemp(prefix="codegenie-guard-")
        try:
            for name, content in self._files:
                self._add(self.path_of(name), content)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        import shutil

        shutil.rmtree(self._folder, ignore_errors=True)

    def path_of(self, name: str) -> str:
        return os.path.join(self._folder, *name.split("/"))

    def _add(self, path: str, content: bytes) -> None:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = _start.open_file(path, flags, 0o500)
        try:
            _write(descriptor, content)
        finally:
            _start.close(descriptor)
