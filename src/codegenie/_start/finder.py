"""Find every import of a guarded name, first on ``sys.meta_path``.

Each guarded folder has a ``Claim``: the names and the paths that this folder decides alone. The
finder compares the name of each import with the claimed names. For every other name it returns
``None`` at once; for a guarded name, ``_enforce`` decides. CPython calls ``find_spec`` under the
global import lock (``_find_spec`` in ``Lib/importlib/_bootstrap.py``). A thread that waits there
for a second thread deadlocks if the second thread needs the import lock too. So ``find_spec`` never
takes the first decision: it returns a spec whose loader decides, because a loader runs under the
lock of its own module only.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    import _thread
    import sys
    from _thread import get_ident

    from codegenie._start import (
        DEFAULT_PACKAGE,
        MODULE,
        MODULE_LOCKS,
        ROOT_VARIABLE,
        UNSUPPORTED,
        ModuleSpec,
        RLock,
        SourceFileLoader,
        access,
        compile_source,
        execute,
        find_installed_guards,
        get_code,
        getcwd,
        init_module_attrs,
        on_disk,
        posix,
        spec_of_file,
    )
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence  # noqa: F401
    from types import ModuleType  # noqa: F401
    from typing import Any

    from codegenie._enforce.enforcer import Enforcer
    from codegenie._start.folder_paths import FolderPaths
    from codegenie._start.loaders import FolderFinder  # noqa: F401

    Roots = tuple[str | None, ...]
    Folders = tuple[tuple["Claim", ...], Roots, bool]


STANDARD_LIBRARY = f"{getattr(sys, '_stdlib_dir', None) or '<unknown>'}/"
HOME = __file__.rpartition("/_start/")[0] + "/"
_START_FOLDER = f"{HOME}_start/"

_OBJECT_CLASS: "Any" = vars(object)["__class__"]


def registered_class(*names):
    # type: (*str) -> Any
    """Return a property ``__class__`` that calls ``loaders.register``. Tracers may set it.

    Importing ``importlib.abc`` takes twice as long as starting the interpreter, so the guard's
    classes do not derive from it. No program can call ``isinstance`` with such a class before that
    module is loaded. ``isinstance`` reads ``__class__`` first (``_abc__abc_instancecheck_impl`` in
    ``Modules/_abc.c``). ``pkg_resources`` also reads ``__class__`` before it chooses by the type of
    a loader or finder.
    """

    def get(self):
        # type: (object) -> type
        kind = type(self)
        late_module("loaders").register(kind, *names)
        return kind

    return property(get, lambda self, kind: _OBJECT_CLASS.__set__(self, kind))


OWN_PREFIX = "codegenie."


def find_own_module(name):
    # type: (str) -> ModuleSpec | None
    """Return the spec of a module of the guard itself, from the folder that this module is in.

    Threat: another finder, or a folder that is added to ``codegenie.__path__``, supplies other code
    for the guard. Rule: ask neither. It also saves the search, a quarter of the time in which the
    first guarded import loads the guard's modules.

    Returns:
        None if there is no such file, for instance because the guard is in a zip file.
    """
    path = f"{HOME}{name[len(OWN_PREFIX) :].replace('.', '/')}"
    folders: tuple[tuple[str, list[str] | None], ...] = (
        (f"{path}.py", None),
        (f"{path}/__init__.py", [path]),
    )
    for file, search in folders:
        try:
            posix.stat(file)
        except (OSError, ValueError):
            continue
        loader = SourceFileLoader(name, file)
        spec: ModuleSpec | None = spec_of_file(
            name, file, loader=loader, submodule_search_locations=search
        )
        return spec
    return None


class Claim:
    """The names and the paths that one guarded folder decides, and the enforcer that decides.

    Two folders share nothing: a refusal in one says nothing about the other.
    """

    def __init__(self, finder, requested):
        # type: (GuardFinder, dict[str, Any]) -> None
        self.finder = finder
        self.requested: dict[str, Any] = {}
        """Settings of the folder, as ``guard.install``, ``guard.add`` or an activation file
        gave them: ``root``, ``lock``, ``package``, ``others``, ``names`` and what is pinned."""
        self.units: frozenset[str] | None = None
        """Units of the lock of a folder that is shared (``others="leave"``), once known. The disk
        spells them so: it may have another encoding than the lock."""
        self.entries: frozenset[str] = frozenset()
        """The units, and the entries that a search path would find before them."""
        self._enforcers: dict[str, Enforcer] = {}
        self.update(requested)

    def update(self, requested):
        # type: (dict[str, Any]) -> None
        """Change settings of the folder. ``GuardFinder.refresh`` must follow."""
        self.requested.update(requested)
        self.package: str | None = self.requested.get("package", DEFAULT_PACKAGE)
        self.names = frozenset(self.requested.get("names") or ())
        """First parts of the names of the units, where ``package`` or ``others`` needs them."""
        self.first_parts = frozenset([on_disk(name) for name in self.names])
        """The names, as the disk spells them."""
        self.is_shared = self.requested.get("others") == "leave"
        self._below = f"{self.package}."
        # Beginnings of the names that this folder may claim.
        self.heads: tuple[str, ...] = ()
        if self.package is not None:
            plain = tuple([name for name in self.names if "." not in name])
            self.heads = (self.package,) if self.package else plain

    def claims(self, name):
        # type: (str) -> bool
        """Return True if this folder alone decides an import of ``name``."""
        if self.package:
            return name == self.package or name.startswith(self._below)
        return self.package is not None and name.partition(".")[0] in self.names

    def guards_entry(self, entry):
        # type: (str) -> bool
        """Return True if an entry of the root is guarded. A folder that is shared with others has
        entries that are not: those of names that its lock does not have.

        Args:
            entry: its name, as the disk spells it.
        """
        if not self.is_shared:
            return True
        if self.units is not None:
            return entry in self.entries
        return entry in self.first_parts or entry.partition(".")[0] in self.first_parts

    def root(self):
        # type: () -> str | None
        """Return the guarded folder, absolute; None while it is unknown."""
        enforcer = self.existing_enforcer()
        if enforcer is not None and enforcer.settings is not None:
            return enforcer.settings.root
        root: str | None = self.requested.get("root")
        return root or expected_root(None)

    def enforcer(self):
        # type: () -> Enforcer
        """Return the one enforcer of this folder, and create it at the first call.

        Never call this in ``find_spec``: it imports.

        Raises:
            ImportError: the guard's own code cannot be loaded, or relies on internals that this
                interpreter does not have. Then nothing is imported.
        """
        enforcer = self._enforcers.get("enforcer")
        if enforcer is None:
            thread = get_ident()
            try:
                loading_rules.append(thread)
                enforcer = late_module("loaders").new_enforcer(self)
            finally:
                loading_rules.remove(thread)
            # setdefault is atomic: a second thread gets the enforcer of the first.
            enforcer = self._enforcers.setdefault("enforcer", enforcer)
        return enforcer

    def existing_enforcer(self):
        # type: () -> Enforcer | None
        """Return the enforcer, or None before the first decision. Never creates one."""
        return self._enforcers.get("enforcer")


class GuardFinder:
    """The meta path finder that alone decides every import of a guarded name."""

    # No __slots__, here and in the loaders below: tracers set attributes on finders and loaders.

    def __init__(self, settings=None):
        # type: (dict[str, Any] | None) -> None
        self.requested: dict[str, Any] = {**(settings or {})}
        """Settings for all folders, as ``guard.install`` or an activation file gave them."""
        self.strict = True
        """True if the audit hook checks events (strict mode)."""
        self.pinned = settings is not None
        """True if an activation file has set the settings, so the process cannot change them."""
        self.strict_rules: Any = None
        """The module ``strict``: the rules for code that bypasses the import system. Set together
        with an enforcer, because late in a shutdown the module can no longer be imported."""
        self.code_rules: Any = None
        """Set together with an enforcer: the module ``executions``, the rules for code that is
        executed as a guarded module or from a guarded folder."""
        self.made_code: dict[int, Any] = {}
        """Code objects that the guard has made and that still exist (``identities``). Usually
        empty, so the audit hook usually checks no more than that."""
        self.own_code: object = None
        """The code of a module of the guard that is about to run (``own_modules``). The audit
        hook lets it run: it comes from the guard's folder."""
        # The path of that module, while `own_modules` opens it. The hook does not look it up.
        self.own_path: str | None = None
        self.started_in = STARTED_IN
        """The folder against which relative settings of the environment are resolved."""
        folders = self.requested.pop("folders", ({},))
        self.claims: tuple[Claim, ...] = tuple([Claim(self, folder) for folder in folders])
        """Claims of the guarded folders. The first is the one that ``guard.install`` sets."""
        # Other roots get another look-up, so a thread that still looks up by the earlier roots
        # leaves nothing behind in the present one.
        self._paths: tuple[Roots, FolderPaths] | None = None
        self._prefixes: tuple[Roots, tuple[str, ...], bool] = ((), (), False)
        """Roots, the beginnings of paths below them, as they are spelled and real, and True if a
        root is in the standard library or in the folder of the guard."""
        self.refresh()

    __class__ = registered_class("MetaPathFinder")

    def refresh(self):
        # type: () -> None
        """Compute again what depends on the settings of the folders. Call after each change."""
        self.heads = tuple([head for claim in self.claims for head in claim.heads])
        """Beginnings of guarded names, for ``str.startswith``, which costs least."""
        self._found_here = (*self.heads, OWN_PREFIX)
        # The result of ``folders``. A thread that has computed it before this change keeps it in
        # the list of then.
        self._folders: list[Folders] = []
        self.has_distributions = "" in [claim.package for claim in self.claims]
        """True if a folder has top-level names, as distributions in ``site-packages`` have."""

    def claim_of(self, name):
        # type: (object) -> Claim | None
        """Return the claim of the folder that alone decides a module's name, or None.

        Args:
            name: a module's name, or any other key of ``sys.modules``.
        """
        if isinstance(name, str) and name.startswith(self.heads):
            for claim in self.claims:
                if claim.claims(name):
                    return claim
        return None

    def roots(self):
        # type: () -> Roots
        """Return the guarded folder of each claim; None while the first one is unknown."""
        return self.folders()[1]

    def folders(self):
        # type: () -> Folders
        """Return the claims, the guarded folder of each, and True if one of them is shared: it has
        entries that are not guarded.

        Threat: another thread changes the claims or their settings in between, and a folder is not
        recognized, or counts as another one. Rule: the three are one value.
        """
        cached = self._folders
        if cached:
            return cached[0]
        claims = self.claims
        roots = tuple([claim.root() for claim in claims])
        found = claims, roots, True in [claim.is_shared for claim in claims]
        for claim in claims:
            enforcer = claim.existing_enforcer()
            decided = enforcer is not None and enforcer.settings is not None
            if not decided and "root" not in claim.requested:
                return found  # it depends on the environment
        cached.append(found)
        return found

    def claim_at(self, path):
        # type: (object) -> Claim | None
        """Return the claim of the guarded folder that a file is in, or None.

        Fails closed where that cannot be known: then it is the first one.
        """
        cached, paths = self._folders, self._paths
        if type(path) is not str:
            if not isinstance(path, str):
                return None
            path = str.__str__(path)  # the characters that the kernel gets, not its class's answer
        elif cached and paths is not None and paths[1].is_outside(path, cached[0][1]):
            return None  # most files that are opened or executed
        if path[:1] == "<" and path[-1:] == ">" and not is_there(path):
            return None  # "<string>", "<frozen os>": no file
        os = loaded_os()
        if os is None or self._is_the_interpreters(path, os):
            return None
        claims, roots, has_shared = self.folders()
        shared = _guards_entry_of(claims) if has_shared else None
        try:
            found = self._folder_paths(roots).find(path, roots, claims[0].package, shared)
        except ValueError:
            return None  # no file can have that name
        except OSError:
            return claims[0]  # fail closed: the path cannot be resolved
        except ImportError:
            if self.is_surely_elsewhere(path):
                return None
            raise
        return None if found is None else claims[found[0]]

    def _is_the_interpreters(self, path, os):
        # type: (str, Any) -> bool
        """Return True if a file is in the standard library or the guard's folder, by its name.

        Links are not resolved: an attacker who can create links there controls the interpreter, and
        needs no plugin. ``site-packages`` in the standard library's folder does not count.
        """
        own = HOME if path.startswith(HOME) else STANDARD_LIBRARY
        if not path.startswith(own) or "/.." in path:
            return False
        if own is HOME and path.startswith(_START_FOLDER):
            return True  # also if a root contains it: this look-up may load one of these files
        if own is STANDARD_LIBRARY and path.find("-packages/", len(STANDARD_LIBRARY)) >= 0:
            return False
        roots, _, is_within = self.beginnings(os)
        if is_within:
            return False
        return (
            roots[0] is not None or own is HOME or name_in_path(self.claims[0].package) not in path
        )

    def beginnings(self, os):
        # type: (Any) -> tuple[Roots, tuple[str, ...], bool]
        """Return the roots, how paths below them begin, and True if a root is inside the standard
        library or the folder of the guard."""
        known = self._prefixes
        roots = self.roots()
        if known[0] is not roots and known[0] != roots:
            both = [(root, os.path.realpath(root)) for root in roots if root is not None]
            begin = tuple([f"{root.rstrip('/')}/" for pair in both for root in pair])
            is_within = False
            for prefix in begin:
                is_within = is_within or prefix.startswith((STANDARD_LIBRARY, HOME))
            self._prefixes = known = roots, begin, is_within
        return known

    def _folder_paths(self, roots):
        # type: (Roots) -> FolderPaths
        known = self._paths
        if known is None or (known[0] is not roots and known[0] != roots):
            known = self._paths = roots, late_module("folder_paths").FolderPaths()
        return known[1]

    def real_path(self, path):
        # type: (str) -> str
        """Return an absolute path, below its guarded folder even if that has another name too."""
        os = loaded_os()
        try:
            if os is None:
                return path
            roots = self.roots()
            return self._folder_paths(roots).real_path(path, roots, os)
        except (OSError, ValueError):
            return path

    def linked_path(self, path):
        # type: (str) -> str
        """Return a path below a guarded folder if a link there leads to a file; else nothing."""
        os = loaded_os()
        try:
            if os is None:
                return ""
            roots = self.roots()
            return self._folder_paths(roots).linked_path(path, roots, os)
        except (OSError, ValueError):
            return ""

    def is_surely_elsewhere(self, path):
        # type: (str) -> bool
        """Return True if a path leads into no root. For a guard that cannot load its own code.

        Half an installation must stop what is guarded, not the program.
        """
        os = loaded_os()
        if os is None:
            return False
        roots, begin, _ = self.beginnings(os)
        return roots[0] is not None and not (
            path.startswith(begin) or os.path.realpath(path).startswith(begin)
        )

    def find_spec(self, fullname, path=None, target=None):
        # type: (str, Sequence[str] | None, ModuleType | None) -> ModuleSpec | None
        """Return the spec of a guarded module, or None for every other name.

        ``path`` does not decide where a module is: a guarded name is found in the verified tree
        only. Before the first decision this returns a spec whose loader decides.

        Raises:
            ImportError: this interpreter is unsupported, or the module is refused or absent.
        """
        if not fullname.startswith(self._found_here):
            return None  # first, because this is called for every import there is
        claim = self.claim_of(fullname)
        if claim is None:
            return find_own_module(fullname) if fullname.startswith(OWN_PREFIX) else None
        if UNSUPPORTED:
            raise ImportError(UNSUPPORTED, name=fullname)
        try:
            spec: ModuleSpec = late_module("loaders").find_spec(claim, fullname, path)
            return spec
        except ImportError as error:
            error.name = error.name or fullname
            error.__traceback__ = None  # its frames are the guard's own
            raise

    def invalidate_caches(self):
        # type: () -> None
        """Do nothing, because a verified tree stays valid for the life of the process."""

    def find_folder(self, path):
        # type: (str) -> FolderFinder
        """Return the finder of a folder in the guarded folder. A path hook (``sys.path_hooks``).

        An application that puts such a folder on ``sys.path``, or into a package's ``__path__``,
        gets loaders that execute verified bytes only. Paths are compared as they are spelled. Code
        that is found by another spelling is left to strict mode. CPython calls the hook under the
        global import lock, so the hook decides nothing.

        Raises:
            ImportError: the path is no folder of the guarded folder. The next hook is called.
        """
        found = self.folder_at(path)
        finder = None if found is None else late_module("loaders").folder_finder(*found)
        if finder is None:
            raise ImportError("not a folder of the guarded folder", path=path)
        return finder  # type: ignore[no-any-return]

    def folder_at(self, path):
        # type: (object) -> tuple[Claim, str] | None
        """Return the claim and the absolute path of a folder that a search path names, or ``None``
        if it is outside all guarded folders."""
        os = loaded_os()
        if os is None or not isinstance(path, str):
            return None
        folder = str.__str__(path)
        slashed = folder if folder == "/" else f"{folder}/"
        if folder[:1] == "/" and "//" not in slashed:
            roots, begin, _ = self.beginnings(os)
            if (
                not slashed.startswith(begin)
                and "/./" not in slashed
                and "/../" not in slashed
                # While the first root is unknown, a folder with its name may become the root.
                and (
                    roots[0]
                    or slashed.startswith(HOME)
                    or name_in_path(self.claims[0].package) not in slashed
                )
            ):
                return None  # the usual case, also for the working directory "/"
        found: tuple[Claim, str] | None = late_module("loaders").folder_at(self, folder, os)
        return found


