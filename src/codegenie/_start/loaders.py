"""Load the package of a guarded folder, and find modules in folders on a search path.

A start does not load this module. ``finder.late_module`` loads it at the first guarded name and at
the first folder of the guarded folder, under the global import lock. So this module imports only
what is already loaded.
"""

try:  # in here an import is never lazy: this module is loaded under the global import lock
    import sys

    from codegenie._start import (
        FILE_LOADERS,
        MODULE_SUFFIXES,
        SUFFIXES,
        UNSUPPORTED,
        FileFinder,
        ModuleSpec,
        extension_suffixes,
        get_code,
        on_disk,
        posix,
        unsupported,
    )
    from codegenie._start.finder import (
        forget_folders,
        late_module,
        registered_class,
    )
finally:
    pass

own_modules = late_module("own_modules")
guard_load_error = own_modules.guard_load_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence  # noqa: F401
    from types import CodeType, FrameType, ModuleType  # noqa: F401
    from typing import Any

    from codegenie._enforce.enforcer import Enforcer  # noqa: F401
    from codegenie._start.finder import Claim, GuardFinder  # noqa: F401


def register(kind, *names):
    # type: (type, *str) -> None
    """Register a class of the guard with the abstract classes of CPython's own counterpart.

    Called by ``__class__`` of these classes (``finder.registered_class``).
    """
    abc = sys.modules.get("importlib.abc")
    for name in names:
        abstract = getattr(abc, name, None)
        if abstract is not None:
            abstract.register(kind)
    if "pkg_resources" in sys.modules:
        from codegenie._enforce import pkg_resources_provider

        pkg_resources_provider.register(kind)


def note_units(claim, units):
    # type: (Claim, Iterable[str]) -> None
    """Take the units of the lock of a folder that is shared.

    Threat: ``tool.so`` or a folder ``tool`` is added, and a search path finds it before the
    locked ``tool.py``. Rule: such an entry is guarded too. It is refused, because the lock does
    not name it.
    """
    on_the_disk = frozenset([on_disk(unit) for unit in units])
    suffixes = ("", *MODULE_SUFFIXES)
    claim.entries = on_the_disk.union(
        [
            stem + other
            for stem, dot, suffix in [unit.partition(".") for unit in on_the_disk]
            if dot + suffix in suffixes
            for other in suffixes
        ]
    )
    claim.units = on_the_disk


def find_spec(claim, fullname, path):
    # type: (Claim, str, Sequence[str] | None) -> ModuleSpec | None
    """Return the spec of a module that a folder claims (``GuardFinder.find_spec``)."""
    if fullname == claim.package:
        return ModuleSpec(fullname, RootLoader(claim), is_package=True)  # type: ignore[arg-type]
    enforcer = claim.existing_enforcer()
    if enforcer is None or not enforcer.package_executed:
        # Another thread is executing the package right now: it is in sys.modules already, and
        # importlib does not wait for a parent that is still being executed. Or the folder
        # claims top-level names, and this is the first of them.
        deferred: ModuleSpec = late_module("deferring").deferred_spec(claim, fullname)
        return deferred
    return enforcer.find_spec(fullname, path)


def why_unsupported(package=None):
    # type: (str | None) -> str
    """Return one sentence on why this interpreter runs no plugin; empty if it is supported.

    Also checks the internals that the rules of ``_enforce`` rely on, which a start does not load.
    Never call this in ``find_spec``: it imports.

    Raises:
        ImportError: the guard's own code cannot be loaded.
    """
    if UNSUPPORTED:
        return UNSUPPORTED
    try:
        from codegenie._enforce import interpreter
    except Exception as error:
        raise guard_load_error(error, package) from error
    return unsupported(interpreter.unexpected())


def new_enforcer(claim):
    # type: (Claim) -> Enforcer
    """Load the rules of the guard, and return a new enforcer of a folder.

    Garbage collection waits until they are loaded, because no garbage is made. It is left alone
    where other threads may rely on it.

    Raises:
        ImportError: as ``Claim.enforcer``.
    """
    try:
        import _thread
        import gc

        own_modules.load("_enforce.interpreter")
    except Exception as error:
        raise guard_load_error(error, claim.package) from error
    problem = why_unsupported(claim.package)
    if problem:
        raise ImportError(problem, name=claim.package)
    pause = gc.isenabled() and not _thread._count()
    try:
        if pause:
            gc.disable()
        return _enforcer_of_rules(claim)
    finally:
        if pause:
            gc.enable()


