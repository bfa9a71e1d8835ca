"""The registry, in which plugins announce themselves."""

from __future__ import annotations

import linecache
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest

from codegenie.plugins import errors, registry
from codegenie.plugins.registry import (
    PluginAlreadyRegistered,
    PluginNotRegistered,
    PluginRegistry,
    default_registry,
    name_of,
    origin_of,
    register_plugin,
)


@dataclass(frozen=True)
class Manifest:
    name: str


@dataclass(eq=False)
class WithManifest:
    manifest: Manifest


@dataclass(eq=False)
class Named:
    name: str


class Other:
    """Another class, so that two origins can be distinguished."""

    def __init__(self, name: str) -> None:
        self.name = name


class Nameless:
    pass


class BareClass:
    """Registered as it is, without an instance."""

    name = "bare"


HERE = __name__


def test_plugins_are_kept_in_the_order_of_registration() -> None:
    fresh = PluginRegistry()
    plugins = [Named(name) for name in ("zeta", "alpha", "mid", "beta")]
    for plugin in plugins:
        assert fresh.register(plugin) is plugin
    assert fresh.all() == tuple(plugins)


def test_a_registry_starts_empty_and_shares_nothing() -> None:
    one, other = PluginRegistry(), PluginRegistry()
    one.register(Named("alpha"))
    assert other.all() == ()
    assert len(one.all()) == 1


def test_a_plugin_is_found_by_its_name() -> None:
    fresh = PluginRegistry()
    alpha, beta = WithManifest(Manifest("alpha")), Named("beta")
    fresh.replace([], [alpha, beta])
    assert fresh.get("alpha") is alpha
    assert fresh.get("beta") is beta


@pytest.mark.parametrize("name", ["", "alph", "Alpha", "missing"])
def test_a_plugin_that_is_not_there_is_named(name: str) -> None:
    fresh = PluginRegistry()
    fresh.register(Named("alpha"))
    with pytest.raises(PluginNotRegistered, match=f"^no plugin named {name!r} is registered$") as e:
        fresh.get(name)
    assert e.value.name == name
    assert isinstance(e.value, LookupError)
    assert e.value.__suppress_context__


def test_a_duplicate_is_refused_naming_both_origins() -> None:
    fresh = PluginRegistry()
    first = fresh.register(Named("alpha"))
    with pytest.raises(PluginAlreadyRegistered) as e:
        fresh.register(Other("alpha"))
    assert e.value.name == "alpha"
    assert e.value.existing == f"{HERE}.Named"
    assert e.value.duplicate == f"{HERE}.Other"
    assert str(e.value) == (
        f"the plugin name 'alpha' is taken: registered by {HERE}.Named, and again by {HERE}.Other"
    )
    assert isinstance(e.value, ValueError)
    assert fresh.all() == (first,)


def test_a_duplicate_is_one_by_its_name_wherever_that_comes_from() -> None:
    fresh = PluginRegistry()
    fresh.register(WithManifest(Manifest("alpha")))
    with pytest.raises(PluginAlreadyRegistered, match=r"\.WithManifest, and again by .*\.Named$"):
        fresh.register(Named("alpha"))


def test_an_equal_plugin_is_another_plugin() -> None:
    fresh = PluginRegistry()
    fresh.register(Manifest("alpha"))
    assert Manifest("alpha") == Manifest("alpha")
    with pytest.raises(PluginAlreadyRegistered):
        fresh.register(Manifest("alpha"))


def test_the_same_object_again_changes_nothing() -> None:
    fresh = PluginRegistry()
    first, second = Named("alpha"), Named("beta")
    fresh.replace([], [first, second, first])
    assert fresh.register(first) is first
    assert fresh.all() == (first, second)


def test_all_or_nothing_is_registered() -> None:
    fresh = PluginRegistry()
    before = fresh.register(Named("alpha"))
    for bad, expected in ((Other("alpha"), PluginAlreadyRegistered), (Nameless(), TypeError)):
        with pytest.raises(expected):
            fresh.replace([], [Named("new"), bad, Named("newer")])  # type: ignore[list-item]
        assert fresh.all() == (before,)
        with pytest.raises(PluginNotRegistered):
            fresh.get("new")
    with pytest.raises(PluginAlreadyRegistered):
        fresh.replace([], [Named("twice"), Other("twice")])
    assert fresh.all() == (before,)
    fresh.replace([], [])
    assert fresh.all() == (before,)


def test_a_returned_list_of_all_plugins_does_not_change() -> None:
    fresh = PluginRegistry()
    fresh.register(Named("alpha"))
    before = fresh.all()
    fresh.register(Named("beta"))
    assert [name_of(plugin) for plugin in before] == ["alpha"]


@pytest.mark.parametrize(
    ("plugin", "name"),
    [
        (WithManifest(Manifest("alpha")), "alpha"),
        (Named("beta"), "beta"),
        (BareClass, "bare"),
    ],
)
def test_a_name_comes_from_the_manifest_or_the_plugin(
    plugin: WithManifest | Named | type[BareClass], name: str
) -> None:
    assert name_of(plugin) == name


