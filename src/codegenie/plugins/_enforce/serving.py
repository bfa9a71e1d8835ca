"""From a module's place in a verified tree to the spec that importlib gets, and its listing."""

import sys
from _frozen_importlib import ModuleSpec

from codegenie.plugins._enforce import names
from codegenie.plugins._enforce.extensions import VerifiedExtensionLoader
from codegenie.plugins._enforce.loaders import (
    VerifiedBytecodeLoader,
    VerifiedFileLoader,
    VerifiedNamespaceLoader,
    VerifiedSourceLoader,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

    from codegenie.plugins._enforce.cache import VerifiedTree
    from codegenie.plugins._enforce.loaders import Access


def locate(tree: "VerifiedTree", path: str) -> tuple[str, bool] | None:
    """Where a module lies in a verified tree.

    Returns:
        The file and whether it is a package; ``("", True)`` for a namespace package, which has no
        file; ``None`` if the tree has no such module.
    """
    for candidate, is_package in names.candidates(path):
        if candidate in tree.files:
            return candidate, is_package
    return ("", True) if path in tree.folders else None


def spec_for(access: "Access", tree: "VerifiedTree", fullname: str, path: str) -> ModuleSpec | None:
    """The spec of the module at ``path`` of a verified tree, or ``None`` if there is none."""
    located = locate(tree, path)
    if located is None:
        return None
    relative, is_package = located
    folders = [tree.path_of(path)] if is_package else None
    if not relative:
        spec = ModuleSpec(
            fullname, VerifiedNamespaceLoader(access, tree, fullname, path), is_package=True
        )
        spec.submodule_search_locations = folders
    else:
        loader = _loader_type(access, tree, relative)(access, tree, fullname, relative)
        spec = ModuleSpec(fullname, loader, origin=loader.path, is_package=is_package)
        spec.submodule_search_locations = folders
        spec.has_location = True
    if folders and access.mode == "enforce":
        # In audit mode CPython's own finder must still find what was added since.
        sys.path_importer_cache[folders[0]] = VerifiedListing(access, tree.plugin, path)
    return spec


def _loader_type(
    access: "Access", tree: "VerifiedTree", relative: str
) -> "type[VerifiedFileLoader]":
    if names.is_extension(relative):
        return VerifiedExtensionLoader
    pack = access.pack(tree)
    if pack is not None and pack.has(relative):
        return VerifiedBytecodeLoader
    return VerifiedSourceLoader


class VerifiedListing:
    """The path entry finder of a served folder, so that ``pkgutil`` lists verified modules only.

    ``pkgutil.get_importer`` takes it from ``sys.path_importer_cache``; without it CPython's
    ``FileFinder`` would list the disk, source-less ``.pyc`` files included. It also answers when
    such a folder is put on ``sys.path``, from the verified tree.
    """

    def __init__(self, access: "Access", plugin: str, folder: str) -> None:
        self.access = access
        self._plugin = plugin
        self._folder = folder

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> ModuleSpec | None:
        """A module of the verified tree, where the folder itself stands on ``sys.path``."""
        tree = self.access.verified.get(self._plugin)
        if tree is None:
            return None
        tail = fullname.rpartition(".")[2]
        path = f"{self._folder}/{tail}" if self._folder else tail
        spec = spec_for(self.access, tree, fullname, path)
        if spec is not None and isinstance(spec.loader, VerifiedNamespaceLoader):
            # As FileFinder: a portion of a namespace, so that a real package of that name further
            # down the path wins over a folder of data.
            spec.loader = None
        return spec

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        """As ``pkgutil``'s own for a folder: modules and packages with ``__init__``, by name."""
        tree = self.access.verified.get(self._plugin)
        if tree is None:
            return
        start = f"{self._folder}/" if self._folder else ""
        children = {
            path[len(start) :].partition("/")[0].partition(".")[0]
            for path in tree.files
            if path.startswith(start)
        }
        for name in sorted(children - {"__init__", ""}):
            located = locate(tree, start + name)
            if located is not None and located[0]:
                yield prefix + name, located[1]

    def invalidate_caches(self) -> None:
        """Nothing is remembered that the disk could contradict."""


def listings(access: "Access") -> "dict[str, Any]":
    """The listings that stand in the interpreter's cache, by folder."""
    return {
        folder: finder
        for folder, finder in list(sys.path_importer_cache.items())
        if getattr(finder, "access", None) is access
    }


def forget_listings(access: "Access") -> None:
    """Take the listings of an earlier root out of the interpreter's cache."""
    for folder in listings(access):
        sys.path_importer_cache.pop(folder, None)  # which any thread may clear
