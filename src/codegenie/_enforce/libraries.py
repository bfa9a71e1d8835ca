"""Libraries that the dynamic linker finds by itself: what a library needs, and bare names.

The linker looks for a name in search paths and opens what it finds, after any check. A search path
can lead into the guarded folder: by ``$ORIGIN``, by a path in the object, by ``LD_LIBRARY_PATH`` or
by the linker's cache. So for every such name this module finds the file that would be opened, holds
it to the lock, and loads a private copy of the verified bytes first (``private_copies``). The
linker then takes the loaded copy for the name and opens nothing, because

- the ``DT_SONAME`` of the copy is that name (``_dl_map_object`` in glibc's ``elf/dl-load.c``); or
- the copy's entry in the linker's list of loaded objects is given that name (``loaded_objects``).

A name that is in no search path outside the guarded folder either is reported as missing, as the
linker would, because an attacker could add the file between the check and the opening.

The ``RPATH`` of an extension module from outside is followed only where ``LD_LIBRARY_PATH`` is set.
"""

import os
import posixpath
import stat

from codegenie._enforce import private_copies, search_paths
from codegenie._enforce.elf import Dynamic, read_dynamic, read_dynamic_of
from codegenie._enforce.loaded_objects import LoadedObject, mapping_of
from codegenie._enforce.search_paths import LibraryNotFound, SearchEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codegenie._enforce.enforcer import Enforcer
    from codegenie._start.finder import GuardFinder
    from codegenie.integrity.verified_tree import VerifiedTree


class NotBound(Exception):
    """A copy cannot be loaded so that the linker takes it for the name."""


class RequiredLibrary:
    """A library that must be loaded before the linker looks for ``name``.

    ``tree`` and ``relative`` say which verified file it is. For one ``outside`` the guarded folder,
    which is loaded by its path, both are empty. ``by_path`` is set where the linker would open a
    file of the guarded folder by a path, also if the object that needs it is a copy.
    """

    __slots__ = ("by_path", "data", "dynamic", "name", "outside", "relative", "tree")

    def __init__(
        self,
        name: str,
        *,
        tree: "VerifiedTree | None" = None,
        relative: str = "",
        data: bytes = b"",
        dynamic: Dynamic | None,
        outside: str = "",
        by_path: bool = False,
    ) -> None:
        self.name = name
        self.tree = tree
        self.relative = relative
        self.data = data
        self.dynamic = dynamic
        self.outside = outside
        self.by_path = by_path

    def has_its_name(self) -> bool:
        """Return True if the linker takes the loaded library for ``name`` by itself."""
        return self.dynamic is not None and self.dynamic.soname == self.name

    def original(self) -> str:
        """Return the path of the file that it is a copy of."""
        return self.outside if self.tree is None else self.tree.path_of(self.relative)

    def digest(self) -> bytes:
        return b"" if self.tree is None else self.tree.files[self.relative][0]

    def copy(self) -> str:
        """Return a path that the linker can open, to a file that cannot be replaced.

        Raises:
            OSError: this kernel or sandbox has no memory that can be sealed.
        """
        if self.tree is None:
            return self.outside
        return private_copies.seal(self.original(), self.digest(), self.data)

    def place_in_mirror(self) -> str:
        return "" if self.tree is None else f"{self.tree.plugin}/{self.relative}"


