"""Verified bytes of machine code, in memory that nobody can change.

The dynamic linker opens files by path, so what it opens must be a file that cannot be exchanged. On
Linux that is a ``memfd``: the file is copied into it by the kernel, the copy is sealed, and only
then hashed and compared. What was hashed is what the linker maps, whatever happens to the file.
"""

import os
import posixpath
import stat
import sys

from codegenie import _start
from codegenie.files import OPEN_FLAGS
from codegenie.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap

    from codegenie.plugins._enforce.cache import VerifiedTree
    from codegenie.plugins._enforce.loaders import Access

_MFD_EXEC = 0x0010
"""``memfd_create``: stay executable where ``vm.memfd_noexec`` is 1 (Linux 6.3)."""

_CHUNK = 1024 * 1024

_sealed_paths: dict[tuple[str, bytes], str] = {}
"""Path and digest of what was sealed to the path of the sealed copy, for the life of the process.

Kept, with its descriptor open, for two reasons: CPython knows a single-phase extension module by
the path it was loaded from, and ``dlopen`` takes a path it has seen for the library it loaded then,
so a descriptor number must never be used for a second library.
"""


class Copy:
    """The verified bytes of a file. ``path`` opens sealed memory that holds them; it is empty where
    there is none."""

    __slots__ = ("data", "path")

    def __init__(self, data: "bytes | mmap.mmap", path: str = "") -> None:
        self.data = data
        self.path = path


def copy_of(access: "Access", tree: "VerifiedTree", relative: str, module: str) -> Copy:
    """A copy of one file of a verified tree, in sealed memory where that is possible.

    Raises:
        PluginImportRefused: the file is not what was verified.
    """
    original = tree.path_of(relative)
    known = _sealed_paths.get((original, tree.files[relative][0]))
    if known is not None and os.path.exists(known):
        return Copy(access.read(tree, relative, module), known)
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        try:
            sealed = _sealed(original, *tree.files[relative])
        except (ImportError, OSError, ValueError):
            sealed = None  # vm.memfd_noexec=2, a sandbox without memfd_create, no /proc, no file
        if sealed is not None:
            return sealed
    # Whatever was in the way: this says it, or has the bytes.
    return Copy(access.read(tree, relative, module))


def _sealed(original: str, digest: bytes, size: int) -> Copy | None:
    """A sealed copy of a file; ``None`` if the file is not what was verified.

    Raises:
        OSError: this kernel or sandbox does not allow it, or the file cannot be read.
        ValueError: the file is empty, and cannot be mapped.
    """
    import fcntl
    import mmap

    source = _start.open_file(original, OPEN_FLAGS)
    try:
        if not stat.S_ISREG(_start.fstat(source).st_mode):
            return None
        memory = _memory(posixpath.basename(original)[:200])
        try:
            _fill(memory, source, size)
            fcntl.fcntl(
                memory,
                fcntl.F_ADD_SEALS,
                fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE,
            )
            data = mmap.mmap(memory, size, prot=mmap.PROT_READ)
            found = sha256(b"")
            found.update(data)
            if found.digest() != digest:
                _start.close(memory)
                return None
            memory = _numbered_anew(memory)
            path = f"/proc/self/fd/{memory}"
            os.stat(path)  # there may be no /proc
        except BaseException:
            _start.close(memory)
            raise
    finally:
        _start.close(source)
    _sealed_paths[(original, digest)] = path
    return Copy(data, path)


def _memory(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create(name, flags)  # before Linux 6.3 the flag is unknown


def _fill(memory: int, source: int, size: int) -> None:
    """Copy up to ``size`` bytes, by the kernel where the file system lets it."""
    done = 0
    while done < size:
        try:
            count = os.sendfile(memory, source, done, size - done)
        except OSError:
            count = _start.write(memory, _start.pread(source, min(size - done, _CHUNK), done))
        if not count:
            break  # it is shorter now: its digest will tell
        done += count


def _numbered_anew(memory: int) -> int:
    """The memory by a descriptor whose number never stood for another library."""
    import fcntl

    used = {int(posixpath.basename(path)) for path in _sealed_paths.values()}
    if memory not in used:
        return memory
    # Somebody closed a descriptor of ours (a daemon closes them all) and its number came back.
    other = fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, max(used) + 1)
    _start.close(memory)
    return other
