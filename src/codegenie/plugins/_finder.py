"""The meta-path finder: is this name ours? If not, ``None`` at once; if so, ask ``_enforce``.

Loaded at interpreter start: it imports only what a bare interpreter has already loaded.

``find_spec`` runs under the global import lock (``_find_spec`` in CPython's
``Lib/importlib/_bootstrap.py``). Whoever waits there for another thread, by importing a module that
the other one is importing, waits for ever if that thread needs the import lock too. So the first
decision is never taken there: a spec is handed out whose loader decides, because a loader holds the
lock of its own module only.
"""

import sys

# What importlib.machinery re-exports; that module is not loaded in a bare interpreter.
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

    from codegenie.plugins._enforce.decision import Enforcer

PACKAGE = "plugins"
PREFIX = "plugins."

LOCK_NAME = "PLUGINS.lock"
ROOT_VARIABLE = "CODEGENIE_PLUGINS_ROOT"

WHERE = "codegenie.plugins.guard.where"
"""An audit event of the guard's own: its audit hook answers with the guard that it belongs to."""


class GuardFinder:
    """Decides every import of ``plugins`` and ``plugins.*``, alone."""

    __slots__ = ("_enforcers", "pinned", "requested", "strict")

    def __init__(self) -> None:
        self.requested: dict[str, str] = {}
        """What ``guard.install`` was given, by setting."""
        self.strict = True
        """Whether the audit hook asks."""
        self.pinned = False
        """Whether what was requested can no longer be changed: an activation file has set it."""
        self._enforcers: dict[str, Enforcer] = {}

    @property  # type: ignore[misc]
    def __class__(self) -> "type[GuardFinder]":
        """What ``isinstance`` asks for; answering it makes us a ``MetaPathFinder``.

        Importing ``importlib.abc`` takes twice as long as starting the interpreter, so it is not
        imported to be subclassed. Nobody can ask about ``MetaPathFinder`` before it is loaded, and
        then it is registered here (``_abc__abc_instancecheck_impl`` in ``Modules/_abc.c`` reads
        ``__class__`` first).
        """
        abc = sys.modules.get("importlib.abc")
        if abc is not None and hasattr(abc, "MetaPathFinder"):
            abc.MetaPathFinder.register(GuardFinder)
        return GuardFinder

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``. ``path`` and ``target`` decide nothing."""
        if fullname != PACKAGE and fullname[:8] != PREFIX:
            return None  # is_guarded(), spelled out: this is called for every import there is
        if fullname == PACKAGE:
            return ModuleSpec(PACKAGE, RootLoader(self), is_package=True)  # type: ignore[arg-type]
        enforcer = self.settled_enforcer()
        if enforcer is None or not enforcer.opened:
            # Another thread is executing `plugins` right now: it is in sys.modules already, and
            # importlib does not wait for a parent that is still being executed.
            return ModuleSpec(fullname, DeferringLoader(self))  # type: ignore[arg-type]
        return enforcer.find_spec(fullname)

    def invalidate_caches(self) -> None:
        """What was verified holds for the process: there is nothing to invalidate."""

    def enforcer(self) -> "Enforcer":
        """The one enforcer of this interpreter, made when it is first needed. Not in ``find_spec``.

        Raises:
            ImportError: the guard's own code cannot be loaded. Then nothing is imported.
        """
        enforcer = self._enforcers.get("enforcer")
        if enforcer is None:
            try:
                # `foreign` too, which may be needed when nothing can be imported any more.
                from codegenie.plugins._enforce import foreign  # noqa: F401
                from codegenie.plugins._enforce.decision import Enforcer
            except Exception as error:
                fix = "install codegenie again"
                if all(finder is self for finder in sys.meta_path):
                    fix = "find out who emptied sys.meta_path: nothing can be imported at all"
                # Never a ModuleNotFoundError: "except ModuleNotFoundError" is how programs ask
                # whether an optional plugin is there.
                raise ImportError(
                    "the plugin guard cannot load its own code, so nothing below 'plugins' is "
                    f"imported: {type(error).__name__}: {error}\n"
                    f"  fix       {fix}",
                    name=PACKAGE,
                ) from error
            # setdefault is atomic: whoever comes second gets the first one's.
            enforcer = self._enforcers.setdefault("enforcer", Enforcer(self.requested))
        return enforcer

    def settled_enforcer(self) -> "Enforcer | None":
        """The enforcer if there is one; asking makes none."""
        return self._enforcers.get("enforcer")


class RootLoader:
    """The loader of the synthetic package ``plugins``. ``plugins/__init__.py`` never runs."""

    __slots__ = ("_finder",)

    def __init__(self, finder: GuardFinder) -> None:
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: "ModuleType") -> None:
        module.__file__ = None  # as a namespace package has it
        self._finder.enforcer().open_root(module)

    def is_package(self, fullname: str) -> bool:
        return True

    def get_source(self, fullname: str) -> str:
        return ""

    def get_code(self, fullname: str) -> "CodeType":
        return compile("", "<plugins>", "exec", dont_inherit=True)


class DeferringLoader:
    """Waits until ``plugins`` has been executed, then becomes the module's real loader."""

    __slots__ = ("_finder",)

    def __init__(self, finder: GuardFinder) -> None:
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> "ModuleType | None":
        # Takes the lock of `plugins`, and so waits for the thread that is executing it. It returns
        # the module also when that execution failed, so its word is not taken for a decision.
        __import__(PACKAGE)
        enforcer = self._finder.enforcer()
        while not enforcer.opened:
            if PACKAGE in sys.modules:
                # Half-executed (a log handler that imports a plugin while one is refused), or
                # somebody's own: in neither case was anything verified.
                raise enforcer.not_opened(spec.name)
            __import__(PACKAGE)
        enforcer.resolve(spec)
        # importlib reads the spec again after create_module, and executes by its loader.
        loader = spec.loader
        return None if loader is None else loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        raise ImportError(f"{module.__name__} was not created by its own loader")


