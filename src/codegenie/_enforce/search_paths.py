"""Find the folders that the dynamic linker searches, besides the search paths of objects.

In this order: the folders of ``LD_LIBRARY_PATH``, those of the linker's cache, the system's own.
"""

import os
import sys

from codegenie import _start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    IsGuarded = Callable[[str], object]

LINKER_CACHE = "/etc/ld.so.cache"

_MULTIARCH = getattr(sys.implementation, "_multiarch", "")

_SYSTEM_FOLDERS = (
    f"/lib/{_MULTIARCH}",
    f"/usr/lib/{_MULTIARCH}",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)
"""The folders that the linker searches last. Links there are not followed, because an attacker who
can write there needs no plugin."""


class LibraryNotFound(OSError):
    """A library that an attacker alone could provide is missing. ``ctypes`` raises an OSError."""


class SearchEntry:
    """A folder in which the linker looks, and whether it was found by ``$ORIGIN``."""

    __slots__ = ("by_origin", "path")

    def __init__(self, path: str, *, by_origin: bool) -> None:
        self.path = path
        self.by_origin = by_origin

    def path_of(self, name: str) -> str:
        """Return the file that a name means here. The entry of one with a slash is its folder."""
        return f"{self.path.rstrip('/')}/{os.path.basename(name)}"


def entries(is_guarded: "IsGuarded", roots: object) -> list[SearchEntry]:
    """Return where the linker looks for any name: the environment's folders first.

    Of the cache's folders, those that lead into the guarded folder; the others cannot do harm.

    Args:
        roots: the guarded folders, as far as they are known.
    """
    return _environment_entries() + _cached_entries(is_guarded, roots)


_program_entries: list[SearchEntry] = []
_is_program_read = False


def program_entries() -> list[SearchEntry]:
    """Return the ``RPATH`` of the program, which comes before ``LD_LIBRARY_PATH``.

    Conda's Python finds its own libraries by it. It matters only where a name would be looked for
    in the guarded folder as well.
    """
    global _is_program_read
    if not _is_program_read:
        from codegenie._enforce.elf import read_dynamic_of

        program = os.path.realpath(sys.executable)
        dynamic = read_dynamic_of(program)
        if dynamic is not None and not dynamic.has_runpath:
            _program_entries[:] = [
                SearchEntry(os.path.abspath(path), by_origin=False)
                for entry in dynamic.search
                for path in expansions(entry, os.path.dirname(program))
            ]
        _is_program_read = True
    return _program_entries


def _environment_entries() -> list[SearchEntry]:
    """Return the folders of ``LD_LIBRARY_PATH``.

    glibc uses the value that the process was started with. It splits at semicolons too, and an
    empty entry is the working folder.
    """
    values = {
        _start.LIBRARY_PATH,
        os.environb.get(b"LD_LIBRARY_PATH", b""),
        _as_the_kernel_gave_it(),
    }
    entries = (
        os.fsdecode(entry)
        for value in sorted(values)
        if value
        for entry in value.replace(b";", b":").split(b":")
    )
    return [
        SearchEntry(os.path.abspath(path), by_origin=False)
        for entry in entries
        for path in expansions(entry, os.path.dirname(os.path.realpath(sys.executable)))
    ]


_of_the_process: list[bytes] = []
"""The value that the kernel has given the process: one, or none yet."""


def _as_the_kernel_gave_it() -> bytes:
    """Return the value that the linker uses; an embedding program may have set the others."""
    if not _of_the_process:
        _of_the_process.append(_read_environment())
    return _of_the_process[0]


def _read_environment() -> bytes:
    try:
        with open("/proc/self/environ", "rb") as file:
            found = dict(item.partition(b"=")[::2] for item in file.read().split(b"\0"))
    except OSError:
        return b""
    return found.get(b"LD_LIBRARY_PATH", b"")


def expansions(text: str, origin: str) -> list[str]:
    """Return what the linker may make of ``$ORIGIN``, ``$LIB`` and ``$PLATFORM`` in a path.

    Only the linker knows the last two; these are the values that they have where Python runs.
    """
    if "$" not in text:
        return [text]
    for token in ("ORIGIN", "LIB", "PLATFORM"):
        text = text.replace(f"${{{token}}}", f"${token}")
    places = ["lib", "lib64", f"lib/{_MULTIARCH}"]
    platforms = [os.uname().machine, "haswell", "xeon_phi"]
    return [
        text.replace("$ORIGIN", origin).replace("$LIB", place).replace("$PLATFORM", platform)
        for place in (places if "$LIB" in text else places[:1])
        for platform in (platforms if "$PLATFORM" in text else platforms[:1])
    ]


def _read_linker_cache() -> bool:
    """Read the linker's cache again if it has changed; return True if there is one."""
    try:
        status = os.stat(LINKER_CACHE)
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if not _linker_cache or _linker_cache[0].identity != identity:
            with open(LINKER_CACHE, "rb") as file:
                _linker_cache[:] = [LinkerCache(identity, file.read())]
    except OSError:
        return False  # another C library, or a system without the cache
    return True


class LinkerCache:
    """The linker's cache: which file it opens for a name that is in no search path."""

    __slots__ = ("_data", "_into", "identity")

    def __init__(self, identity: tuple[int, ...], data: bytes) -> None:
        self.identity = identity
        self._data = data
        self._into: dict[object, list[str]] = {}

    def folders_in(self, roots: object, is_guarded: "IsGuarded") -> list[str]:
        """Return the folders of the cache that lead into a guarded folder: mostly none."""
        if roots not in self._into:
            # Split at the beginning of each path, because most of the strings are none.
            parts = self._data.split(b"\0/")[1:]
            below = {part.partition(b"\0")[0].rpartition(b"/")[0] for part in parts}
            folders = {os.fsdecode(b"/" + folder) for folder in below if folder}
            self._into[roots] = [
                folder
                for folder in sorted(folders.difference(_SYSTEM_FOLDERS))
                if is_guarded(f"{folder}/library")
            ]
        return self._into[roots]

    def path_of(self, name: str) -> str:
        """Return the file of a name; empty if the cache has none."""
        end = self._data.find(b"/" + os.fsencode(name) + b"\0")
        start = self._data.rfind(b"\0", 0, max(end, 0)) + 1
        return os.fsdecode(self._data[start : end + 1]) + name if end >= 0 else ""


_linker_cache: list[LinkerCache] = []
"""The linker's cache as it was read last: one, or none."""


def _cached_entries(is_guarded: "IsGuarded", roots: object) -> list[SearchEntry]:
    if not _read_linker_cache():
        return []
    folders = _linker_cache[0].folders_in(roots, is_guarded)
    return [SearchEntry(folder, by_origin=False) for folder in folders]


def system_path_of(name: str) -> str | None:
    """Return the file that the interpreter or the system has for a name without a slash."""
    cached = _linker_cache[0].path_of(name) if _read_linker_cache() else ""
    own = [entry.path_of(name) for entry in program_entries()]
    for path in (*own, cached, *(f"{folder}/{name}" for folder in _SYSTEM_FOLDERS)):
        if path and os.path.exists(path):
            return path
    return None


def not_found(name: str) -> LibraryNotFound:
    """Return what loading a library that does not exist raises, in the linker's words."""
    return LibraryNotFound(f"{name}: cannot open shared object file: No such file or directory")