def _guards_entry_of(claims):
    # type: (tuple[Claim, ...]) -> Callable[[int, str], bool]
    """Return a function that returns True if an entry of the folder of that number is guarded."""

    def guards_entry(number, entry):
        # type: (int, str) -> bool
        return claims[number].guards_entry(entry)

    return guards_entry


late_modules: "dict[str, Any]" = {}
"""The modules of this package that a start does not load."""

loading: "list[int]" = []
"""The threads that are loading a late module now."""

loading_rules: "list[int]" = []
"""The threads that are loading the rules of the guard now, for an enforcer."""


def late_module(name):
    # type: (str) -> Any
    """Return a module of this package that a start does not load, loaded at its first use.

    ``find_spec`` and the path hook call this under the global import lock, and the audit hook in
    the middle of other imports. Threat: an import would wait there for the lock of a module that
    another thread holds, and would call finders that were put before the guard. Rule: load the file
    beside this one, without locks and without ``sys.meta_path``. If two threads execute the file at
    once, both use the module of the first.

    Raises:
        ImportError: the guard's own code cannot be loaded.
    """
    found = late_modules.get(name)
    if found is None:
        thread = get_ident()
        try:
            try:
                loading.append(thread)
                found = late_modules.setdefault(name, load_without_locks(name))
            finally:
                loading.remove(thread)
        except Exception as error:
            raise ImportError(
                "the plugin guard cannot load its own code, so no guarded module is "
                f"imported: {type(error).__name__}: {error}\n"
                "  fix       resolve this error, or install codegenie again"
            ) from error
        sys.modules.setdefault(found.__name__, found)
    return found


