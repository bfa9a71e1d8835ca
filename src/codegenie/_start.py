"""Define all that a start of an interpreter loads: bound references, the finder, the audit hook.

The three parts are one module because every guarded interpreter pays for each module: finding and
opening another file costs each start some 0.15 ms. The module imports only what a bare interpreter
has loaded, and opens no plugin file. Code that is first needed when a plugin is imported is in
``codegenie._enforce``. The functions that applications call are in ``codegenie.plugins.guard``.

The finder compares the name of each import with ``plugins``. For every other name it returns
``None`` at once; for a guarded name, ``_enforce`` decides. CPython calls ``find_spec`` under the
global import lock (``_find_spec`` in ``Lib/importlib/_bootstrap.py``). A thread that waits there
for a second thread deadlocks if the second thread needs the import lock too. So ``find_spec`` never
takes the first decision: it returns a spec whose loader decides, because a loader runs under the
lock of its own module only.

The audit hook enforces strict mode. Threat: any code may change the list ``sys.meta_path``, and
code can be executed without an import. Rule: check both in an audit hook, which sees both and
cannot be removed. The hook watches these events:

- ``import`` (``import_find_and_load`` in ``Python/import.c``): an import statement that has found
  nothing in ``sys.modules``, before the import lock is taken. A displaced guard is restored to the
  front first. With a path: machine code about to be loaded (``Python/importdl.c``).
- ``exec``: code that Python's own ``exec`` is about to run, by whatever means the code was found
  and compiled. C code that calls ``PyEval_EvalCode`` raises no event.
- ``open``: bytecode in the plugin folder. A ``.pyc`` can name any file as its source, so the hook
  refuses the file before it is read. Also a source file whose lines are to be shown.
- ``ctypes.dlopen``, ``sqlite3.load_extension``: a library in the plugin folder, by path.
- ``cpython.run_file``, ``cpython.run_startup`` (``PYTHONSTARTUP``),
  ``cpython.remote_debugger_script`` (``sys.remote_exec``): a script in the plugin folder, by path.

The hook returns at once for every other event, and for every file outside the plugin folder.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    import _thread
    import builtins
    import marshal
    import sys
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _frozen_importlib import ModuleSpec
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType, FunctionType, ModuleType
    from typing import Any

    from codegenie._enforce.enforcer import Enforcer

    # Spec, loader, module name and path, as far as they are known.
    Request = tuple[object, object, str, str | None]

try:
    import posix as _os
except ImportError:  # Windows: nothing is ever verified there, but importing this must not fail
    import nt as _os  # type: ignore[no-redef]

# --- which interpreter this is --------------------------------------------------------------------
#
# The guard relies on internals of CPython, which any release may change. Threat: a guard that
# misreads an internal only seems to work. Rule: refuse every plugin where an internal is missing or
# has another shape, and on untested versions. Importing this module must not fail, because every
# start imports it.

OLDEST, NEWEST = (3, 11), (3, 15)
"""The versions of CPython that the guard is tested on."""

_unexpected: list[str] = []
"""The internals that are missing here, or have another shape."""


def internal(module: str, path: str, *variables: str) -> "Any":
    """Return an internal of CPython, or note that this interpreter has none like it.

    Args:
        module: the module that holds it, which a bare interpreter has loaded.
        path: its name there, dotted for an attribute of a class.
        variables: for a function written in Python: the variables that the audit hook reads from
            its frames. One empty name requires a Python function, but none of its variables.

    Returns:
        The internal; where it is not as expected, a function that CPython never calls.
    """
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    if found is None or (variables and type(found) is not FUNCTION):
        _unexpected.append(f"{module}.{path}")
        return _stand_in
    _unexpected.extend(
        f"the variable {variable!r} in {module}.{path}"
        for variable in filter(None, variables)
        if variable not in found.__code__.co_varnames
    )
    return found


def _stand_in() -> None:
    """Stand for an internal that this interpreter does not have."""


FUNCTION = type(_stand_in)


def unsupported(unexpected: "Sequence[str]") -> str:
    """Return one sentence on why this interpreter runs no plugin; empty if it is supported."""
    version = ".".join(map(str, sys.version_info[:3]))
    name = getattr(getattr(sys, "implementation", None), "name", "this interpreter")
    if name != "cpython":
        problem = f"{name} {version} is not CPython"
    elif not OLDEST <= sys.version_info[:2] <= NEWEST:
        problem = f"CPython {version} was never tested with this version of the plugin guard"
    elif unexpected:
        problem = f"CPython {version} lacks {', '.join(unexpected)}, as the plugin guard needs it"
    else:
        return ""
    supported = f"CPython {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    return (
        f"{problem}, so nothing below 'plugins' is imported: use {supported}, or install a "
        "version of codegenie that supports this interpreter"
    )


if not TYPE_CHECKING:
    ModuleSpec = internal("_frozen_importlib", "ModuleSpec")
    if ModuleSpec is _stand_in:
        ModuleSpec = type("ModuleSpec", (), {})  # annotations need a type
_LOADERS = "_frozen_importlib_external"
FileFinder, *_FILE_LOADERS = (
    internal(_LOADERS, name)
    for name in ("FileFinder", "ExtensionFileLoader", "SourceFileLoader", "SourcelessFileLoader")
)
_SUFFIXES: "list[list[str]]" = [
    internal(_LOADERS, name) for name in ("SOURCE_SUFFIXES", "BYTECODE_SUFFIXES")
]
extension_suffixes: "Callable[[], list[str]]" = internal("_imp", "extension_suffixes")
_RLOCK: "Callable[[], Any]" = internal("_thread", "RLock")
for _name in ("_getframe", "addaudithook", "audit"):
    internal("sys", _name)
if "site" in sys.modules:
    # Since 3.15, `site` collects the lines of all .pth files and executes them elsewhere.
    _executes = "StartupState._exec_imports" if sys.version_info >= (3, 15) else "addpackage"
    internal("site", _executes, "fullname")
if hasattr(getattr(sys.modules.get("zipimport"), "zipimporter", None), "load_module"):
    internal("zipimport", "zipimporter.load_module", "fullname", "modpath")

# --- bound at start-up ----------------------------------------------------------------------------
#
# Threat: library code replaces primitives (a tracer replaces ``os.open``, a transformer replaces
# ``builtins.compile``), so a later look-up would give the guard the replacement. Rule: bind each
# primitive at start-up. Hashing and JSON would slow down each start, so they are loaded later and
# validated before use (``codegenie.hashing``, ``codegenie.parsers.safe_json``).

open_file = _os.open
read = _os.read
write = _os.write
close = _os.close
fstat = _os.fstat
lstat = _os.lstat
stat = _os.stat
access = _os.access
scandir = _os.scandir
getcwd = _os.getcwd
pread: "Callable[[int, int, int], bytes]" = getattr(_os, "pread", None)  # type: ignore[assignment]
readv: "Callable[[int, list[memoryview]], int]" = getattr(_os, "readv", None)  # type: ignore[assignment]
compile_source = builtins.compile
execute = builtins.exec
unmarshal = marshal.loads

_frozen_importlib = sys.modules.get("_frozen_importlib")
_importlib = getattr(_frozen_importlib, "__dict__", {})
_importlib_external = getattr(sys.modules.get("_frozen_importlib_external"), "__dict__", {})

call: "FunctionType" = internal("_frozen_importlib", "_call_with_frames_removed", "")
"""The function through which importlib calls ``compile`` and ``exec``. Tracebacks are trimmed at
its frames."""

get_code: "Any" = internal(_LOADERS, "SourceLoader.get_code", "")
source_to_code: "FunctionType" = internal(_LOADERS, "SourceLoader.source_to_code", "")
exec_module: "FunctionType" = internal(_LOADERS, "SourceLoader.exec_module", "self", "module")
sourceless: "CodeType" = internal(_LOADERS, "SourcelessFileLoader.get_code", "").__code__
load_unlocked: "FunctionType" = internal("_frozen_importlib", "_load_unlocked", "spec")
reload_unlocked: "FunctionType" = internal("_frozen_importlib", "_exec", "spec")
find_unlocked: "FunctionType" = internal("_frozen_importlib", "_find_and_load_unlocked", "name")
init_module_attrs: "FunctionType" = internal("_frozen_importlib", "_init_module_attrs", "")
_MODULE_LOCKS: "dict[str, object]" = internal("_frozen_importlib", "_module_locks")
"""Importlib's lock of each module that is being imported now (``_get_module_lock``), by name."""
if type(_MODULE_LOCKS) is not dict:
    _MODULE_LOCKS = {}

BUILTIN_FUNCTION = type(compile_source)
SLOT_WRAPPER = type(object.__init__)
MODULE = type(sys)

