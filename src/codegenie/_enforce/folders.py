"""Folders of verified trees, found by a search path (``sys.path``, a package's ``__path__``).

A plugin that brings its dependencies along puts a folder of its own on ``sys.path``; a host loads a
package by its path, and CPython then searches the package's ``__path__``. The path hook
(``GuardFinder.find_folder`` in ``codegenie._start.finder``) answers for such folders. Here it is
decided which tree a folder belongs to, and what is found in it:

1. a module of the verified tree gets a verified loader, under whatever name;
2. what is on the disk and in no verified tree gets a loader that refuses it;
3. anything else is not there.

In audit mode CPython's own finder answers, and strict mode reports.
"""

import sys
from _frozen_importlib import ModuleSpec, _find_spec  # type: ignore[attr-defined]

from codegenie._enforce import names as names_of
from codegenie._enforce import specs
from codegenie._enforce.package_loaders import VerifiedNamespaceLoader
from codegenie._enforce.settings import real_root
from codegenie._start.finder import late_module
from codegenie._start.folder_paths import is_below
from codegenie.files import as_locked
from codegenie.integrity.walk import BYTECODE_FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codegenie._enforce.enforcer import Enforcer
    from codegenie._start.loaders import FolderFinder
    from codegenie.integrity.verified_tree import VerifiedTree


class FolderPlace:
    """The place of a folder: its unit, and the folder in that unit's tree.

    The unit is empty for the guarded folder itself.
    """

    __slots__ = ("folder", "unit")

    def __init__(self, unit: str, folder: str) -> None:
        self.unit = unit
        self.folder = folder

    def of_module(self, enforcer: "Enforcer", name: str) -> "FolderPlace":
        """Return the unit and the path of a module that is searched in this folder."""
        if self.unit:
            return FolderPlace(self.unit, f"{self.folder}/{name}" if self.folder else name)
        unit = enforcer.unit_of_name(name)
        return FolderPlace(unit, "" if unit == name else name)


def place_of(enforcer: "Enforcer", path: str) -> FolderPlace | None:
    """Return the place of an absolute path, or ``None`` if it is outside the guarded folder."""
    current = enforcer.settings
    if current is None:
        return None
    for root in (current.root, real_root(current.root)):
        if is_below(path, root):
            unit, _, folder = as_locked(path[len(root) :].strip("/")).partition("/")
            return FolderPlace(unit, folder)
    return None


def place_of_finder(enforcer: "Enforcer", finder: "FolderFinder") -> FolderPlace | None:
    """Return the place of a finder's folder, which is remembered until the set-up changes: a folder
    on ``sys.path`` is searched for each module that the process imports."""
    current = enforcer.settings
    known = finder.place
    if known is None or known[0] is not current:
        known = finder.place = current, place_of(enforcer, finder.path)
    place: FolderPlace | None = known[1]
    return place


def find_spec(enforcer: "Enforcer", finder: "FolderFinder", fullname: str) -> ModuleSpec | None:
    """Return the spec of a module in a folder. Imports nothing, once the guard has decided.

    Raises:
        PluginImportRefused: ``scope="plugin"``, and the unit does not pass.
    """
    place = place_of_finder(enforcer, finder)
    if place is None or enforcer.mode == "audit":
        return finder.find_on_disk(fullname)
    name = fullname.rpartition(".")[2]
    if not name or "/" in name:
        return None  # no file can have that name
    module = place.of_module(enforcer, name)
    if enforcer.locked_tree(module.unit, fullname) is not None:
        # A file comes before a folder without __init__, which is known only now.
        module = place.of_module(enforcer, name)
    tree = enforcer.verified.get(module.unit)
    if tree is not None:
        spec = specs.spec_for(enforcer, tree, fullname, module.folder)
        if spec is not None:
            return _as_portion(spec)
    return _unverified(finder, fullname)


def _as_portion(spec: ModuleSpec) -> ModuleSpec:
    """Make the spec of a folder without ``__init__`` a portion of a namespace package, so that a
    real package of that name further down the path wins, as with ``FileFinder``."""
    if isinstance(spec.loader, VerifiedNamespaceLoader):
        spec.loader = None
        spec.submodule_search_locations = list(spec.submodule_search_locations or ())
    return spec


