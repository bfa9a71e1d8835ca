"""From a module's place in a verified tree to the spec that importlib gets, and its listing."""

from _frozen_importlib import ModuleSpec

from codegenie._enforce import names
from codegenie._enforce.loaders import (
    VerifiedBytecodeLoader,
    VerifiedFileLoader,
    VerifiedSourceLoader,
)
from codegenie._enforce.packages import VerifiedNamespacePath
from codegenie._start.own_modules import Late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator  # noqa: F401

    from codegenie._enforce import extensions, package_loaders
    from codegenie._enforce.access import Access  # noqa: F401
    from codegenie.integrity.verified_tree import VerifiedTree  # noqa: F401
else:
    extensions, package_loaders = Late("_enforce.extensions"), Late("_enforce.package_loaders")


def locate(tree, path):
    # type: (VerifiedTree, str) -> tuple[str, bool] | None
    """The place of a module in a verified tree.

    Returns:
        The file and whether it is a package; ``("", True)`` for a namespace package, which has no
        file; ``None`` if the tree has no such module.
    """
    files, is_folder = tree.files, path in tree.folders
    # A module that is no folder cannot be a package, which spares half of the candidates.
    for candidate, is_package in names.candidates(path, is_package=is_folder or tree.is_file):
        if candidate in files:
            return candidate, is_package
    return ("", True) if is_folder else None


def spec_for(access, tree, fullname, path):
    # type: (Access, VerifiedTree, str, str) -> ModuleSpec | None
    """Return the spec of the module at ``path`` of a verified tree; None if there is none."""
    located = locate(tree, path)
    if located is None:
        return None
    relative, is_package = located
    folders = [tree.path_of(path)] if is_package else None
    if not relative:
        namespace = package_loaders.VerifiedNamespaceLoader(access, tree, fullname, path)
        spec = ModuleSpec(fullname, namespace, is_package=True)  # type: ignore[arg-type]
        spec.submodule_search_locations = VerifiedNamespacePath(fullname, folders or [])
    else:
        spec = spec_of_file(access, tree, fullname, relative)
        spec.submodule_search_locations = folders
    if folders:
        access.serve_folder(folders[0])
    return spec


def spec_of_file(access, tree, fullname, relative):
    # type: (Access, VerifiedTree, str, str) -> ModuleSpec
    """Return the spec of one file of a verified tree. The caller says whether it is a package."""
    loader = _loader_type(access, tree, relative)(access, tree, fullname, relative)
    spec = ModuleSpec(fullname, loader, origin=loader.path)  # type: ignore[arg-type]
    spec.has_location = True
    return spec


def _loader_type(access, tree, relative):
    # type: (Access, VerifiedTree, str) -> type[VerifiedFileLoader]
    """Return the loader for one file. A pack is used only for the files that are in it."""
    if names.is_extension(relative):
        machine_code: type[VerifiedFileLoader] = extensions.VerifiedExtensionLoader
        return machine_code
    pack = access.pack(tree)
    if pack is not None and pack.has(relative):
        return VerifiedBytecodeLoader
    return VerifiedSourceLoader


def names_in(tree, folder):
    # type: (VerifiedTree, str) -> set[str]
    """Return what the modules and folders in a folder of a verified tree can be imported as."""
    start = f"{folder}/" if folder else ""
    children = {
        path[len(start) :].partition("/")[0].partition(".")[0]
        for path in tree.files
        if path.startswith(start)
    }
    return {name for name in children if name and locate(tree, start + name) is not None}


def list_folder(tree, folder, prefix):
    # type: (VerifiedTree, str, str) -> Iterator[tuple[str, bool]]
    """List a folder of a verified tree as ``pkgutil`` does: modules, and packages with
    ``__init__``, by name."""
    start = f"{folder}/" if folder else ""
    for name in sorted(names_in(tree, folder) - {"__init__"}):
        located = locate(tree, start + name)
        if located is not None and located[0]:
            yield prefix + name, located[1]