def _enforcer_of_rules(claim):
    # type: (Claim) -> Enforcer
    try:
        own_modules.load_rules()
        from codegenie._enforce import executions
        from codegenie._enforce.enforcer import Enforcer
    except Exception as error:
        raise guard_load_error(error, claim.package) from error
    claim.finder.strict_rules = own_modules.Late("_enforce.strict")
    claim.finder.code_rules = executions
    return Enforcer(claim)


class RootLoader:
    """The loader of the package that a guarded folder claims.

    The root's own ``__init__.py`` runs as that package only if the lock names it.
    """

    def __init__(self, claim):
        # type: (Claim) -> None
        self._claim = claim

    __class__ = registered_class("InspectLoader")

    def create_module(self, spec):
        # type: (ModuleSpec) -> None
        return None

    def exec_module(self, module):
        # type: (ModuleType) -> None
        module.__file__ = None  # as in a namespace package
        try:
            self._claim.enforcer().execute_package(module)
        except ImportError as error:
            error.__traceback__ = None  # its frames are the guard's own
            raise

    def is_package(self, fullname):
        # type: (str) -> bool
        return True

    def get_source(self, fullname):
        # type: (str) -> str | None
        # `pyclbr` reads this source and looks for plugins without an import, so decide here.
        source: str | None = self._decided().get_source()
        return source

    def get_code(self, fullname):
        # type: (str) -> CodeType
        code: CodeType = self._decided().get_code()
        return code

    def get_resource_reader(self, fullname):
        # type: (str) -> Any
        return self._decided().get_resource_reader()

    def __getattr__(self, name):
        # type: (str) -> Any
        """Return a method that only some packages have (``get_filename``, if the root has an
        ``__init__.py``), or only some versions (``load_module``)."""
        if name not in ("get_data", "get_filename", "load_module", "name", "path"):
            raise AttributeError(name)
        return getattr(self._decided(), name)

    def _decided(self):
        # type: () -> Any
        """Import the package, which decides; then return the object that describes the package.

        Raises:
            ImportError: the package is refused, as in an import.
        """
        __import__(str(self._claim.package))
        return self._claim.enforcer().root_package()


def folder_at(finder, folder, os):
    # type: (GuardFinder, str, Any) -> tuple[Claim, str] | None
    """Return the claim and the absolute path of a folder (``GuardFinder.folder_at``)."""
    try:
        slashed = f"{folder}/"
        if folder[:1] != "/" or "/./" in slashed or "/../" in slashed or "//" in slashed:
            # "link/.." is above where the link leads, so links must be resolved.
            folder = os.path.realpath(folder)
            slashed = f"{folder}/"
        claim = _claim_that_begins(finder, slashed, os)
    except (OSError, ValueError):
        return None
    return None if claim is None else (claim, folder)


def _claim_that_begins(finder, folder, os):
    # type: (GuardFinder, str, Any) -> Claim | None
    _, begin, _ = finder.beginnings(os)
    claims, roots, _ = finder.folders()
    if folder.startswith(begin):
        for claim, root in zip(claims, roots, strict=True):
            for prefix in () if root is None else (root, os.path.realpath(root)):
                if folder.startswith(f"{prefix.rstrip('/')}/"):
                    return _if_served(claim, folder[len(f"{prefix.rstrip('/')}/") :])
    first = claims[0]
    if roots[0] is None:
        may_become_the_root = late_module("folder_paths").may_become_the_root
        if may_become_the_root(folder[:-1], first.package, os):
            return first
    return None


def _if_served(claim, below):
    # type: (Claim, str) -> Claim | None
    """Return a claim unless the folder is one that others share: only its units are served."""
    entry = below.partition("/")[0]
    return claim if not claim.is_shared or (entry and claim.guards_entry(entry)) else None


_TYPE_OF_FILE = 0o170000
_FOLDER = 0o040000


def folder_finder(claim, folder):
    # type: (Claim, str) -> FolderFinder | None
    """Return the finder of a folder of the guarded folder, or None if there is no such folder."""
    enforcer = claim.existing_enforcer()
    if enforcer is None or not enforcer.has_folder(folder):
        # If a folder was removed, its modules are refused, not absent.
        try:
            if posix.stat(folder).st_mode & _TYPE_OF_FILE != _FOLDER:
                return None
        except (OSError, ValueError):
            return None
    return FolderFinder(claim, folder)