_NAMESPACE: "Any" = vars(MODULE)["__dict__"]
_BASES: "Any" = vars(type)["__mro__"]

HELD = (
    (vars(builtins), "compile", compile_source),
    (vars(builtins), "exec", execute),
    (vars(marshal), "loads", marshal.loads),
    (_importlib, "_call_with_frames_removed", call),
    # A name in importlib's own module would come before the built-in one.
    (_importlib_external, "compile", None),
    (_importlib_external, "exec", None),
)
"""The functions that turn verified bytes into running code, by the namespace and the name in which
importlib looks each one up. None: the name must be absent."""

CODES = [(held, held.__code__) for held in (call, get_code, source_to_code, exec_module)]
"""The code of each bound function, because ``__code__`` of a function can be replaced."""

UNSUPPORTED = unsupported(_unexpected)
"""Why this interpreter runs no plugin, as far as a start can tell; empty if it is supported.
``codegenie._enforce.interpreter`` checks the other internals before the first plugin."""


def compiles_by_importlib() -> bool:
    """Return True if ``source_to_code`` calls the functions of importlib that ``HELD`` names."""
    return _importlib_external.get("_bootstrap") is _frozen_importlib


def is_builtin_of(function: object, module: str) -> bool:
    """Return True if ``function`` is machine code of that module, not a Python replacement.

    Python code can neither subclass nor instantiate the type of a built-in function.
    """
    return type(function) is BUILTIN_FUNCTION and (
        getattr(function, "__self__", None) is sys.modules.get(module)
    )


def is_instance(value: object, kind: type) -> bool:
    """Return True if the real type of ``value`` is ``kind`` or derives from it.

    Unlike ``isinstance``, this does not trust the attribute ``__class__``.
    """
    return kind in _BASES.__get__(type(value))


def namespace_of(module: object) -> "dict[str, Any]":
    """Return the namespace of a module without running code of its class.

    A class can compute attributes: that of ``importlib.util.LazyLoader`` executes the module.
    """
    if is_instance(module, MODULE):
        return _NAMESPACE.__get__(module) or {}
    return getattr(module, "__dict__", {})


# --- the finder -----------------------------------------------------------------------------------

PACKAGE = "plugins"
PREFIX = "plugins."

LOCK_NAME = "PLUGINS.lock"
ROOT_VARIABLE = "CODEGENIE_PLUGINS_ROOT"

LOCATE_GUARD_EVENT = "codegenie.plugins.guard.where"
"""An audit event of the guard's own. The audit hook of a guard adds that guard to the argument."""


_OBJECT_CLASS: "Any" = vars(object)["__class__"]


def register(kind: type, *names: str) -> None:
    """Register a class of the guard with the abstract classes of CPython's own counterpart.

    Importing ``importlib.abc`` takes twice as long as starting the interpreter, so the guard's
    classes do not derive from it. No program can call ``isinstance`` with such a class before that
    module is loaded. ``isinstance`` reads ``__class__`` first (``_abc__abc_instancecheck_impl`` in
    ``Modules/_abc.c``), and the property ``__class__`` of the guard's classes
    (``registered_class``) calls this function. ``pkg_resources`` also reads ``__class__`` before it
    chooses by the type of a loader or finder.
    """
    abc = sys.modules.get("importlib.abc")
    for name in names:
        abstract = getattr(abc, name, None)
        if abstract is not None:
            abstract.register(kind)
    if "pkg_resources" in sys.modules:
        from codegenie._enforce import pkg_resources_provider

        pkg_resources_provider.register(kind)


def registered_class(*names: str) -> "Any":
    """Return a property ``__class__`` that calls ``register``. It can be set, as tracers do."""

    def get(self: object) -> type:
        kind = type(self)
        register(kind, *names)
        return kind

    return property(get, lambda self, kind: _OBJECT_CLASS.__set__(self, kind))


