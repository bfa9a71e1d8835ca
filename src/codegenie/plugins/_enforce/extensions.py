"""Extension modules, loaded from a private copy of the bytes that were hashed.

The dynamic linker opens files by path, so the file it opens must be one that nobody can exchange:
on Linux a sealed ``memfd``, elsewhere (and where ``memfd`` cannot be executed) a folder that only
this user can enter and that is removed once the module is loaded.

A library of the plugin's own tree that the module needs (``DT_NEEDED``, found by ``$ORIGIN``) is
loaded from sealed memory first. The GNU linker then takes the loaded library for it, because the
names match (glibc compares ``DT_SONAME``: ``_dl_map_object`` in ``elf/dl-load.c``), and never looks
at the disk. Where that cannot work (no ``DT_SONAME``, another C library) the folder mirrors them. A
library of the plugin folder that would be found in any other way (an absolute or relative search
path, ``LD_LIBRARY_PATH``, a name with a slash) is opened by path and never hashed: it is refused,
unless its ``DT_SONAME`` lets a sealed copy take its place.
"""

import _imp
import os
import posixpath
import sys
from _frozen_importlib import ModuleSpec

from codegenie import _start
from codegenie.plugins._enforce import refusal
from codegenie.plugins._enforce.elf import Dynamic, read_dynamic
from codegenie.plugins._enforce.loaders import VerifiedFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    from codegenie.plugins._enforce.cache import VerifiedTree

_MFD_EXEC = 0x0010
"""``memfd_create``: stay executable where ``vm.memfd_noexec`` is 1 (Linux 6.3)."""

_sealed_paths: dict[tuple[str, bytes], tuple[str, os.stat_result]] = {}
"""Path and digest of what was sealed to the path and status of the copy, while the process lives.

Kept, with its descriptor open, for two reasons: CPython knows a single-phase extension module by
the path it was loaded from, and ``dlopen`` takes a path it has seen for the library it loaded then,
so a descriptor number must never be used for a second library.
"""


class Needed:
    """A library that must be loaded first.

    ``relative`` is its path in the tree; empty for one that lies ``outside`` the plugin folder.
    ``by_path`` is set where the linker would open it by path if no sealed copy took its place.
    """

    __slots__ = ("by_path", "data", "dynamic", "outside", "relative")

    def __init__(
        self, relative: str, data: bytes, dynamic: Dynamic | None, *, by_path: bool, outside: str
    ) -> None:
        self.relative = relative
        self.data = data
        self.dynamic = dynamic
        self.by_path = by_path
        self.outside = outside


class Place:
    """Where the dynamic linker looks, or what it finds; and whether by ``$ORIGIN``."""

    __slots__ = ("by_origin", "path")

    def __init__(self, path: str, *, by_origin: bool) -> None:
        self.path = path
        self.by_origin = by_origin