_the_guard: list[GuardFinder] = []
"""The guard once it was installed. It must be the same one that is put back after library code has
taken it off ``sys.meta_path``: its set-up and what it verified belong to the process."""


def is_guarded(name: str) -> bool:
    """Whether a module's name is one that the guard decides."""
    return name == PACKAGE or name[:8] == PREFIX


def installed() -> GuardFinder | None:
    """The guard of this interpreter, on ``sys.meta_path`` or taken off it; ``None`` before any.

    This module may have been taken out of ``sys.modules`` and imported again, with all that it
    remembered; the audit hook of the first guard is still there and knows it.
    """
    if not _the_guard:
        _the_guard[:] = answers()[:1]
    return _the_guard[0] if _the_guard else None


def answers() -> list[GuardFinder]:
    """The guards whose audit hooks are in this interpreter: one, or none yet."""
    found: list[GuardFinder] = []
    sys.audit(WHERE, found)
    return found


def is_first(finder: GuardFinder) -> bool:
    """Whether importlib asks ``finder`` before all others."""
    present = sys.meta_path
    return type(present) is list and bool(present) and present[0] is finder


def put_first(finder: GuardFinder) -> None:
    """Make ``finder`` the guard of this interpreter, first on ``sys.meta_path``."""
    _the_guard[:] = [finder]
    if not is_first(finder):
        others = [other for other in sys.meta_path if other is not finder]
        if type(sys.meta_path) is list:
            # One assignment: an import in another thread sees the guard before or after, never not.
            sys.meta_path[:] = [finder, *others]
        else:
            sys.meta_path = [finder, *others]


def put_back(finder: GuardFinder, executing: str = "") -> None:
    """Put the guard first again if something displaced it, and report that.

    ``executing`` names the module that is being executed right now, which stays in ``sys.modules``:
    importlib, which takes it out itself, fails if it is not there (``_exec`` in
    ``Lib/importlib/_bootstrap.py``).
    """
    if is_first(finder) or sys.meta_path is None:  # None: the interpreter is shutting down
        return
    removed = not any(other is finder for other in sys.meta_path)
    by = type(sys.meta_path[0]).__qualname__ if sys.meta_path else "nothing"
    put_first(finder)
    if finder.enforcer().mode == "enforce":
        for name in not_served():
            # Whoever imports it next is to get it from the guard. A namespace package comes into
            # sys.modules without any code being executed.
            if name != executing:
                sys.modules.pop(name, None)
    from codegenie.plugins._enforce import report

    report.displaced(by, removed=removed)


def not_served() -> list[str]:
    """Modules named ``plugins`` or ``plugins.*`` that no loader of the guard made, sorted."""
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if is_guarded(name) and module is not None and not _is_served(module)
    )


def _is_served(module: object) -> bool:
    spec = getattr(module, "__dict__", {}).get("__spec__")
    kind = type(getattr(spec, "loader", None))
    return kind.__module__.startswith("codegenie.plugins._")