class GuardFinder:
    """The meta path finder that alone decides every import of ``plugins`` and ``plugins.*``."""

    # No __slots__, here and in the loaders below: tracers set attributes on finders and loaders.

    def __init__(self) -> None:
        self.requested: dict[str, str] = {}
        """The arguments of ``guard.install``, by setting."""
        self.strict = True
        """True if the audit hook checks events (strict mode)."""
        self.pinned = False
        """True if an activation file has set the settings, so the process cannot change them."""
        self.strict_rules: Any = None
        """The module ``strict``: the rules for code that bypasses the import system. Set together
        with the enforcer, because late in a shutdown the module can no longer be imported."""
        self.made_code: dict[int, Any] = {}
        """Code objects that the guard has made and that still exist (``identities``). Usually
        empty, so the audit hook usually checks no more than that."""
        self.started_in = _STARTED_IN
        """The folder against which relative settings of the environment are resolved."""
        self._enforcers: dict[str, Enforcer] = {}
        self._prefixes: tuple[str, tuple[str, ...]] = ("", ())
        """A root, and how the paths of its folders begin: as it is spelled, and where it is."""

    __class__ = registered_class("MetaPathFinder")

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Return the spec of a guarded module, or None for every other name.

        ``path`` does not decide where a module is: a guarded name is found in the verified tree
        only. Before the first decision this returns a spec whose loader decides.

        Raises:
            ImportError: this interpreter is unsupported, or the module is refused or absent.
        """
        if fullname != PACKAGE and fullname[:8] != PREFIX:
            return None  # is_guarded(), spelled out: this is called for every import there is
        if UNSUPPORTED:
            raise ImportError(UNSUPPORTED, name=fullname)
        if fullname == PACKAGE:
            return ModuleSpec(PACKAGE, RootLoader(self), is_package=True)  # type: ignore[arg-type]
        enforcer = self.existing_enforcer()
        if enforcer is None or not enforcer.package_executed:
            # Another thread is executing `plugins` right now: it is in sys.modules already, and
            # importlib does not wait for a parent that is still being executed.
            return ModuleSpec(fullname, DeferringLoader(self))  # type: ignore[arg-type]
        try:
            return enforcer.find_spec(fullname, path)
        except ImportError as error:
            error.__traceback__ = None  # its frames are the guard's own
            raise

    def invalidate_caches(self) -> None:
        """Do nothing, because a verified tree stays valid for the life of the process."""

    def find_folder(self, path: str) -> "FolderFinder":
        """Return the finder of a folder in the guarded folder. A path hook (``sys.path_hooks``).

        An application that puts such a folder on ``sys.path``, or into a package's ``__path__``,
        gets loaders that execute verified bytes only. Paths are compared as they are spelled. Code
        that is found by another spelling is left to strict mode. CPython calls the hook under the
        global import lock, so the hook decides nothing.

        Raises:
            ImportError: the path is no folder of the guarded folder. The next hook is called.
        """
        folder = self.folder_path(path)
        if folder is None or not self._is_folder(folder):
            raise ImportError("not a folder of the guarded folder", path=path)
        return FolderFinder(self, folder)

    def folder_path(self, path: object) -> str | None:
        """Return the absolute path of a folder that a search path names, or ``None`` if it is
        outside the guarded folder."""
        if not isinstance(path, str):
            return None
        folder = str.__str__(path)
        os = _loaded_os()
        if os is None:
            return None
        try:
            slashed = f"{folder}/"
            if folder[:1] != "/" or "/./" in slashed or "/../" in slashed or "//" in slashed:
                # "link/.." is above where the link leads, so links must be resolved.
                folder = os.path.realpath(folder)
                slashed = f"{folder}/"
            inside = self._begins_as_root(slashed, os)
        except (OSError, ValueError):
            return None
        return folder if inside else None

    def _begins_as_root(self, folder: str, os: "Any") -> bool:
        root = _root(self)
        if root is None:
            return _may_become_the_root(folder[:-1], os)
        if self._prefixes[0] != root:
            self._prefixes = root, (_as_prefix(root), _as_prefix(os.path.realpath(root)))
        return folder.startswith(self._prefixes[1])

    def _is_folder(self, folder: str) -> bool:
        enforcer = self.existing_enforcer()
        if enforcer is not None and enforcer.has_folder(folder):
            return True  # also if the folder was removed: its modules are refused, not absent
        try:
            return _os.stat(folder).st_mode & _TYPE_OF_FILE == _FOLDER
        except (OSError, ValueError):
            return False

    def enforcer(self) -> "Enforcer":
        """Return the one enforcer of this interpreter, and create it at the first call.

        Never call this in ``find_spec``: it imports.

        Raises:
            ImportError: the guard's own code cannot be loaded, or relies on internals that this
                interpreter does not have. Then nothing is imported.
        """
        enforcer = self._enforcers.get("enforcer")
        if enforcer is None:
            problem = why_unsupported()
            if problem:
                raise ImportError(problem, name=PACKAGE)
            try:
                from codegenie._enforce import strict
                from codegenie._enforce.enforcer import Enforcer

                if hasattr(sys, "get_lazy_imports"):
                    from codegenie._enforce.lazy_imports import resolve_own

                    resolve_own()
            except Exception as error:
                raise guard_load_error(error) from error
            self.strict_rules = strict
            # setdefault is atomic: a second thread gets the enforcer of the first.
            enforcer = self._enforcers.setdefault("enforcer", Enforcer(self))
        return enforcer

    def existing_enforcer(self) -> "Enforcer | None":
        """Return the enforcer, or None before the first guarded import. Never creates one."""
        return self._enforcers.get("enforcer")


class RootLoader:
    """The loader of the synthetic package ``plugins``. ``plugins/__init__.py`` never runs."""

    def __init__(self, finder: GuardFinder) -> None:
        self._finder = finder

    __class__ = registered_class("InspectLoader")

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: "ModuleType") -> None:
        module.__file__ = None  # as in a namespace package
        try:
            self._finder.enforcer().execute_package(module)
        except ImportError as error:
            error.__traceback__ = None  # its frames are the guard's own
            raise

    def is_package(self, fullname: str) -> bool:
        return True

    def get_source(self, fullname: str) -> str | None:
        # `pyclbr` reads this source and looks for plugins without an import, so decide here.
        source: str | None = self._decided().get_source()
        return source

    def get_code(self, fullname: str) -> "CodeType":
        return compile("", "<plugins>", "exec", dont_inherit=True)

    def get_resource_reader(self, fullname: str) -> "Any":
        return self._decided().get_resource_reader()

    def __getattr__(self, name: str) -> "Any":
        """Return a method that only some packages have (``get_filename``, if the root has an
        ``__init__.py``), or only some versions (``load_module``)."""
        if name not in ("get_data", "get_filename", "load_module", "name", "path"):
            raise AttributeError(name)
        return getattr(self._decided(), name)

    def _decided(self) -> "Any":
        """Import the package, which decides; then return the object that describes the package.

        Raises:
            ImportError: the package is refused, as in an import.
        """
        __import__(PACKAGE)
        return self._finder.enforcer().root_package()


MAX_ATTEMPTS = 64
"""The number of times to repeat an import of ``plugins`` that fails in another thread."""


class DeferringLoader:
    """A loader that decides instead of ``find_spec``, then delegates to the module's real loader.

    For a guarded name it first waits until ``plugins`` has been executed. For a module that the
    finder of a folder has found (``folder``) it verifies the unit of that folder.
    """

    def __init__(
        self,
        finder: GuardFinder,
        folder: "FolderFinder | None" = None,
        found: ModuleSpec | None = None,
    ) -> None:
        self._finder = finder
        self._folder = folder
        self._real: Any = None
        self._is_package: bool | None = None
        if found is not None:
            self.name = found.name
            self.path = found.origin
            self._is_package = found.submodule_search_locations is not None

    __class__ = registered_class("InspectLoader")

    def create_module(self, spec: ModuleSpec) -> "ModuleType | None":
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

    def exec_module(self, module: "ModuleType") -> None:
        """Execute a module for a loader that wraps this one, and may have created the module."""
        if self._real is None:
            spec = ModuleSpec(module.__name__, None)
            self._resolve(spec)
            if spec.loader is None or spec.loader.create_module(spec) is not None:
                raise ImportError(f"{module.__name__} was not created by its own loader")
            init_module_attrs(spec, module, override=True)
            self._real = spec.loader
        self._real.exec_module(module)

    def is_package(self, fullname: str) -> bool:
        if self._is_package is not None:
            return self._is_package
        return bool(self._loader_of(fullname).is_package(fullname))

    def get_code(self, fullname: str) -> "CodeType | None":
        code: CodeType | None = self._loader_of(fullname).get_code(fullname)
        return code

    def get_source(self, fullname: str) -> str | None:
        source: str | None = self._loader_of(fullname).get_source(fullname)
        return source

    def get_filename(self, fullname: str) -> str:
        return str(self._loader_of(fullname).get_filename(fullname))

    def get_resource_reader(self, fullname: str) -> "Any":
        return self._loader_of(fullname).get_resource_reader(fullname)

    def load_module(self, fullname: str) -> "ModuleType":
        module: ModuleType = self._loader_of(fullname).load_module(fullname)
        return module

    def _loader_of(self, fullname: str) -> "Any":
        spec = ModuleSpec(fullname, self)  # type: ignore[arg-type]
        self._resolve(spec)
        return spec.loader

    def _resolve(self, spec: ModuleSpec) -> None:
        """Complete a deferred spec: overwrite it with what ``find_spec`` returns now.

        For a guarded name, ``plugins`` is imported first, because that import decides.

        Raises:
            PluginImportRefused, ModuleNotFoundError: as ``find_spec``.
        """
        if self._folder is not None:
            self._finder.enforcer().resolve_in_folder(spec, self._folder)
            return
        # Takes the lock of `plugins`, so it waits for the thread that is executing the package. It
        # returns the module even if that execution failed, so check `package_executed`.
        __import__(PACKAGE)
        enforcer = self._finder.enforcer()
        for _ in range(MAX_ATTEMPTS):
            if enforcer.package_executed or PACKAGE in sys.modules:
                break
            __import__(PACKAGE)
        if not enforcer.package_executed:
            # The package is half-executed (a log handler imports a plugin during a refusal), is an
            # application's own module, or was not imported by a replaced `__import__`. Nothing was
            # verified, so fail closed.
            raise enforcer.not_executed_error(spec.name)
        enforcer.resolve(spec)


def why_unsupported() -> str:
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
        raise guard_load_error(error) from error
    return unsupported(interpreter.unexpected())


def _is_asked_by_modulefinder() -> bool:
    if "modulefinder" not in sys.modules:
        return False
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == _IMPORTLIB:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "modulefinder"


_IMPORTLIB = get_code.__code__.co_filename
_TYPE_OF_FILE = 0o170000
_FOLDER = 0o040000


class FolderFinder:
    """The path entry finder of one folder in the guarded folder, on whichever search path it is.

    Its loaders execute verified bytes only. CPython calls ``find_spec`` under the global import
    lock, so before the first decision it finds the file on disk and returns a loader that decides.
    """

    def __init__(self, guard: GuardFinder, path: str) -> None:
        self.guard = guard
        self.path = path
        self.place: Any = None
        """The cached result of ``folders.place_of_finder``."""
        self._on_disk: Any = None

    __class__ = registered_class("PathEntryFinder")

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> ModuleSpec | None:
        if fullname == "__main__" or _is_asked_by_modulefinder():
            # runpy treats an ImportError of get_code as an absent module, so the audit hook checks
            # that code. modulefinder runs no file, and supports CPython's own loaders only.
            return self.find_on_disk(fullname)
        enforcer = self.guard.existing_enforcer()
        if enforcer is not None and enforcer.is_decided():
            return enforcer.find_in_folder(self, fullname)
        spec = self.find_on_disk(fullname)
        # A guarded name gets here only if the guard is displaced. Strict mode restores the guard.
        return spec if is_guarded(fullname) else self.deferred(spec)

    def deferred(self, spec: ModuleSpec | None) -> ModuleSpec | None:
        """Give a spec that was found on disk a loader that decides.

        A portion of a namespace package has no loader, so its spec stays as it is.
        """
        if spec is not None and spec.loader is not None:
            spec.loader = DeferringLoader(self.guard, self, spec)  # type: ignore[assignment]
        return spec

    def find_on_disk(self, fullname: str) -> ModuleSpec | None:
        """Return the spec that CPython's own finder of the folder finds. Nothing is verified."""
        spec: ModuleSpec | None = self.on_disk().find_spec(fullname)
        return spec

    def on_disk(self) -> "Any":
        """Return CPython's own finder of the folder."""
        if self._on_disk is None:
            suffixes = (extension_suffixes(), *_SUFFIXES)
            self._on_disk = FileFinder(self.path, *zip(_FILE_LOADERS, suffixes, strict=True))
        return self._on_disk

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        """Yield the modules of the folder that are verified, as ``pkgutil`` lists modules."""
        return self.guard.enforcer().list_folder(self, prefix)

    def invalidate_caches(self) -> None:
        """Forget what is on disk. A verified tree stays valid for the life of the process."""
        if self._on_disk is not None:
            self._on_disk.invalidate_caches()

    def __repr__(self) -> str:
        return f"FolderFinder({self.path!r})"

    if sys.version_info < (3, 12):

        def find_loader(self, fullname: str) -> "tuple[Any, list[str]]":
            """Return a module's loader and portions, as ``FileFinder.find_loader`` does."""
            spec = self.find_spec(fullname)
            if spec is None:
                return None, []
            return spec.loader, spec.submodule_search_locations or []

        def find_module(self, fullname: str) -> "Any":
            return self.find_loader(fullname)[0]

    if sys.version_info >= (3, 15):

        def discover(self, parent: ModuleSpec | None = None) -> "Iterator[ModuleSpec]":
            """Yield the specs of the verified modules, as ``FileFinder.discover`` does."""
            if parent is not None and parent.submodule_search_locations is None:
                raise ValueError(f"{parent} is not a package module")
            prefix = f"{parent.name}." if parent else ""
            for name in self.guard.enforcer().names_in_folder(self):
                spec = self.find_spec(prefix + name)
                if spec is not None:
                    yield spec