def load_without_locks(name):
    # type: (str) -> ModuleType
    """Return a module of this package, executed from its file. The audit hook lets the code run."""
    fullname = f"{__name__.rpartition('.')[0]}.{name}"
    module = sys.modules.get(fullname)
    spec = getattr(module, "__spec__", None)
    if module is not None and spec is not None and not getattr(spec, "_initializing", False):
        return module  # an import statement has loaded it
    path = f"{_START_FOLDER}{name}.py"
    loader: Any = __spec__.loader
    if hasattr(loader, "archive"):  # the guard is in a zip file
        code = loader.get_code(fullname)
    elif not is_there(path):  # only bytecode is installed
        from _frozen_importlib_external import SourcelessFileLoader

        loader = SourcelessFileLoader(fullname, f"{path}c")
        code = loader.get_code(fullname)
    else:
        loader = SourceFileLoader(fullname, path)
        if UNSUPPORTED:  # `get_code` may be missing
            code = compile_source(loader.get_data(path), path, "exec", dont_inherit=True)
        else:
            code = get_code(loader, fullname)
    module = MODULE(fullname)
    if not UNSUPPORTED:  # else one of these two may be missing
        init_module_attrs(ModuleSpec(fullname, loader, origin=path), module)
    module.__file__ = path
    execute(code, module.__dict__)
    return module


