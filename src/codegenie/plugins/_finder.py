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


class GuardFinder:
    """Decides every import of ``plugins`` and ``plugins.*``, alone."""

    __slots__ = ("_enforcers", "requested")

    def __init__(self) -> None:
        self.requested: dict[str, str] = {}
        """What ``guard.install`` was given, by setting."""
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
            return None
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
                from codegenie.plugins._enforce.decision import Enforcer
            except Exception as error:
                # Never a ModuleNotFoundError: "except ModuleNotFoundError" is how programs ask
                # whether an optional plugin is there.
                raise ImportError(
                    "the plugin guard cannot load its own code, so nothing below 'plugins' is "
                    f"imported: {type(error).__name__}: {error}\n"
                    "  fix       install codegenie again",
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


def installed() -> GuardFinder | None:
    """The guard of this interpreter, on ``sys.meta_path`` or taken off it; ``None`` before any.

    By name, not by class: this module may have been taken out of ``sys.modules`` and imported
    again, and there must still be only one guard. ``type()`` is not fooled by ``__class__``.
    """
    for finder in sys.meta_path:
        kind = type(finder)
        if kind.__module__ == __name__ and kind.__qualname__ == GuardFinder.__qualname__:
            return finder  # type: ignore[return-value]
    return _the_guard[0] if _the_guard else None


def put_first(finder: GuardFinder) -> None:
    """Make ``finder`` the guard of this interpreter, first on ``sys.meta_path``."""
    _the_guard[:] = [finder]
    if not sys.meta_path or sys.meta_path[0] is not finder:
        # One assignment: an import in another thread sees the guard before or after, never not.
        sys.meta_path[:] = [finder, *(other for other in sys.meta_path if other is not finder)]


def unguarded_modules() -> list[str]:
    """Modules named ``plugins`` or ``plugins.*``, sorted. Asked only before there is a guard."""
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if (name == PACKAGE or name[:8] == PREFIX) and module is not None
    )