def guard_load_error(error: Exception) -> ImportError:
    """Return the exception for code of the guard itself that cannot be loaded.

    It is never a ``ModuleNotFoundError``, because programs catch that one to find out if an
    optional plugin exists.
    """
    fix = "resolve this error, or install codegenie again"
    if all(type(finder) is GuardFinder for finder in sys.meta_path):
        fix = "find the code that emptied sys.meta_path: nothing can be imported at all"
    return ImportError(
        "the plugin guard cannot load its own code, so nothing below 'plugins' is "
        f"imported: {type(error).__name__}: {error}\n"
        f"  fix       {fix}",
        name=PACKAGE,
    )


set_up_lock: "Any" = _RLOCK() or _thread.allocate_lock()
"""The lock for installing the guard, and for changing or pinning its settings.

Never acquire it in ``find_spec``, or while a module of an application is imported."""


def _after_fork() -> None:
    """Free the lock in the child of a fork: the thread that held it did not come along."""
    if not set_up_lock._is_owned():
        set_up_lock._at_fork_reinit()


if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork)

_the_guard: list[GuardFinder] = []
"""The installed guard, or nothing. If library code removes the guard from ``sys.meta_path``, this
same guard is restored, because its settings and verified trees belong to the process."""


def is_guarded(name: object) -> bool:
    """Return True for ``plugins`` and every name below it.

    Args:
        name: a module's name, or any other key of ``sys.modules``.
    """
    return isinstance(name, str) and (name == PACKAGE or name[:8] == PREFIX)


def installed() -> GuardFinder | None:
    """Return the guard of this interpreter, even if it was removed from ``sys.meta_path``.

    Returns None before a guard is installed. This module may have been removed from
    ``sys.modules`` and imported again. The audit hook of the first guard still knows that guard.
    """
    if not _the_guard:
        _the_guard[:] = find_installed_guards()[:1]
    return _the_guard[0] if _the_guard else None


def find_installed_guards() -> list[GuardFinder]:
    """Return the guards whose audit hooks are in this interpreter: one, or none yet."""
    found: list[GuardFinder] = []
    if hasattr(sys, "audit"):
        sys.audit(LOCATE_GUARD_EVENT, found)
    return found


def start(settings: "dict[str, str]") -> str:
    """Install the guard with settings that the process cannot change. For the activation file.

    Args:
        settings: what ``guard.pin`` takes, as ``codegenie guard install`` has written it: checked,
            complete, its paths absolute.

    Returns:
        Empty; or why this interpreter runs no plugin. The guard then refuses them all.

    Raises:
        As ``guard.pin``.
    """
    with set_up_lock:
        if installed() is None and not is_too_late():
            finder = GuardFinder()
            finder.requested.update(settings)
            finder.pinned = True
            add_audit_hook(finder)
            move_to_front(finder)
            return UNSUPPORTED
    # A guard is already installed, or plugin modules are already loaded. ``guard.pin`` decides
    # whether that is compatible or an error.
    from codegenie.plugins import guard

    guard.pin(**settings)  # type: ignore[arg-type]
    return UNSUPPORTED


def is_at_front(finder: GuardFinder) -> bool:
    """Return True if importlib calls ``finder`` before all other finders."""
    present = sys.meta_path
    if type(present) is list:
        for first in present:  # not by index: another thread may empty the list in between
            return first is finder
    return False


def move_to_front(finder: GuardFinder) -> None:
    """Make ``finder`` the guard of this interpreter, first on ``sys.meta_path``."""
    _the_guard[:] = [finder]
    serve_folders(finder)
    present = sys.meta_path
    if is_at_front(finder):
        return
    if type(present) is list:
        # Other threads import, and add and remove finders, at the same time. So the list always
        # contains the guard, and no change of another thread is undone.
        present.insert(0, finder)
        _remove_behind(finder, present)
    else:
        sys.meta_path = [finder, *(other for other in present if other is not finder)]


def _remove_behind(finder: GuardFinder, present: "list[Any]") -> None:
    """Remove ``finder`` from every place but the first."""
    places = [number for number, other in enumerate(list(present)) if other is finder]
    for number in places[:0:-1]:
        try:
            taken = present.pop(number)
        except IndexError:
            continue  # another thread has shortened the list in between
        if taken is not finder:  # or changed it
            present.insert(number, taken)


def serve_folders(finder: GuardFinder) -> None:
    """Insert the path hook at the front, and forget path entry finders of earlier hooks."""
    hooks = sys.path_hooks
    if UNSUPPORTED:
        return  # strict mode refuses what is found there
    if type(hooks) is list and finder.find_folder not in hooks:
        hooks.insert(0, finder.find_folder)
        forget_folders(finder)


def forget_folders(finder: GuardFinder) -> None:
    """Remove folders of the guarded folder from ``sys.path_importer_cache``."""
    if "os" not in sys.modules:  # `-S`: comparing paths would load it
        sys.path_importer_cache.clear()
        return
    for path in list(sys.path_importer_cache):
        if finder.folder_path(path) is not None:
            sys.path_importer_cache.pop(path, None)


def stop_serving_folders(finder: GuardFinder) -> None:
    """Remove the path hook and the finders that it made. For a guard of a test."""
    if finder.find_folder in sys.path_hooks:
        sys.path_hooks.remove(finder.find_folder)
    forget_folders(finder)


def is_too_late() -> bool:
    """Return True if guarded modules are already loaded. A new guard cannot decide those."""
    return any(map(is_guarded, list(sys.modules)))


def restore_to_front(finder: GuardFinder, executing: str = "") -> None:
    """Move a displaced guard to the front of ``sys.meta_path``, and apply the rule for that.

    Does nothing if the guard is at the front, or if the interpreter is shutting down.

    Args:
        executing: the name of the module that is being executed right now.
    """
    if is_at_front(finder) or sys.meta_path is None:  # None: the interpreter is shutting down
        return
    present = list(sys.meta_path)  # which another thread may empty in between
    removed = not any(other is finder for other in present)
    by = type(present[0]).__qualname__ if present else "nothing"
    move_to_front(finder)
    enforcer = finder.enforcer()
    finder.strict_rules.displaced(enforcer, by, removed=removed, executing=executing)


# --- the audit hook -------------------------------------------------------------------------------

_SCRIPTS = frozenset(("cpython.run_file", "cpython.run_startup", "cpython.remote_debugger_script"))
"""Events of the interpreter that is about to open and run a script by its path."""

_RARE = frozenset(
    ("import", "ctypes.dlopen", "sqlite3.load_extension", *_SCRIPTS, LOCATE_GUARD_EVENT)
)

MODULE_SUFFIXES: tuple[str, ...] = (".py", ".pyc", ".so")
if not UNSUPPORTED:
    MODULE_SUFFIXES = (*_SUFFIXES[0], *_SUFFIXES[1], *extension_suffixes())
"""The result of ``importlib.machinery.all_suffixes``, which a start does not load."""

_LOADS_COPIES = frozenset(
    f"codegenie._enforce.{name}" for name in ("extensions", "libraries", "library_loads")
)
"""Modules of the guard that load machine code themselves, from private copies."""

LIBRARY_PATH = _os.environ.get(b"LD_LIBRARY_PATH", b"")
"""The folders that the dynamic linker searches first: the value at the start of the process."""

_CALL = call.__code__
_EXEC_MODULE = exec_module.__code__
_LOAD = load_unlocked.__code__
_RELOAD = reload_unlocked.__code__
_FIND_AND_LOAD = find_unlocked.__code__

_WRITE_ONLY = 1
"""``os.O_WRONLY``, of the lowest two bits of the flags (``os.O_ACCMODE``)."""


def add_audit_hook(finder: GuardFinder) -> None:
    """Add the hook of this guard to the interpreter, for good.

    Raises:
        ImportError: another audit hook does not allow it.
    """
    if not (hasattr(sys, "addaudithook") and hasattr(sys, "audit") and hasattr(sys, "_getframe")):
        return  # UNSUPPORTED says so, and the finder refuses every plugin without a hook
    sys.addaudithook(hook_of(finder))
    # An audit hook that raises a RuntimeError vetoes others, and sys.addaudithook does not fail.
    if finder not in find_installed_guards():
        raise ImportError(
            "the plugin guard was not installed: an audit hook of this process lets no other one "
            "in\n  fix       call codegenie.plugins.guard.install() before that hook is added",
            name="codegenie.plugins.guard",
        )