def is_there(path):
    # type: (str) -> bool
    """Return True if a file exists by the name that code claims.

    Most generated code claims a name without a file. ``access`` raises no exception then, so it
    takes half the time of ``stat``.
    """
    try:
        return access(path, 0)
    except ValueError:
        return False


def loaded_os():
    # type: () -> Any
    """Return the module ``os``; None while an interpreter that was started with ``-S`` loads it."""
    import os

    return os if hasattr(os, "path") else None


_earlier = find_installed_guards()  # if this module was imported again
try:
    STARTED_IN: str = _earlier[0].started_in if _earlier else getcwd()
except OSError:
    STARTED_IN = "/"  # the folder of the start was removed


def expected_root(requested):
    # type: (str | None) -> str | None
    """Return the plugin folder, absolute, that ``install`` or the environment names; or None."""
    os = loaded_os()
    if os is None:
        return requested
    if not requested and not sys.flags.ignore_environment:
        requested = os.environ.get(ROOT_VARIABLE)
    return from_the_start(requested, os) if requested else None


def from_the_start(path, os):
    # type: (str, Any) -> str
    """Return an absolute path; a relative one counts from where the interpreter was started.

    Threat: after ``os.chdir`` a relative path leads to another lock or folder. Rule: resolve every
    relative setting of the environment here.
    """
    return os.path.normpath(os.path.join(STARTED_IN, path))  # type: ignore[no-any-return]


