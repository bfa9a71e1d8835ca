"""Define the package that a guarded folder claims, and paths of packages without code."""

import builtins
import os
from _frozen_importlib_external import _NamespacePath  # type: ignore[attr-defined]

from codegenie import _start
from codegenie._start.folder_paths import is_below
from codegenie._start.own_modules import Late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType  # noqa: F401
    from typing import Any

    from codegenie._enforce import package_loaders
    from codegenie._enforce.enforcer import Enforcer  # noqa: F401
    from codegenie.integrity.verified_tree import VerifiedTree  # noqa: F401
else:
    package_loaders = Late("_enforce.package_loaders")


class VerifiedNamespacePath(_NamespacePath):  # type: ignore[misc]
    """The ``__path__`` of a package without ``__init__``, of the type that CPython gives it.

    Programs recognize a namespace package by that type. CPython's own class searches the parent's
    path again after a change, so it reads the disk. A verified tree does not depend on a path.
    """

    def __init__(self, name, path):
        # type: (str, list[str]) -> None
        # Does not call CPython's own, which needs the parent in sys.modules. Sets its attributes.
        self._name = name
        self._path = path
        self._last_parent_path: tuple[str, ...] = ()
        self._last_epoch = 0
        self._path_finder = None

    def _recalculate(self):
        # type: () -> list[str]
        return self._path

    def __eq__(self, other):
        # type: (object) -> bool
        """Compare the folders, also with a list, because programs do that."""
        return list(other) == self._path if isinstance(other, list | _NamespacePath) else False

    __hash__ = object.__hash__


class RootPackage:
    """The attributes and loader methods of the claimed package that depend on its root.

    If the lock names the root's own ``__init__``, that file runs as the package. If the root has an
    ``__init__.py`` that is not locked, the package looks as if it was loaded from that file,
    because programs take the folder from ``__file__``. No line of that file runs or is shown as
    source.
    """

    def __init__(self, enforcer, root, package, init=None):
        # type: (Enforcer, str, str, VerifiedTree | None) -> None
        self._enforcer = enforcer
        self._root = root
        self._package = package
        self._loader = None
        path = f"{root}/__init__.py"
        if init is not None:
            self._loader = package_loaders.RootInitLoader(enforcer, init, package, init.plugin)
            path = self._loader.path
        self._file = path if init is not None or os.path.isfile(path) else None

    def execute(self, module):
        # type: (ModuleType) -> None
        """Set what depends on the root, and run the root's ``__init__`` if the lock names it."""
        self._describe(module)
        if self._loader is not None:
            self._loader.exec_module(module)

    def _describe(self, module):
        # type: (ModuleType) -> None
        """Set the attributes of the module and of its spec that depend on the root."""
        spec = module.__spec__
        path: Any = [self._root]
        if not self._file:
            path = VerifiedNamespacePath(self._package, [self._root])
        if spec is None:
            module.__path__ = path
            return
        spec.submodule_search_locations = path
        if self._loader is not None:
            spec.loader = self._loader  # type: ignore[assignment]
        if self._file:
            spec.origin = self._file
            spec.has_location = True
            vars(module)["__builtins__"] = vars(builtins)  # as after executing the file
        _start.init_module_attrs(spec, module, override=True)

    def get_code(self):
        # type: () -> CodeType | None
        """Return the code that runs as the package: none of it without a locked ``__init__``."""
        if self._loader is not None:
            code: CodeType | None = self._loader.get_code(self._package)
            return code
        return compile("", f"<{self._package}>", "exec", dont_inherit=True)

    def get_source(self):
        # type: () -> str | None
        """Return the source: none for a namespace package (``package_loaders``)."""
        if self._loader is not None:
            return self._loader.get_source(self._package)
        return None if self._file is None else ""

    def get_resource_reader(self):
        # type: () -> Any
        from codegenie._enforce.resources import RootReader

        return RootReader(self._enforcer, self._root, is_namespace=self._file is None)

    @property
    def name(self):
        # type: () -> str
        return self._package

    @property
    def path(self):
        # type: () -> str
        return self._of_file()

    @property
    def get_filename(self):
        # type: () -> Any
        """Return the method that returns ``__file__``. Only a package with a file has one."""
        path = self._of_file()
        return lambda fullname=self._package: path

    @property
    def get_data(self):
        # type: () -> Any
        """Return the method that reads a verified file of a plugin by its absolute path."""
        self._of_file()
        return self._get_data

    def _of_file(self):
        # type: () -> str
        if self._file is None:
            raise AttributeError("a namespace package has no file")
        return self._file

    def _get_data(self, path):
        # type: (str) -> bytes
        place = os.path.normpath(path)
        if not is_below(place, self._root):
            raise FileNotFoundError(2, "not a file of the guarded folder", path)
        entry = self.get_resource_reader().files().joinpath(place[len(self._root) :].strip("/"))
        data: bytes = entry.read_bytes()
        return data

    @property
    def load_module(self):
        # type: () -> Any
        """Return the method that imports the package, on versions whose loaders have it."""
        from importlib._abc import Loader

        if not hasattr(Loader, "load_module"):
            raise AttributeError("load_module")
        return lambda fullname=self._package: __import__(fullname)
