"""Load modules of the guard itself, without locks and without ``sys.meta_path``.

The first guarded import loads the modules of ``RULES``: what every verified import needs. Other
modules are loaded when they are first used (``Late``): the words of a refusal, strict mode, audit
mode. CPython's import system takes twice as long for each module.

``find_spec`` and the path hook load such a module under the global import lock, and the audit hook
in the middle of other imports. Threat: an import statement would wait there, or in the child of a
fork, for a lock that another thread holds, and would call finders that other code put before the
guard. Rule: read the file beside this one and execute it. If two threads load a module at once,
both use the module of the first.
"""

try:  # in here an import is never lazy: the modules are loaded under the global import lock
    import sys
    from _thread import get_ident

    from codegenie._start import (
        MODULE,
        MODULE_LOCKS,
        ModuleSpec,
        SourceFileLoader,
        close,
        execute,
        fstat,
        get_code,
        open_file,
        posix,
        read,
        stat,
        unmarshal,
    )
    from codegenie._start.finder import (
        HOME,
        OWN_PREFIX,
        GuardFinder,
        late_modules,
        loaded_os,
        lost_imports,
        the_guard,
    )
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable  # noqa: F401
    from types import CodeType, ModuleType
    from typing import Any

RULES = (
    "_enforce.executions",
    "result",
    "files",
    "parsers.safe_json",
    "types.parsers",
    "integrity.lock",
    "hashing",
    "integrity.walk",
    "integrity.verified_tree",
    "integrity.verification",
    "_enforce.report",
    "_enforce.names",
    "_enforce.loaders",
    "_enforce.packages",
    "_enforce.specs",
    "guarded_folder",
    "_enforce.settings",
    "_enforce.folder_state",
    "_enforce.identities",
    "integrity.packs",
    "_enforce.enforcer",
)
"""The modules that every verified import needs, without ``codegenie.``. Each one imports only those
before it, so no import statement in them has to find a module."""

NEEDS = {
    "_enforce.folders": ("_enforce.package_loaders",),
    "refusals.explanation": ("text",),
    "refusals.record": ("refusals.explanation",),
    "refusals.kinds": ("refusals.record",),
    "refusals.exceptions": ("refusals.explanation",),
    "refusals.differences": ("refusals.explanation",),
    "integrity.file_list": ("refusals.differences",),
    "_enforce.refusal_report": ("text", "refusals.explanation"),
    "_enforce.strict": ("integrity.reading",),
    "_enforce.audit_mode": ("text",),
    "trust.accepted": ("trust.statement",),
    "trust.beside": ("trust.accepted",),
    "trust.evidence": ("trust.beside", "trust.vouching"),
    "trust.policy": ("trust.sshsig", "trust.statement"),
    "trust.sshsig": ("trust.base64_text", "trust.ed25519"),
    "trust.statement": ("trust.times",),
    "trust.trusted_lock": ("trust.beside", "trust.pinned"),
    "trust.vouching": ("text", "trust.accepted", "trust.policy"),
}
"""The modules that a module imports beside those of ``RULES``, by the module that is loaded late.
So an import statement in a module that is loaded late finds every module loaded."""


REFUSALS = (
    "refusals.kinds",
    "refusals.exceptions",
    "_enforce.refusal_report",
    "integrity.reading",
    "integrity.large_files",
    "integrity.file_list",
    "_enforce.absence",
    "_enforce.audit_mode",
    "_enforce.folders",
    "_enforce.extensions",
    "_enforce.strict",
)
"""The modules that a refusal needs. They are loaded at once where a refusal must not depend on
loading them: in audit mode, for ``on_refusal="exit"``, where ``find_spec`` may refuse, and where
imports are lazy."""

UNTRUSTED = ("trust.trusted_lock",)
"""The modules that a refusal needs as well where a policy is pinned."""

_STANDARD = frozenset(
    ("_frozen_importlib", "_frozen_importlib_external", "os", "stat", "sys", "time")
)

_present: "dict[str, ModuleType]" = {}
"""The modules that a module which is loaded late imports. A shutdown takes them out of
``sys.modules`` first, and then runs ``__del__`` methods, which may be refused."""


class Late:
    """A module of the guard that is loaded when one of its names is first used.

    Example:
        >>> kinds = Late("refusals.kinds")
        >>> kinds.lock_missing(path)  # loads the module
    """

    def __init__(self, name):
        # type: (str) -> None
        """Name a module, without ``codegenie.``."""
        self._name = name
        self._module: Any = None

    def __getattr__(self, attribute):
        # type: (str) -> Any
        """Return a name of the module.

        Raises:
            ImportError: the guard's own code cannot be loaded. A refusal that needed it is still a
                refusal, with other words.
        """
        module = self._module
        if module is None:
            if attribute[:2] == "__":
                raise AttributeError(attribute)
            try:
                if sys.meta_path is None:  # the interpreter is shutting down
                    sys.modules.update(_present)
                module = self._module = load(self._name)
                if sys.meta_path is not None:  # else `load_rules` has resolved them
                    resolve_lazy_imports()
            except Exception as error:
                raise guard_load_error(error) from error
        return getattr(module, attribute)