class VerifiedExtensionLoader(VerifiedFileLoader):
    """Loads machine code from a private copy; ``__file__`` and the spec name the original."""

    __class__ = _start.registered_class("ExecutionLoader")

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        data = self._access.read(self._tree, self._relative, self.name)
        libraries = self._libraries(data)
        module = _create_sealed(spec, self._tree, self._relative, data, libraries)
        if module is None:
            for library in libraries:
                if library.by_path:
                    self._refuse_path(library.outside or self._tree.path_of(library.relative))
            module = _create_mirrored(spec, self._tree, self._relative, data, libraries)
        # A single-phase module has the copy's path here (_PyImport_LoadDynamicModuleWithSpec in
        # Python/importdl.c); importlib only fills in what is missing.
        module.__file__ = self.path
        return module

    def exec_module(self, module: "ModuleType") -> None:
        self._access.note_executed(module)
        _imp.exec_dynamic(module)

    def get_code(self, fullname: str) -> "CodeType | None":
        return None

    def get_source(self, fullname: str) -> str | None:
        return None

    def _libraries(self, data: bytes) -> list[Needed]:
        """The libraries that must be loaded first, each after those it needs itself.

        Raises:
            PluginImportRefused: the dynamic linker would open a file of the plugin folder by path.
        """
        ordered: list[Needed] = []
        seen: set[str] = set()

        def visit(relative: str, dynamic: Dynamic | None, inherited: list[Place]) -> None:
            if dynamic is None:
                return
            search = [*self._search(relative, dynamic.search), *inherited]
            for name in dynamic.needed:
                for found in self._find(name, search):
                    if found.path in seen:
                        continue
                    seen.add(found.path)
                    needed = self._needed(name, found)
                    if needed is not None:
                        if needed.relative:
                            visit(needed.relative, needed.dynamic, search)
                        ordered.append(needed)

        visit(self._relative, read_dynamic(data), _environment_search())
        return ordered

    def _search(self, relative: str, entries: list[str]) -> list[Place]:
        """The search path of an object of the tree, absolute."""
        origin = posixpath.dirname(self._tree.path_of(relative))
        places = []
        for entry in entries:
            expanded = entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin)
            if "$" in expanded:
                self._refuse_path(entry)  # $LIB, $PLATFORM: only the linker knows where that is
            places.append(Place(os.path.abspath(expanded), by_origin=expanded != entry))
        return places

    def _find(self, name: str, search: list[Place]) -> list[Place]:
        """The files that the dynamic linker may open for a name, as far as that is ours to care.

        More than one only where it chooses by the processor (``glibc-hwcaps``).
        """
        if "/" in name:
            return [Place(os.path.abspath(name), by_origin=False)]
        for folder in search:
            paths = [f"{folder.path}/{name}"]
            try:
                variants = sorted(os.listdir(f"{folder.path}/glibc-hwcaps"))
                paths.extend(f"{folder.path}/glibc-hwcaps/{v}/{name}" for v in variants)
            except OSError:
                pass  # the usual case: there is no such folder
            found = [
                Place(path, by_origin=folder.by_origin)
                for path in paths
                if os.path.lexists(path) or self._tree.relative(path) in self._tree.files
            ]
            if found:
                return found
        return []

    def _needed(self, name: str, found: Place) -> Needed | None:
        relative = self._tree.relative(os.path.normpath(found.path))
        if relative in self._tree.files:
            content = self._access.read(self._tree, relative, self.name)
            dynamic = read_dynamic(content)
            if found.by_origin or (dynamic is not None and dynamic.soname == name):
                by_path = not found.by_origin
                return Needed(relative, content, dynamic, by_path=by_path, outside="")
        elif not os.path.realpath(found.path).startswith(os.path.realpath(self._tree.root) + "/"):
            # Outside the plugin folder, as libc is. The linker finds it by itself, unless by
            # $ORIGIN, which for a copy in memory is somewhere else.
            if not found.by_origin:
                return None
            return Needed("", b"", None, by_path=False, outside=found.path)
        self._refuse_path(found.path)
        return None

    def _refuse_path(self, path: str) -> None:
        detail = (
            f"would be opened by path when {self._relative} is loaded; "
            "link it by $ORIGIN and inside the plugin"
        )
        refused = refusal.unhashable_tree(self._tree.root, self._tree.plugin, path, detail)
        self._access.refuse(refused, self.name)


def _environment_search() -> list[Place]:
    """The folders of ``LD_LIBRARY_PATH``: as it is, and as it was when the process started, which
    is what glibc goes by. It splits at semicolons too, and an empty entry is the working folder."""
    values = [os.environ.get("LD_LIBRARY_PATH", "")]
    try:
        with open("/proc/self/environ", "rb") as file:
            at_start = dict(item.partition(b"=")[::2] for item in file.read().split(b"\0"))
        values.append(os.fsdecode(at_start.get(b"LD_LIBRARY_PATH", b"")))
    except OSError:
        pass
    return [
        Place(os.path.abspath(entry), by_origin=False)
        for value in values
        if value
        for entry in value.replace(";", ":").split(":")
    ]


