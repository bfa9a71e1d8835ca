"""Register plugins.

Plugins import this module while they load, so it needs only the standard library.

A registration goes to the registry that the plugin names. Without one it goes to the running
``load_plugins``, which adds all registrations to its registry at its last gate. Without a load it
goes to ``default_registry``. Registrations are also remembered per plugin, because Python executes
a module once. So a second load into another registry can register a plugin that is already
imported.
"""

from __future__ import annotations

import _thread
import contextvars
import os
import sys

from codegenie._start import DEFAULT_PACKAGE
from codegenie._start.finder import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol, TypeVar

    from codegenie.types.identifiers import PluginId

    class Manifest(Protocol):
        @property
        def name(self) -> str: ...

    class Plugin(Protocol):
        """An object that can be registered, because its manifest has a name."""

        @property
        def manifest(self) -> Manifest: ...

    class NamedPlugin(Protocol):
        """An object that can be registered, because it has a name itself."""

        @property
        def name(self) -> str: ...

    AnyPlugin = Plugin | NamedPlugin
    P = TypeVar("P", bound=AnyPlugin)


class PluginAlreadyRegistered(ValueError):
    """Two plugins have one name. The message shows the origin of both."""

    def __init__(self, name: str, existing: str, duplicate: str) -> None:
        self.name = name
        self.existing = existing
        self.duplicate = duplicate
        super().__init__(
            f"the plugin name {name!r} is taken: registered by {existing}, and again by {duplicate}"
        )

    def __reduce__(self) -> tuple[type[PluginAlreadyRegistered], tuple[str, str, str]]:
        return (type(self), (self.name, self.existing, self.duplicate))


class PluginNotRegistered(LookupError):
    """No plugin has that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no plugin named {name!r} is registered")

    def __reduce__(self) -> tuple[type[PluginNotRegistered], tuple[str]]:
        return (type(self), (self.name,))


_one_change_at_a_time = _thread.RLock()


def _after_fork() -> None:
    """Free the lock in the child of a fork: the thread that held it did not come along."""
    if not _one_change_at_a_time._is_owned():  # type: ignore[attr-defined]
        _one_change_at_a_time._at_fork_reinit()  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class PluginRegistry:
    """Plugins by name, in the order in which they were registered (rule 5.6).

    Threads may register and read at the same time. Readers see all changes of a load, or none.

    Example:
        registry = PluginRegistry()
        registry.register(Greeter())
        names = [plugin.manifest.name for plugin in registry.all()]
    """

    def __init__(self) -> None:
        self._plugins: dict[str, AnyPlugin] = {}

    def register(self, plugin: P) -> P:
        """Add a plugin and return it. Adding the same object again changes nothing.

        Raises:
            PluginAlreadyRegistered: another plugin has that name.
            TypeError: the plugin has no name.
        """
        self.replace([], [plugin])
        return plugin

    def replace(self, old: Iterable[AnyPlugin], new: Iterable[AnyPlugin]) -> None:
        """Replace ``old`` objects by ``new`` ones, all or none. Raises like ``register``."""
        gone = {id(plugin) for plugin in old}
        added = [(name_of(plugin), plugin) for plugin in new]
        with _one_change_at_a_time:
            while True:
                present = self._plugins
                merged = {name: p for name, p in present.items() if id(p) not in gone}
                for name, plugin in added:
                    existing = merged.setdefault(name, plugin)
                    if existing is not plugin:
                        raise PluginAlreadyRegistered(name, origin_of(existing), origin_of(plugin))
                # A signal handler may have registered a plugin in between, in this thread.
                if self._plugins is present:
                    # One assignment, so readers see all changes or none.
                    self._plugins = merged
                    return

    def get(self, name: PluginId | str) -> Any:
        """Return the plugin of that name. The application knows its type.

        Args:
            name: the name in the plugin's manifest, or its attribute ``name``.

        Raises:
            PluginNotRegistered: no plugin has that name.
        """
        try:
            return self._plugins[name]
        except KeyError:
            raise PluginNotRegistered(name) from None

    def all(self) -> tuple[Any, ...]:
        """Return all plugins, in the order of their registration."""
        return tuple(self._plugins.values())


default_registry = PluginRegistry()
"""The registry for plugins that name none."""

_made: dict[str, list[tuple[str, AnyPlugin]]] = {}
"""Registered objects by the plugin's module (``plugins.greeter``), because two guarded folders can
have plugins of one id. Each has the name of the module that registered it."""

_importing: contextvars.ContextVar[importing | None] = contextvars.ContextVar(
    "codegenie.plugins.importing", default=None
)
"""The running import of a plugin's ``api`` in this context. Objects registered during it belong to
this plugin, even if other code calls, such as a base class of the application."""

_loading: dict[str, int] = {}
"""The number of running loads for each plugin. A context variable is not enough, because a thread
that a plugin starts during its import has an empty context."""


def register_plugin(plugin: P, *, registry: PluginRegistry | None = None) -> P:
    """Register a plugin, and return it.

    A plugin calls this in its ``api.py``. While ``load_plugins`` runs, the registration takes
    effect at its last gate, so a load that is refused registers nothing.

    Args:
        plugin: an object whose ``manifest`` has a ``name``, or that has a ``name`` itself.
        registry: where to register it at once; by default the registry of the running load, or
            ``default_registry``.

    Raises:
        PluginAlreadyRegistered: another plugin has that name in the registry.
        TypeError: the plugin has no name.

    Example:
        PLUGIN = register_plugin(Greeter())
    """
    if registry is not None:
        return registry.register(plugin)
    name_of(plugin)
    caller = sys._getframe(1).f_globals.get("__name__", "")
    plugin_id = _plugin_of(caller)
    current = _importing.get()
    if plugin_id is None and current is not None and current.goes_on_here():
        plugin_id, caller = current.plugin, f"{current.plugin}.api"
    if plugin_id is not None:
        with _one_change_at_a_time:
            made = _made.setdefault(plugin_id, [])
            if not any(known is plugin for _, known in made):
                made.append((caller, plugin))
            if plugin_id in _loading:
                return plugin  # the load registers it at its last gate
    return default_registry.register(plugin)


class loading:  # noqa: N801  # used as a context manager, like contextlib's own
    """Delay registrations of these plugins until the load's last gate."""

    def __init__(self, plugins: Iterable[str]) -> None:
        self._plugins = tuple(plugins)

    def __enter__(self) -> None:
        with _one_change_at_a_time:
            for plugin in self._plugins:
                _loading[plugin] = _loading.get(plugin, 0) + 1

    def __exit__(self, *_: object) -> None:
        with _one_change_at_a_time:
            for plugin in self._plugins:
                _loading[plugin] -= 1
                if not _loading[plugin]:
                    del _loading[plugin]


