"""Enforce strict mode in an audit hook.

Threat: any code may change the list ``sys.meta_path``, and
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

The hook returns at once for every other event, and for every file outside the guarded folders.
This module recognizes such files, and code that is executed as a module of one. An event that may
concern a guarded folder is left to ``checks`` (code) and ``file_checks``, or to ``shutdown`` while
the interpreter shuts down. Each is loaded at the first such event.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    import sys
    from _thread import get_ident

    from codegenie._start import (
        FILE_NAMES,
        LIBRARY_PATH,
        LOCATE_GUARD_EVENT,
        LOCK_NAME,
        MODULE,
        MODULE_LOCKS,
        MODULE_SUFFIXES,
        UNSUPPORTED,
        access,
        call,
        close,
        compile_source,
        execute,
        find_installed_guards,
        importlib_names,
        namespace_of,
        open_file,
        posix,
        read,
        read_link,
        stat,
        variables_of_import,
    )
    from codegenie._start.finder import (
        HOME,
        GuardFinder,
        installed,
        is_at_front,
        is_too_late,
        late_module,
        load_without_locks,
        loading,
        move_to_front,
        set_up_lock,
    )
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping  # noqa: F401
    from types import CodeType, FrameType  # noqa: F401
    from typing import Any


def start(settings):
    # type: (dict[str, Any]) -> str
    """Install the guard with settings that the process cannot change. For the activation file.

    Args:
        settings: what ``guard.pin`` takes, as ``codegenie guard install`` has written it: checked,
            complete, its paths absolute, and ``names`` where a folder needs them.

    Returns:
        Empty; or why this interpreter runs no plugin. The guard then refuses them all.

    Raises:
        As ``guard.pin``.
    """
    with set_up_lock:
        finder = GuardFinder(settings)
        # A folder that others share, or that has top-level names, needs to know the names.
        knows = [
            "names" in c.requested or (c.package != "" and not c.is_shared) for c in finder.claims
        ]
        if installed() is None and False not in knows and not is_too_late(finder):
            add_audit_hook(finder)
            move_to_front(finder)
            return UNSUPPORTED
    # A guard is already installed, or plugin modules are already loaded: ``guard.pin`` decides
    # whether that is compatible or an error. Or only a lock knows the names to guard.
    from codegenie.plugins import guard

    guard.pin(**settings)
    return UNSUPPORTED


SCRIPTS = frozenset(("cpython.run_file", "cpython.run_startup", "cpython.remote_debugger_script"))
"""Events of the interpreter that is about to open and run a script by its path."""

_RARE = frozenset(
    ("import", "ctypes.dlopen", "sqlite3.load_extension", *SCRIPTS, LOCATE_GUARD_EVENT)
)

_FINDER = load_without_locks.__globals__
_LOAD_LATE = load_without_locks.__code__


def add_audit_hook(finder):
    # type: (GuardFinder) -> None
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


def hook_of(finder):
    # type: (GuardFinder) -> Callable[[str, tuple[Any, ...]], None]
    """Return the audit hook of this guard: a short closure, which calls one function an event.

    A shutdown empties this module and ``builtins`` before the last audit events, so the closure
    uses only what is bound here. The functions are those of this module, or of ``shutdown``.

    A program that raises an event of the interpreter by ``sys.audit`` must pass the arguments that
    the interpreter passes.
    """
    rare, where, text, kind, frame = _RARE, LOCATE_GUARD_EVENT, str, type, sys._getframe
    # `rules` opens `source` and executes code of the guard: neither event may call it again.
    source, import_error = f"{__file__.rpartition('/')[0]}/shutdown.py", ImportError
    rules = _rules_of(finder, source)

    def hook(event, args):
        # type: (str, tuple[Any, ...]) -> None
        try:
            # The name of an event is a new str each time: comparing costs less than hashing.
            if event == "open":
                path = args[0]
                if (
                    kind(path) is not text
                    or (
                        ".py" in path
                        # Source can only be shown once a guarded module was imported. `os.open`
                        # (no mode) shows none: the walk opens each file by it.
                        and (path[-3:] != ".py" or (finder.code_rules is not None and args[1]))
                        and path is not source
                        and path is not finder.own_path
                    )
                    or (finder.has_distributions and path[-16:] == "entry_points.txt")
                ):
                    rules().on_open(finder, *args, frame)
            elif event == "exec" and args[0] is not finder.own_code:
                rules().on_exec(finder, args[0], frame().f_back)
            elif event in rare:
                if event == "import":
                    if args[1] is not None or args[0].startswith(finder.heads):
                        rules().on_import(finder, args[0], args[1], frame)
                elif event == where:
                    args[0].append(finder)
                else:
                    # sqlite3 gives its connection first.
                    rules().on_library(finder, event, args[-1], frame().f_back)
        except import_error as error:
            error.__traceback__ = None  # its frames are the guard's own
            raise

    return hook


_BUILT_IN: "tuple[Any, ...]" = (
    *(Exception, ImportError, OSError, PermissionError, ValueError),
    *(bool, bytes, getattr, int, isinstance, object, range, str, type),
)
"""The built-in functions and types that ``shutdown`` uses."""

_NAMES: "dict[str, Any]" = {
    "FILE_NAMES": FILE_NAMES,
    "LIBRARY_PATH": LIBRARY_PATH,
    "LOCK_NAME": LOCK_NAME,
    "MODULE_SUFFIXES": MODULE_SUFFIXES,
    "access": access,
    "call": call,
    "read_link": read_link,
    "stat": stat,
}
"""The names of ``codegenie._start`` that ``shutdown`` uses."""


def _rules_of(finder, path):
    # type: (GuardFinder, str) -> Callable[[], Any]
    """Return a function that returns the module of the rules: this one, or else ``shutdown``.

    Threat: while the interpreter shuts down, nothing can be imported, and one module after the
    other is emptied. Rule: bind all that reading, compiling and executing ``shutdown`` needs. Its
    names are copied into a module that is not in ``sys.modules``, so no shutdown empties it.
    """
    system, now = sys, sys.modules[__name__]
    names, built_in = _NAMES, _BUILT_IN
    at_the_end: list[Any] = []
    module, flags, size = MODULE, posix.O_RDONLY | getattr(posix, "O_CLOEXEC", 0), 1 << 20
    bound_open, bound_read, bound_close = open_file, read, close
    bound_compile, bound_execute = compile_source, execute

    def rules():
        # type: () -> Any
        # `finalize_modules_delete_special` in `Python/pylifecycle.c` sets both to None. An
        # application may set one of them.
        if system.meta_path is not None or system.path_hooks is not None:
            return now
        if not at_the_end:
            descriptor = bound_open(path, flags)
            source = bound_read(descriptor, size)
            bound_close(descriptor)
            code = finder.own_code = bound_compile(source, path, "exec", 0, True)
            shutdown = module("codegenie._start.shutdown")
            shutdown.__dict__.update(names)
            shutdown.__dict__["__builtins__"] = {kind.__name__: kind for kind in built_in}
            bound_execute(code, shutdown.__dict__)
            at_the_end.append(shutdown)
        return at_the_end[0]

    return rules


def on_open(finder, path, mode, flags, frame):
    # type: (GuardFinder, Any, object, int, Callable[[int], FrameType]) -> None
    """Check bytecode that is opened, source that is opened to be shown, and entry points.

    Args:
        frame: ``sys._getframe``. It raises an audit event, so it is called only where a frame is
            read. The caller of this function is the hook.
    """
    kind = type(path)
    if kind is int or (kind is bytes and path[-4:] != b".pyc"):
        return
    if kind is not str or path[-4:] == ".pyc":
        if loading and get_ident() in loading and kind is str and not path.startswith(HOME):
            # `PYTHONPYCACHEPREFIX` may be a guarded folder. A look-up may need the very module that
            # this thread loads. CPython continues with the source.
            raise PermissionError(13, "the plugin guard does not let it be read", path)
        if finder.strict and (kind is not str or finder.claim_at(path) is not None):
            late_module("file_checks").check_bytecode(finder, path, flags, frame(1).f_back)
    elif mode is None:  # `os.open`
        return
    elif path[-3:] == ".py":
        if finder.code_rules is not None:
            finder.code_rules.check_shown_source(finder, path, flags, frame(1).f_back)
    elif path[-16:] == "entry_points.txt" and finder.strict:
        late_module("file_checks").check_entry_points(finder, path, flags)


def on_exec(finder, code, caller):
    # type: (GuardFinder, CodeType, FrameType | None) -> None
    """Check code that Python's own ``exec`` is about to run."""
    if not finder.strict:
        return
    if caller is not None and caller.f_globals is _FINDER and caller.f_code is _LOAD_LATE:
        return  # a module of this package is loaded
    if not finder.made_code and _is_unrelated(finder, code, caller):
        return
    try:
        checks = late_module("checks")
    except ImportError:
        claimed = getattr(code, "co_filename", None)
        if type(claimed) is str and finder.is_surely_elsewhere(claimed):
            return
        raise
    checks.check_code(finder, code, caller)


