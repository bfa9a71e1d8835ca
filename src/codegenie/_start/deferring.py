"""Load modules that ``find_spec`` could not decide about, with a loader that decides.

CPython calls ``find_spec`` under the global import lock, where the guard never takes a first
decision. ``finder.late_module`` loads this module at the first such name. With a package, the
package decides before, so most imports need none of this.
"""

try:  # in here an import is never lazy: this module is loaded under the global import lock
    import sys

    from codegenie._start import ModuleSpec, init_module_attrs, namespace_of
    from codegenie._start.finder import late_module, registered_class
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any

    from codegenie._enforce.enforcer import Enforcer  # noqa: F401
    from codegenie._start.finder import Claim  # noqa: F401
    from codegenie._start.loaders import FolderFinder

MAX_ATTEMPTS = 64
"""The number of times to repeat an import of a package that fails in another thread."""


def deferred_spec(claim, fullname):
    # type: (Claim, str) -> ModuleSpec
    """Return a spec whose loader decides.

    ``runpy`` and ``importlib.util`` read from the spec of a top-level module if it is a package, so
    it is completed by what is on the disk. Nothing is verified.
    """
    root, spec = claim.root(), None
    if claim.package == "" and root is not None and "." not in fullname:
        finder: FolderFinder = late_module("loaders").FolderFinder(claim, root)
        spec = finder.find_on_disk(fullname)
    loader: Any = DeferringLoader(claim, None, spec)
    if spec is None:
        return ModuleSpec(fullname, loader)
    spec.loader = loader
    return spec


class DeferringLoader:
    """A loader that decides instead of ``find_spec``, then delegates to the module's real loader.

    For a guarded name it first waits until the package has been executed. For a module that the
    finder of a folder has found (``folder``) it verifies the unit of that folder.
    """

    def __init__(self, claim, folder=None, found=None):
        # type: (Claim, FolderFinder | None, ModuleSpec | None) -> None
        self._claim = claim
        self._folder = folder
        self._real: Any = None
        self._is_package: bool | None = None
        if found is not None:
            self.name = found.name
            self.path = found.origin
            self._is_package = found.submodule_search_locations is not None

    __class__ = registered_class("InspectLoader")

    def create_module(self, spec):
        # type: (ModuleSpec) -> ModuleType | None
        given: Any = spec.loader
        try:
            self._resolve(spec)
        except ImportError as error:
            error.__traceback__ = None  # its frames are the guard's own
            raise
        # importlib reads the spec again after create_module, and executes by its loader.
        self._real = loader = spec.loader
        if given is not self:
            spec.loader = given  # a wrapper of a tracer or LazyLoader, which calls exec_module
        return None if loader is None else loader.create_module(spec)

    def exec_module(self, module):
        # type: (ModuleType) -> None
        """Execute a module for a loader that wraps this one, and may have created the module."""
        if self._real is None:
            spec = ModuleSpec(module.__name__, None)
            self._resolve(spec)
            if spec.loader is None or spec.loader.create_module(spec) is not None:
                raise ImportError(f"{module.__name__} was not created by its own loader")
            init_module_attrs(spec, module, override=True)
            self._real = spec.loader
        self._real.exec_module(module)

    def is_package(self, fullname):
        # type: (str) -> bool
        if self._is_package is not None:
            return self._is_package
        return bool(self._loader_of(fullname).is_package(fullname))

    def get_code(self, fullname):
        # type: (str) -> CodeType | None
        code: CodeType | None = self._loader_of(fullname).get_code(fullname)
        return code

    def get_source(self, fullname):
        # type: (str) -> str | None
        source: str | None = self._loader_of(fullname).get_source(fullname)
        return source

    def get_filename(self, fullname):
        # type: (str) -> str
        return str(self._loader_of(fullname).get_filename(fullname))

    def get_resource_reader(self, fullname):
        # type: (str) -> Any
        return self._loader_of(fullname).get_resource_reader(fullname)

    def load_module(self, fullname):
        # type: (str) -> ModuleType
        module: ModuleType = self._loader_of(fullname).load_module(fullname)
        return module

    def _loader_of(self, fullname):
        # type: (str) -> Any
        spec = ModuleSpec(fullname, self)  # type: ignore[arg-type]
        self._resolve(spec)
        return spec.loader

    def _resolve(self, spec):
        # type: (ModuleSpec) -> None
        """Complete a deferred spec: overwrite it with what ``find_spec`` returns now.

        For a guarded name, its package is imported first, because that import decides.

        Raises:
            PluginImportRefused, ModuleNotFoundError: as ``find_spec``.
        """
        enforcer = self._claim.enforcer()
        if self._folder is not None:
            enforcer.resolve_in_folder(spec, self._folder)
            return
        if self._claim.package:
            self._execute_package(self._claim.package, enforcer, spec.name)
        else:
            enforcer.decide(spec.name)
        enforcer.resolve(spec)

    def _execute_package(self, package, enforcer, name):
        # type: (str, Enforcer, str) -> None
        # Takes the lock of the package, so it waits for the thread that is executing the package.
        # It returns the module even if that execution failed, so check `package_executed`.
        __import__(package)
        for _ in range(MAX_ATTEMPTS):
            if enforcer.package_executed or package in sys.modules:
                break
            __import__(package)
        if enforcer.package_executed:
            return
        loader: Any = getattr(
            namespace_of(sys.modules.get(package)).get("__spec__"), "loader", None
        )
        if type(loader) is late_module("loaders").RootLoader and loader._claim is self._claim:
            # This thread is executing the package. A signal handler, a finalizer or an audit hook
            # imports a plugin in the middle.
            enforcer.decide_within(name)
        else:
            # The package is an application's own module, or was not imported by a replaced
            # `__import__`. Nothing was verified, so fail closed.
            raise enforcer.not_executed_error(name)