def _create_sealed(
    spec: ModuleSpec, tree: "VerifiedTree", relative: str, data: bytes, libraries: list[Needed]
) -> "ModuleType | None":
    """Load from sealed memory; ``None`` where that is not possible."""
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        return None
    if libraries and not _linker_matches_sonames(libraries):
        return None
    try:
        paths = [
            item.outside
            or _seal(tree.path_of(item.relative), tree.files[item.relative][0], item.data)
            for item in libraries
        ]
        path = _seal(tree.path_of(relative), tree.files[relative][0], data)
    except OSError:
        return None  # vm.memfd_noexec=2, a sandbox without memfd_create, no /proc
    if paths:
        try:
            from _ctypes import dlopen

            for library in paths:
                dlopen(library, os.RTLD_NOW | os.RTLD_LOCAL)
        except (ImportError, OSError):
            # No ctypes in an isolated sub-interpreter of 3.12; or libraries that need each other,
            # or symbols of the module, and so cannot be loaded one by one.
            return None
    return _create(spec, path, tree.path_of(relative))


def _linker_matches_sonames(libraries: list[Needed]) -> bool:
    try:
        glibc = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        glibc = None
    return bool(glibc) and all(
        item.outside
        or (item.dynamic is not None and item.dynamic.soname == posixpath.basename(item.relative))
        for item in libraries
    )


def _seal(path: str, digest: bytes, data: bytes) -> str:
    """Put ``data`` into memory that can no longer be changed; return a path that opens it.

    Raises:
        OSError: this kernel or sandbox does not allow it.
    """
    known = _sealed_paths.get((path, digest))
    if known is not None and _is_still(*known):
        return known[0]
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
            # Somebody closed a descriptor of ours (a daemon closes them all) and its number came
            # back: take the next number that never stood for another library.
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
    """Whether a path of a sealed copy still leads there. Its descriptor may have been closed (a
    daemon closes them all), and its number may be that of any file now."""
    try:
        now = _start.fstat(int(posixpath.basename(path)))
    except OSError:
        return False  # closed
    return (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[_start.write(descriptor, view) :]


def _create(spec: ModuleSpec, copy: str, original: str) -> "ModuleType":
    """Load the copy. An error of the linker names the file that a person can look for."""
    of_copy = ModuleSpec(spec.name, spec.loader, origin=copy)
    # Generated code (Cython) takes __package__ and __path__ from the spec that it is created by.
    of_copy.submodule_search_locations = spec.submodule_search_locations
    try:
        module: ModuleType = _imp.create_dynamic(of_copy)
    except ImportError as error:
        if error.path == copy:
            error.msg = error.msg.replace(copy, original)
            error.args = (error.msg,)
            error.path = original
        raise
    return module


def _create_mirrored(
    spec: ModuleSpec, tree: "VerifiedTree", relative: str, data: bytes, libraries: list[Needed]
) -> "ModuleType":
    """Load from a private folder in which the module and its libraries lie as in the tree.

    Whoever can write there can already write to this process's memory: the folder belongs to this
    user, nobody else may enter it, and its name is not known before.
    """
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="codegenie-guard-")
    try:
        for name, content in [
            (relative, data),
            *((item.relative, item.data) for item in libraries if item.relative),
        ]:
            path = os.path.join(folder, *name.split("/"))
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = _start.open_file(path, flags, 0o500)
            try:
                _write(descriptor, content)
            finally:
                _start.close(descriptor)
        origin = os.path.join(folder, *relative.split("/"))
        return _create(spec, origin, tree.path_of(relative))
    finally:
        # Loaded code stays mapped after its file is gone.
        shutil.rmtree(folder, ignore_errors=True)
