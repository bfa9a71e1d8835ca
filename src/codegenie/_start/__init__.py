"""Bind what every start of an interpreter needs: names, primitives and internals of CPython.

Three modules of the package are all that a guarded start loads:

- this module: the names that every tier uses, and references to functions that the guard must not
  look up later.
- ``finder``: the meta path finder, the path hook, and the place of the guard on ``sys.meta_path``.
- ``audit_hook``: strict mode, and ``start``, which an activation file calls.

The three recognize what is unrelated to the guarded folders. The others are loaded when something
may be related (``finder.late_module``):

- ``folder_paths``, at the first path outside the standard library: which files are in a guarded
  folder, by any of their paths.
- ``checks`` and ``file_checks``, at the first event that the audit hook cannot dismiss at once.
- ``loaders``, at the first guarded name or folder; ``deferring``, where it cannot decide yet.
- ``shutdown``, at the first code that runs while the interpreter shuts down.

The modules of the start are few and small, because each start pays for them: some 0.1 ms for a
file, and as much for each 10 kB of bytecode. They import only what a bare interpreter has loaded,
and open no plugin file. Code that is first needed when a plugin is imported is in
``codegenie._enforce``. The functions that applications call are in ``codegenie.plugins.guard``.

The functions of these three modules have their types in comments, which mypy reads. Python 3.14 and
newer compile each annotation into a function of its own, and every start would load these functions
(record 73).
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    import builtins
    import marshal
    import sys
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _frozen_importlib import ModuleSpec as ModuleSpec
    from collections.abc import Callable, Mapping, Sequence  # noqa: F401
    from types import CodeType, FrameType, FunctionType  # noqa: F401
    from typing import Any

    from codegenie._start.finder import GuardFinder

try:
    import posix as posix
except ImportError:  # Windows: nothing is ever verified there, but importing this must not fail
    import nt as posix  # type: ignore[no-redef]

# --- the names of the guard -----------------------------------------------------------------------

DEFAULT_PACKAGE = "plugins"
"""The package that a guarded folder claims if nothing else is set."""

LOCK_NAME = "PLUGINS.lock"
ROOT_VARIABLE = "CODEGENIE_PLUGINS_ROOT"

LOCATE_GUARD_EVENT = "codegenie.plugins.guard.where"
"""An audit event of the guard's own. The audit hook of a guard adds that guard to the argument."""


def find_installed_guards():
    # type: () -> list[GuardFinder]
    """Return the guards whose audit hooks are in this interpreter: one, or none yet."""
    found: list[GuardFinder] = []
    if hasattr(sys, "audit"):
        sys.audit(LOCATE_GUARD_EVENT, found)
    return found


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


def internal(module, path, *variables):
    # type: (str, str, *str) -> Any
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
    for variable in variables:
        if variable and variable not in found.__code__.co_varnames:
            _unexpected.append(f"the variable {variable!r} in {module}.{path}")  # noqa: PERF401
    return found


def _stand_in():
    # type: () -> None
    """Stand for an internal that this interpreter does not have."""


FUNCTION = type(_stand_in)


def unsupported(unexpected):
    # type: (Sequence[str]) -> str
    """Return one sentence on why this interpreter runs no plugin; empty if it is supported.

    Args:
        unexpected: the internals of CPython that are missing here, or have another shape.
    """
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
        f"{problem}, so no guarded module is imported: use {supported}, or install a "
        "version of codegenie that supports this interpreter"
    )


if not TYPE_CHECKING:
    ModuleSpec = internal("_frozen_importlib", "ModuleSpec")
    if ModuleSpec is _stand_in:
        ModuleSpec = type("ModuleSpec", (), {})  # annotations need a type
_LOADERS = "_frozen_importlib_external"
FileFinder = internal(_LOADERS, "FileFinder")
SourceFileLoader = internal(_LOADERS, "SourceFileLoader")
FILE_LOADERS = (
    internal(_LOADERS, "ExtensionFileLoader"),
    SourceFileLoader,
    internal(_LOADERS, "SourcelessFileLoader"),
)
SUFFIXES: "list[list[str]]" = [
    internal(_LOADERS, "SOURCE_SUFFIXES"),
    internal(_LOADERS, "BYTECODE_SUFFIXES"),
]
extension_suffixes: "Callable[[], list[str]]" = internal("_imp", "extension_suffixes")
RLock: "Callable[[], Any]" = internal("_thread", "RLock")
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

open_file = posix.open
read = posix.read
write = posix.write
close = posix.close
fstat = posix.fstat
lstat = posix.lstat
stat = posix.stat
access = posix.access
scandir = posix.scandir
getcwd = posix.getcwd
read_link: "Callable[[str], str]" = getattr(posix, "readlink", None)  # type: ignore[assignment]
pread: "Callable[[int, int, int], bytes]" = getattr(posix, "pread", None)  # type: ignore[assignment]
preadv: "Callable[[int, list[memoryview], int], int]" = getattr(posix, "preadv", None)  # type: ignore[assignment]
clock: "Callable[[], float]" = getattr(sys.modules.get("time"), "time", None)  # type: ignore[assignment]
compile_source = builtins.compile
execute = builtins.exec
unmarshal = marshal.loads

