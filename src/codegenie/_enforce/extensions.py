"""Load extension modules from a private copy of the bytes that were hashed.

Threat: the dynamic linker opens a file by its path, so an attacker could replace the file after the
check. Rule: load a copy that no other user can replace. On Linux that is a sealed ``memfd``. On
other systems, and if a ``memfd`` cannot be executed, it is in a folder that only this user can
enter and that is removed when the module is loaded.

Libraries of the guarded folder that the module needs are loaded first (``libraries``). If they
cannot be loaded one by one, the private folder mirrors them.
"""

import _imp
from _frozen_importlib import ModuleSpec

from codegenie._enforce.loaders import VerifiedFileLoader
from codegenie._start.finder import registered_class
from codegenie._start.own_modules import guard_load_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any

    from codegenie._enforce.libraries import RequiredLibrary


class VerifiedExtensionLoader(VerifiedFileLoader):
    """The loader of a private copy of machine code. ``__file__`` and the spec name the original."""

    __class__ = registered_class("ExecutionLoader")

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        """Load machine code from a private copy, after the libraries that it needs.

        The linker would open the libraries by their paths, after any check. So verified copies are
        loaded first, and the linker finds them by their names.

        Raises:
            PluginImportRefused: the file or a library of the folder does not pass.
            ImportError: a library that it needs is missing.
        """
        data = self._access.read(self._tree, self._relative, self.name)
        # Imported here, because most plugins have no machine code.
        try:
            from codegenie._enforce import libraries, search_paths
            from codegenie._enforce.elf import read_dynamic
        except ImportError as error:
            raise guard_load_error(error) from error

        enforcer: Any = self._access
        search = libraries.LibrarySearch(enforcer.guard, self.name, self._relative)
        try:
            search.follow(self.path, read_dynamic(data), is_copy=True)
        except search_paths.LibraryNotFound as error:
            raise ImportError(str(error), name=self.name, path=self.path) from error
        module = self._create_sealed(spec, data, search.ordered)
        if module is None:
            search.refuse_what_only_copies_close()
            module = self._create_mirrored(spec, data, search.ordered)
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

    def _create_sealed(
        self, spec: ModuleSpec, data: bytes, required: "Sequence[RequiredLibrary]"
    ) -> "ModuleType | None":
        """Load the module from sealed memory; return None if that is not possible."""
        from codegenie._enforce import libraries, private_copies

        digest = self._tree.files[self._relative][0]
        try:
            copy = private_copies.seal(self.path, digest, data)
            libraries.load_all(required)
        except (OSError, libraries.NotBound):
            return None  # vm.memfd_noexec=2, a sandbox without memfd_create, no /proc
        return _create(spec, copy, self.path)

    def _create_mirrored(
        self, spec: ModuleSpec, data: bytes, required: "Sequence[RequiredLibrary]"
    ) -> "ModuleType":
        """Load from a private folder with the module and its libraries, placed as in the tree."""
        from codegenie._enforce.private_copies import Mirror

        place = f"{self._tree.plugin}/{self._relative}"
        files = [(item.place_in_mirror(), item.data) for item in required if item.tree is not None]
        with Mirror([(place, data), *files]) as mirror:
            return _create(spec, mirror.path_of(place), self.path)


def _create(spec: ModuleSpec, copy: str, original: str) -> "ModuleType":
    """Load the copy. Replace its path in an error of the linker by that of the original."""
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