def hook_of(finder: GuardFinder) -> "Callable[[str, tuple[Any, ...]], None]":
    """Return the audit hook of this guard: a short closure that dispatches to ``Events``.

    A program that raises an event of the interpreter by ``sys.audit`` must pass the arguments that
    the interpreter passes.
    """
    events = Events(finder)
    on_open, on_exec = events.on_open, events.on_exec
    on_import, on_library = events.on_import, events.on_library
    # Bound here, because a shutdown empties this module and `builtins` before the last audit
    # events.
    rare, where, text, kind, frame = _RARE, LOCATE_GUARD_EVENT, str, type, sys._getframe
    import_error = ImportError

    def hook(event: str, args: "tuple[Any, ...]") -> None:
        try:
            # The name of an event is a new str each time: comparing costs less than hashing.
            if event == "open":
                if kind(args[0]) is not text or ".py" in args[0]:
                    on_open(args[0], args[1], args[2], frame().f_back)
            elif event == "exec":
                on_exec(args[0], frame().f_back)
            elif event in rare:
                if event == "import":
                    on_import(args[0], args[1], frame().f_back)
                elif event == where:
                    args[0].append(finder)
                else:
                    # sqlite3 gives its connection first.
                    on_library(event, args[-1], frame().f_back)
        except import_error as error:
            error.__traceback__ = None  # its frames are the guard's own
            raise

    return hook


class Events:
    """The checks of strict mode, one method to an event.

    A method uses nothing but ``self`` until it knows that the interpreter is not shutting down.
    """

    def __init__(self, finder: GuardFinder) -> None:
        self._finder = finder
        self._folder_paths = FolderPaths()
        self._at_the_end = RulesAtTheEnd(finder)
        self._sys = sys
        self._package = PACKAGE
        self._kind, self._text, self._data, self._number = type, str, bytes, int

    def _is_ending(self) -> bool:
        """Return True if the interpreter is shutting down, so imports no longer work.

        ``finalize_modules_delete_special`` in ``Python/pylifecycle.c`` sets both attributes to
        None. An application may set one of them, so both are compared.
        """
        return self._sys.meta_path is None and self._sys.path_hooks is None

    def on_open(self, path: "Any", mode: object, flags: int, caller: "FrameType | None") -> None:
        kind = self._kind(path)
        if kind is self._number or (kind is self._data and path[-4:] != b".pyc"):
            return
        if kind is self._text and path[-4:] != ".pyc":
            if path[-3:] == ".py" and mode is not None and not self._is_ending():
                _shown(self._finder, path, flags, caller)
        elif not self._finder.strict:
            return
        elif self._is_ending():
            self._at_the_end.on_bytecode(path, flags)
        else:
            _opened(self._finder, self.in_guarded_folder, path, flags, caller)

    def on_exec(self, code: "CodeType", caller: "FrameType | None") -> None:
        if not self._finder.strict:
            return
        if self._is_ending():
            self._at_the_end.on_code(code, caller)
        else:
            _executed(self._finder, self.in_guarded_folder, code, caller)

    def on_import(self, name: str, path: object, caller: "FrameType | None") -> None:
        if path is None and name[:7] != self._package:
            return  # an import of an unrelated module, the usual case
        if not self._finder.strict:
            return
        if self._is_ending():
            self._at_the_end.on_library(path)
        else:
            _imported(self._finder, self.in_guarded_folder, name, path, caller)

    def on_library(self, event: str, path: object, caller: "FrameType | None") -> None:
        if not self._finder.strict:
            return
        if self._is_ending():
            self._at_the_end.on_library(path)
        elif event in _SCRIPTS:
            _used(self._finder, self.in_guarded_folder, path)
        else:
            _linked(self._finder, self.in_guarded_folder, path, event, caller)

    def in_guarded_folder(self, path: object) -> bool:
        """Return True if a path is in the plugin folder. Fails closed if that cannot be known."""
        if not isinstance(path, str):
            return False
        path = str.__str__(path)  # the characters that the kernel gets, not a subclass's answer
        if path[:1] == "<" and path[-1:] == ">" and not _is_there(path):
            return False  # "<string>", "<frozen os>": no file
        try:
            return self._folder_paths.contains(path, _root(self._finder))
        except ValueError:
            return False  # no file can have that name
        except OSError:
            return True  # fail closed: the path cannot be resolved


class RulesAtTheEnd:
    """The checks of strict mode while the interpreter shuts down.

    A shutdown empties one module after the other (``finalize_modules`` in
    ``Python/pylifecycle.c``), including this one and ``builtins``, and runs ``__del__`` methods.
    Threat: nothing can be imported then, so no code can be compared with the lock. Rule: no file in
    the plugin folder runs, only code objects that the guard has made before. The methods use
    nothing but attributes of ``self``.
    """

    def __init__(self, finder: GuardFinder) -> None:
        self._finder = finder
        self._root_of = _root
        self._stat, self._read_link, self._exists = stat, _os.readlink, access
        self._links = range(_MAX_LINKS)
        self._call_code, self._write_only = _CALL, _WRITE_ONLY
        self._package, self._prefix = PACKAGE, PREFIX
        self._suffixes, self._lock_name = MODULE_SUFFIXES, LOCK_NAME
        self._encoding = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
        self._kind, self._is_a, self._id, self._getattr = type, isinstance, id, getattr
        self._text, self._data = str, bytes
        self._import_error, self._denied = ImportError, PermissionError
        self._failure, self._no_path = Exception, (OSError, ValueError)
        folders = LIBRARY_PATH.replace(b";", b":").split(b":") if LIBRARY_PATH else []
        self._library_folders = [self._text_of(folder) or "." for folder in folders]

    def on_code(self, code: "CodeType", caller: "FrameType | None") -> None:
        made = self._finder.made_code.get(self._id(code))
        if made is not None and made[0]() is code and made[1][1]:
            return
        claimed = self._text_of(self._getattr(code, "co_filename", None))
        name = self._guarded_name(caller)
        is_file = claimed.endswith(self._suffixes) or self._exists(claimed, 0)
        if name or (is_file and self._is_in_folder(claimed)):
            self._refuse(claimed, name)

    def on_bytecode(self, path: object, flags: int) -> None:
        named = self._text_of(path)
        if named[-4:] == ".pyc" and flags & 3 != self._write_only and self._is_in_folder(named):
            # As for a file without permission: importlib continues with the source.
            raise self._denied(13, "the plugin guard does not let it be read", named)

    def on_library(self, path: object) -> None:
        named = self._text_of(path)
        if "/" in named:
            if self._is_in_folder(named):
                self._refuse(named, "")
            return
        for folder in self._library_folders:
            place = f"{folder}/{named}"
            if self._exists(place, 0) and self._is_in_folder(place):
                self._refuse(place, "")

    def _refuse(self, path: str, module: str) -> None:
        enforcer = self._finder._enforcers.get("enforcer")
        mode = self._finder.requested.get("mode") if enforcer is None else enforcer.mode
        try:
            # This also reports the refusal, as long as reporting still works.
            self._finder.strict_rules.refuse_at_the_end(enforcer, path, module)
        except self._import_error:
            raise
        except self._failure:
            pass
        if mode != "audit":
            raise self._import_error(
                f"code of the plugin folder does not run while the interpreter ends: {path}\n"
                "  fix       run it earlier, for example in a function that atexit calls"
            )

    def _guarded_name(self, caller: "FrameType | None") -> str:
        """Return the name of the guarded module as which importlib executes code, or ""."""
        if caller is None or caller.f_code is not self._call_code or caller.f_back is None:
            return ""
        name: Any = self._getattr(caller.f_back.f_locals.get("module"), "__name__", None)
        if self._kind(name) is not self._text:
            return ""
        return name if name == self._package or name[:8] == self._prefix else ""

    def _text_of(self, path: "Any") -> str:
        if self._is_a(path, self._data):
            return self._data.decode(path, *self._encoding)
        if self._is_a(path, self._text):
            return self._text.__str__(path)
        try:
            return self._text_of(path.__fspath__())
        except self._failure:
            return ""  # no path

    def _is_in_folder(self, path: str) -> bool:
        try:
            root = self._root_of(self._finder)
        except self._failure:
            root = None  # unknown, and it can no longer be resolved
        if root is not None and path.startswith(f"{root}/"):
            return True
        folder = self._folder_of_target(path)
        try:
            return self._is_below(folder, self._identity(folder), root and self._identity(root))
        except self._no_path:
            return False  # there is no such folder, or no root

    def _is_below(self, folder: str, here: object, root: object) -> bool:
        """Return True if a folder is the root or is below it, by device and inode of each parent.

        If the root is unknown, a folder that contains a lock may be the root.
        """
        try:
            while here != root and (root or not self._exists(f"{folder}/{self._lock_name}", 0)):
                folder += "/.."
                above = self._identity(folder)
                if above == here:
                    return False
                here = above
        except self._no_path:
            pass  # fail closed: the folder cannot be resolved
        return True

    def _folder_of_target(self, path: str) -> str:
        """Return the folder of the file that the kernel opens by a path."""
        folder = self._folder_of(path)
        try:
            for _ in self._links:
                path = self._read_link(path)
                if path[:1] != "/":
                    path = f"{folder}/{path}"
                folder = self._folder_of(path)
        except self._no_path:
            pass  # it is no link
        return folder

    def _folder_of(self, path: str) -> str:
        folder, slash, _ = path.rpartition("/")
        return folder or slash or "."

    def _identity(self, folder: str) -> "tuple[int, int]":
        status = self._stat(folder)
        return status.st_dev, status.st_ino


