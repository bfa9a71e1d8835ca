"""A guard for one folder and for a while, and the interpreter as it was afterwards. For tests.

A test process may have a guard already, for the application's own plugins, and modules of these.
Both are set aside and put back. The guard that stands in meanwhile has no audit hook (``strict``),
because a hook cannot be removed again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from codegenie import _start
from codegenie._start import GuardFinder
from codegenie.plugins import registry as registrations
from codegenie.refusals.exceptions import GuardTooLate

GUARD = "codegenie.plugins.guard"
"""The module whose import installs the guard: once it is loaded, importing it does nothing."""


class GuardIsPinned(RuntimeError):
    """The guard of this interpreter is set up for good, by an activation file."""

    def __init__(self, root: str) -> None:
        self.root = root
        super().__init__(
            f"the guard of this interpreter is pinned to the folder {root}, and guards no other\n"
            "  fix       run the tests with an interpreter that 'codegenie guard install' was not "
            "run for"
        )


@contextmanager
def isolated(root: str) -> Iterator[None]:
    """Guard ``root``, an absolute path with no links, and nothing else, until this is left.

    Afterwards ``sys.modules`` holds nothing of the folder, and what was set aside is back.

    Raises:
        GuardIsPinned: a test must not be able to take a pinned guard away.
    """
    present = _start.installed()
    if present is not None and present.pinned:
        raise GuardIsPinned(present.requested["root"])
    guard = _guard_of(root)
    was_strict = present is not None and present.strict
    place = _place_of(present)
    modules = _take_modules()
    made = registrations.remembered()
    registered = registrations.default_registry._plugins
    search_path = list(sys.path)
    had_guard_module = GUARD in sys.modules
    try:
        if present is not None:
            # Its audit hook would put it back first, and its modules with it.
            present.strict = False
            sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not present]
        _start.move_to_front(guard)
        yield
    finally:
        _take_modules(root)
        _start.stop_serving_folders(guard)
        _start._the_guard[:] = [] if present is None else [present]
        sys.meta_path[:] = [f for f in sys.meta_path if f is not guard and not _of_a_plugin(f)]
        if present is not None:
            present.strict = was_strict
            if place is not None:
                sys.meta_path.insert(place, present)
        sys.path[:] = search_path
        registrations.default_registry._plugins = registered
        registrations.restore(made)
        sys.modules.update(modules)
        if not had_guard_module and GUARD in sys.modules:
            _install_for_whoever_imported_it()


@contextmanager
def guard_module_as_before() -> Iterator[None]:
    """Whatever is done in here, it does not count as if the application had imported the guard."""
    was_loaded = GUARD in sys.modules
    try:
        yield
    finally:
        if not was_loaded:
            _forget_guard_module()


def _guard_of(root: str) -> GuardFinder:
    """A guard for ``root``, whatever the environment says, that keeps its set-up."""
    guard = GuardFinder()
    guard.strict = False
    guard.requested.update(
        root=root,
        lock=f"{root}/{_start.LOCK_NAME}",
        scope="all",
        mode="enforce",
        on_refusal="raise",
    )
    guard.enforcer().resolve_settings()
    return guard


def _place_of(present: GuardFinder | None) -> int | None:
    for place, finder in enumerate(sys.meta_path):
        if finder is present:
            return place
    return None


def _take_modules(root: str | None = None) -> dict[str, ModuleType]:
    """Take guarded modules out of ``sys.modules``, and those that came from ``root`` under other
    names: a plugin may have put a folder of its own on ``sys.path``."""
    taken = {
        name: module
        for name, module in list(sys.modules.items())
        if _start.is_guarded(name) or (root is not None and _is_from(module, root))
    }
    for name in taken:
        del sys.modules[name]
    return taken


def _is_from(module: ModuleType, root: str) -> bool:
    # Not by getattr: a module can be of a class that computes its attributes.
    origin = getattr(module, "__dict__", {}).get("__file__")
    return isinstance(origin, str) and origin.startswith(root + os.sep)


def _of_a_plugin(finder: object) -> bool:
    """A finder that a plugin has put on ``sys.meta_path`` leaves with the plugin. Others stay: the
    library that brought one may be imported for good."""
    described = finder if isinstance(finder, type) else type(finder)
    return _start.is_guarded(described.__module__)


def _install_for_whoever_imported_it() -> None:
    """The application was imported while the test ran, and relies on the guard from now on."""
    try:
        sys.modules[GUARD].install()
    except GuardTooLate:
        # Plugins had been loaded without it before the test. Whoever imports it is to be told.
        _forget_guard_module()


def _forget_guard_module() -> None:
    if sys.modules.pop(GUARD, None) is not None:
        del sys.modules["codegenie.plugins"].guard