class LibrarySearch:
    """Follows what an object needs, as the linker would, and collects what must be loaded first."""

    def __init__(
        self,
        guard: "GuardFinder",
        module: str,
        loading: str,
    ) -> None:
        """
        Args:
            guard: asked which guarded folder a path leads into.
            module: the name that refusals report.
            loading: what is being loaded, in words for a person.
        """
        self.ordered: list[RequiredLibrary] = []
        """Each after those that it needs itself."""
        self._guard = guard
        self._is_guarded = guard.claim_at
        self._module = module
        self._loading = loading
        self._seen: set[str] = set()
        self._environment = search_paths.entries(guard.claim_at, guard.roots())

    def follow(
        self,
        path: str,
        dynamic: Dynamic | None,
        inherited: "Sequence[SearchEntry]" = (),
        *,
        is_copy: bool,
    ) -> None:
        """Collect what an object needs.

        Args:
            path: the object's own path, which ``$ORIGIN`` is taken from.
            is_copy: whether a private copy is loaded, for which ``$ORIGIN`` is somewhere else.

        Raises:
            PluginImportRefused: the linker would open a file that is not verified, or by a path.
            LibraryNotFound: a library that only an attacker could provide is missing.
        """
        if dynamic is None:
            return
        own = self._entries_of(path, dynamic.search, is_copy=is_copy)
        for name in dynamic.needed:
            order = self._order(own, inherited, has_runpath=dynamic.has_runpath, is_copy=is_copy)
            library = self.find(name, order, is_copy=is_copy)
            if library is not None:
                self._collect(library, [*own, *inherited])

    def add(self, name: str) -> bool:
        """Collect the libraries that a name without a slash means; return True if there are any.

        Raises:
            As ``follow``.
        """
        library = self.find(name, self._environment, is_copy=False, is_asked_for=True)
        if library is None:
            return False
        self._collect(library, [])
        return True

    def _order(
        self,
        own: "Sequence[SearchEntry]",
        inherited: "Sequence[SearchEntry]",
        *,
        has_runpath: bool,
        is_copy: bool,
    ) -> "list[SearchEntry]":
        """Return the places that the linker searches for the libraries of an object, in its order.

        For a copy, the folder of the original comes first, because libraries from there are loaded
        before the copy, by their names.
        """
        if is_copy:
            return [*own, *inherited, *self._environment]
        if has_runpath:
            return [*self._environment, *own]
        program = search_paths.program_entries() if self._environment else ()
        return [*own, *inherited, *program, *self._environment]

    def refuse_what_is_there(self, dynamic: Dynamic | None) -> None:
        """Refuse an object for which a library is in the guarded folder, verified or not.

        Raises:
            LibraryNotFound: nothing can be loaded before it.
        """
        for name in dynamic.needed if dynamic is not None else ():
            for entry in self._environment:
                path = entry.path_of(name)
                if self._is_guarded(path) and os.path.lexists(path):
                    raise LibraryNotFound(f"{path} is not opened: take its folder off the path")

    def refuse_what_only_copies_close(self) -> None:
        """Refuse where the linker opens libraries by name, and a search path is not safe for that.

        Raises:
            PluginImportRefused: in audit mode it is reported only.
        """
        for library in self.ordered:
            if library.by_path:
                self.refuse_path(library.original())
        for entry in self._environment if self.ordered else ():
            if self._is_guarded(f"{entry.path}/library"):
                self.refuse_path(f"{entry.path}/{self.ordered[0].name}")

    def _collect(self, library: RequiredLibrary, search: "Sequence[SearchEntry]") -> None:
        path = library.original()
        if path in self._seen:
            return
        self._seen.add(path)
        self.follow(path, library.dynamic, search, is_copy=library.tree is not None)
        self.ordered.append(library)

    def _entries_of(
        self, path: str, entries: "Sequence[str]", *, is_copy: bool
    ) -> list[SearchEntry]:
        """Return the search path of an object, absolute."""
        origin = posixpath.dirname(path)
        places = []
        for entry in entries:
            expanded = entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin)
            if "$" in expanded:
                if is_copy:
                    self.refuse_path(entry)  # $LIB, $PLATFORM: only the linker knows where that is
                continue
            by_origin = expanded != entry and is_copy
            places.append(SearchEntry(os.path.abspath(expanded), by_origin=by_origin))
        return places

    def find(
        self,
        name: str,
        search: "Sequence[SearchEntry]",
        *,
        is_copy: bool,
        is_asked_for: bool = False,
    ) -> RequiredLibrary | None:
        """Return what must be loaded before the linker looks for ``name``; ``None`` for nothing.

        Args:
            is_asked_for: whether the application names it, and not another library.
        """
        if "/" in name:
            search = [SearchEntry(os.path.abspath(posixpath.dirname(name)), by_origin=False)]
        guarded = [entry for entry in search if self._is_guarded(entry.path_of(name))]
        if guarded and _is_loaded(name, guarded):
            return None
        exposed = False
        for entry in search:
            path = entry.path_of(name)
            if entry in guarded:
                if os.path.lexists(path):
                    return self._in_guarded_folder(name, entry, is_asked_for=is_asked_for)
                for variant in _variants(entry.path, name):
                    self.refuse_path(variant)  # the linker chooses by the processor
                # An attacker could add it before the linker looks.
                exposed = exposed or not (entry.by_origin and is_copy)
            elif os.path.lexists(path):
                by_itself = not exposed and not (entry.by_origin and is_copy)
                return None if by_itself else _outside(name, path)
        return _of_the_system(name) if exposed else None

    def _unit_of_path(self, path: str) -> tuple[str, str] | None:
        # Not loaded before something may be of the guarded folder.
        from codegenie._enforce import strict

        return strict.unit_of_path(self._enforcer(path), path)

    def _enforcer(self, path: str) -> "Enforcer":
        """Return the enforcer of the folder that a path leads into; of the first one by default."""
        return (self._guard.claim_at(path) or self._guard.claims[0]).enforcer()

    def _in_guarded_folder(
        self, name: str, entry: SearchEntry, *, is_asked_for: bool
    ) -> RequiredLibrary | None:
        """Return a library of the guarded folder with its verified bytes.

        Returns:
            None if no root is known, or if audit mode has reported the library.

        Raises:
            PluginImportRefused: it does not pass, or only the linker could find it, by a path.
        """
        from codegenie._enforce import strict

        path = entry.path_of(name)
        enforcer = self._enforcer(path)
        place = self._unit_of_path(path)
        if place is None:
            return None  # no root is known, and this is not a folder with a lock
        plugin, relative = place
        data = strict._verified(enforcer, plugin, relative, path, self._module)
        tree = enforcer.verified.get(plugin)
        if data is None or tree is None:
            return None  # audit mode has reported it, and lets the linker open it
        library = RequiredLibrary(
            name,
            tree=tree,
            relative=relative,
            data=data,
            dynamic=read_dynamic(data),
            by_path=not entry.by_origin,
        )
        if library.by_path and not library.has_its_name() and not is_asked_for:
            self.refuse_path(path, plugin)
            return None
        return library

    def refuse_path(self, path: str, plugin: str | None = None) -> None:
        """Refuse that the linker opens a file of the guarded folder by a path.

        Raises:
            PluginImportRefused: in audit mode it is reported only.
        """
        from codegenie.refusals import kinds

        enforcer = self._enforcer(path)
        if plugin is None:
            place = self._unit_of_path(path)
            plugin = place[0] if place is not None else self._loading.partition("/")[0]
        root = enforcer.settings.root if enforcer.settings is not None else ""
        detail = (
            f"would be opened by path when {self._loading} is loaded; "
            "link it by $ORIGIN and inside the plugin"
        )
        enforcer.refuse(
            kinds.UNHASHABLE_TREE.refusal(root, plugin, offending_path=path, detail=detail),
            self._module,
        )