def on_import(finder, name, path, frame):
    # type: (GuardFinder, str, object, Callable[[int], FrameType]) -> None
    """Restore a displaced guard before a guarded name is imported. Check machine code.

    Args:
        frame: as for ``on_open``.
    """
    if not finder.strict:
        return
    if path is None:
        if finder.claim_of(name) is not None and not is_at_front(finder):
            late_module("checks").restore_to_front(finder)
    elif LIBRARY_PATH or finder.claim_of(name) or finder.claim_at(path):
        late_module("file_checks").check_machine_code(finder, name, path, frame(1).f_back)


def on_library(finder, event, path, caller):
    # type: (GuardFinder, str, object, FrameType | None) -> None
    """Check a library or a script that is about to be opened by its path."""
    if not finder.strict:
        return
    if event not in SCRIPTS:
        late_module("file_checks").check_library(finder, path, event, caller)
    elif type(path) is not str or finder.claim_at(path) is not None:
        late_module("file_checks").check_script(finder, path)


def _is_unrelated(finder, code, caller):
    # type: (GuardFinder, CodeType, FrameType | None) -> bool
    """Return True for code of the usual kinds that is outside the guarded folders.

    The kinds are code that the interpreter runs itself (``-c``, a script), and code that importlib
    executes as a module whose loader and spec name the file that the code claims. All other code is
    left to ``checks``, and all code while any thread imports a guarded module.
    """
    claimed = getattr(code, "co_filename", None)
    if type(claimed) is not str:
        return False
    heads = finder.heads
    for name in list(MODULE_LOCKS):
        if (type(name) is not str or name.startswith(heads)) and finder.claim_of(name):
            return False
    if caller is not None:
        variables = variables_of_import(caller, code)
        if variables is not None:
            return _names_file(variables, claimed, finder) and finder.claim_at(claimed) is None
        if caller.f_globals is not importlib_names:  # else a frozen module
            return False
    return (claimed[:1] == "<" or claimed[-3:] == ".py") and finder.claim_at(claimed) is None


def _names_file(variables, claimed, finder):
    # type: (Mapping[str, Any], str, GuardFinder) -> bool
    """Return True if importlib executes a module that is not guarded, and if its loader and its
    spec name the file that its code claims.

    Args:
        variables: those of importlib's own ``exec_module``.
    """
    attributes = namespace_of(variables["module"])
    named = getattr(variables["self"], "__dict__", {})
    path, name = named.get("path"), attributes.get("__name__")
    origin = getattr(attributes.get("__spec__"), "origin", None)
    # Exact types, because a subclass of str can answer anything.
    return (
        type(path) is type(origin) is type(name) is str
        and path == origin == claimed
        and "archive" not in named
        and not (name.startswith(finder.heads) and finder.claim_of(name))
    )
