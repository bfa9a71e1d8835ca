"""Check code that is about to run and may concern a guarded folder.

The audit hook (``audit_hook``) dismisses what is unrelated, and calls ``check_code`` for the rest.
It finds the guarded folder that decides, if there is one, and calls the rules of ``_enforce``.

A start does not load this module: ``finder.late_module`` loads it at the first such event, in the
middle of other imports. So this module imports only what is already loaded.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    import sys

    from codegenie._start import (
        MODULE_LOCKS,
        MODULE_SUFFIXES,
        find_unlocked,
        importlib_names,
        load_unlocked,
        namespace_of,
        reload_unlocked,
        variables_of_import,
    )
    from codegenie._start.finder import (
        STANDARD_LIBRARY,
        is_at_front,
        is_there,
        late_module,
        loaded_os,
        move_to_front,
    )
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping  # noqa: F401
    from types import CodeType, FrameType  # noqa: F401
    from typing import Any  # noqa: F401

    from codegenie._start.finder import Claim, GuardFinder  # noqa: F401

    # Spec, loader, module name and path, as far as they are known.
    Request = tuple[object, object, str, str | None]

_RUNPY = ("<frozen runpy>", f"{STANDARD_LIBRARY}runpy.py")
_LOAD = load_unlocked.__code__
_RELOAD = reload_unlocked.__code__
_FIND_AND_LOAD = find_unlocked.__code__


def path_text(path):
    # type: (object) -> str | None
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


def check_code(finder, code, caller):
    # type: (GuardFinder, CodeType, FrameType | None) -> None
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
    request = _request(caller, code)
    by_module = request is not _UNKNOWN
    if finder.made_code and finder.code_rules.is_made_by_guard(finder, code, caller, request):
        return  # question 1
    by_name = finder.claim_of(request[_NAME])
    if by_name is None and _is_guarded_import_running(finder):
        request = _replaced_request(finder, caller, request)
        by_name = finder.claim_of(request[_NAME])
    _, loader, _, path = request
    path, from_loader = _file_of_loader(finder, loader, path)
    of_data = not claimed.endswith(MODULE_SUFFIXES)
    from_claim = None
    if from_loader is None and claimed != path:
        from_claim = _claim_of_file(finder, claimed, of_data)
    claim = by_name or from_loader or from_claim
    if claim is not None:
        enforcer = claim.enforcer()  # it loads the rules
        finder.code_rules.decide(
            enforcer,
            code,
            request,
            claimed,
            file=path if from_loader else None,
            as_module=from_loader is not None and by_module,
            of_data=of_data,
        )


_UNKNOWN: "Request" = (None, None, "", None)
_NAME = 2


def _claimed_path(code, caller):
    # type: (object, FrameType | None) -> str | None
    """Return the path from which a code object claims to be compiled; None for no code object."""
    claimed = getattr(code, "co_filename", None)
    if type(claimed) is not str:
        if not isinstance(claimed, str):
            return None
        claimed = str.__str__(claimed)  # a subclass of str can answer anything
    if caller is not None and caller.f_globals.get("__name__") == "site":
        return str(caller.f_locals.get("fullname"))  # `site` executes a line of a .pth file
    return claimed


def is_runpy(caller):
    # type: (FrameType) -> bool
    """Return True for a frame of ``runpy``.

    ``python -m runpy`` runs it as ``__main__``, whose namespace the module that it runs takes over.
    """
    if caller.f_globals.get("__name__") == "runpy":
        return True
    return caller.f_code.co_filename in _RUNPY


def _request(caller, code):
    # type: (FrameType | None, CodeType) -> Request
    """Return the spec, the loader, the name and the path with which ``caller`` executes code.

    Threat: a code object can claim any file name. Rule: read the name and the path from the frame
    of importlib, ``runpy`` or ``zipimport`` that executes the code. For other callers, and for the
    interpreter itself (no frame), both are unknown.
    """
    if caller is None:
        return _UNKNOWN
    variables = variables_of_import(caller, code)
    if variables is not None:
        return _request_of_importlib(variables)
    if is_runpy(caller):
        path = _opened_by_runpy(caller.f_locals.get("fname"))
        return None, caller.f_locals.get("loader"), "", path
    if caller.f_globals.get("__name__") == "zipimport":
        # zipimporter.load_module, which is deprecated, executes by itself.
        path = path_text(caller.f_locals.get("modpath"))
        return None, None, str(caller.f_locals.get("fullname")), path
    return _UNKNOWN


def _request_of_importlib(variables):
    # type: (Mapping[str, Any]) -> Request
    """Return the request in the variables of importlib's own ``exec_module``."""
    loader = variables["self"]
    attributes = namespace_of(variables["module"])
    spec = attributes.get("__spec__")
    path = getattr(spec, "origin", None)
    if not isinstance(path, str):  # a module that was made without a spec
        path = getattr(loader, "path", None) or getattr(loader, "archive", None)
    return spec, loader, str(attributes.get("__name__", "")), path_text(path)


