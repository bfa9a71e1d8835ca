"""Define the loaders of packages that few folders have.

A folder without ``__init__`` is a namespace package. The root's own ``__init__`` runs as the
claimed package if the lock names it. This module is loaded when the first such package is found.
"""

import os

from codegenie._enforce.loaders import VerifiedBytecodeLoader, VerifiedLoader
from codegenie._start.finder import registered_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any


class VerifiedNamespaceLoader(VerifiedLoader):
    """A folder of a verified tree without ``__init__``. ``relative`` is the folder.

    Like CPython's own, it has neither ``get_filename`` nor ``get_data``.
    """

    __class__ = registered_class("InspectLoader")

    def exec_module(self, module: "ModuleType") -> None:
        # As _init_module_attrs does for namespace packages.
        module.__file__ = None
        self._access.note_executed(module)

    def is_package(self, fullname: str) -> bool:
        return True

    def get_source(self, fullname: str) -> str | None:
        """Return None, because there is no source.

        CPython's own loader returns ``""``; ``pyclbr`` then needs a file name, and fails.
        """
        return None

    def get_code(self, fullname: str) -> "CodeType":
        return compile("", "<string>", "exec", dont_inherit=True)

    def _folder(self) -> str:
        return self._relative


class RootInitLoader(VerifiedBytecodeLoader):
    """The loader of the root's own ``__init__``, which runs because the lock names it.

    Its tree is that one file, but the resources of the package are the units of the folder.
    """

    def get_resource_reader(self, fullname: str) -> "Any":
        enforcer: Any = self._access
        return enforcer.root_package().get_resource_reader()

    def get_data(self, path: str) -> bytes:
        if os.path.normpath(path) == self._file:
            return super().get_data(path)
        enforcer: Any = self._access
        data: bytes = enforcer.root_package().get_data(path)
        return data
