"""Check files that are about to be opened and may concern a guarded folder.

Machine code, libraries, scripts, bytecode and entry points. The audit hook (``audit_hook``)
dismisses what is unrelated, and calls these functions for the rest. Each finds the guarded folder
that decides, if there is one, and calls the rules of ``_enforce``.

A start does not load this module: ``finder.late_module`` loads it at the first such event, in the
middle of other imports. So this module imports only what is already loaded.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    from _thread import get_ident

    from codegenie._start import LIBRARY_PATH
    from codegenie._start.finder import late_module, loading_rules
finally:
    pass

path_text = late_module("checks").path_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType  # noqa: F401

    from codegenie._start.finder import GuardFinder  # noqa: F401

_LOADS_COPIES = frozenset(
    f"codegenie._enforce.{name}" for name in ("extensions", "libraries", "library_loads")
)
"""Modules of the guard that load machine code themselves, from private copies."""

_WRITE_ONLY = 1
"""``os.O_WRONLY``, of the lowest two bits of the flags (``os.O_ACCMODE``)."""


def check_machine_code(finder, name, path, caller):
    # type: (GuardFinder, str, object, FrameType | None) -> None
    """Verify an extension module that is about to be loaded, and the libraries that it needs."""
    if _is_loading_copies(caller):
        return
    claim = finder.claim_of(name) or finder.claim_at(path)
    if claim is not None:
        enforcer = claim.enforcer()
        finder.strict_rules.check_machine_code(enforcer, str(path), name)
    elif LIBRARY_PATH and isinstance(path, str):
        # The dynamic linker may find a library that it needs in the plugin folder.
        _library_loads().check_extension(finder, path, name)


def check_script(finder, path):
    # type: (GuardFinder, object) -> None
    """Verify a script in the plugin folder that is about to be run by its path."""
    name = path_text(path)
    claim = finder.claim_at(name) if name else None
    if claim is not None:
        enforcer = claim.enforcer()
        finder.strict_rules.check_file(enforcer, name)


def check_library(finder, path, event, caller):
    # type: (GuardFinder, object, str, FrameType | None) -> None
    """Verify a library that is about to be loaded, and the libraries that it needs."""
    name = path_text(path)
    if name and not _is_loading_copies(caller):
        _library_loads().check(finder, name, event)


def _is_loading_copies(caller):
    # type: (FrameType | None) -> bool
    return caller is not None and caller.f_globals.get("__name__") in _LOADS_COPIES


def _library_loads():
    # type: () -> ModuleType
    """Return the module that checks libraries, imported when the first library is opened.

    Raises:
        ImportError: the module cannot be imported, so no library is opened.
    """
    try:
        from codegenie._enforce import library_loads
    except Exception as error:
        raise late_module("own_modules").guard_load_error(error) from error
    return library_loads


def check_bytecode(finder, path, flags, frame):
    # type: (GuardFinder, object, int, FrameType | None) -> None
    name = path if type(path) is str else path_text(path)
    if name is None or name[-4:] != ".pyc" or flags & 3 == _WRITE_ONLY:
        return
    claim = finder.claim_at(name)
    if claim is not None:
        if get_ident() in loading_rules:  # the guard's own bytecode: CPython takes the source
            raise PermissionError(13, "the plugin guard does not let it be read", name)
        enforcer = claim.enforcer()
        finder.strict_rules.check_bytecode(enforcer, name, frame)


def check_entry_points(finder, path, flags):
    # type: (GuardFinder, str, int) -> None
    """Refuse to read the entry points of a guarded distribution if they have changed.

    Threat: a changed ``entry_points.txt`` makes a host load any module, also one that no folder
    claims, so no import would be checked. Rule: check the file when it is opened.
    """
    if flags & 3 == _WRITE_ONLY:
        return
    claim = finder.claim_at(path)
    if claim is not None:
        enforcer = claim.enforcer()
        finder.strict_rules.check_file(enforcer, path)