_frozen_importlib = sys.modules.get("_frozen_importlib")
importlib_names = getattr(_frozen_importlib, "__dict__", {})
_importlib_external = getattr(sys.modules.get("_frozen_importlib_external"), "__dict__", {})

call: "FunctionType" = internal("_frozen_importlib", "_call_with_frames_removed", "")
"""The function through which importlib calls ``compile`` and ``exec``. Tracebacks are trimmed at
its frames."""

get_code: "Any" = internal(_LOADERS, "SourceLoader.get_code", "")
source_to_code: "FunctionType" = internal(_LOADERS, "SourceLoader.source_to_code", "")
exec_module: "FunctionType" = internal(
    _LOADERS, "SourceLoader.exec_module", "self", "module", "code"
)
sourceless: "CodeType" = internal(_LOADERS, "SourcelessFileLoader.get_code", "").__code__
load_unlocked: "FunctionType" = internal("_frozen_importlib", "_load_unlocked", "spec")
reload_unlocked: "FunctionType" = internal("_frozen_importlib", "_exec", "spec")
find_unlocked: "FunctionType" = internal("_frozen_importlib", "_find_and_load_unlocked", "name")
spec_of_file: "FunctionType" = internal(_LOADERS, "spec_from_file_location", "")
init_module_attrs: "FunctionType" = internal("_frozen_importlib", "_init_module_attrs", "")
MODULE_LOCKS: "dict[str, Any]" = internal("_frozen_importlib", "_module_locks")
"""Importlib's lock of each module that is being imported now (``_get_module_lock``), by name."""
if type(MODULE_LOCKS) is not dict:
    MODULE_LOCKS = {}

identity_of: "Callable[[object], int]" = object.__hash__
"""Return a number that no other living object has. It is ``id`` without the audit event of ``id``,
which would call the guard's own hook for each code object that runs."""

BUILTIN_FUNCTION = type(compile_source)
SLOT_WRAPPER = type(object.__init__)
MODULE = type(sys)

_NAMESPACE: "Any" = vars(MODULE)["__dict__"]
_BASES: "Any" = vars(type)["__mro__"]

HELD = (
    (vars(builtins), "compile", compile_source),
    (vars(builtins), "exec", execute),
    (vars(marshal), "loads", marshal.loads),
    (importlib_names, "_call_with_frames_removed", call),
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


MODULE_SUFFIXES: tuple[str, ...] = (".py", ".pyc", ".so")
if not UNSUPPORTED:
    MODULE_SUFFIXES = (*SUFFIXES[0], *SUFFIXES[1], *extension_suffixes())
"""The result of ``importlib.machinery.all_suffixes``, which a start does not load."""

LIBRARY_PATH = posix.environ.get(b"LD_LIBRARY_PATH", b"")
"""The folders that the dynamic linker searches first: the value at the start of the process."""


FILE_NAMES = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
"""The encoding of file names, and what becomes of bytes that it does not have."""


def on_disk(name):
    # type: (str) -> str
    """Return a UTF-8 name as ``os`` functions take it, whatever the file system encoding is.

    If that encoding is ASCII (``LC_ALL=C`` without coercion), the result has surrogates, as from
    ``os.fsdecode``. That function is not called, because ``os`` may not be loaded yet.
    """
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode(*FILE_NAMES)


def variables_of_import(caller, code):
    # type: (FrameType | None, object) -> Mapping[str, Any] | None
    """Return the variables of importlib's ``exec_module`` if it executes this code now, else None.

    ``exec_module`` calls ``exec`` through ``call``. No other function in its namespace has the
    variables ``self``, ``module`` and ``code``. The frame's ``f_code`` is not read, because
    reading it raises an audit event.

    Args:
        caller: the frame that calls ``exec``.
    """
    if caller is not None and caller.f_globals is importlib_names:
        frame = caller.f_back
        if frame is not None and frame.f_globals is _importlib_external:
            variables = frame.f_locals  # read once: each access builds the mapping again
            if variables.get("code") is code:
                return variables
    return None


def is_builtin_of(function, module):
    # type: (object, str) -> bool
    """Return True if ``function`` is machine code of that module, not a Python replacement.

    Python code can neither subclass nor instantiate the type of a built-in function.
    """
    return type(function) is BUILTIN_FUNCTION and (
        getattr(function, "__self__", None) is sys.modules.get(module)
    )


def is_instance(value, kind):
    # type: (object, type) -> bool
    """Return True if the real type of ``value`` is ``kind`` or derives from it.

    Unlike ``isinstance``, this does not trust the attribute ``__class__``.
    """
    return kind in _BASES.__get__(type(value))


def namespace_of(module):
    # type: (object) -> dict[str, Any]
    """Return the namespace of a module without running code of its class.

    A class can compute attributes: that of ``importlib.util.LazyLoader`` executes the module.
    """
    if is_instance(module, MODULE):
        return _NAMESPACE.__get__(module) or {}
    return getattr(module, "__dict__", {})