def _root(finder: GuardFinder) -> str | None:
    enforcer = finder.existing_enforcer()
    if enforcer is not None and enforcer.settings is not None:
        return enforcer.settings.root
    return finder.requested.get("root") or expected_root(None)


def _text(path: object) -> str | None:
    """Return a path as an exact ``str``, or None if ``path`` is not a path.

    The kernel receives the characters of a ``str`` and the bytes of a ``bytes``. A class derived
    from either can override each method that would read them here.
    """
    import os

    try:
        named = os.fspath(path)  # type: ignore[call-overload]
        if isinstance(named, bytes):
            named = os.fsdecode(bytes.__getitem__(named, slice(None)))
        return str.__str__(named)
    except (TypeError, ValueError):
        return None


def _imported(
    finder: GuardFinder,
    in_guarded_folder: "Callable[[object], bool]",
    name: str,
    path: object,
    caller: "FrameType | None",
) -> None:
    if path is None:
        if is_guarded(name):
            restore_to_front(finder)
        return
    if _is_loading_copies(caller):
        return
    if is_guarded(name) or in_guarded_folder(path):
        enforcer = finder.enforcer()
        finder.strict_rules.judge_machine_code(enforcer, str(path), name)
    elif LIBRARY_PATH and isinstance(path, str):
        # The dynamic linker may find a library that it needs in the plugin folder.
        _library_loads().check_extension(finder, in_guarded_folder, path, name)


def _used(finder: GuardFinder, in_guarded_folder: "Callable[[object], bool]", path: object) -> None:
    """Verify a script in the plugin folder that is about to be run by its path."""
    name = _text(path)
    if name and in_guarded_folder(name):
        enforcer = finder.enforcer()
        finder.strict_rules.judge_file(enforcer, name)


def _linked(
    finder: GuardFinder,
    in_guarded_folder: "Callable[[object], bool]",
    path: object,
    event: str,
    caller: "FrameType | None",
) -> None:
    """Verify a library that is about to be loaded, and the libraries that it needs."""
    name = _text(path)
    if name and not _is_loading_copies(caller):
        _library_loads().check(finder, in_guarded_folder, name, event)


def _is_loading_copies(caller: "FrameType | None") -> bool:
    return caller is not None and caller.f_globals.get("__name__") in _LOADS_COPIES


def _library_loads() -> "ModuleType":
    """Return the module that checks libraries, imported when the first library is opened.

    Raises:
        ImportError: the module cannot be imported, so no library is opened.
    """
    try:
        from codegenie._enforce import library_loads
    except Exception as error:
        raise guard_load_error(error) from error
    return library_loads


def _opened(
    finder: GuardFinder,
    in_guarded_folder: "Callable[[object], bool]",
    path: object,
    flags: int,
    frame: "FrameType | None",
) -> None:
    name = path if type(path) is str else _text(path)
    if (
        name is None
        or name[-4:] != ".pyc"
        or flags & 3 == _WRITE_ONLY
        or not in_guarded_folder(name)
    ):
        return
    enforcer = finder.enforcer()
    finder.strict_rules.judge_bytecode(enforcer, name, frame)


def _shown(finder: GuardFinder, path: str, flags: int, caller: "FrameType | None") -> None:
    """Withhold a source file that is opened to show its lines, if it has changed."""
    enforcer = finder.existing_enforcer()
    if enforcer is not None and _is_for_display(flags, caller):
        finder.strict_rules.withhold_changed_source(enforcer, path)


def _is_for_display(flags: int, caller: "FrameType | None") -> bool:
    """Return True if the interpreter or ``linecache`` opens a source file to show lines of it.

    Args:
        flags: zero where C code has opened the file by ``fopen`` (``_Py_fopen_obj`` in
            ``Python/fileutils.c``), because ``open`` always adds ``O_CLOEXEC``.
        caller: the frame that calls ``open``.
    """
    if caller is None:
        # An uncaught exception, whose lines 3.11 and 3.12 read in C; not a script to be run.
        return flags != 0
    if flags == 0:
        return True  # the line of a SyntaxError
    module = caller.f_globals.get("__name__")
    if module == "tokenize":
        outer = caller.f_back
        return outer is not None and outer.f_globals.get("__name__") == "linecache"
    return module == "threading"  # an exception that ends a thread, in C as well


def _executed(
    finder: GuardFinder,
    in_guarded_folder: "Callable[[object], bool]",
    code: "CodeType",
    caller: "FrameType | None",
) -> None:
    """Decide whether ``code``, which ``exec`` is about to run, may run.

    Four things are known about the origin of the code. The *loader*, the *name* of the module and
    the *path* of its file come from the frames of whatever executes the code. The path that the
    code object *claims* (``co_filename``) is worth less, because any code can claim any path. The
    type of the loader is not evidence either: an application can replace each of its methods.

    The questions, in this order; the first yes decides:

    1. Did the guard make this very code object, from verified bytes of that file? It runs.
    2. Would it run as a guarded module that another finder found, while the guard was displaced? It
       is refused, and the guard is restored to the front.
    3. Would it run under a guarded name, or as a module file in the plugin folder? It must equal
       the code to which the verified bytes of the file compile.
    4. Was it made from another file in the plugin folder (a template, a line of a ``.pth`` file)?
       That file must be verified.

    All other code runs: it is outside the guard's scope.

    Raises:
        PluginImportRefused: the code must not run.
    """
    claimed = _claimed_path(code, caller)
    if claimed is None:
        return  # an event that other code has raised itself
    request = _request(caller)
    by_module = request is not _UNKNOWN
    if finder.made_code and _is_made_by_guard(finder, code, caller, request):  # question 1
        return
    if _MODULE_LOCKS and not is_guarded(request[_NAME]) and _is_guarded_import_running():
        request = _replaced_request(finder, caller, request)
    spec, loader, name, path = request
    guarded = is_guarded(name)
    if guarded and _is_past_the_guard(finder, loader):  # question 2
        restore_to_front(finder, executing=name)
        finder.strict_rules.refuse_past_the_guard(finder.enforcer(), str(path or claimed), name)
        return
    path, from_loader = _file_of_loader(in_guarded_folder, loader, path)
    of_data = not claimed.endswith(MODULE_SUFFIXES)
    from_claim = (
        not from_loader and claimed != path and _is_file(in_guarded_folder, claimed, of_data)
    )
    if guarded or from_loader or (from_claim and not of_data):  # question 3
        enforcer = finder.enforcer()
        finder.strict_rules.judge_code(
            enforcer,
            code,
            str(path if from_loader else claimed),
            name,
            as_module=from_loader and by_module,
            in_guarded_folder=in_guarded_folder,
        )
        enforcer.executed.add(spec)
    elif from_claim:  # question 4
        enforcer = finder.enforcer()
        finder.strict_rules.judge_file(enforcer, claimed)


_UNKNOWN: "Request" = (None, None, "", None)
_NAME = 2


def _claimed_path(code: object, caller: "FrameType | None") -> str | None:
    """Return the path from which a code object claims to be compiled; None for no code object."""
    claimed = getattr(code, "co_filename", None)
    if not isinstance(claimed, str):
        return None
    if caller is not None and caller.f_globals.get("__name__") == "site":
        return str(caller.f_locals.get("fullname"))  # `site` executes a line of a .pth file
    return str.__str__(claimed)  # a subclass of str can answer anything


def _is_runpy(caller: "FrameType") -> bool:
    """Return True for a frame of ``runpy``.

    ``python -m runpy`` runs it as ``__main__``, whose namespace the module that it runs takes over.
    """
    if caller.f_globals.get("__name__") == "runpy":
        return True
    return caller.f_code.co_filename in ("<frozen runpy>", f"{_LIBRARY}runpy.py")


