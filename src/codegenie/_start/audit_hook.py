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

The hook returns at once for every other event, and for every file outside the plugin folder.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    import sys

    from codegenie._start import (
        LIBRARY_PATH,
        LOCATE_GUARD_EVENT,
        LOCK_NAME,
        MODULE_LOCKS,
        MODULE_SUFFIXES,
        UNSUPPORTED,
        access,
        call,
        exec_module,
        find_installed_guards,
        find_unlocked,
        load_unlocked,
        namespace_of,
        posix,
        reload_unlocked,
        stat,
    )
    from codegenie._start.finder import (
        Claim,
        GuardFinder,
        guard_load_error,
        installed,
        is_too_late,
        move_to_front,
        restore_to_front,
        set_up_lock,
    )
    from codegenie._start.folder_paths import (
        MAX_LINKS,
        STANDARD_LIBRARY,
        is_there,
        loaded_os,
        spelled_path,
    )
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, ModuleType
    from typing import Any

    # Spec, loader, module name and path, as far as they are known.
    Request = tuple[object, object, str, str | None]


def start(settings: "dict[str, Any]") -> str:
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
        finder = GuardFinder()
        finder.set_up(settings)
        if installed() is None and finder.knows_its_names() and not is_too_late(finder):
            add_audit_hook(finder)
            move_to_front(finder)
            return UNSUPPORTED
    # A guard is already installed, or plugin modules are already loaded: ``guard.pin`` decides
    # whether that is compatible or an error. Or only a lock knows the names to guard.
    from codegenie.plugins import guard

    guard.pin(**settings)
    return UNSUPPORTED


_SCRIPTS = frozenset(("cpython.run_file", "cpython.run_startup", "cpython.remote_debugger_script"))
"""Events of the interpreter that is about to open and run a script by its path."""

_RARE = frozenset(
    ("import", "ctypes.dlopen", "sqlite3.load_extension", *_SCRIPTS, LOCATE_GUARD_EVENT)
)

_LOADS_COPIES = frozenset(
    f"codegenie._enforce.{name}" for name in ("extensions", "libraries", "library_loads")
)
"""Modules of the guard that load machine code themselves, from private copies."""

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
                path = args[0]
                if (
                    kind(path) is not text
                    or ".py" in path
                    or (finder.has_distributions and path[-16:] == "entry_points.txt")
                ):
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
        self._at_the_end = RulesAtTheEnd(finder)
        self._sys = sys
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
                _check_source(self._finder, path, flags, caller)
            elif path[-16:] == "entry_points.txt" and mode is not None and self._finder.strict:
                _check_entry_points(self._finder, path, flags)
        elif not self._finder.strict:
            return
        elif self._is_ending():
            self._at_the_end.on_bytecode(path, flags)
        else:
            _check_bytecode(self._finder, path, flags, caller)

    def on_exec(self, code: "CodeType", caller: "FrameType | None") -> None:
        if not self._finder.strict:
            return
        if self._is_ending():
            self._at_the_end.on_code(code, caller)
        else:
            _check_code(self._finder, code, caller)

    def on_import(self, name: str, path: object, caller: "FrameType | None") -> None:
        if path is None and not name.startswith(self._finder.heads):
            return  # an import of an unrelated module, the usual case
        if not self._finder.strict:
            return
        if self._is_ending():
            self._at_the_end.on_library(path)
        else:
            _check_import(self._finder, name, path, caller)

    def on_library(self, event: str, path: object, caller: "FrameType | None") -> None:
        if not self._finder.strict:
            return
        if self._is_ending():
            self._at_the_end.on_library(path)
        elif event in _SCRIPTS:
            _check_script(self._finder, path)
        else:
            _check_library(self._finder, path, event, caller)


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
        self._stat, self._read_link, self._exists = stat, posix.readlink, access
        self._links = range(MAX_LINKS)
        self._call_code, self._write_only = _CALL, _WRITE_ONLY
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
        name, claim = self._guarded_name(caller)
        if claim is None and (claimed.endswith(self._suffixes) or self._exists(claimed, 0)):
            claim = self._claim_at(claimed)
        if claim is not None:
            self._refuse(claim, claimed, name)

    def on_bytecode(self, path: object, flags: int) -> None:
        named = self._text_of(path)
        if named[-4:] == ".pyc" and flags & 3 != self._write_only and self._claim_at(named):
            # As for a file without permission: importlib continues with the source.
            raise self._denied(13, "the plugin guard does not let it be read", named)

    def on_library(self, path: object) -> None:
        named = self._text_of(path)
        if "/" in named:
            claim = self._claim_at(named)
            if claim is not None:
                self._refuse(claim, named, "")
            return
        for folder in self._library_folders:
            place = f"{folder}/{named}"
            claim = self._claim_at(place) if self._exists(place, 0) else None
            if claim is not None:
                self._refuse(claim, place, "")

    def _refuse(self, claim: Claim, path: str, module: str) -> None:
        enforcer = claim.existing_enforcer()
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

    def _guarded_name(self, caller: "FrameType | None") -> "tuple[str, Claim | None]":
        """Return the name of the guarded module as which importlib executes code, and its claim."""
        if caller is None or caller.f_code is not self._call_code or caller.f_back is None:
            return "", None
        name: Any = self._getattr(caller.f_back.f_locals.get("module"), "__name__", None)
        if self._kind(name) is self._text:
            for claim in self._finder.claims:
                if claim.claims(name):
                    return name, claim
        return "", None

    def _text_of(self, path: "Any") -> str:
        if self._is_a(path, self._data):
            return self._data.decode(path, *self._encoding)
        if self._is_a(path, self._text):
            return self._text.__str__(path)
        try:
            return self._text_of(path.__fspath__())
        except self._failure:
            return ""  # no path

    def _claim_at(self, path: str) -> Claim | None:
        for claim in self._finder.claims:
            try:
                root = claim.root()
            except self._failure:
                root = None  # unknown, and it can no longer be resolved
            if root is not None and path.startswith(f"{root}/"):
                return (
                    claim
                    if claim.guards_entry(path.removeprefix(f"{root}/").partition("/")[0])
                    else None
                )
            if self._leads_into(path, claim, root):
                return claim
        return None

    def _leads_into(self, path: str, claim: Claim, root: str | None) -> bool:
        folder = self._folder_of_target(path)
        tops = [root]
        if claim.is_shared:  # only its units are guarded
            tops = [f"{root}/{unit}" for unit in claim.units or claim.first_parts]
        for top in tops:
            try:
                if self._is_below(folder, self._identity(folder), top and self._identity(top)):
                    return True
            except self._no_path:
                pass  # there is no such folder, or no root
        return False

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