def _opened_by_runpy(named):
    # type: (object) -> str | None
    """Return the path that ``runpy`` opens for the name of a script.

    ``runpy`` opens the absolute path (``_get_code_from_file`` in ``Lib/runpy.py``). After a link,
    ".." in that path can lead to another file than ".." in the name does.
    """
    path = path_text(named)
    os = loaded_os()
    if path is None or os is None:
        return path
    # If the working directory was removed, runpy has not opened a relative path.
    spelled: str | None = late_module("folder_paths").spelled_path(path, os)
    return spelled or path


def _file_of_loader(finder, loader, path):
    # type: (GuardFinder, object, str | None) -> tuple[str | None, Claim | None]
    """Return the file that the loader or the spec names, and the claim of its guarded folder.

    A spec can claim another origin than the file that its loader reads, or than the archive.
    """
    if loader is None and path is None:
        return None, None  # most code that exec() runs
    said = getattr(loader, "__dict__", {})
    file = said.get("path")
    if file is not path:
        file = _as_path(file)
        claim = finder.claim_at(file)
        if claim is not None:
            return file, claim
    claim = finder.claim_at(path)
    if claim is not None:
        return path, claim
    archive = _as_path(said.get("archive"))
    claim = finder.claim_at(archive)
    return (path, None) if claim is None else (archive, claim)


def _as_path(said):
    # type: (object) -> str | None
    """Return the path that a loader names: nearly always a str, or else a path-like object."""
    return said if said is None or type(said) is str else path_text(said)


def _claim_of_file(finder, claimed, of_data):
    # type: (GuardFinder, str, bool) -> Claim | None
    """Return the claim of the guarded folder in which the path that code claims is, or None.

    Code that a template engine generates claims the path of the template, so the path of a data
    file counts if the file exists. A name in angle brackets can be a file: "<x>/tool", "<string>".
    """
    return finder.claim_at(claimed) if not of_data or is_there(claimed) else None


def _is_guarded_import_running(finder):
    # type: (GuardFinder) -> bool
    """Return True if any thread imports or reloads a module with a guarded name.

    Importlib keeps a lock for each such name. Reading those locks costs less than reading the
    frames of unrelated code.
    """
    heads = finder.heads
    for name in list(MODULE_LOCKS):
        if (type(name) is not str or name.startswith(heads)) and finder.claim_of(name):
            return True
    return False


def _replaced_request(finder, caller, request):
    # type: (GuardFinder, FrameType | None, Request) -> Request
    """Return the request for the guarded module that code is about to replace.

    Threat: a finder gives the module another name, or a loader's own ``exec_module`` executes other
    code, so the frame that calls ``exec`` shows no guarded name. Rule: the name that importlib
    imports decides, until verified code of that module has begun.

    Returns:
        ``request`` unchanged if importlib imports an unrelated module, and as
        ``executions.replaced_request`` says.
    """
    frame = load_frame(caller)
    name = "" if frame is None else requested_name(finder, frame)
    claim = finder.claim_of(name)
    if claim is None:
        return request
    enforcer = claim.enforcer()  # it loads the rules
    replaced: Request = finder.code_rules.replaced_request(enforcer, frame, name, caller, request)
    return replaced


def load_frame(frame):
    # type: (FrameType | None) -> FrameType | None
    """Return the innermost frame in which importlib loads a module, or None.

    Also None if the guard itself has called the code that executes: a log handler, a verifier.
    """
    while frame is not None:
        names = frame.f_globals
        if names is importlib_names:
            # Only here, because reading `f_code` raises an audit event. The functions of importlib
            # have no other namespace.
            code = frame.f_code
            if code is _LOAD or code is _RELOAD:
                return frame
        elif str(names.get("__name__"))[:10] == "codegenie.":
            return None
        frame = frame.f_back
    return None


def requested_name(finder, frame):
    # type: (GuardFinder, FrameType) -> str
    """Return the name that importlib imports. A finder can return the spec of another module."""
    name = str(getattr(frame.f_locals.get("spec"), "name", ""))
    outer = frame.f_back
    if not finder.claim_of(name) and outer is not None and outer.f_code is _FIND_AND_LOAD:
        return str(outer.f_locals.get("name"))
    return name


def restore_to_front(finder, executing=""):
    # type: (GuardFinder, str) -> None
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
    enforcers = [claim.enforcer() for claim in finder.claims]
    finder.strict_rules.displaced(enforcers, by, removed=removed, executing=executing)