def _request(caller: "FrameType | None") -> "Request":
    """Return the spec, the loader, the name and the path with which ``caller`` executes code.

    Threat: a code object can claim any file name. Rule: read the name and the path from the frame
    of importlib, ``runpy`` or ``zipimport`` that executes the code. For other callers, and for the
    interpreter itself (no frame), both are unknown.
    """
    if caller is None:
        return _UNKNOWN
    if caller.f_code is _CALL:
        outer = caller.f_back
        if outer is not None and outer.f_code is _EXEC_MODULE:
            return _request_of_importlib(outer)
    elif _is_runpy(caller):
        path = _opened_by_runpy(caller.f_locals.get("fname"))
        return None, caller.f_locals.get("loader"), "", path
    elif caller.f_globals.get("__name__") == "zipimport":
        # zipimporter.load_module, which is deprecated, executes by itself.
        path = _text(caller.f_locals.get("modpath"))
        return None, None, str(caller.f_locals.get("fullname")), path
    return _UNKNOWN


def _request_of_importlib(frame: "FrameType") -> "Request":
    """Return the request in the frame of importlib's own ``exec_module``."""
    variables = frame.f_locals  # read once: each access builds the mapping again
    loader = variables["self"]
    attributes = namespace_of(variables["module"])
    spec = attributes.get("__spec__")
    path = getattr(spec, "origin", None)
    if not isinstance(path, str):  # a module that was made without a spec
        path = getattr(loader, "path", None) or getattr(loader, "archive", None)
    return spec, loader, str(attributes.get("__name__", "")), _text(path)


def _opened_by_runpy(named: object) -> str | None:
    """Return the path that ``runpy`` opens for the name of a script.

    ``runpy`` opens the absolute path (``_get_code_from_file`` in ``Lib/runpy.py``). After a link,
    ".." in that path can lead to another file than ".." in the name does.
    """
    path = _text(named)
    os = _loaded_os()
    # If the working directory was removed, runpy has not opened a relative path.
    return path if path is None or os is None else spelled_path(path, os) or path


def _is_made_by_guard(
    finder: GuardFinder, code: "CodeType", caller: "FrameType | None", request: "Request"
) -> bool:
    """Return True if the guard made this code object, for the file that is to be executed.

    Objects are compared by identity, not by their contents, so the usual guarded import costs no
    comparison.
    """
    enforcer = finder.existing_enforcer()
    if enforcer is None:
        return False
    file = enforcer.file_of_code(code)
    if file is None:
        return False
    spec, loader, _, path = request
    said = getattr(loader, "__dict__", {}).get("path")
    path = (said if type(said) is str else _text(said)) or path
    if path is not None and path != file:
        return False  # verified code of another file
    if spec is None:  # a loader that wraps the guard's executes the code by itself
        frame = _load_frame(caller)
        spec = None if frame is None else frame.f_locals.get("spec")
    enforcer.executed.add(spec)
    return True


def _is_past_the_guard(finder: GuardFinder, loader: object) -> bool:
    """Return True if another finder has found the module, while the guard was displaced.

    Another finder may call the guard and return its spec, so a loader of the guard is accepted.
    """
    if is_at_front(finder):
        return False
    enforcer = finder.existing_enforcer()
    return enforcer is None or not enforcer.is_own_loader(loader)


def _file_of_loader(
    in_guarded_folder: "Callable[[object], bool]", loader: object, path: str | None
) -> "tuple[str | None, bool]":
    """Return the file that the loader or the spec names, and whether it is in the plugin folder.

    A spec can claim another origin than the file that its loader reads, or than the archive.
    """
    if loader is None and path is None:
        return None, False  # most code that exec() runs
    said = getattr(loader, "__dict__", {})
    file = said.get("path")
    if file is not path:
        file = _as_path(file)
        if in_guarded_folder(file):
            return file, True
    if in_guarded_folder(path):
        return path, True
    archive = _as_path(said.get("archive"))
    return (archive, True) if in_guarded_folder(archive) else (path, False)


def _as_path(said: object) -> str | None:
    """Return the path that a loader names: nearly always a str, or else a path-like object."""
    return said if said is None or type(said) is str else _text(said)


def _is_file(in_guarded_folder: "Callable[[object], bool]", claimed: str, of_data: bool) -> bool:
    """Return True if the path that code claims is in the plugin folder.

    Code that a template engine generates claims the path of the template, so the path of a data
    file counts if the file exists. A name in angle brackets can be a file: "<x>/tool", "<string>".
    """
    return (not of_data or _is_there(claimed)) and in_guarded_folder(claimed)


# Code that runs instead of a guarded module. Threat: a finder gives the module another name, or a
# loader's own exec_module executes other code, so the frame that calls exec shows no guarded name.
# Rule: the name that importlib imports decides, until verified code of that module has begun.


def _is_guarded_import_running() -> bool:
    """Return True if any thread imports or reloads a module with a guarded name.

    Importlib keeps a lock for each such name. Reading those locks costs less than reading the
    frames of unrelated code.
    """
    for name in list(_MODULE_LOCKS):  # noqa: SIM110  # any() can be replaced
        if is_guarded(name):
            return True
    return False


def _replaced_request(
    finder: GuardFinder, caller: "FrameType | None", request: "Request"
) -> "Request":
    """Return the request for the guarded module that code is about to replace.

    Returns:
        ``request`` unchanged in three cases. Importlib imports an unrelated module; verified code
        of the guarded module has begun (the file of what that code executes decides); or a function
        of the standard library generates code for itself, as ``namedtuple`` does.
    """
    frame = _load_frame(caller)
    if frame is None:
        return request
    variables = frame.f_locals
    spec = variables.get("spec")
    name = _requested_name(frame, spec)
    if not is_guarded(name):
        return request
    enforcer = finder.existing_enforcer()
    if enforcer is not None and enforcer.executed.has(spec):
        return request
    if request[_NAME]:
        return (spec, request[1], name, request[3])
    if _generates_code(caller, variables.get("module")):
        return request
    return spec, getattr(spec, "loader", None), name, _text(getattr(spec, "origin", None))


def _load_frame(frame: "FrameType | None") -> "FrameType | None":
    """Return the innermost frame in which importlib loads a module, or None.

    Also None if the guard itself has called the code that executes: a log handler, a verifier.
    """
    while frame is not None and frame.f_code is not _LOAD and frame.f_code is not _RELOAD:
        if str(frame.f_globals.get("__name__"))[:10] == "codegenie.":
            return None
        frame = frame.f_back
    return frame


def _requested_name(frame: "FrameType", spec: object) -> str:
    """Return the name that importlib imports. A finder can return the spec of another module."""
    name = str(getattr(spec, "name", ""))
    outer = frame.f_back
    if not is_guarded(name) and outer is not None and outer.f_code is _FIND_AND_LOAD:
        return str(outer.f_locals.get("name"))
    return name


_EXECUTORS = frozenset(("bdb", "cProfile", "code", "doctest", "profile", "timeit", "trace"))
"""Modules of the standard library that execute code of their callers."""


def _generates_code(caller: "FrameType | None", module: object) -> bool:
    """Return True if a function of the standard library executes code of its own making.

    A function that has the module or its namespace in a variable, as ``cProfile.runctx`` may,
    executes code of its caller. ``runpy``, importlib and the modules of ``_EXECUTORS`` do the same.
    """
    if caller is None or _is_runpy(caller) or caller.f_globals.get("__name__") in _EXECUTORS:
        return False
    path = caller.f_code.co_filename
    if not path.startswith(_LIBRARY) or "-packages/" in path:
        return False
    if module is None:
        return True  # it is being created
    namespace = namespace_of(module)
    for value in list(caller.f_locals.values()):
        if value is module or value is namespace:
            return False
    return True


# --- which files are in the plugin folder, by any of their paths ----------------------------------

_MAX_LINKS = 40
"""The limit of the kernel, which opens no longer chain of links."""

_FOLDER_FLAGS = (
    getattr(_os, "O_PATH", 0) | getattr(_os, "O_DIRECTORY", 0) | getattr(_os, "O_CLOEXEC", 0)
)

MAX_FOLDERS = 4096
"""The number of cached folders. A program that invents file names must not fill the memory."""

MAX_PARENTS = 64
"""The depth to which parents are looked up one by one. ``realpath`` resolves deeper folders."""

_LIBRARY = f"{getattr(sys, '_stdlib_dir', None) or '<unknown>'}/"
_HOME = __file__.rpartition("/")[0] + "/"