def path_text(path: object) -> str | None:
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


def _check_import(
    finder: GuardFinder,
    name: str,
    path: object,
    caller: "FrameType | None",
) -> None:
    claim = finder.claim_of(name)
    if path is None:
        if claim is not None:
            restore_to_front(finder)
        return
    if _is_loading_copies(caller):
        return
    claim = claim or finder.claim_at(path)
    if claim is not None:
        enforcer = claim.enforcer()
        finder.strict_rules.check_machine_code(enforcer, str(path), name)
    elif LIBRARY_PATH and isinstance(path, str):
        # The dynamic linker may find a library that it needs in the plugin folder.
        _library_loads().check_extension(finder, path, name)


def _check_script(finder: GuardFinder, path: object) -> None:
    """Verify a script in the plugin folder that is about to be run by its path."""
    name = path_text(path)
    claim = finder.claim_at(name) if name else None
    if claim is not None:
        enforcer = claim.enforcer()
        finder.strict_rules.check_file(enforcer, name)


def _check_library(
    finder: GuardFinder,
    path: object,
    event: str,
    caller: "FrameType | None",
) -> None:
    """Verify a library that is about to be loaded, and the libraries that it needs."""
    name = path_text(path)
    if name and not _is_loading_copies(caller):
        _library_loads().check(finder, name, event)


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


def _check_bytecode(
    finder: GuardFinder,
    path: object,
    flags: int,
    frame: "FrameType | None",
) -> None:
    name = path if type(path) is str else path_text(path)
    if name is None or name[-4:] != ".pyc" or flags & 3 == _WRITE_ONLY:
        return
    claim = finder.claim_at(name)
    if claim is not None:
        if claim.is_loading:  # the guard's own bytecode: CPython continues with the source
            raise PermissionError(13, "the plugin guard does not let it be read", name)
        enforcer = claim.enforcer()
        finder.strict_rules.check_bytecode(enforcer, name, frame)


def _check_source(finder: GuardFinder, path: str, flags: int, caller: "FrameType | None") -> None:
    """Withhold a source file that is opened to show its lines, if it has changed."""
    if finder.code_rules is not None:
        finder.code_rules.check_shown_source(finder, path, flags, caller)


def _check_entry_points(finder: GuardFinder, path: str, flags: int) -> None:
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


