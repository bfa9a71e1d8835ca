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
unless its ``DT_SONAME`` lets the sealed copy take its place.
"""

import _imp
import os
import posixpath
import sys
from importlib.machinery import ModuleSpec

from codegenie.plugins._enforce import refusal
from codegenie.plugins._enforce.elf import Dynamic, read_dynamic
from codegenie.plugins._enforce.loaders import VerifiedFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    from codegenie.plugins._enforce.cache import VerifiedTree

_MFD_EXEC = 0x0010
"""``memfd_create``: stay executable where ``vm.memfd_noexec`` is 1 (Linux 6.3)."""

_sealed_paths: dict[tuple[str, bytes], str] = {}
"""Path and digest of what was sealed to the path of the sealed copy, for the life of the process.

Kept, with its descriptor open, for two reasons: CPython knows a single-phase extension module by
the path it was loaded from, and ``dlopen`` takes a path it has seen for the library it loaded then,
so a descriptor number must never be used for a second library.
"""


class Needed:
    """A library of the tree: its path there, its bytes, what it needs in turn.

    Or, with an empty ``relative``, one that lies ``outside`` the plugin folder.
    """

    __slots__ = ("data", "dynamic", "outside", "relative")

    def __init__(
        self, relative: str, data: bytes, dynamic: Dynamic | None, outside: str = ""
    ) -> None:
        self.relative = relative
        self.data = data
        self.dynamic = dynamic
        self.outside = outside


class VerifiedExtensionLoader(VerifiedFileLoader):
    """Loads machine code from a private copy; ``__file__`` and the spec name the original."""

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        data = self._access.read(self._tree, self._relative, self.name)
        libraries = self._libraries(data)
        module = _create_sealed(spec, self._tree, self._relative, data, libraries)
        if module is None:
            module = _create_mirrored(spec, self._relative, data, libraries)
        # A single-phase module has the copy's path here (_PyImport_LoadDynamicModuleWithSpec in
        # Python/importdl.c); importlib only fills in what is missing.
        module.__file__ = self.path
        return module

    def exec_module(self, module: "ModuleType") -> None:
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

        def visit(relative: str, dynamic: Dynamic | None, inherited: list[_Folder]) -> None:
            if dynamic is None:
                return
            origin = posixpath.dirname(self._tree.path_of(relative))
            search = [*_folders(origin, dynamic.search), *inherited]
            for name in dynamic.needed:
                found = self._find(name, search)
                if found is None or found.path in seen:
                    continue
                seen.add(found.path)
                needed = self._needed(name, found)
                if needed is not None:
                    if needed.relative:
                        visit(needed.relative, needed.dynamic, search)
                    ordered.append(needed)

        linker = os.environ.get("LD_LIBRARY_PATH", "").split(":")
        visit(self._relative, read_dynamic(data), [_Folder(f, False) for f in linker if f])
        return ordered

    def _find(self, name: str, search: "list[_Folder]") -> "_Folder | None":
        """The file that the dynamic linker would open, as far as that is ours to care."""
        if "/" in name:
            return _Folder(os.path.abspath(name), False)
        for folder in search:
            path = f"{folder.path}/{name}"
            if os.path.lexists(path) or self._tree.relative(path) in self._tree.files:
                return _Folder(path, folder.by_origin)
        return None

    def _needed(self, name: str, found: "_Folder") -> "Needed | None":
        relative = self._tree.relative(os.path.normpath(found.path))
        if relative in self._tree.files:
            content = self._access.read(self._tree, relative, self.name)
            dynamic = read_dynamic(content)
            if found.by_origin or (dynamic is not None and dynamic.soname == name):
                return Needed(relative, content, dynamic)
        elif not os.path.realpath(found.path).startswith(os.path.realpath(self._tree.root) + "/"):
            # Outside the plugin folder, as libc is. The linker finds it by itself, unless by
            # $ORIGIN, which for a copy in memory is somewhere else.
            return Needed("", b"", None, found.path) if found.by_origin else None
        self._access.refuse(
            refusal.unhashable_tree(
                self._tree.root,
                self._tree.plugin,
                found.path,
                f"would be opened by path when {self._relative} is loaded; "
                "link it by $ORIGIN and inside the plugin",
            ),
            self.name,
        )
        return None


class _Folder:
    """A place where the dynamic linker looks, and whether that is relative to the module."""

    __slots__ = ("by_origin", "path")

    def __init__(self, path: str, by_origin: bool) -> None:
        self.path = path
        self.by_origin = by_origin


def _folders(origin: str, search: list[str]) -> list[_Folder]:
    """A search path, absolute. ``origin`` is the folder of the object that has it."""
    found = []
    for entry in search:
        expanded = entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin)
        found.append(_Folder(os.path.abspath(expanded), expanded != entry))
    return found


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
        except ImportError:
            return None  # not in an isolated sub-interpreter of 3.12
        for library in paths:
            dlopen(library, os.RTLD_NOW | os.RTLD_LOCAL)
    module: ModuleType = _imp.create_dynamic(ModuleSpec(spec.name, spec.loader, origin=path))
    return module


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
    if known is not None and os.path.exists(known):
        return known
    import fcntl

    name = posixpath.basename(path)[:200]
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        descriptor = os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        descriptor = os.memfd_create(name, flags)  # before Linux 6.3 the flag is unknown
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE,
        )
        used = set(_sealed_paths.values())
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
    _sealed_paths[(path, digest)] = sealed
    return sealed


def _create_mirrored(
    spec: ModuleSpec, relative: str, data: bytes, libraries: list[Needed]
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
            with open(os.open(path, flags, 0o500), "wb") as file:
                file.write(content)
        origin = os.path.join(folder, *relative.split("/"))
        module: ModuleType = _imp.create_dynamic(ModuleSpec(spec.name, spec.loader, origin=origin))
        return module
    finally:
        # Loaded code stays mapped after its file is gone.
        shutil.rmtree(folder, ignore_errors=True)