@pytest.mark.parametrize(
    "plugin",
    [Nameless(), Named(""), Named(1), Named(None), WithManifest(Nameless()), None, object()],  # type: ignore[arg-type]
    ids=["nothing", "empty", "number", "none", "manifest-without-a-name", "no-plugin", "object"],
)
def test_a_plugin_without_a_name_is_refused(plugin: Named) -> None:
    fresh = PluginRegistry()
    for attempt in (name_of, fresh.register, register_plugin):
        with pytest.raises(TypeError, match="has no name: give it a manifest, or an attribute"):
            attempt(plugin)
    assert fresh.all() == ()


def test_a_manifest_goes_before_a_name_of_its_own() -> None:
    plugin = WithManifest(Manifest("alpha"))
    plugin.name = "other"  # type: ignore[attr-defined]
    assert name_of(plugin) == "alpha"


def test_an_origin_is_module_and_qualified_name() -> None:
    class Local:
        name = "local"

    assert origin_of(Named("x")) == f"{HERE}.Named"
    assert origin_of(BareClass) == f"{HERE}.BareClass"
    expected = f"{HERE}.test_an_origin_is_module_and_qualified_name.<locals>.Local"
    assert origin_of(Local()) == expected


def test_a_named_registry_receives_the_plugin_and_the_default_does_not() -> None:
    fresh = PluginRegistry()
    before = default_registry.all()
    plugin = Named("somewhere-else")
    assert register_plugin(plugin, registry=fresh) is plugin
    assert fresh.all() == (plugin,)
    assert default_registry.all() == before


def test_an_empty_named_registry_is_not_mistaken_for_none() -> None:
    """A registry without plugins must not count as false."""
    fresh = PluginRegistry()
    register_plugin(Named("into-the-empty-one"), registry=fresh)
    assert [name_of(plugin) for plugin in fresh.all()] == ["into-the-empty-one"]


def test_without_a_registry_the_default_receives_the_plugin() -> None:
    plugin = Named("into-the-default")
    assert register_plugin(plugin) is plugin
    try:
        assert default_registry.get("into-the-default") is plugin
        with pytest.raises(PluginAlreadyRegistered):
            register_plugin(Other("into-the-default"))
        assert default_registry.get("into-the-default") is plugin
    finally:
        default_registry._plugins = {
            name: kept for name, kept in default_registry._plugins.items() if kept is not plugin
        }


@pytest.mark.parametrize(
    "error",
    [PluginAlreadyRegistered("alpha", "a.A", "b.B"), PluginNotRegistered("alpha")],
    ids=lambda error: type(error).__name__,
)
def test_the_errors_travel_between_processes(error: Exception) -> None:
    travelled = pickle.loads(pickle.dumps(error))
    assert type(travelled) is type(error)
    assert str(travelled) == str(error)
    assert vars(travelled) == vars(error)


def test_the_errors_are_public() -> None:
    assert errors.PluginAlreadyRegistered is registry.PluginAlreadyRegistered
    assert errors.PluginNotRegistered is registry.PluginNotRegistered


class Forking:
    """A plugin that forks when its origin is read."""

    name = "forking"

    def __init__(self, children: list[int]) -> None:
        self.children = children
        self.__qualname__ = "Forking"

    def __getattribute__(self, name: str) -> Any:
        if name == "__module__":
            self.children.append(os.fork())
        return object.__getattribute__(self, name)


class Reentrant:
    """A plugin that computes its name, and calls a function for that."""

    def __init__(self, name: str, call: Callable[[], object]) -> None:
        self._name = name
        self._call = call

    @property
    def name(self) -> str:
        self._call()
        return self._name


def test_plugin_registered_during_registration_is_kept() -> None:
    own, inner = PluginRegistry(), Named("inner")
    outer = Reentrant("outer", lambda: own.register(inner))
    own.register(outer)
    assert own.get("inner") is inner
    assert own.get("outer") is outer


def test_registration_of_a_signal_handler_is_kept() -> None:
    """Register a plugin at each line of a registration, as a signal handler can.

    CPython runs a handler after a call or a jump, so none runs before the assignment.
    """
    own, seen = PluginRegistry(), set[int]()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is not PluginRegistry.replace.__code__:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        is_assignment = line.strip() == "self._plugins = merged"
        if event == "line" and frame.f_lineno not in seen and not is_assignment:
            seen.add(frame.f_lineno)
            own.register(Named(f"line {frame.f_lineno}"))
        return trace

    sys.settrace(trace)
    own.register(Named("outer"))
    sys.settrace(None)
    assert len(seen) > 5
    assert len(own.all()) == len(seen) + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process")  # pytest-xdist has a thread
def test_fork_during_registration_leaves_both_registered() -> None:
    own, children = PluginRegistry(), list[int]()
    own.register(Forking(children))
    try:
        own.register(Named("forking"))  # names the origin of the first one
    except BaseException as error:
        if not children[0]:
            os._exit(type(error) is not PluginAlreadyRegistered)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
