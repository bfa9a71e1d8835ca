"""Where plugins announce themselves.

Plugins import this while they load, so it needs only the standard library.

Who gets a registration: the registry that was named; else, while ``load_plugins`` runs, that load,
which hands everything over at its last gate; else ``default_registry``. What a plugin's modules
registered is remembered per plugin as well, because Python runs a module once: a second load into
another registry finds the plugin already imported and still has to register it.
"""

from __future__ import annotations

import _thread
import contextvars
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol, TypeVar

    from codegenie.types.identifiers import PluginId

    class Manifest(Protocol):
        @property
        def name(self) -> str: ...

    class Plugin(Protocol):
        """What can be registered: anything with a manifest that has a name."""

        @property
        def manifest(self) -> Manifest: ...

    class NamedPlugin(Protocol):
        """Or with a name of its own, for plugins that do not read their manifest."""

        @property
        def name(self) -> str: ...

    AnyPlugin = Plugin | NamedPlugin
    P = TypeVar("P", bound=AnyPlugin)


class PluginAlreadyRegistered(ValueError):
    """Two plugins under one name. Names where both come from."""

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
    """No plugin of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no plugin named {name!r} is registered")

    def __reduce__(self) -> tuple[type[PluginNotRegistered], tuple[str]]:
        return (type(self), (self.name,))


_one_change_at_a_time = _thread.RLock()
if hasattr(os, "register_at_fork"):
    # Another thread may hold it while this one forks; in the child nobody would release it.
    os.register_at_fork(after_in_child=_one_change_at_a_time._at_fork_reinit)  # type: ignore[attr-defined]


class PluginRegistry:
    """Plugins by name, in the order in which they were registered."""

    def __init__(self) -> None:
        self._plugins: dict[str, AnyPlugin] = {}

    def register(self, plugin: P) -> P:
        """Add a plugin and return it. Adding the very same object again changes nothing.

        Raises:
            PluginAlreadyRegistered: another plugin has that name.
            TypeError: it has no name.
        """
        self.replace([], [plugin])
        return plugin

    def replace(self, old: Iterable[AnyPlugin], new: Iterable[AnyPlugin]) -> None:
        """Take ``old`` objects out and add ``new`` ones: all of it or nothing. Raises as
        ``register``."""
        with _one_change_at_a_time:
            gone = {id(plugin) for plugin in old}
            merged = {name: p for name, p in self._plugins.items() if id(p) not in gone}
            for plugin in new:
                name = name_of(plugin)
                existing = merged.setdefault(name, plugin)
                if existing is not plugin:
                    raise PluginAlreadyRegistered(name, origin_of(existing), origin_of(plugin))
            # One assignment: readers see all of it or nothing.
            self._plugins = merged

    def get(self, name: PluginId | str) -> Any:
        """The plugin of that name. What it can do is between the plugin and the application.

        Raises:
            PluginNotRegistered: there is none.
        """
        try:
            return self._plugins[name]
        except KeyError:
            raise PluginNotRegistered(name) from None

    def all(self) -> tuple[Any, ...]:
        """All plugins, in the order in which they were registered."""
        return tuple(self._plugins.values())


default_registry = PluginRegistry()
"""The registry that plugins get when nobody names one."""

_made: dict[str, list[tuple[str, AnyPlugin]]] = {}
"""What the modules of each guarded plugin registered, by plugin id, with the module's name."""

_importing: contextvars.ContextVar[importing | None] = contextvars.ContextVar(
    "codegenie.plugins.importing", default=None
)
"""The import of a plugin's ``api`` that goes on in this context: what is registered meanwhile is
this plugin's, whoever calls (a base class of the application, say)."""

_loading: dict[str, int] = {}
"""The plugins of all loads in this process, counted: a thread that a plugin starts while it is
imported begins with an empty context."""


def register_plugin(plugin: P, *, registry: PluginRegistry | None = None) -> P:
    """Register a plugin and return it: ``PLUGIN = register_plugin(MyPlugin())``.

    Raises:
        PluginAlreadyRegistered: another plugin has that name in the registry.
        TypeError: it has no name.
    """
    if registry is not None:
        return registry.register(plugin)
    name_of(plugin)
    caller = sys._getframe(1).f_globals.get("__name__", "")
    plugin_id = _plugin_of(caller)
    current = _importing.get()
    if plugin_id is None and current is not None and current.goes_on_here():
        plugin_id, caller = current.plugin, f"plugins.{current.plugin}.api"
    if plugin_id is not None:
        with _one_change_at_a_time:
            made = _made.setdefault(plugin_id, [])
            if not any(known is plugin for _, known in made):
                made.append((caller, plugin))
            if plugin_id in _loading:
                return plugin  # the load hands it over at its last gate
    return default_registry.register(plugin)


class loading:  # noqa: N801  # used as a context manager, like contextlib's own
    """While this is entered, what these plugins register waits for the load."""

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
    """While this is entered, what is registered in this context is this plugin's.

    A context outlives the import: threads inherit it (``-X thread_inherit_context=1``), tasks and
    callbacks keep a copy. What an application registers there is its own.
    """

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self._thread = 0

    def goes_on_here(self) -> bool:
        """Return True while the import goes on, in the thread that imports."""
        return self._thread == _thread.get_ident()

    def __enter__(self) -> None:
        self._thread = _thread.get_ident()
        self._token = _importing.set(self)

    def __exit__(self, *_: object) -> None:
        _importing.reset(self._token)
        self._thread = 0


def made_by(plugin_id: str) -> list[AnyPlugin]:
    """What the modules of a plugin have registered so far."""
    with _one_change_at_a_time:
        return [plugin for _, plugin in _made.get(plugin_id, ())]


def forget_unloaded() -> list[AnyPlugin]:
    """Forget, and return, what was registered by modules that are no longer in ``sys.modules``.

    If they are imported again they run, and register, again.
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
    """A copy of what is remembered, for a load that may have to go back."""
    with _one_change_at_a_time:
        return {plugin: list(made) for plugin, made in _made.items()}


def restore(made: Remembered) -> None:
    """Remember what ``remembered`` returned, and nothing else."""
    with _one_change_at_a_time:
        _made.clear()
        _made.update(made)


def name_of(plugin: AnyPlugin) -> str:
    """The name a plugin is registered under: its manifest's, else its own.

    Raises:
        TypeError: it has neither.
    """
    name = getattr(getattr(plugin, "manifest", plugin), "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"{plugin!r} has no name: give it a manifest, or an attribute 'name'")
    return name


def origin_of(plugin: AnyPlugin) -> str:
    """Where a plugin comes from, as ``module.qualname``."""
    described = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{described.__module__}.{described.__qualname__}"


def _plugin_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "plugins" else None