class FolderFinder:
    """The path entry finder of one folder in the guarded folder, on whichever search path it is.

    Its loaders execute verified bytes only. CPython calls ``find_spec`` under the global import
    lock, so before the first decision it finds the file on disk and returns a loader that decides.
    """

    def __init__(self, claim, path):
        # type: (Claim, str) -> None
        self.claim = claim
        self.guard = claim.finder
        self.path = path
        self.place: Any = None
        """The cached result of ``folders.place_of_finder``."""
        self._on_disk: Any = None

    __class__ = registered_class("PathEntryFinder")

    def find_spec(self, fullname, target=None):
        # type: (str, ModuleType | None) -> ModuleSpec | None
        if fullname == "__main__" or _is_asked_by_modulefinder():
            # runpy treats an ImportError of get_code as an absent module, so the audit hook checks
            # that code. modulefinder runs no file, and supports CPython's own loaders only.
            return self.find_on_disk(fullname)
        enforcer = self.claim.existing_enforcer()
        if enforcer is not None and enforcer.is_decided():
            return enforcer.find_in_folder(self, fullname)
        spec = self.find_on_disk(fullname)
        # A guarded name gets here only if the guard is displaced. Strict mode restores the guard.
        return spec if self.guard.claim_of(fullname) else self.deferred(spec)

    def deferred(self, spec):
        # type: (ModuleSpec | None) -> ModuleSpec | None
        """Give a spec that was found on disk a loader that decides.

        A portion of a namespace package has no loader, so its spec stays as it is.
        """
        if spec is not None and spec.loader is not None:
            spec.loader = late_module("deferring").DeferringLoader(self.claim, self, spec)
        return spec

    def find_on_disk(self, fullname):
        # type: (str) -> ModuleSpec | None
        """Return the spec that CPython's own finder of the folder finds. Nothing is verified."""
        spec: ModuleSpec | None = self.on_disk().find_spec(fullname)
        return spec

    def on_disk(self):
        # type: () -> Any
        """Return CPython's own finder of the folder."""
        if self._on_disk is None:
            suffixes = (extension_suffixes(), *SUFFIXES)
            self._on_disk = FileFinder(self.path, *zip(FILE_LOADERS, suffixes, strict=True))
        return self._on_disk

    def iter_modules(self, prefix=""):
        # type: (str) -> Iterator[tuple[str, bool]]
        """Yield the modules of the folder that are verified, as ``pkgutil`` lists modules."""
        return self.claim.enforcer().list_folder(self, prefix)

    def invalidate_caches(self):
        # type: () -> None
        """Forget what is on disk. A verified tree stays valid for the life of the process."""
        if self._on_disk is not None:
            self._on_disk.invalidate_caches()

    def __repr__(self):
        # type: () -> str
        return f"FolderFinder({self.path!r})"

    if sys.version_info < (3, 12):

        def find_loader(self, fullname):
            # type: (str) -> tuple[Any, list[str]]
            """Return a module's loader and portions, as ``FileFinder.find_loader`` does."""
            spec = self.find_spec(fullname)
            if spec is None:
                return None, []
            return spec.loader, spec.submodule_search_locations or []

        def find_module(self, fullname):
            # type: (str) -> Any
            return self.find_loader(fullname)[0]

    if sys.version_info >= (3, 15):

        def discover(self, parent=None):
            # type: (ModuleSpec | None) -> Iterator[ModuleSpec]
            """Yield the specs of the verified modules, as ``FileFinder.discover`` does."""
            if parent is not None and parent.submodule_search_locations is None:
                raise ValueError(f"{parent} is not a package module")
            prefix = f"{parent.name}." if parent else ""
            for name in self.claim.enforcer().names_in_folder(self):
                spec = self.find_spec(prefix + name)
                if spec is not None:
                    yield spec


_IMPORTLIB = get_code.__code__.co_filename


def _is_asked_by_modulefinder():
    # type: () -> bool
    if "modulefinder" not in sys.modules:
        return False
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == _IMPORTLIB:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "modulefinder"


def stop_serving_folders(finder):
    # type: (GuardFinder) -> None
    """Remove the path hook and the finders that it made. For a guard of a test."""
    if finder.find_folder in sys.path_hooks:
        sys.path_hooks.remove(finder.find_folder)
    forget_folders(finder)