def load_rules():
    # type: () -> None
    """Load what every verified import needs."""
    has_root_inside = [guard.beginnings(loaded_os())[2] for guard in the_guard]
    _unguarded[:] = () if True in has_root_inside else (HOME,)
    try:
        for name in ("folder_paths", "checks"):  # the rules import names from both
            _load_of_start(name)
        # While the interpreter shuts down, no lazy import can be resolved.
        load_all((*RULES, *REFUSALS) if _has_lazy_imports() else RULES)
    finally:
        _unguarded.clear()
    for fullname, module in list(sys.modules.items()):
        if type(fullname) is str and (fullname in _STANDARD or fullname[:9] == "codegenie"):
            _present[fullname] = module


def _load_of_start(name):
    # type: (str) -> None
    """Load a module of the start as ``late_module`` does, in half the time.

    The audit hook may load it in another thread. So both keep the module that was noted first.
    """
    module = late_modules.setdefault(name, load(f"_start.{name}"))
    sys.modules[module.__name__] = module


def load_all(names):
    # type: (Iterable[str]) -> None
    """Load some modules of the guard, and what they import."""
    for name in names:
        load(name)
    resolve_lazy_imports()


def load(name):
    # type: (str) -> ModuleType
    """Return a module of the guard, loaded at the first call.

    Args:
        name: its name, without ``codegenie.``.

    Raises:
        Exception: the guard's own code cannot be loaded.
    """
    fullname = OWN_PREFIX + name
    found = sys.modules.get(fullname)
    if found is None:
        package, _, child = fullname.rpartition(".")
        parent = sys.modules.get(package) or load(package[len(OWN_PREFIX) :])
        for needed in NEEDS.get(name, ()):
            load(needed)
        found = _executed(name, fullname)
        setattr(parent, child, found)
    elif getattr(found.__spec__, "_initializing", False):
        found = _executed_elsewhere(name, fullname)
    return found


def _executed_elsewhere(name, fullname):
    # type: (str, str) -> ModuleType
    """Return a module that an import statement of another thread executes. Waits for that thread.

    In the child of a fork that thread does not exist, so the module is loaded again.
    """
    reference: Any = MODULE_LOCKS.get(fullname)
    lock = reference and reference()
    if lock is None or (lock not in lost_imports and lock.owner != get_ident()):
        __import__(fullname)
    else:
        del sys.modules[fullname]
    return load(name)


def _executed(name, fullname):
    # type: (str, str) -> ModuleType
    """Execute a module, and return the one that is in ``sys.modules`` afterwards."""
    path = f"{HOME}{name.replace('.', '/')}"
    file, search = f"{path}.py", None
    try:
        status = stat(file)
    except (OSError, ValueError):
        file, search = f"{path}/__init__.py", [path]
        try:
            status = stat(file)
        except (OSError, ValueError):  # the guard is in a zip file, or has no source
            __import__(fullname)
            return sys.modules[fullname]
    spec = ModuleSpec(fullname, SourceFileLoader(fullname, file), origin=file)
    spec.submodule_search_locations = search
    spec.has_location = True
    spec.cached = cached = _cache_of(file)
    module = _module_of(spec, cached)
    code = _code_of(fullname, file, cached, status)
    try:
        _let_run(code)
        execute(code, module.__dict__)
    finally:
        _let_run(None)
    return sys.modules.setdefault(fullname, module)


def _module_of(spec, cached):
    # type: (ModuleSpec, str | None) -> ModuleType
    """Return a module with the attributes that importlib gives it (``_init_module_attrs`` in
    ``Lib/importlib/_bootstrap.py``), which takes four times as long."""
    module = MODULE(spec.name)
    names = module.__dict__
    names["__loader__"] = spec.loader
    names["__package__"] = spec.parent
    names["__spec__"] = spec
    names["__file__"] = spec.origin
    if spec.submodule_search_locations is not None:
        names["__path__"] = spec.submodule_search_locations
    if cached is not None and sys.version_info < (3, 15):
        names["__cached__"] = cached
    return module


def _cache_of(file):
    # type: (str) -> str | None
    """Return the path of a module's bytecode, as ``importlib.util.cache_from_source`` does."""
    if cache_from_source is None or not sys.implementation.cache_tag:
        return None
    if sys.pycache_prefix is not None:
        return cache_from_source(file)
    folder, _, name = file.rpartition("/")
    return f"{folder}/__pycache__/{name[:-3]}{_CACHE_SUFFIX}"


