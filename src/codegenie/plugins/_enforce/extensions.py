"""Extension modules, loaded from a private copy of the bytes that were hashed.

The dynamic linker opens files by path, so the file it opens must be one that nobody can exchange:
on Linux sealed memory (``sealing``), elsewhere (and where memory cannot be executed) a folder that
only this user can enter and that is removed once the module is loaded.

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
from _frozen_importlib import ModuleSpec

from codegenie import _start
from codegenie.plugins._enforce import refusal
from codegenie.plugins._enforce.elf import Dynamic, read_dynamic
from codegenie.plugins._enforce.sealing import Copy, copy_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from codegenie.plugins._enforce.cache import VerifiedTree
    from codegenie.plugins._enforce.loaders import Access


class Needed:
    """A library that must be loaded first.

    ``relative`` is its path in the tree; empty for one that lies ``outside`` the plugin folder.
    ``by_path`` is set where the linker would open it by path if no sealed copy took its place.
    """

    __slots__ = ("by_path", "copy", "dynamic", "outside", "relative")

    def __init__(
        self, relative: str, copy: Copy, dynamic: Dynamic | None, *, by_path: bool, outside: str
    ) -> None:
        self.relative = relative
        self.copy = copy
        self.dynamic = dynamic
        self.by_path = by_path
        self.outside = outside


class Place:
    """Where the dynamic linker looks, or what it finds; and whether by ``$ORIGIN``."""

    __slots__ = ("by_origin", "path")

    def __init__(self, path: str, *, by_origin: bool) -> None:
        self.path = path
        self.by_origin = by_origin


def create_module(
    access: "Access", tree: "VerifiedTree", relative: str, spec: ModuleSpec
) -> "ModuleType":
    """The module of an extension file of a verified tree, made by a copy of the verified bytes.

    Raises:
        PluginImportRefused: the file changed, or the dynamic linker would open a file of the plugin
            folder by path.
        ImportError: what the dynamic linker says, with the path of the original.
    """
    copy = copy_of(access, tree, relative, spec.name)
    search = _Search(access, tree, relative, spec.name)
    libraries = search.libraries(copy)
    module = _create_sealed(spec, tree.path_of(relative), copy, libraries)
    if module is None:
        for library in libraries:
            if library.by_path:
                search.refuse_path(library.outside or tree.path_of(library.relative))
        module = _create_mirrored(spec, tree, relative, copy, libraries)
    # A single-phase module has the copy's path here (_PyImport_LoadDynamicModuleWithSpec in
    # Python/importdl.c); importlib only fills in what is missing.
    module.__file__ = tree.path_of(relative)
    return module


class _Search:
    """What the dynamic linker would look for, and find, on behalf of one extension module."""

    def __init__(self, access: "Access", tree: "VerifiedTree", relative: str, module: str) -> None:
        self._access = access
        self._tree = tree
        self._relative = relative
        self._module = module

    def libraries(self, copy: Copy) -> list[Needed]:
        """The libraries that must be loaded first, each after those it needs itself.

        Raises:
            PluginImportRefused: the dynamic linker would open a file of the plugin folder by path.
        """
        ordered: list[Needed] = []
        seen: set[str] = set()

        def visit(relative: str, dynamic: Dynamic | None, inherited: list[Place]) -> None:
            if dynamic is None:
                return
            search = [*self._places(relative, dynamic.search), *inherited]
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

        visit(self._relative, read_dynamic(copy.data), _environment_search())
        return ordered

    def refuse_path(self, path: str) -> None:
        """Refuse a module because the linker would open ``path``, which nobody has hashed."""
        detail = (
            f"would be opened by path when {self._relative} is loaded; "
            "link it by $ORIGIN and inside the plugin"
        )
        refused = refusal.unhashable_tree(self._tree.root, self._tree.plugin, path, detail)
        self._access.refuse(refused, self._module)

    def _places(self, relative: str, entries: list[str]) -> list[Place]:
        """The search path of an object of the tree, absolute."""
        origin = posixpath.dirname(self._tree.path_of(relative))
        places = []
        for entry in entries:
            expanded = entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin)
            if "$" in expanded:
                self.refuse_path(entry)  # $LIB, $PLATFORM: only the linker knows where that is
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
            copy = copy_of(self._access, self._tree, relative, self._module)
            dynamic = read_dynamic(copy.data)
            if found.by_origin or (dynamic is not None and dynamic.soname == name):
                by_path = not found.by_origin
                return Needed(relative, copy, dynamic, by_path=by_path, outside="")
        elif not os.path.realpath(found.path).startswith(os.path.realpath(self._tree.root) + "/"):
            # Outside the plugin folder, as libc is. The linker finds it by itself, unless by
            # $ORIGIN, which for a copy in memory is somewhere else.
            if not found.by_origin:
                return None
            return Needed("", Copy(b""), None, by_path=False, outside=found.path)
        self.refuse_path(found.path)
        return None


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
    spec: ModuleSpec, original: str, copy: Copy, libraries: list[Needed]
) -> "ModuleType | None":
    """Load from sealed memory; ``None`` where that is not possible."""
    paths = [item.outside or item.copy.path for item in libraries]
    if not copy.path or not all(paths):
        return None
    if libraries and not _linker_matches_sonames(libraries):
        return None
    if paths:
        try:
            from _ctypes import dlopen

            for library in paths:
                dlopen(library, os.RTLD_NOW | os.RTLD_LOCAL)
        except (ImportError, OSError):
            # No ctypes in an isolated sub-interpreter of 3.12; or libraries that need each other,
            # or symbols of the module, and so cannot be loaded one by one.
            return None
    return _create(spec, copy.path, original)


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


def _create(spec: ModuleSpec, copy: str, original: str) -> "ModuleType":
    """Load the copy. An error of the linker names the file that a person can look for."""
    try:
        module: ModuleType = _imp.create_dynamic(ModuleSpec(spec.name, spec.loader, origin=copy))
    except ImportError as error:
        if error.path == copy:
            error.msg = error.msg.replace(copy, original)
            error.args = (error.msg,)
            error.path = original
        raise
    return module


def _create_mirrored(
    spec: ModuleSpec, tree: "VerifiedTree", relative: str, copy: Copy, libraries: list[Needed]
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
            (relative, copy),
            *((item.relative, item.copy) for item in libraries if item.relative),
        ]:
            path = os.path.join(folder, *name.split("/"))
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = _start.open_file(path, flags, 0o500)
            try:
                view = memoryview(content.data)
                while view:
                    view = view[_start.write(descriptor, view) :]
            finally:
                _start.close(descriptor)
        origin = os.path.join(folder, *relative.split("/"))
        return _create(spec, origin, tree.path_of(relative))
    finally:
        # Loaded code stays mapped after its file is gone.
        shutil.rmtree(folder, ignore_errors=True)
