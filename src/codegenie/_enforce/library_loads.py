"""Libraries that are opened by ``ctypes`` or ``sqlite3``, and what extension modules need.

The audit hook calls this before the dynamic linker opens anything. Nothing of the enforcer is
loaded unless a path, or a search path, leads into the guarded folder.

A library of the guarded folder is opened by its path, after the check. So a private copy of the
verified bytes is loaded first, and the linker is made to take it for that path (``libraries``).
"""

import os
import sys

from codegenie._enforce import search_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from codegenie._enforce.enforcer import Enforcer
    from codegenie._enforce.libraries import LibrarySearch, RequiredLibrary
    from codegenie._start.finder import Claim, GuardFinder

_ENDINGS = {"ctypes.dlopen": ("",), "sqlite3.load_extension": ("", ".so")}
"""The suffixes that are tried after a name, in this order, by event."""


def check(finder: "GuardFinder", name: str, event: str) -> None:
    """Hold a library to the lock that ``ctypes`` or ``sqlite3`` is about to open.

    Raises:
        PluginImportRefused: it, or what it needs, is of the guarded folder and is not verified.
        OSError, sqlite3.OperationalError: there is no such file in the guarded folder.
    """
    try:
        if "/" in name:
            _check_path(finder, name, _ENDINGS[event])
        else:
            _check_name(finder, name, _ENDINGS[event])
    except OSError as error:
        # As the module says it itself.
        kind = OSError if event == "ctypes.dlopen" else sys.modules["_sqlite3"].OperationalError
        raise kind(str(error)) from None


def check_extension(finder: "GuardFinder", path: str, module: str) -> None:
    """Hold what an extension module from outside the guarded folder needs to the lock.

    Raises:
        PluginImportRefused: the linker would open a file of the folder that is not verified.
        ImportError: it needs a library that only an attacker could provide.
    """
    try:
        if module == "_ctypes":
            from codegenie._enforce.elf import read_dynamic_of

            # By which copies are loaded, so none can be loaded before it.
            _search(finder, path).refuse_what_is_there(read_dynamic_of(path))
        else:
            _check_needs(finder, path)
    except OSError as error:
        raise ImportError(str(error), name=module, path=path) from error


def load_module_copy(enforcer: "Enforcer", path: str, module: str) -> bool:
    """Load a verified copy of an extension module that the linker is about to open by its path.

    ``ExtensionFileLoader`` passes the path to the linker, which then takes the loaded copy for it.

    Returns:
        False if the linker cannot be made to do so, for example without glibc. Nothing is loaded
        then.

    Raises:
        PluginImportRefused: the module, or a library that it needs, is not verified.
        ImportError: the linker cannot load it, as without the guard.
    """
    from codegenie._enforce import libraries

    if not libraries.can_bind():
        return False
    # As _PyImport_FindSharedFuncptr (Python/dynload_shlib.c) names it.
    name = path if "/" in path else f"./{path}"
    try:
        _open_from_the_folder(
            enforcer,
            name,
            [path],
        )
    except OSError as error:
        raise ImportError(str(error), name=module, path=path) from error
    return True


def _check_path(finder: "GuardFinder", name: str, endings: "Sequence[str]") -> None:
    """Check a library that is named by a path.

    The linker expands ``$LIB`` and ``$PLATFORM``, and only the linker knows their values. If one of
    the possible paths is in a guarded folder, the library is refused, because the guard cannot
    verify a path that it cannot compute.

    Args:
        endings: suffixes that the caller tries in turn: SQLite appends ``.so``.
    """
    paths = [name + ending for ending in endings]
    claim = _first_claim(finder, paths)
    if claim is not None:
        _open_from_the_folder(claim.enforcer(), name, paths)
        return
    claim = _first_claim(finder, _expansions(name)) if "$" in name else None
    if claim is not None:
        from codegenie.refusals import kinds

        enforcer = claim.enforcer()
        detail = "only the dynamic linker can expand $LIB and $PLATFORM in its name"
        fix = "name the library by its whole path"
        refused = kinds.unverified_code(None, name, detail, remedy=fix, package=enforcer.subject)
        enforcer.refuse(refused, name)
    else:
        for path in paths:
            _check_needs(finder, path)


def _first_claim(finder: "GuardFinder", paths: "Sequence[str]") -> "Claim | None":
    """Return the claim of the guarded folder that the first of these paths is in, if one is."""
    return next(filter(None, map(finder.claim_at, paths)), None)


def _expansions(name: str) -> "Sequence[str]":
    caller = sys.modules.get("_ctypes")
    origin = os.path.dirname(getattr(caller, "__file__", None) or sys.executable)
    return list(search_paths.expansions(name, origin))