def name_in_path(package):
    # type: (str | None) -> str
    """Return how the folder of a package is spelled in a path, with a slash on both sides."""
    return f"/{package.replace('.', '/') if package else DEFAULT_PACKAGE}/"


set_up_lock: "Any" = RLock() or _thread.allocate_lock()
"""The lock for installing the guard, and for changing or pinning its settings.

Never acquire it in ``find_spec``, or while a module of an application is imported."""


lost_imports: "list[Any]" = []
"""Importlib's locks of the modules that other threads were importing when this process was forked.
A thread of the child can have the number of such a thread."""


def _after_fork():
    # type: () -> None
    """Free the lock in the child of a fork: the thread that held it did not come along.

    A thread that was loading a part of the guard did not come along either.
    """
    if not set_up_lock._is_owned():
        set_up_lock._at_fork_reinit()
    for threads in loading, loading_rules:
        threads[:] = [thread for thread in threads if thread == get_ident()]
    for reference in list(MODULE_LOCKS.values()):
        lock = reference()
        if getattr(lock, "owner", None) not in (None, get_ident()):
            lost_imports.append(lock)


if hasattr(posix, "register_at_fork"):
    posix.register_at_fork(after_in_child=_after_fork)

the_guard: list[GuardFinder] = []
"""The installed guard, or nothing. If library code removes the guard from ``sys.meta_path``, this
same guard is restored, because its settings and verified trees belong to the process."""