def _code_of(name, file, cached, status):
    # type: (str, str, str | None, posix.stat_result) -> CodeType
    """Return the code of a module: from the bytecode that CPython's own loader would take.

    The usual bytecode names the time and the size of its source (``_validate_timestamp_pyc`` in
    ``Lib/importlib/_bootstrap_external.py``). All other cases are left to that loader.
    """
    try:
        data = _content(cached) if cached else b""
    except OSError:
        data = b""
    expected = (
        MAGIC_NUMBER
        + b"\0\0\0\0"
        + (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
        + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    )
    if data[:16] == expected:
        code: CodeType = unmarshal(memoryview(data)[16:])
        return code
    return _code_of_source(name, file)


def _code_of_source(name, file):
    # type: (str, str) -> CodeType
    """Return the code of a module as CPython's own loader does, which also writes bytecode.

    It reads by ``posix``, because the audit hook takes ``io.open`` of a source file for the display
    of its lines, and loads strict mode.
    """

    class Loader(SourceFileLoader):  # type: ignore[misc, valid-type]
        def get_data(self, path):
            # type: (str) -> bytes
            data: bytes = _content(path) or super().get_data(path)
            return data

    code: CodeType = get_code(Loader(name, file), name)
    return code


_importlib_external = vars(sys.modules["_frozen_importlib_external"])
# Without one of these, the source is compiled. Then `_enforce.interpreter` refuses every plugin.
MAGIC_NUMBER: bytes = _importlib_external.get("MAGIC_NUMBER", b"")
cache_from_source: "Callable[[str], str] | None" = _importlib_external.get("cache_from_source")

_CACHE_SUFFIX = ""
"""The end of the names of bytecode: the tag of this interpreter and its optimization level."""
if cache_from_source is not None and sys.implementation.cache_tag:
    _CACHE_SUFFIX = cache_from_source("/x.py").rpartition("/x")[2]

_unguarded: list[str] = []
"""The guard's own folder, while its rules are loaded and no guarded folder is inside it."""

_READ_FLAGS = posix.O_RDONLY | getattr(posix, "O_CLOEXEC", 0)


def _content(path):
    # type: (str) -> bytes
    """Return the content of a file, or nothing if it shrinks while it is read.

    Threat: ``PYTHONPYCACHEPREFIX`` is a guarded folder, and bytecode that is planted there runs as
    the guard. Rule: read no bytecode of a guarded folder.

    Raises:
        OSError: the file cannot be read, or is such bytecode. Then the source is compiled.
    """
    if path[-4:] == ".pyc" and not path.startswith(tuple(_unguarded)):
        for guard in the_guard:
            if guard.claim_at(path) is not None:
                raise PermissionError(13, "the plugin guard does not let it be read", path)
    descriptor = _opened(path)
    try:
        size = fstat(descriptor).st_size
        data = read(descriptor, size)
    finally:
        close(descriptor)
    return data if len(data) == size else b""


def _opened(path):
    # type: (str) -> int
    """Open a file of the guard. The audit hook does not look up this path: that was done here."""
    try:
        for guard in the_guard:
            guard.own_path = path
        return open_file(path, _READ_FLAGS)
    finally:
        for guard in the_guard:
            guard.own_path = None


def _let_run(code):
    # type: (CodeType | None) -> None
    """Let the audit hook run the code of a module of the guard at once, until the next call.

    The rules of strict mode cannot decide about it, because they may be the module that is loaded.
    """
    for guard in the_guard:
        guard.own_code = code


def resolve_lazy_imports():
    # type: () -> None
    """Resolve the lazy imports of the guard's modules, where lazy imports were switched on."""
    if _has_lazy_imports():
        load("_enforce.lazy_imports").resolve_own()


def _has_lazy_imports():
    # type: () -> bool
    """Return True if imports of the guard's own modules may be lazy (Python 3.15)."""
    return hasattr(sys, "get_lazy_imports") and (
        sys.get_lazy_imports() != "normal"
        or any(name.startswith(OWN_PREFIX) for name in list(getattr(sys, "lazy_modules", ())))
    )


def guard_load_error(error, package=None):
    # type: (Exception, str | None) -> ImportError
    """Return the exception for code of the guard itself that cannot be loaded.

    It is never a ``ModuleNotFoundError``, because programs catch that one to find out if an
    optional plugin exists.
    """
    fix = "resolve this error, or install codegenie again"
    present = sys.meta_path  # None while the interpreter shuts down
    if present is not None and all(type(finder) is GuardFinder for finder in present):
        fix = "find the code that emptied sys.meta_path: nothing can be imported at all"
    return ImportError(
        "the plugin guard cannot load its own code, so no guarded module is "
        f"imported: {type(error).__name__}: {error}\n"
        f"  fix       {fix}",
        name=package,
    )