def _variants(folder: str, name: str) -> "Iterator[str]":
    """Yield the files of a library that are only for some processors."""
    try:
        found = sorted(os.listdir(f"{folder}/glibc-hwcaps"))
    except OSError:
        return  # the usual case: there is no such folder
    for variant in found:
        path = f"{folder}/glibc-hwcaps/{variant}/{name}"
        if os.path.lexists(path):
            yield path


def _outside(name: str, path: str) -> RequiredLibrary:
    return RequiredLibrary(name, outside=path, dynamic=read_dynamic_of(path))


def _of_the_system(name: str) -> RequiredLibrary:
    """Return the system's library of a name that would be looked for in the guarded folder first.

    Raises:
        LibraryNotFound: there is none, in the linker's words.
    """
    path = None if "/" in name else search_paths.system_path_of(name)
    if path is None:
        raise search_paths.not_found(name)
    return _outside(name, path)


# --- loading -------------------------------------------------------------------------------------


def _is_loaded(name: str, places: "Sequence[SearchEntry]") -> bool:
    """Return True if the linker would take a loaded library for ``name``, and open nothing.

    The linker is only asked where no entry can make it wait: it opens what it finds to compare.
    """
    for entry in places:
        try:
            if not stat.S_ISREG(os.stat(entry.path_of(name)).st_mode):
                return False
        except (OSError, ValueError):
            continue
    return "/" not in name and _loaded_as(name) is not None


def _loaded_as(name: str) -> int | None:
    """Return the handle of the loaded library that the linker takes for ``name``.

    The handle is kept: a library that was found loaded must stay so until it is needed.
    """
    try:
        from _ctypes import dlopen

        handle: int = dlopen(name, os.RTLD_NOLOAD)
    except (ImportError, OSError, AttributeError):
        return None
    return handle


def can_bind() -> bool:
    """Return True if the linker can be made to take a copy for a path or a name: with glibc."""
    try:
        import _ctypes  # noqa: F401  # not in an isolated sub-interpreter of 3.12

        return bool(os.confstr("CS_GNU_LIBC_VERSION")) and os.access("/proc/self/mem", os.W_OK)
    except (ImportError, ValueError, OSError):
        return False


def load_all(libraries: "Sequence[RequiredLibrary]") -> None:
    """Load copies in order, so that the linker takes each of them for its name.

    Raises:
        NotBound: this is not possible here, or they cannot be loaded one by one.
    """
    if not libraries:
        return
    try:
        from _ctypes import dlopen

        if not os.confstr("CS_GNU_LIBC_VERSION"):
            raise NotBound("another C library")
        copies = [library.copy() for library in libraries]
        for library, copy in zip(libraries, copies, strict=True):
            handle = dlopen(copy, os.RTLD_NOW | os.RTLD_LOCAL)
            if not library.has_its_name():
                bind(handle, copy, library.name)
    except (ImportError, OSError, ValueError, AttributeError) as error:
        # No ctypes in an isolated sub-interpreter of 3.12; no memory that can be executed; or
        # libraries that need each other, or symbols of the object, and cannot be loaded one by one.
        raise NotBound(str(error)) from error


def bind(handle: int, copy: str, name: str) -> None:
    """Have the linker take a loaded copy for ``name``, and for the names that it had before.

    Raises:
        OSError: the linker's list cannot be changed, or is not what is expected.
    """
    import ctypes  # noqa: F401  # before the lock is taken: nothing is imported under it

    with private_copies.one_at_a_time, LoadedObject(handle) as loaded:
        loaded.give_name(os.fsencode(copy), os.fsencode(name))
    if _loaded_as(name) != handle:
        raise OSError(f"{name} is loaded from the disk already, where it could be exchanged")


def is_copy_loaded_as(name: str) -> bool:
    """Return True if the linker takes a sealed copy for ``name``, also another interpreter's.

    The interpreters of a process share the linker's list. A second copy of a library would come
    after the first in it, and would have variables of its own.
    """
    handle = _loaded_as(name)
    try:
        return handle is not None and "/memfd:" in mapping_of(handle)
    except OSError:
        return False