def installed():
    # type: () -> GuardFinder | None
    """Return the guard of this interpreter, even if it was removed from ``sys.meta_path``.

    Returns None before a guard is installed. This module may have been removed from
    ``sys.modules`` and imported again. The audit hook of the first guard still knows that guard.
    """
    if not the_guard:
        the_guard[:] = find_installed_guards()[:1]
    return the_guard[0] if the_guard else None


def is_at_front(finder):
    # type: (GuardFinder) -> bool
    """Return True if importlib calls ``finder`` before all other finders."""
    present = sys.meta_path
    if type(present) is list:
        for first in present:  # not by index: another thread may empty the list in between
            return first is finder
    return False


def move_to_front(finder):
    # type: (GuardFinder) -> None
    """Make ``finder`` the guard of this interpreter, first on ``sys.meta_path``."""
    the_guard[:] = [finder]
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
        sys.meta_path = [finder, *[other for other in present if other is not finder]]


def _remove_behind(finder, present):
    # type: (GuardFinder, list[Any]) -> None
    """Remove ``finder`` from every place but the first."""
    places = [number for number, other in enumerate(list(present)) if other is finder]
    for number in places[:0:-1]:
        try:
            taken = present.pop(number)
        except IndexError:
            continue  # another thread has shortened the list in between
        if taken is not finder:  # or changed it
            present.insert(number, taken)


def serve_folders(finder):
    # type: (GuardFinder) -> None
    """Insert the path hook at the front, and forget path entry finders of earlier hooks."""
    hooks = sys.path_hooks
    if UNSUPPORTED:
        return  # strict mode refuses what is found there
    if type(hooks) is list and finder.find_folder not in hooks:
        hooks.insert(0, finder.find_folder)
        forget_folders(finder)


def forget_folders(finder):
    # type: (GuardFinder) -> None
    """Remove folders of the guarded folders from ``sys.path_importer_cache``."""
    if "os" not in sys.modules:  # `-S`: comparing paths would load it
        sys.path_importer_cache.clear()
        return
    for path in list(sys.path_importer_cache):
        if finder.folder_at(path) is not None:
            sys.path_importer_cache.pop(path, None)


def is_too_late(finder):
    # type: (GuardFinder) -> bool
    """Return True if guarded modules are already loaded. A new guard cannot decide those."""
    for name in list(sys.modules):  # which can have any object as a key
        if isinstance(name, str) and name.startswith(finder.heads) and finder.claim_of(name):
            return True
    return False