class FolderPaths:
    """The plugin folder under all of its names: links to it, and links to files in it."""

    __slots__ = ("_folders", "_moment", "_root", "_within")

    def __init__(self) -> None:
        self._folders: dict[str, tuple[int, int, int, str]] = {}
        """The identity (device, inode, time of last change) and the real path, by folder.

        A link that replaces a folder has another identity. A folder that gets the inode of a
        removed folder has another time."""
        self._moment = object()
        """A token. A new one makes the cached prefixes of the root invalid."""
        self._root: tuple[str, tuple[str, str], object] = ("", ("", ""), None)
        """The root, the prefixes of paths below it (as spelled, and real), and the token at the
        time of the look-up.

        Another thread may meet a folder that changes the result during a look-up. The token has
        changed then, so the outdated result is not used."""
        self._within: tuple[str, bool] = ("", False)
        """A root, and True if it is in the standard library or in the folder of the guard."""

    def contains(self, path: str, root: str | None) -> bool:
        """Return True if ``path`` is a file below ``root``, by its spelling or its real path.

        A hard link elsewhere to a file of the root is not recognized.

        Args:
            path: a path in any spelling: relative, through links, or in a zip file.
            root: the plugin folder, absolute. ``None`` while it is unknown: then any folder
                ``plugins`` that contains a lock may become the root.

        Raises:
            OSError: the path cannot be resolved.
            ValueError: no file can have that path.
        """
        os = _loaded_os()
        if os is None or self._is_the_interpreters(path, root, os):
            return False
        folder, slash, _ = path.rpartition("/")
        folder = folder or slash or "."
        if path[:1] == "/" and "//" not in path and "/." not in path:
            spelled, real = folder, self._real(folder, os)
        else:
            # "link/.." is above the target of the link, not above the link. So let the kernel
            # resolve the path as it is.
            real = kernel_folder(folder, os)
            spelled = spelled_path(folder, os) or real
            self._forget_root()
        if self._is_below(spelled, real, root, os):
            return True
        if not os.path.islink(path):
            return False
        # A link to one file, in a folder that is not guarded.
        self._forget_root()
        target = os.path.dirname(kernel_path(path, os))
        return self._is_below(target, target, root, os)

    def _is_below(self, spelled: str, real: str, root: str | None, os: "Any") -> bool:
        if root is None:
            return _may_become_the_root(spelled, os) or _may_become_the_root(real, os)
        known, prefixes, at = self._root
        if known != root or at is not self._moment or prefixes[0] != prefixes[1]:
            moment = self._moment
            place = absolute(root, os) if root[:2] == "//" else root
            prefixes = _as_prefix(place), _as_prefix(self._real(place, os))
            self._root = root, prefixes, moment
        return _as_prefix(spelled).startswith(prefixes) or _as_prefix(real).startswith(prefixes)

    def _forget_root(self) -> None:
        """Look up the root again at the next path. Called for each path that is met first.

        A root behind a link is looked up each time, because the link may have another target now.
        Any other root can only be moved and replaced by a link. Files of the target are then met by
        the root's own name, or in a folder that was not met before. They are not met in a folder
        from which code has already run.
        """
        self._moment = object()

    def _real(self, folder: str, os: "Any") -> str:
        """Return the real path of a folder, as ``os.path.realpath`` does.

        A cached folder costs one system call; a folder with a cached parent, two.

        Args:
            folder: absolute and normalized.
        """
        try:
            status = os.stat(folder)
        except (OSError, ValueError):
            self._forget_root()
            return os.path.realpath(folder)  # type: ignore[no-any-return]  # in a zip file
        identity = status.st_dev, status.st_ino, status.st_ctime_ns
        known = self._folders.get(folder)
        if known is not None and known[:3] == identity:
            return known[3]
        self._forget_root()
        parent, _, name = folder.rpartition("/")
        if parent and folder.count("/") < MAX_PARENTS and not os.path.islink(folder):
            real = _as_prefix(self._real(parent, os)) + name
        else:
            real = kernel_folder(folder, os)
        if len(self._folders) >= MAX_FOLDERS:
            self._folders.clear()
        self._folders[folder] = *identity, real
        return real

    def _is_the_interpreters(self, path: str, root: str | None, os: "Any") -> bool:
        """Return True if a file is in the standard library or the guard's folder, by its name.

        Links are not resolved: an attacker who can create links there controls the interpreter, and
        needs no plugin. ``site-packages`` in the standard library's folder does not count.
        """
        own = _LIBRARY if path.startswith(_LIBRARY) else _HOME
        if not path.startswith(own) or "/.." in path:
            return False
        if own is _LIBRARY and path.find("-packages/", len(_LIBRARY)) >= 0:
            return False
        if root is None:
            return own is _HOME or "/plugins/" not in path
        if self._within[0] != root:
            places = _as_prefix(absolute(root, os)), _as_prefix(os.path.realpath(root))
            inside = any(place.startswith((_LIBRARY, _HOME)) for place in places)
            self._within = root, inside
        return not self._within[1]


def _is_there(path: str) -> bool:
    """Return True if a file exists by the name that code claims.

    Most generated code claims a name without a file. ``access`` raises no exception then, so it
    takes half the time of ``stat``.
    """
    try:
        return access(path, 0)
    except ValueError:
        return False


def kernel_path(path: str, os: "Any") -> str:
    """Return the path at which the kernel opens a file, or would open it if the file existed.

    Threat: the file that is compared is not the one that is opened. A name that is normalized as
    text, or resolved link by link, can lead to another file than the kernel opens: above a link
    (``link/..``), through ``/proc``, or in a working directory that was removed. Rule: follow the
    links of the last component, then let the kernel name the folder.

    Raises:
        OSError: the working directory was removed, and this system does not keep its name.
        ValueError: no file can have that name.
    """
    for _ in range(_MAX_LINKS):
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    folder, name = os.path.split(path)
    return f"{_as_prefix(kernel_folder(folder, os))}{name}"


def kernel_folder(folder: str, os: "Any") -> str:
    """Return the kernel's own path of a folder, as ``kernel_path`` does for a file."""
    try:
        # O_PATH, because a folder that can be entered but not read can contain code.
        descriptor = open_file(folder or ".", _FOLDER_FLAGS)
    except OSError:  # there is no such folder: code in a zip file, or an invented name
        return _resolved(folder, os)
    try:
        named: str = os.readlink(f"/proc/self/fd/{descriptor}")
        return named
    except OSError:  # there is no /proc, or the name is too long for it
        return _resolved(folder, os)
    finally:
        close(descriptor)


def _resolved(folder: str, os: "Any") -> str:
    try:
        return os.path.realpath(folder)  # type: ignore[no-any-return]
    except FileNotFoundError:  # the working directory was removed: the kernel keeps its name
        was = os.readlink("/proc/self/cwd")
        return os.path.realpath(os.path.join(was, folder))  # type: ignore[no-any-return]


def spelled_path(path: str, os: "Any") -> str | None:
    """Return the absolute path; None if it is relative to a working directory that was removed."""
    try:
        return absolute(path, os)
    except OSError:
        return None


def absolute(path: str, os: "Any") -> str:
    """Return an absolute path as ``os.path.abspath`` does, but always with one leading slash."""
    return "/" + os.path.abspath(path).lstrip("/")  # type: ignore[no-any-return]


def is_below(place: str, root: str) -> bool:
    """Return True if an absolute path is ``root`` or below it, as both are spelled."""
    return _as_prefix(place).startswith(_as_prefix(root))


def _as_prefix(root: str) -> str:
    return root if root.endswith("/") else f"{root}/"


def expected_root(requested: str | None) -> str | None:
    """Return the plugin folder, absolute, that ``install`` or the environment names; or None."""
    os = _loaded_os()
    if os is None:
        return requested
    if not requested and not sys.flags.ignore_environment:
        requested = os.environ.get(ROOT_VARIABLE)
    return from_the_start(requested, os) if requested else None


def from_the_start(path: str, os: "Any") -> str:
    """Return an absolute path; a relative one counts from where the interpreter was started.

    Threat: after ``os.chdir`` a relative path leads to another lock or folder. Rule: resolve every
    relative setting of the environment here.
    """
    return os.path.normpath(os.path.join(_STARTED_IN, path))  # type: ignore[no-any-return]


def _started_in() -> str:
    for finder in find_installed_guards():  # this module was imported again: keep the first value
        return finder.started_in
    try:
        return getcwd()
    except OSError:
        return "/"  # the folder of the start was removed


_STARTED_IN = _started_in()


def _may_become_the_root(place: str, os: "Any") -> bool:
    inside = f"{place}/"
    end = inside.find("/plugins/")
    while end >= 0:
        if os.path.lexists(f"{inside[:end]}/plugins/{LOCK_NAME}"):
            return True
        end = inside.find("/plugins/", end + 1)
    return False


def _loaded_os() -> "Any":
    """Return the module ``os``; None while an interpreter that was started with ``-S`` loads it."""
    import os

    return os if hasattr(os, "path") else None