def _check_name(finder: "GuardFinder", name: str, endings: "Sequence[str]") -> None:
    """Check a name without a slash, for which the linker searches its paths."""
    entries = search_paths.entries(finder.claim_at, finder.roots())
    names = [name + ending for ending in endings]
    if not any(finder.claim_at(entry.path_of(name)) for entry in entries for name in names):
        return  # as nearly always
    for candidate in names:
        search = _search(finder, name)
        try:
            search.add(candidate)
        except OSError:
            if candidate != names[-1]:
                continue
            raise
        if search.ordered:
            search.ordered[-1].name = name
            _load(search)
        return


def _check_needs(finder: "GuardFinder", path: str) -> None:
    """Check what a library from outside the guarded folder needs."""
    from codegenie._enforce.elf import read_dynamic_of

    dynamic = read_dynamic_of(path)
    search = _search(finder, path)
    search.follow(os.path.abspath(path), dynamic, is_copy=False)
    if search.ordered:
        _load(search)


def _search(finder: "GuardFinder", name: str) -> "LibrarySearch":
    from codegenie._enforce.libraries import LibrarySearch

    return LibrarySearch(finder, name, os.path.basename(name))


def _load(search: "LibrarySearch") -> None:
    """Load verified copies of libraries.

    If the linker cannot be given copies, refuse each library that it would open by a path.
    """
    from codegenie._enforce import libraries

    try:
        libraries.load_all(search.ordered)
    except libraries.NotBound:
        search.refuse_what_only_copies_close()


def _open_from_the_folder(enforcer: "Enforcer", name: str, paths: "Sequence[str]") -> None:
    """Load a verified copy of a library of the folder before the linker opens its path.

    Threat: an attacker replaces the file between a check and the linker's own ``open``. Rule: the
    linker finds the library loaded already, from verified bytes. Consequence: it opens nothing.

    Raises:
        PluginImportRefused: the file does not pass.
        OSError: the file does not exist, or is no library.
    """
    from codegenie._enforce import libraries, strict
    from codegenie._enforce.elf import read_dynamic

    path = next(filter(os.path.lexists, paths), None)
    if path is None:
        # An attacker could add it before the linker looks.
        raise search_paths.not_found(name)
    place = strict.unit_of_path(enforcer, path)
    if place is None:
        return  # no root is known, and this is not a folder with a lock
    plugin, relative = place
    data = strict._verified(enforcer, plugin, relative, path, path, opened_as=path)
    tree = enforcer.verified.get(plugin)
    if data is None or tree is None:
        return  # audit mode has reported it
    dynamic = read_dynamic(data)
    if dynamic is None:
        raise OSError(f"{name}: invalid ELF header")
    search = _search(enforcer.guard, path)
    search.follow(tree.path_of(relative), dynamic, is_copy=True)
    library = libraries.RequiredLibrary(
        name, tree=tree, relative=relative, data=data, dynamic=dynamic
    )
    if libraries.can_bind():
        _load_as(search, library)
    else:
        _load(search)


_loaded: dict[tuple[str, bytes], tuple[int, str]] = {}
"""The handle and the path of each loaded copy, by the original's path and digest.

A second copy would be a second library, with variables of its own.
"""


def _load_as(search: "LibrarySearch", library: "RequiredLibrary") -> None:
    """Load a copy so that the linker takes it for the path that it is about to open.

    Raises:
        OSError: it cannot be loaded, as without the guard.
    """
    from codegenie._enforce import libraries

    key = library.original(), library.digest()
    if key not in _loaded:
        if libraries.is_copy_loaded_as(library.name):
            return
        try:
            libraries.load_all(search.ordered)
            copy = library.copy()
        except (libraries.NotBound, OSError):
            _load_mirrored(search, library)
        else:
            _loaded[key] = _open(copy, library.name), copy
    libraries.bind(*_loaded[key], library.name)


def _load_mirrored(search: "LibrarySearch", library: "RequiredLibrary") -> None:
    """Load a copy together with what it needs, from a private folder."""
    from codegenie._enforce.private_copies import Mirror, one_at_a_time

    search.refuse_what_only_copies_close()
    files = {
        item.place_in_mirror(): item.data
        for item in (*search.ordered, library)
        if item.tree is not None
    }
    key = library.original(), library.digest()
    with one_at_a_time:
        if key not in _loaded:
            with Mirror(files.items()) as mirror:
                copy = mirror.path_of(library.place_in_mirror())
                _loaded[key] = _open(copy, library.name), copy


def _open(copy: str, name: str) -> int:
    """Load a copy. An error of the linker names the file that a person can look for."""
    from _ctypes import dlopen

    try:
        handle: int = dlopen(copy, os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise OSError(str(error).replace(copy, name)) from None
    return handle