def _check_code(
    finder: GuardFinder,
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
    if code is finder.own_code:
        return  # a module of the guard itself, read by the guard
    claimed = _claimed_path(code, caller)
    if claimed is None:
        return  # an event that other code has raised itself
    request = _request(caller)
    by_module = request is not _UNKNOWN
    if finder.made_code and finder.code_rules.is_made_by_guard(finder, code, caller, request):
        return  # question 1
    if MODULE_LOCKS and not finder.claim_of(request[_NAME]) and _is_guarded_import_running(finder):
        request = _replaced_request(finder, caller, request)
    _, loader, name, path = request
    by_name = finder.claim_of(name)
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


def _claimed_path(code: object, caller: "FrameType | None") -> str | None:
    """Return the path from which a code object claims to be compiled; None for no code object."""
    claimed = getattr(code, "co_filename", None)
    if not isinstance(claimed, str):
        return None
    if caller is not None and caller.f_globals.get("__name__") == "site":
        return str(caller.f_locals.get("fullname"))  # `site` executes a line of a .pth file
    return str.__str__(claimed)  # a subclass of str can answer anything


def is_runpy(caller: "FrameType") -> bool:
    """Return True for a frame of ``runpy``.

    ``python -m runpy`` runs it as ``__main__``, whose namespace the module that it runs takes over.
    """
    if caller.f_globals.get("__name__") == "runpy":
        return True
    return caller.f_code.co_filename in ("<frozen runpy>", f"{STANDARD_LIBRARY}runpy.py")


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
    elif is_runpy(caller):
        path = _opened_by_runpy(caller.f_locals.get("fname"))
        return None, caller.f_locals.get("loader"), "", path
    elif caller.f_globals.get("__name__") == "zipimport":
        # zipimporter.load_module, which is deprecated, executes by itself.
        path = path_text(caller.f_locals.get("modpath"))
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
    return spec, loader, str(attributes.get("__name__", "")), path_text(path)


def _opened_by_runpy(named: object) -> str | None:
    """Return the path that ``runpy`` opens for the name of a script.

    ``runpy`` opens the absolute path (``_get_code_from_file`` in ``Lib/runpy.py``). After a link,
    ".." in that path can lead to another file than ".." in the name does.
    """
    path = path_text(named)
    os = loaded_os()
    # If the working directory was removed, runpy has not opened a relative path.
    return path if path is None or os is None else spelled_path(path, os) or path


def _file_of_loader(
    finder: GuardFinder, loader: object, path: str | None
) -> "tuple[str | None, Claim | None]":
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


def _as_path(said: object) -> str | None:
    """Return the path that a loader names: nearly always a str, or else a path-like object."""
    return said if said is None or type(said) is str else path_text(said)


def _claim_of_file(finder: GuardFinder, claimed: str, of_data: bool) -> Claim | None:
    """Return the claim of the guarded folder in which the path that code claims is, or None.

    Code that a template engine generates claims the path of the template, so the path of a data
    file counts if the file exists. A name in angle brackets can be a file: "<x>/tool", "<string>".
    """
    return finder.claim_at(claimed) if not of_data or is_there(claimed) else None


def _is_guarded_import_running(finder: GuardFinder) -> bool:
    """Return True if any thread imports or reloads a module with a guarded name.

    Importlib keeps a lock for each such name. Reading those locks costs less than reading the
    frames of unrelated code.
    """
    for name in list(MODULE_LOCKS):  # noqa: SIM110  # any() can be replaced
        if finder.claim_of(name):
            return True
    return False


def _replaced_request(
    finder: GuardFinder, caller: "FrameType | None", request: "Request"
) -> "Request":
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


def load_frame(frame: "FrameType | None") -> "FrameType | None":
    """Return the innermost frame in which importlib loads a module, or None.

    Also None if the guard itself has called the code that executes: a log handler, a verifier.
    """
    while frame is not None and frame.f_code is not _LOAD and frame.f_code is not _RELOAD:
        if str(frame.f_globals.get("__name__"))[:10] == "codegenie.":
            return None
        frame = frame.f_back
    return frame


def requested_name(finder: GuardFinder, frame: "FrameType") -> str:
    """Return the name that importlib imports. A finder can return the spec of another module."""
    name = str(getattr(frame.f_locals.get("spec"), "name", ""))
    outer = frame.f_back
    if not finder.claim_of(name) and outer is not None and outer.f_code is _FIND_AND_LOAD:
        return str(outer.f_locals.get("name"))
    return name