def _unverified(finder: "FolderFinder", fullname: str) -> ModuleSpec | None:
    """Return a spec whose loader refuses, if the disk has a module that no verified tree has.

    A refusal is not an absence. A folder without ``__init__`` has no code: it is a portion of a
    namespace package, as in plain Python, and what is imported from it is refused. Bytecode is
    never served or listed.
    """
    spec = finder.find_on_disk(fullname)
    if spec is None or _is_bytecode(spec) or fullname.rpartition(".")[2] == BYTECODE_FOLDER:
        return None
    return finder.deferred(spec)


def _is_bytecode(spec: ModuleSpec) -> bool:
    return str(spec.origin).endswith(".pyc")


def resolve(enforcer: "Enforcer", spec: ModuleSpec, finder: "FolderFinder") -> None:
    """Complete a spec that was found on the disk before anything was decided. Not in ``find_spec``.

    Raises:
        PluginImportRefused: the unit does not pass, or has no such file.
        ModuleNotFoundError: neither this folder nor the rest of the search path has the module.
    """
    found = finder.find_on_disk(spec.name)
    place = place_of_finder(enforcer, finder) if enforcer.resolve_settings() else None
    if place is not None:
        module = place.of_module(enforcer, spec.name.rpartition(".")[2])
        enforcer.verified_tree(module.unit, spec.name)
        if enforcer.mode != "audit":
            found = find_spec(enforcer, finder, spec.name)
            if found is not None and isinstance(
                found.loader, late_module("deferring").DeferringLoader
            ):
                enforcer.refuse_file(str(found.origin))
                raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)
    if found is None:
        found = _further_down(spec.name)
    vars(spec).update(vars(found))


def _further_down(fullname: str) -> ModuleSpec:
    """Search the whole path again, where this folder has no such module since the decision."""
    parent = sys.modules.get(fullname.rpartition(".")[0])
    found: ModuleSpec | None = _find_spec(fullname, getattr(parent, "__path__", None))
    if found is None:
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
    return found


def iter_modules(
    enforcer: "Enforcer", finder: "FolderFinder", prefix: str
) -> "Iterator[tuple[str, bool]]":
    """List a folder for ``pkgutil``: modules, and packages with ``__init__``, by name. In the
    guarded folder itself every locked plugin is listed as a package.

    Raises:
        PluginImportRefused: what the folder belongs to does not pass.
    """
    place = _decided_place(enforcer, finder)
    if place is None:
        from pkgutil import iter_importer_modules  # type: ignore[attr-defined]

        yield from iter_importer_modules(finder.on_disk(), prefix)
    elif not place.unit:
        for unit in enforcer.locked_plugins():
            name, is_package = names_of.module_of(unit)
            if "." not in name and name != "__init__":
                yield prefix + name, is_package
    else:
        tree = enforcer.verified.get(place.unit)
        if tree is not None:
            yield from specs.list_folder(tree, place.folder, prefix)


def names(enforcer: "Enforcer", finder: "FolderFinder") -> "Iterable[str]":
    """Return the names that can be imported from a folder, as ``FileFinder.discover`` takes them.

    Raises:
        PluginImportRefused: what the folder belongs to does not pass.
    """
    place = _decided_place(enforcer, finder)
    if place is None:
        on_disk: Iterable[str] = finder.on_disk()._find_children()
        return on_disk
    if not place.unit:
        return [names_of.module_of(unit)[0] for unit in enforcer.locked_plugins()]
    tree = enforcer.verified.get(place.unit)
    return () if tree is None else specs.names_in(tree, place.folder)


def _decided_place(enforcer: "Enforcer", finder: "FolderFinder") -> FolderPlace | None:
    """Return the place of a folder whose unit has passed; ``None`` where CPython's own finder lists
    the folder. Not in ``find_spec``."""
    if enforcer.resolve_settings() is None or enforcer.mode == "audit":
        return None
    place = place_of_finder(enforcer, finder)
    if place is not None:
        enforcer.verified_tree(place.unit, enforcer.name_of(place.unit))
    return place


def has_folder(enforcer: "Enforcer", path: str) -> bool:
    """Return True if the path is a folder of a tree that was verified."""
    place = place_of(enforcer, path)
    tree: VerifiedTree | None = None if place is None else enforcer.verified.get(place.unit)
    return place is not None and tree is not None and place.folder in tree.folders