class importing:  # noqa: N801  # as above
    """Assign registrations in this context to this plugin.

    A context outlives the import: threads inherit it (``-X thread_inherit_context=1``), and tasks
    and callbacks keep a copy. Registrations there, after the import, belong to the application.
    """

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self._thread = 0

    def goes_on_here(self) -> bool:
        """Return True while the import is running, in the thread that imports."""
        return self._thread == _thread.get_ident()

    def __enter__(self) -> None:
        self._thread = _thread.get_ident()
        self._token = _importing.set(self)

    def __exit__(self, *_: object) -> None:
        _importing.reset(self._token)
        self._thread = 0


def forget_loads() -> None:
    """Forget the loads of other threads, in the child of a fork: they did not come along."""
    _loading.clear()


def made_by(plugin_id: str) -> list[AnyPlugin]:
    """Return the objects that the modules of a plugin have registered so far.

    Args:
        plugin_id: the plugin's module, as ``loading`` and ``importing`` take it.
    """
    with _one_change_at_a_time:
        return [plugin for _, plugin in _made.get(plugin_id, ())]


def forget_unloaded() -> list[AnyPlugin]:
    """Forget and return the objects of modules that are no longer in ``sys.modules``.

    If such a module is imported again, it executes and registers again.
    """
    forgotten: list[AnyPlugin] = []
    with _one_change_at_a_time:
        for plugin_id, made in _made.items():
            kept: list[tuple[str, AnyPlugin]] = []
            for module, plugin in made:
                if module in sys.modules:
                    kept.append((module, plugin))
                else:
                    forgotten.append(plugin)
            _made[plugin_id] = kept
    return forgotten


Remembered = dict[str, list[tuple[str, "AnyPlugin"]]]


def remembered() -> Remembered:
    """Return a copy of all registrations, for a load that may have to undo its changes."""
    with _one_change_at_a_time:
        return {plugin: list(made) for plugin, made in _made.items()}


def restore(made: Remembered) -> None:
    """Restore exactly the registrations that ``remembered`` returned."""
    with _one_change_at_a_time:
        _made.clear()
        _made.update(made)


def name_of(plugin: AnyPlugin) -> str:
    """Return the name for a registration: that of the manifest, or the plugin's own.

    Raises:
        TypeError: the plugin has neither.
    """
    name = getattr(getattr(plugin, "manifest", plugin), "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"{plugin!r} has no name: give it a manifest, or an attribute 'name'")
    return name


def origin_of(plugin: AnyPlugin) -> str:
    """Return the origin of a plugin, as ``module.qualname``."""
    described = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{described.__module__}.{described.__qualname__}"


def _plugin_of(module: str) -> str | None:
    """Return the module of the plugin that a guarded module belongs to; None for another module."""
    guard = installed()
    claim = None if guard is None else guard.claim_of(module)
    package = DEFAULT_PACKAGE if claim is None else claim.package
    if package == "":
        return module.partition(".")[0]
    below = module[len(package) + 1 :] if package and module.startswith(f"{package}.") else ""
    plugin = below.partition(".")[0]
    return f"{package}.{plugin}" if plugin else None
